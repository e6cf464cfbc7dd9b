"""Tasks that somebody else reports: what runs beside the engine, shown in the run (wire B).

They have labels of their own, `reported.<id>`: the engine's tasks are its own to change.
"""

import uuid
from datetime import datetime
from typing import Any, Final

from msgspec import structs

from flowdeck.components.pipelines.api.artifact_messages import IoType, Producer
from flowdeck.components.pipelines.engine import records
from flowdeck.components.pipelines.engine.records import Parameter, TaskRecord
from flowdeck.components.pipelines.engine.states import WIRE_A, State
from flowdeck.components.pipelines.ir.proto_json import JsonObject, Message, Value
from flowdeck.components.pipelines.plan.types import TaskType
from flowdeck.components.pipelines.schedules.triggers import calendar_time
from flowdeck.kube.errors import BadRequest
from flowdeck.web.rpc_errors import FailedPrecondition

REPORTED: Final = "reported."
MAX_NAME: Final = 128
STATES: Final = {
    state.value: state for state in (State.RUNNING, State.SUCCEEDED, State.SKIPPED, State.FAILED, State.CACHED)
}


class StatusMetadata(Message):
    message: str = ""
    custom_properties: JsonObject | None = None


class ReportedParameter(Message):
    value: Value = None
    type: IoType = IoType.UNSPECIFIED
    parameter_key: str = ""
    producer: Producer | None = None


class ReportedIo(Message):
    parameters: list[ReportedParameter] | None = None
    artifacts: list[JsonObject] | None = None


class ReportedTask(Message):
    """A PipelineTask. What only the server says is taken and passed over; artifacts are linked by `artifact_tasks`."""

    name: str = ""
    display_name: str = ""
    task_id: str = ""
    run_id: str = ""
    pods: list[JsonObject] | None = None
    cache_fingerprint: str = ""
    create_time: str = ""
    end_time: str = ""
    state: str = ""
    status_metadata: StatusMetadata | None = None
    state_history: list[JsonObject] | None = None
    type: str = ""
    type_attributes: JsonObject | None = None
    parent_task_id: str = ""
    child_tasks: list[JsonObject] | None = None
    inputs: ReportedIo | None = None
    outputs: ReportedIo | None = None
    scope_path: str = ""


class BatchUpdate(Message):
    tasks: dict[str, ReportedTask] | None = None


def new_record(run_id: str, asked: ReportedTask, now: datetime) -> TaskRecord:
    """Raises `BadRequest`."""
    if not 1 <= len(asked.name) <= MAX_NAME:
        raise BadRequest(f"Invalid input error: name of the task must have 1 to {MAX_NAME} characters")
    id = str(uuid.uuid4())
    state = _state(asked.state) or State.RUNNING
    began_at = _time(asked.create_time, "create_time")
    record = TaskRecord(
        id=id,
        run=run_id,
        name=asked.name,
        display_name=asked.display_name or asked.name,
        label=f"{REPORTED}{id}",
        scope_path=asked.scope_path or asked.name,
        type=_type(asked.type),
        state=state,
        wire_a=WIRE_A[state],
        wire_b=state.value,
        parent=asked.parent_task_id,
        began_at=now.timestamp() if began_at is None else began_at,
        history=[(now.timestamp(), state)],
        parameters=_parameters(asked.inputs),
    )
    return _with_end(record, asked, now)


def changed(record: TaskRecord, asked: ReportedTask, now: datetime) -> TaskRecord:
    """What is left out stays. Raises `BadRequest`, `FailedPrecondition` for a task of the engine's."""
    if not record.label.startswith(REPORTED):
        raise FailedPrecondition(
            f"Invalid input error: Failed to update task {record.id}: it is run by this server, which alone changes it"
        )
    state = _state(asked.state) or record.state
    history = record.history if state is record.state else [*record.history, (now.timestamp(), state)]
    updated = structs.replace(
        record,
        display_name=asked.display_name or record.display_name,
        state=state,
        wire_a=WIRE_A[state],
        wire_b=state.value,
        history=history,
        parameters=_parameters(asked.inputs) or record.parameters,
    )
    return _with_end(updated, asked, now)


def _with_end(record: TaskRecord, asked: ReportedTask, now: datetime) -> TaskRecord:
    ended_at = _time(asked.end_time, "end_time")
    if ended_at is None:
        ended_at = None if record.state is State.RUNNING else record.ended_at or now.timestamp()
    told = asked.status_metadata
    return structs.replace(
        record,
        ended_at=ended_at,
        message=told.message if told is not None and told.message else record.message,
        output_parameters=_parameters(asked.outputs) or record.output_parameters,
    )


def _parameters(io: ReportedIo | None) -> list[Parameter]:
    def read(each: ReportedParameter) -> Parameter:
        kind: Any = records.IoType.OUTPUT if each.type is IoType.UNSPECIFIED else records.IoType[each.type.name]
        return Parameter(each.parameter_key, each.value, kind, each.producer.task_name if each.producer else "")

    return [read(each) for each in (io.parameters if io is not None else None) or ()]


def _state(text: str) -> State | None:
    if text in ("", "RUNTIME_STATE_UNSPECIFIED"):
        return None
    if text not in STATES:
        raise BadRequest(f"Invalid input error: state must be one of {', '.join(STATES)}: got {text[:100]!r}")
    return STATES[text]


def _type(text: str) -> TaskType:
    if text in ("", "TASK_TYPE_UNSPECIFIED"):
        return TaskType.RUNTIME
    if text not in TaskType.__members__:
        raise BadRequest(f"Invalid input error: type must be one of {', '.join(TaskType)}: got {text[:100]!r}")
    return TaskType[text]


def _time(text: str, name: str) -> float | None:
    if not text:
        return None
    try:
        return calendar_time(text).timestamp()
    except ValueError as error:
        raise BadRequest(f"Invalid input error: {name}: {error}") from error
