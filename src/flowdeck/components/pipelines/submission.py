"""From what somebody wants to be run to the run: its row, and what the engine starts from. Pure.

REST and schedules make all runs by it.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec

from flowdeck.components.pipelines.engine.run import FailurePolicy, Options
from flowdeck.components.pipelines.engine.run import Run as EngineRun
from flowdeck.components.pipelines.plan.parameters import run_parameters
from flowdeck.components.pipelines.plan.types import Plan
from flowdeck.components.pipelines.settings import DEFAULT_SERVICE_ACCOUNT, PipelinesSettings
from flowdeck.components.pipelines.store.runs import Run
from flowdeck.components.pipelines.values.macros import Moment, with_macros
from flowdeck.kube.errors import BadRequest
from flowdeck.kube.objects import Tree


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What somebody wants to be run."""

    id: str
    name: str
    description: str = ""
    experiment_id: str
    namespace: str
    plan: Plan
    document: str
    """The hash of what `plan` was compiled from."""
    pipeline_id: str = ""
    pipeline_version_id: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """As they were given: macros are replaced here."""
    pipeline_root: str = ""
    default_root: str
    """Where artifacts go when neither this nor the pipeline says."""
    service_account: str = ""
    plugins_input: Tree = field(default_factory=dict)
    recurring_run_id: str = ""
    scheduled_at: datetime | None = None
    """Of a run that a schedule makes; likewise `index`."""
    index: int | None = None
    options: Options = field(default_factory=Options)


class _Wishes(msgspec.Struct, forbid_unknown_fields=True):
    """`plugins_input.flowdeck` of a run or a recurring run: how it is run. What is left out is as the server has it."""

    timeout_s: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Time that it has, in seconds."""
    failure_policy: FailurePolicy | None = None
    caching: bool | None = None


PLUGIN: Final = "flowdeck"


def check_wishes(plugins_input: Tree) -> None:
    """Raises `BadRequest`."""
    _wishes(plugins_input)


def default_options(settings: PipelinesSettings) -> Options:
    """How runs are run that say nothing themselves."""
    return Options(caching=settings.caching, deadline_s=settings.run_timeout_s)


def _wishes(plugins_input: Tree) -> _Wishes:
    try:
        return msgspec.convert(plugins_input.get(PLUGIN) or {}, _Wishes)
    except msgspec.ValidationError as error:
        raise BadRequest(f"Invalid input error: plugins_input.{PLUGIN}: {error}") from error


def _options(wanted: Submission) -> Options:
    """What the run says comes before what its pipeline says, and that before what is set."""
    given, default = _wishes(wanted.plugins_input), wanted.options
    says_pipeline = wanted.plan.config.active_deadline_seconds > 0
    return Options(
        caching=default.caching and given.caching is not False,
        failure_policy=given.failure_policy or default.failure_policy,
        deadline_s=given.timeout_s or (0 if says_pipeline else default.deadline_s),
        success_word=default.success_word,
    )


def run_of(wanted: Submission, now: datetime) -> Run:
    """Its row. Raises `InvalidParameters`, and `BadRequest` for what nobody understands in `plugins_input.flowdeck`."""
    moment = Moment(run_id=wanted.id, now=now, scheduled_at=wanted.scheduled_at, index=wanted.index)
    given = with_macros(wanted.parameters, moment)
    scheduled_at = wanted.scheduled_at or now
    engine = EngineRun(
        id=wanted.id,
        display_name=wanted.name,
        resource_name=f"{wanted.plan.name}-{_suffix(wanted.id)}",
        pipeline_root=(wanted.pipeline_root or wanted.plan.default_root or wanted.default_root).rstrip("/"),
        parameters=run_parameters(wanted.plan, given),
        created_at=now.timestamp(),
        scheduled_at=scheduled_at.timestamp(),
        options=_options(wanted),
    )
    return Run(
        id=wanted.id,
        experiment_id=wanted.experiment_id,
        namespace=wanted.namespace,
        name=wanted.name,
        description=wanted.description,
        created_at=now,
        scheduled_at=scheduled_at,
        service_account=wanted.service_account or DEFAULT_SERVICE_ACCOUNT,
        pipeline_id=wanted.pipeline_id,
        pipeline_version_id=wanted.pipeline_version_id,
        pipeline_name=wanted.plan.name,
        document=wanted.document,
        parameters=given,
        pipeline_root=wanted.pipeline_root,
        recurring_run_id=wanted.recurring_run_id,
        plugins_input=wanted.plugins_input,
        engine=msgspec.to_builtins(engine),
    )


_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"


def _suffix(id: str) -> str:
    """Five letters that are the same for the same run."""
    number = zlib.crc32(id.encode())
    return "".join(_LETTERS[number // 36**place % 36] for place in range(5))
