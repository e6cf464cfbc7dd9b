"""What a component is: one object that says what it brings; `app.py` composes the enabled ones."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from flowdeck.client.base import Client, Reader
from flowdeck.clock import Clock
from flowdeck.controller.contract import Controller
from flowdeck.kube.objects import Kind, Tree


@dataclass(frozen=True)
class Context:
    """What a component gets from the composition root."""

    client: Client
    clock: Clock
    settings: Any
    """The component's own branch of the settings tree."""
    events: Any
    """`controller.events.EventRecorder`."""


@dataclass(frozen=True, kw_only=True)
class Review:
    """What admission found: the object as it shall be stored, what is wrong with it, what to warn of."""

    obj: Tree
    errors: Sequence[str] = ()
    """Field errors as text; not empty means the request is denied."""
    warnings: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class AdmissionRule:
    """A webhook, served in the process when embedded and over HTTPS on a cluster.

    A denied request answers 403 `admission webhook "<name>" denied the request: <errors>`.
    """

    name: str
    """The webhook's name, as upstream's configuration object has it."""
    path: str
    """Where it is served on a cluster: `/validate-trainer-kubeflow-org-v1alpha1-trainjob`."""
    kind: Kind
    phase: Literal["mutate", "validate"]
    operations: Sequence[Literal["CREATE", "UPDATE", "DELETE"]] = ("CREATE", "UPDATE")
    review: "Reviewer"


class Reviewer(Protocol):
    """Decides about one request. `obj` may be changed by a mutating rule (it is the reviewer's own copy)."""

    async def __call__(self, obj: Tree, old: Tree | None, *, reader: Reader, clock: Clock) -> Review: ...


class Component(Protocol):
    """One plug-in of the platform (entry-point group `flowdeck.components`)."""

    name: str
    """As in settings and `--enable`: `training`."""

    def custom_resource_definitions(self) -> Sequence[Tree]:
        """The CRDs of its kinds, generated from its `types.py`."""
        ...

    def admission(self) -> Sequence[AdmissionRule]: ...

    def controllers(self, ctx: Context) -> Sequence[Controller]: ...

    def servers(self, ctx: Context) -> Sequence[Callable[[], Coroutine[Any, Any, None]]]:
        """Coroutine functions that serve something (training's progress server) until they are cancelled."""
        ...

    def objects(self) -> Sequence[Tree]:
        """What must exist on a fresh install: runtimes, roles, config. Applied server-side at each start."""
        ...
