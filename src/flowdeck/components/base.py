"""What a component is: one object that says what it brings; `app.py` composes the enabled ones."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.controller.admission import AdmissionRule
from flowdeck.controller.contract import Controller
from flowdeck.controller.events import Events
from flowdeck.kube.objects import Tree


@dataclass(frozen=True)
class Context:
    """What a component gets from the composition root."""

    client: Client
    clock: Clock
    settings: Any
    """The component's own branch of the settings tree."""
    events: Events


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
