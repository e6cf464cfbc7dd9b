"""What the life of a pod is acted with: processes (`processes.py`), or nothing at all (`simulated.py`).

`PodWorker` looks, decides and reports; what it decided is done here.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from flowdeck.embedded.node.pods.seen import ContainerSeen
from flowdeck.kube.objects import Tree

Tell = Callable[[Literal["Normal", "Warning"], str, str], None]
"""Records an event about the pod: type, reason, message."""


class ActedPlace(Protocol):
    """What the containers of one pod share, and what is remembered of the pod."""

    pod: Tree

    @property
    def ip(self) -> str:
        """The pod's address; `""` before it is set up."""
        ...

    @property
    def needs_refresh(self) -> bool:
        """Whether `refresh` has anything to do, ever."""
        ...

    def save(self) -> None:
        """Keeps the pod's object, for the day when it is gone from the API."""
        ...

    def note_end(self, reason: str, message: str) -> None:
        """Remembers why the pod was ended from outside its containers."""
        ...

    def end_noted(self) -> tuple[str, str] | None:
        """Reason and message that were noted, by an earlier process of this node too."""
        ...

    def was_torn_down(self) -> bool: ...

    async def set_up(self) -> None:
        """Makes everything, or makes sure of it. Raises `VolumeError`, `StartError`, `ApiError`, `OSError`."""
        ...

    async def refresh(self) -> None:
        """Brings up to date what comes from objects. Raises `VolumeError`, `ApiError`, `OSError`."""
        ...

    def overfull(self) -> str:
        """Why the pod must be evicted for what it has written, else `""`. Blocking."""
        ...

    async def tear_down(self) -> None:
        """Takes it away; what is remembered of the pod stays. Raises `OSError`."""
        ...

    def forget(self) -> None:
        """Removes what is left of the pod on this machine. Blocking."""
        ...


class ActedKeeper(Protocol):
    """One container of a pod. Changes `seen`, and tells its worker each time it did."""

    name: str
    pod: Tree
    seen: ContainerSeen

    async def recall(self) -> None:
        """Finds again what an earlier process of this node started."""
        ...

    def start(self, attempt: int, back_off_s: float) -> None:
        """Begins to start the next attempt, unless something is being done already."""
        ...

    def stop(self, grace_s: float, message: str) -> None:
        """Begins to stop the container; asked again while it stops, a shorter grace counts."""
        ...


K = TypeVar("K", bound=ActedKeeper)
K_co = TypeVar("K_co", bound=ActedKeeper, covariant=True)


@dataclass(frozen=True)
class Act(Generic[K_co]):
    """One pod's."""

    place: ActedPlace
    keeper: Callable[[Tree, Tell, Callable[[], None], asyncio.TaskGroup], K_co]
    """Makes the keeper of a container."""


class Acting(Protocol[K_co]):
    """All pods'."""

    def refusal(self, pod: Tree) -> tuple[str, str] | None:
        """Reason and message of why this node cannot run such a pod at all."""
        ...

    def begin(self, pod: Tree) -> Act[K_co]: ...

    def is_here(self, uid: str) -> bool:
        """Whether anything of the pod is left on this machine."""
        ...

    def left_behind(self, known: set[str]) -> Iterable[Tree]:
        """The pods of which something is left, but for those that are known."""
        ...
