"""The states of a task and of a run, which may follow which, and their words on the two wires."""

from enum import StrEnum
from typing import Final


class RunStatus(StrEnum):
    """`state` of a run on the wire."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    CANCELING = "CANCELING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


RUN_FINISHED: Final = frozenset({RunStatus.SUCCEEDED, RunStatus.FAILED})


class State(StrEnum):
    """Where a task is. Dags and loops are WAITING, RUNNING, BACKING_OFF, or at an end."""

    WAITING = "WAITING"
    """For its upstream tasks."""
    CACHING = "CACHING"
    """The cache is asked."""
    STARTING = "STARTING"
    """Its pod is wanted; its program does not run yet."""
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    """Its pod shall stop."""
    BACKING_OFF = "BACKING_OFF"
    """It failed, and its next attempt has a time."""
    SUCCEEDED = "SUCCEEDED"
    CACHED = "CACHED"
    """Successful, with the outputs of an earlier run."""
    SKIPPED = "SKIPPED"
    """Its condition is false."""
    OMITTED = "OMITTED"
    """It never had its turn; its message says why."""
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    """It was stopped."""


GOOD: Final = frozenset({State.SUCCEEDED, State.CACHED})
ENDED: Final = GOOD | {State.SKIPPED, State.OMITTED, State.FAILED, State.CANCELED}
HAS_POD: Final = frozenset({State.STARTING, State.RUNNING, State.STOPPING})

_S = State
_END_OF_TRY: Final = {_S.SUCCEEDED, _S.FAILED, _S.CANCELED, _S.BACKING_OFF}
FOLLOWS: Final = {
    _S.WAITING: {_S.CACHING, _S.STARTING, _S.RUNNING, _S.SKIPPED, _S.OMITTED, _S.FAILED, _S.SUCCEEDED},
    _S.CACHING: {_S.CACHED, _S.STARTING, _S.RUNNING, _S.CANCELED, _S.FAILED},
    _S.STARTING: {_S.RUNNING, _S.STOPPING, _S.STARTING, *_END_OF_TRY},
    _S.RUNNING: {_S.STOPPING, _S.STARTING, _S.RUNNING, *_END_OF_TRY},
    _S.STOPPING: {_S.SUCCEEDED, _S.CANCELED},
    _S.BACKING_OFF: {_S.STARTING, _S.RUNNING, _S.CANCELED, _S.FAILED},
    _S.SUCCEEDED: {_S.RUNNING},
    _S.FAILED: {_S.RUNNING},
    _S.CANCELED: {_S.RUNNING},
    _S.CACHED: set(),
    _S.SKIPPED: set(),
    _S.OMITTED: set(),
}
"""Which state may follow which. Ended dags and loops open again when a run is retried; other tasks are made anew."""

WIRE_A: Final = {
    _S.CACHING: "PENDING",
    _S.STARTING: "PENDING",
    _S.RUNNING: "RUNNING",
    _S.STOPPING: "RUNNING",
    _S.BACKING_OFF: "RUNNING",
    _S.SUCCEEDED: "SUCCEEDED",
    _S.CACHED: "SUCCEEDED",
    _S.SKIPPED: "SKIPPED",
    _S.FAILED: "FAILED",
    _S.CANCELED: "CANCELED",
}
"""`state` in `run_details.task_details`; WAITING and OMITTED have none."""

WIRE_B: Final = {
    _S.CACHING: "RUNNING",
    _S.STARTING: "RUNNING",
    _S.RUNNING: "RUNNING",
    _S.STOPPING: "RUNNING",
    _S.BACKING_OFF: "RUNNING",
    _S.SUCCEEDED: "SUCCEEDED",
    _S.CACHED: "CACHED",
    _S.SKIPPED: "SKIPPED",
    _S.FAILED: "FAILED",
    _S.CANCELED: "FAILED",
}
"""`state` of a task in the next release; WAITING and OMITTED tasks are absent there."""
