"""Keeps `Services` up to date from the API: informers of Services and EndpointSlices."""

from collections.abc import Callable
from typing import Protocol

from flowdeck.embedded.node.network.services import Services
from flowdeck.kube.kinds import ENDPOINT_SLICE, SERVICE
from flowdeck.kube.objects import Kind, Tree, key_of


class Informer(Protocol):
    """`controller.informer.Informer`, as far as we need it."""

    def add_handler(self, handler: Callable[[Tree | None, Tree | None], None]) -> None: ...


class Informers(Protocol):
    def add(self, kind: Kind) -> Informer: ...


def feed(services: Services, informers: Informers, on_change: Callable[[], None]) -> None:
    """Connects `services` with the informers; `on_change` is called after each change."""

    def service_changed(old: Tree | None, new: Tree | None) -> None:
        if new is not None:
            services.put_service(new)
        elif old is not None:
            services.drop_service(key_of(old))
        on_change()

    def slice_changed(old: Tree | None, new: Tree | None) -> None:
        if new is not None:
            services.put_slice(new)
        elif old is not None:
            services.drop_slice(key_of(old))
        on_change()

    informers.add(SERVICE).add_handler(service_changed)
    informers.add(ENDPOINT_SLICE).add_handler(slice_changed)
