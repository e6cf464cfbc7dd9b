"""What a controller is.

A controller names the kind it keeps in step and the kinds it watches, and has one coroutine: `reconcile(key)`. The key
says which object may have changed, never what happened to it; several changes collapse into one call; one key is never
reconciled twice at once. The reconciler reads the world anew each time, so it compares states and never reacts to
"created" or "updated". Source of the contract: kubernetes-sigs/controller-runtime (pkg/reconcile).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from flowdeck.kube.objects import Kind, ObjectKey, Tree, controller_of, key_of


@dataclass(frozen=True)
class Result:
    """What to do after a reconcile that raised nothing."""

    look_again_in_s: float | None = None
    """Reconcile the key again after that time, even if nothing changes; None: when something changes."""


DONE = Result()


def look_again_in(seconds: float) -> Result:
    return Result(max(0.0, seconds))


class Terminal(Exception):
    """Raised by a reconcile that can never succeed as things are: logged and counted, not retried."""


@dataclass(frozen=True)
class Maps:
    """Watches `kind`, and turns each changed object into the keys to reconcile."""

    kind: Kind
    to: Callable[[Tree], Iterable[ObjectKey]]


def Owns(kind: Kind, *, owner: Kind) -> Maps:
    """Watches the `kind` objects that are controlled by an `owner`, and reconciles that owner."""

    def to_owner(obj: Tree) -> Iterable[ObjectKey]:
        ref = controller_of(obj)
        if (
            ref
            and ref["kind"] == owner.kind
            and ref["apiVersion"].partition("/")[0] == owner.api_version.partition("/")[0]
        ):
            yield ObjectKey(key_of(obj).namespace if owner.namespaced else "", ref["name"])

    return Maps(kind, to_owner)


@dataclass(frozen=True)
class Feeds:
    """Keys that come from elsewhere than the informer of one kind: from the changes of all kinds at once."""

    connect: Callable[[Callable[[ObjectKey], None]], Callable[[], None] | None]
    """Called once, before work begins, with what puts a key into the queue (from the event loop).

    Gives what to call when work has ended; None: nothing.
    """


class Controller(Protocol):
    """Keeps something in step. Implementations are frozen dataclasses that hold their `Client` and `Clock`."""

    @property
    def name(self) -> str:
        """For logs, metrics and the queue; unique in the process: `job`, `trainjob`."""
        ...

    @property
    def kind(self) -> Kind | None:
        """The kind whose keys are reconciled; None where keys are no objects of one kind: `watches` bring them all."""
        ...

    @property
    def watches(self) -> Sequence[Maps | Feeds]:
        """What else makes a key worth a look."""
        ...

    async def reconcile(self, key: ObjectKey) -> Result:
        """Looks at the world and does what is missing. An exception other than `Terminal` means: back off, retry."""
        ...
