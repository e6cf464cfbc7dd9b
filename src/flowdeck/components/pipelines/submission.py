"""From what somebody wants to be run to the run: its row, and what the engine starts from. Pure.

REST and schedules make all runs by it.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec

from flowdeck.components.pipelines.engine.run import Options
from flowdeck.components.pipelines.engine.run import Run as EngineRun
from flowdeck.components.pipelines.plan.parameters import run_parameters
from flowdeck.components.pipelines.plan.types import Plan
from flowdeck.components.pipelines.settings import DEFAULT_SERVICE_ACCOUNT
from flowdeck.components.pipelines.store.runs import Run
from flowdeck.components.pipelines.values.macros import Moment, with_macros
from flowdeck.kube.objects import Tree

DEFAULT_ROOT: Final = "minio://mlpipeline/v2/artifacts"
"""Where artifacts go when nobody says."""


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
    service_account: str = ""
    plugins_input: Tree = field(default_factory=dict)
    recurring_run_id: str = ""
    scheduled_at: datetime | None = None
    """Of a run that a schedule makes; likewise `index`."""
    index: int | None = None
    options: Options = field(default_factory=Options)


def run_of(wanted: Submission, now: datetime) -> Run:
    """Its row. Raises `InvalidParameters`."""
    moment = Moment(run_id=wanted.id, now=now, scheduled_at=wanted.scheduled_at, index=wanted.index)
    given = with_macros(wanted.parameters, moment)
    scheduled_at = wanted.scheduled_at or now
    engine = EngineRun(
        id=wanted.id,
        display_name=wanted.name,
        resource_name=f"{wanted.plan.name}-{_suffix(wanted.id)}",
        pipeline_root=(wanted.pipeline_root or wanted.plan.default_root or DEFAULT_ROOT).rstrip("/"),
        parameters=run_parameters(wanted.plan, given),
        created_at=now.timestamp(),
        scheduled_at=scheduled_at.timestamp(),
        options=wanted.options,
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
