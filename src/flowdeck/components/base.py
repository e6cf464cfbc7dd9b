"""What a component is: one object that says what it brings; `app.py` and `cluster/` compose the enabled ones."""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.controller.admission import AdmissionRule
from flowdeck.controller.contract import Controller
from flowdeck.controller.events import Events
from flowdeck.kube.objects import Kind, Tree
from flowdeck.stores import Stores
from flowdeck.web.vouchers import Vouchers


@dataclass(frozen=True)
class Right:
    """One thing that a component must be allowed to do on a cluster. Embedded, the platform may do everything."""

    kind: Kind
    verbs: tuple[str, ...]
    subresource: str = ""
    """`status`, `finalizers`; `""`: the object itself."""
    names: tuple[str, ...] = ()
    """Only objects of these names; none: all."""
    namespace: str = ""
    """Only in that namespace; `""`: everywhere."""


@dataclass(frozen=True)
class Front:
    """A Service by which pods reach one of a component's servers, whichever process it runs in."""

    name: str
    namespace: str
    port: int
    target_port: int
    """Where the server listens on a cluster."""
    label: str
    """Name of the port: `progress`."""


async def published_already(front: Front, host: str, port: int) -> None:
    """`Context.publish` where the Service leads to the server by itself."""


async def started_already() -> None:
    """`Context.started` where nobody waits for the platform to start."""


@dataclass(frozen=True)
class Context:
    """What a component gets from the composition root."""

    client: Client
    clock: Clock
    settings: Any
    """The component's own branch of the settings tree, None when it has none."""
    events: Events
    stores: Stores = field(default_factory=Stores)
    """The database and the artifacts."""
    publish: Callable[[Front, str, int], Awaitable[None]] = published_already
    """Makes a front lead to a server that listens at that address and port."""
    started: Callable[[], Awaitable[None]] = started_already
    """Returns when the platform is ready: what is heavy and not urgent waits for it."""
    vouchers: Vouchers | None = None
    """What the API server says in requests to published servers of who sent them; None: it says nothing."""


class Component(Protocol):
    """One plug-in of the platform (entry-point group `flowdeck.components`)."""

    name: str
    """As in settings and `--enable`: `training`."""
    needs: Sequence[str]
    """Names of the components whose kinds it makes objects of; `--enable` brings them along."""

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

    def rights(self) -> Sequence[Right]:
        """All that its controllers, servers and reviewers do at the API, and no more."""
        ...

    def fronts(self) -> Sequence[Front]:
        """The Services that its servers have."""
        ...
