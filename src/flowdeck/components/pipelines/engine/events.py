"""What happens to a run: the inputs of its state machine, and the lines of its log.

Each has a time and a cause, the id of what made it (a request, a pod and its revision, a timer), which every
instruction that follows carries on. They are JSON, and a run's events in their order are all that there is to know:
`RunState` makes the same state of them again.

A report names task and attempt. Attempts of a task are numbered for good, so a late report of an older one is told
apart, whatever was retried in between.
"""

from typing import Any

import msgspec

from flowdeck.components.pipelines.values.artifacts import Artifact


class Outputs(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a task made."""

    parameters: dict[str, Any] = {}
    artifacts: dict[str, list[Artifact]] = {}


class _Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event"):
    at: float
    """Seconds since 1970."""
    cause: str = ""


class RunStarted(_Event, frozen=True, tag="run-started"):
    """The first event of a log."""


class CacheAnswered(_Event, frozen=True, tag="cache-answered"):
    """The answer to `LookUpCache`."""

    task: str
    attempt: int
    outputs: Outputs | None = None
    """None: a miss."""
    why: str = ""
    """The explanation for people: whose outputs they are, or what differs."""


class Waits(_Event, frozen=True, tag="waits"):
    """The program of an attempt does not start, and why."""

    task: str
    attempt: int
    message: str
    until: float | None = None
    """When it has failed if it still has not, in seconds since 1970; None: it may wait as long as it takes."""


class PodStarted(_Event, frozen=True, tag="pod-started"):
    """The program of an attempt runs."""

    task: str
    attempt: int
    pod: str = ""
    uid: str = ""


class Succeeded(_Event, frozen=True, tag="succeeded"):
    """An attempt is done: pod, import or claim."""

    task: str
    attempt: int
    outputs: Outputs = Outputs()
    """Parameters as declared; artifacts that are left out are those that were announced in the executor input."""


class Failed(_Event, frozen=True, tag="failed"):
    """An attempt failed: pod, import or claim."""

    task: str
    attempt: int
    message: str


class Lost(_Event, frozen=True, tag="lost"):
    """A pod vanished, or cannot be known about: it is tried again, and that does not count as a failure."""

    task: str
    attempt: int
    message: str


class TimePassed(_Event, frozen=True, tag="time-passed"):
    """The time of a `WakeAt` has come."""


class TerminateRequested(_Event, frozen=True, tag="terminate-requested"):
    """Somebody wants the run to end."""


class RetryRequested(_Event, frozen=True, tag="retry-requested"):
    """Somebody wants what failed to run again."""

    task: str = ""
    """The id of a task that shall run again even if it was successful, with all that follows from it."""
    document: dict[str, Any] | None = None
    """`pipeline_spec` of the API: the pipeline from now on, where it was edited."""


Event = (
    RunStarted
    | CacheAnswered
    | Waits
    | PodStarted
    | Succeeded
    | Failed
    | Lost
    | TimePassed
    | TerminateRequested
    | RetryRequested
)
Report = CacheAnswered | Waits | PodStarted | Succeeded | Failed | Lost

_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def encode(event: Event) -> bytes:
    """One line of a log."""
    return _ENCODER.encode(event)


def decode(line: bytes) -> Event:
    """The event of a line."""
    return _DECODER.decode(line)
