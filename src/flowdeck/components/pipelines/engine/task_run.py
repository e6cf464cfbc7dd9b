"""One task of a run: a plan's task, for one iteration of each loop around it."""

import hashlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from flowdeck.components.pipelines.engine.states import ENDED, FOLLOWS, State
from flowdeck.components.pipelines.plan.types import Dag, Retry, Task
from flowdeck.components.pipelines.values.artifacts import Artifact

Artifacts = Mapping[str, list[Artifact]]


class ImpossibleTransition(AssertionError):
    """A mistake in the engine; the text tells the task's story."""


@dataclass(slots=True)
class Attempt:
    """One try of a task that is no dag: its pod, import, claim, or answer of the cache."""

    number: int
    """From 1, never used again for the same task."""
    retry_index: int
    began_at: float
    pod: str = ""
    uid: str = ""
    ended_at: float | None = None
    state: State | None = None
    """How it ended."""
    message: str = ""


@dataclass(slots=True, eq=False)
class TaskRun:
    """A task of a run. Only `RunState` changes it."""

    NO_RETRY: ClassVar[Retry] = Retry()

    id: str
    """The same for the same place in the same run, whatever is retried."""
    label: str
    """Where it is, with iterations: `root.for-loop-1[3].train`."""
    task: Task
    parent: "TaskRun | None"
    iteration: int | None = None
    """Its number, where it is one iteration of a loop."""
    state: State = State.WAITING
    message: str = ""
    """Why it failed, was skipped, omitted or canceled."""
    cause: str = ""
    """Of the last change."""
    history: list[tuple[float, State]] = field(default_factory=list)
    began_at: float | None = None
    ended_at: float | None = None

    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Inputs, once its turn has come."""
    artifacts: Artifacts = field(default_factory=dict)
    output_parameters: Mapping[str, Any] = field(default_factory=dict)
    output_artifacts: Artifacts = field(default_factory=dict)

    failures: int = 0
    """Of it as a whole; lost attempts do not count."""
    losses: int = 0
    """Attempts that were lost since the last one that was not."""
    wake_at: float | None = None
    """When its next attempt starts, while it is BACKING_OFF; when it has waited long enough, while it is STARTING."""
    attempt: int = 0
    """The number of the latest attempt."""
    fingerprint: str = ""
    """What the cache knows it by; empty: it is not cached."""
    fingerprint_parts: Mapping[str, str] = field(default_factory=dict)
    """What it is made of; `fingerprint.differences` compares two."""
    cache_note: str = ""
    """What the cache said, for people."""

    waiting: int = 0
    """Upstream tasks that have not ended."""
    children: dict[str | int, "TaskRun"] = field(default_factory=dict)
    """Of a dag by name, of a loop by iteration, those that were started."""
    open: int = 0
    """Children that have not ended (of a loop: that run)."""
    failed: "TaskRun | None" = None
    """Of a dag or loop: the task whose failure was the first inside."""
    canceled: bool = False
    """Whether something inside was stopped, or never had its turn because the run or dag was stopped."""
    closed: bool = False
    """Whether nothing new may start inside, since it fails fast."""
    items: list[Any] | None = None
    """Of a loop."""
    todo: deque[int] = field(default_factory=deque)
    """Iterations that have not started."""

    @property
    def is_loop(self) -> bool:
        """Whether its children are iterations of its own task."""
        return self.task.iterator is not None and self.iteration is None

    @property
    def is_dag(self) -> bool:
        """Whether its children are the tasks of its dag."""
        return isinstance(self.task.component.body, Dag) and not self.is_loop

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED

    @property
    def retry(self) -> Retry:
        """Each iteration of a loop is retried, not the loop."""
        return self.NO_RETRY if self.is_loop else self.task.retry

    @property
    def may_retry(self) -> bool:
        return self.failures < self.retry.max_retries

    def move(self, state: State, at: float, cause: str) -> None:
        """Enters a state; raises `ImpossibleTransition`."""
        if state not in FOLLOWS[self.state]:
            raise ImpossibleTransition(f"{self.label}: from {self.state} to {state}; its story: {self.history}")
        self.state = state
        self.cause = cause
        self.history.append((at, state))
        if self.began_at is None:
            self.began_at = at
        self.ended_at = at if state in ENDED else None

    def __repr__(self) -> str:
        return f"<{self.label} {self.state}>"


def stable_id(run: str, label: str) -> str:
    """The id of a task, or of a thing of it, from its place in the run: a UUID of version 8."""
    text = hashlib.sha1(f"{run}/{label}".encode(), usedforsecurity=False).hexdigest()
    return f"{text[:8]}-{text[8:12]}-8{text[13:16]}-8{text[17:20]}-{text[20:32]}"
