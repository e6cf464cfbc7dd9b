"""Messages of the REST wire: what requests bring, and how answers are written.

Requests may spell fields `snake_case` or `lowerCamelCase`; an unknown one is refused. Answers are `snake_case` and
leave out what is zero.

Source: kubeflow/pipelines (backend/api/v2beta1/*.proto)
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from flowdeck.components.pipelines.admission import document_in
from flowdeck.components.pipelines.catalog import pipeline_id_of, rest_name
from flowdeck.components.pipelines.errors import InvalidPipeline
from flowdeck.components.pipelines.ir.proto_json import JsonObject, Message, Value, decode
from flowdeck.kube.errors import BadRequest
from flowdeck.kube.objects import Tree, get_in, key_of, uid_of
from flowdeck.web import bodies

MAX_BODY = 33 * 1024 * 1024
"""A pipeline of the largest size, and the rest of a request around it."""


class Experiment(Message):
    experiment_id: str = ""
    display_name: str = ""
    description: str = ""
    created_at: str = ""
    namespace: str = ""
    storage_state: str = ""
    last_run_created_at: str = ""


class Url(Message):
    pipeline_url: str = ""


class Pipeline(Message):
    pipeline_id: str = ""
    display_name: str = ""
    name: str = ""
    description: str = ""
    created_at: str = ""
    namespace: str = ""
    error: JsonObject | None = None
    tags: dict[str, str] | None = None


class PipelineVersion(Message):
    pipeline_id: str = ""
    pipeline_version_id: str = ""
    display_name: str = ""
    name: str = ""
    description: str = ""
    created_at: str = ""
    package_url: Url | None = None
    code_source_url: str = ""
    pipeline_spec: JsonObject | None = None
    error: JsonObject | None = None
    tags: dict[str, str] | None = None


class CreatePipelineAndVersion(Message):
    pipeline: Pipeline | None = None
    pipeline_version: PipelineVersion | None = None


class VersionReference(Message):
    pipeline_id: str = ""
    pipeline_version_id: str = ""


class RuntimeConfig(Message):
    parameters: dict[str, Value] | None = None
    pipeline_root: str = ""


class Run(Message):
    """What only the server says is taken and passed over, but for `plugins_output`."""

    ONEOFS = (("pipeline_version_id", "pipeline_spec", "pipeline_version_reference"),)

    experiment_id: str = ""
    run_id: str = ""
    display_name: str = ""
    storage_state: Value = None
    description: str = ""
    pipeline_version_id: str = ""
    pipeline_spec: JsonObject | None = None
    pipeline_version_reference: VersionReference | None = None
    runtime_config: RuntimeConfig | None = None
    service_account: str = ""
    created_at: Value = None
    scheduled_at: Value = None
    finished_at: Value = None
    state: Value = None
    error: JsonObject | None = None
    run_details: JsonObject | None = None
    recurring_run_id: str = ""
    state_history: list[JsonObject] | None = None
    plugins_input: JsonObject | None = None
    plugins_output: JsonObject | None = None
    pipeline_reference: VersionReference | None = None
    task_count: int = 0
    tasks: list[JsonObject] | None = None


class Retry(Message):
    """Ours: upstream's has no field."""

    task_id: str = ""
    """A task that shall run again even if it ended well, with all that follows from it."""
    pipeline_spec: JsonObject | None = None
    """The pipeline from now on."""


class CronSchedule(Message):
    start_time: str = ""
    end_time: str = ""
    cron: str = ""


class PeriodicSchedule(Message):
    start_time: str = ""
    end_time: str = ""
    interval_second: int = 0


class Trigger(Message):
    ONEOFS = (("cron_schedule", "periodic_schedule"),)

    cron_schedule: CronSchedule | None = None
    periodic_schedule: PeriodicSchedule | None = None


class Mode(IntEnum):
    MODE_UNSPECIFIED = 0
    ENABLE = 1
    DISABLE = 2


class RecurringRun(Message):
    """What only the server says is taken and passed over."""

    ONEOFS = (("pipeline_version_id", "pipeline_spec", "pipeline_version_reference"),)

    recurring_run_id: str = ""
    display_name: str = ""
    description: str = ""
    pipeline_version_id: str = ""
    pipeline_spec: JsonObject | None = None
    pipeline_version_reference: VersionReference | None = None
    runtime_config: RuntimeConfig | None = None
    service_account: str = ""
    max_concurrency: int = 0
    trigger: Trigger | None = None
    mode: Mode = Mode.MODE_UNSPECIFIED
    created_at: Value = None
    updated_at: Value = None
    status: Value = None
    error: JsonObject | None = None
    no_catchup: bool = False
    namespace: str = ""
    experiment_id: str = ""
    plugins_input: JsonObject | None = None


class Backfill(Message):
    """Ours: a range of time, its ends included."""

    start_time: str = ""
    end_time: str = ""


async def message_in(request: Request, message: type[Any], *, may_be_empty: bool = False) -> Any:
    """The message in a request's body. Raises `BadRequest`."""
    if may_be_empty and not await bodies.raw(request, limit=MAX_BODY):
        return message()
    tree = await bodies.decoded(request, dict[str, Any], limit=MAX_BODY)
    try:
        return decode(message, tree, "")
    except InvalidPipeline as error:
        raise BadRequest(f"Invalid input error: {error.message}") from error


def pipeline_message(obj: Tree, *, shows_namespace: bool) -> Tree:
    """A Pipeline object as the REST wire tells it."""
    return without_zeros(
        {
            "pipeline_id": uid_of(obj),
            "display_name": get_in(obj, "spec", "displayName", default="") or rest_name(obj),
            "name": rest_name(obj),
            "description": get_in(obj, "spec", "description", default=""),
            "created_at": obj["metadata"]["creationTimestamp"],
            "namespace": key_of(obj).namespace if shows_namespace else "",
            "tags": get_in(obj, "spec", "tags") or {},
        }
    )


def version_message(obj: Tree) -> Tree:
    """A PipelineVersion object as the REST wire tells it."""
    return without_zeros(
        {
            "pipeline_id": pipeline_id_of(obj),
            "pipeline_version_id": uid_of(obj),
            "display_name": get_in(obj, "spec", "displayName", default="") or rest_name(obj),
            "name": rest_name(obj),
            "description": get_in(obj, "spec", "description", default=""),
            "created_at": obj["metadata"]["creationTimestamp"],
            "code_source_url": get_in(obj, "spec", "codeSourceURL", default=""),
            "pipeline_spec": document_in(obj).wire,
            "tags": get_in(obj, "spec", "tags") or {},
        }
    )


def without_zeros(message: Mapping[str, Any]) -> Tree:
    """What the wire leaves out: empty texts, lists and objects, 0, false, null."""
    return {key: value for key, value in message.items() if value}


def listed(name: str, items: Sequence[Tree], total: int, token: str) -> Tree:
    """A page of a list."""
    return without_zeros({name: items, "total_size": total, "next_page_token": token})


def reply(message: Mapping[str, Any] = {}) -> Response:
    """A good answer."""
    return Response(msgspec.json.encode(message), media_type="application/json")
