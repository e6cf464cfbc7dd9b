"""What the node knows about a pod of its own: the input of `decide` and `status`. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

CRASH_LOOP = "CrashLoopBackOff"
UNKNOWN = "ContainerStatusUnknown"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One attempt to run a container; attempt 0 is the first."""

    attempt: int
    id: str
    """`containerID` without its scheme."""
    image: str = ""
    image_id: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    exit_code: int | None = None
    """None while it runs."""
    reason: str = ""
    """`Completed`, `Error`, `OOMKilled`, `StartError`, `ContainerStatusUnknown`."""
    message: str = ""
    is_lost_by_reboot: bool = False
    back_off_s: float = 0.0
    """How long the pause before this attempt was."""

    @property
    def is_running(self) -> bool:
        return self.exit_code is None

    @property
    def has_failed(self) -> bool:
        return self.exit_code is not None and self.exit_code != 0


class Busy(Enum):
    """What is being done to a container at the moment."""

    STARTING = "starting"
    STOPPING = "stopping"


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """Why a container does not run yet."""

    reason: str
    message: str = ""
    until: datetime | None = None
    """Not to be tried again before."""


@dataclass(frozen=True, kw_only=True)
class ContainerSeen:
    """One container as it is now."""

    run: Run | None = None
    """The newest attempt."""
    previous: Run | None = None
    """The one before."""
    waiting: Waiting | None = None
    progress: str = ""
    """How far its first start is: what the status says while nothing else is the matter."""
    busy: Busy | None = None
    is_started: bool = False
    """It runs, its postStart hook is done, its startup probe has passed."""
    is_ready: bool = False
    unhealthy: str = ""
    """Why it must be killed: the text of the event. Empty: it need not."""

    @property
    def is_running(self) -> bool:
        return self.run is not None and self.run.is_running


NOTHING_SEEN = ContainerSeen()


@dataclass(frozen=True, kw_only=True)
class BackOff:
    """Pauses between restarts: none before the first, then `start_s`, doubled up to `max_s`."""

    start_s: float = 1.0
    max_s: float = 300.0

    def before(self, run: Run) -> float:
        """The pause after `run` ended; one that ran for twice the longest pause has settled the account."""
        if run.started_at and run.ended_at and run.ended_at - run.started_at > timedelta(seconds=2 * self.max_s):
            return 0.0
        if run.attempt == 0:
            return 0.0
        return min(self.max_s, run.back_off_s * 2 or self.start_s)


@dataclass(frozen=True, kw_only=True)
class PodSeen:
    """The pod as it is now on this machine."""

    containers: Mapping[str, ContainerSeen] = field(default_factory=dict)
    is_set_up: bool = False
    """Volumes, network and sandbox are there."""
    is_being_set_up: bool = False
    is_torn_down: bool = False
    is_being_torn_down: bool = False
    is_gone: bool = False
    """The API object was removed, or replaced by another of its name."""
    retry_set_up_at: datetime | None = None
    refusal: tuple[str, str] | None = None
    """Reason and message of why this node does not run the pod at all."""
    ip: str = ""
    host_ip: str = ""
    started_at: datetime | None = None
    """When the node first saw the pod."""
    ended: tuple[str, str] | None = None
    """Reason and message once the pod was ended from outside its containers: `DeadlineExceeded`, `Evicted`."""

    def of(self, container: str) -> ContainerSeen:
        return self.containers.get(container, NOTHING_SEEN)
