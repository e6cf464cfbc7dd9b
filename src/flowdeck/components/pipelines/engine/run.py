"""A run as it was asked for: what stays the same from its first event to its last."""

from enum import StrEnum
from typing import Any

import msgspec


class FailurePolicy(StrEnum):
    """What else happens in a run when a task of it has failed."""

    CONTINUE = "continue"
    """Independent branches and the other iterations of loops go on."""
    FAIL_FAST = "fail_fast"
    """Nothing new starts, but exit tasks and others that run however their upstream ended."""
    FAIL_FAST_AND_STOP = "fail_fast_and_stop"
    """Likewise, and what runs is stopped."""


class Options(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a run is run."""

    caching: bool = True
    """The server's switch; a task must want it, too."""
    failure_policy: FailurePolicy = FailurePolicy.CONTINUE
    deadline_s: int = 0
    """Seconds from start to the end of the run; 0: as the pipeline says (`activeDeadlineSeconds`), or none."""
    success_word: str = "COMPLETE"
    """`state` of a successful task in PipelineTaskFinalStatus; upstream's next release says `SUCCEEDED`."""


class Run(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One run."""

    id: str
    display_name: str
    resource_name: str
    """`<pipelineInfo.name>-<5 random characters>`; pods are named after it."""
    pipeline_root: str
    """Where artifacts go."""
    parameters: dict[str, Any]
    """All of them, as `plan.parameters.run_parameters` gives them."""
    created_at: float
    """Seconds since 1970."""
    scheduled_at: float = 0.0
    """0: like `created_at`."""
    options: Options = Options()
