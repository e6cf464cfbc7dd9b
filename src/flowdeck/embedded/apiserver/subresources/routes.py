"""Which subresource is answered by whom: the table that the pipeline looks in."""

from collections.abc import Mapping

from flowdeck.clock import Clock
from flowdeck.embedded.apiserver.builtin.validation.ephemeral import validate_ephemeral_update
from flowdeck.embedded.apiserver.contract import Handler, Storage, Upgrade
from flowdeck.embedded.apiserver.forms import Negotiator
from flowdeck.embedded.apiserver.pods_network import ToPod
from flowdeck.embedded.apiserver.registry import Registry
from flowdeck.embedded.apiserver.subresources.binding import Bindings
from flowdeck.embedded.apiserver.subresources.connections import Connections, to_anybody
from flowdeck.embedded.apiserver.subresources.containers import Containers
from flowdeck.embedded.apiserver.subresources.eviction import Evictions
from flowdeck.embedded.apiserver.subresources.fronts import Fronts
from flowdeck.embedded.apiserver.subresources.nodes import Nodes
from flowdeck.embedded.apiserver.subresources.object_parts import Part
from flowdeck.embedded.apiserver.subresources.proxy import Proxies
from flowdeck.embedded.apiserver.subresources.scale import Scales
from flowdeck.embedded.apiserver.verbs import Verbs
from flowdeck.kube.kinds import POD

Key = tuple[str, str]
"""Plural (or `*`) and subresource."""


class Subresources:
    """The handlers of all subresources but `status` and `token`."""

    def __init__(
        self,
        verbs: Verbs,
        registry: Registry,
        storage: Storage,
        clock: Clock,
        nodes: Nodes,
        fronts: Fronts,
        to_pod: ToPod,
    ) -> None:
        pods = registry.of_kind(POD)
        assert pods is not None
        negotiator = Negotiator(clock)
        self._scales = Scales(verbs, negotiator)
        self._evictions = Evictions(verbs, registry, storage, clock)
        self._bindings = Bindings(verbs, pods, clock)
        self._containers = Containers(storage, nodes)
        self._proxies = Proxies(storage, nodes, fronts, Connections(to_anybody, to_pod))
        self._parts = {
            ("namespaces", "finalize"): Part(verbs, negotiator, ("spec", "finalizers")),
            ("pods", "ephemeralcontainers"): Part(
                verbs, negotiator, ("spec", "ephemeralContainers"), validate_ephemeral_update
            ),
            ("certificatesigningrequests", "approval"): Part(verbs, negotiator, ("status", "conditions")),
        }

    def handlers(self) -> Mapping[Key, Handler]:
        return {
            ("*", "scale"): self._scales.handle,
            ("pods", "eviction"): self._evictions.handle,
            ("pods", "binding"): self._bindings.handle,
            ("pods", "log"): self._containers.log,
            **{("pods", name): self._containers.not_upgraded for name in ("exec", "attach", "portforward")},
            **{(plural, "proxy"): self._proxies.handle for plural in ("pods", "services", "nodes")},
            **{key: part.handle for key, part in self._parts.items()},
        }

    def upgrades(self) -> Mapping[Key, Upgrade]:
        return {
            **{("pods", name): self._containers.stream for name in ("exec", "attach", "portforward")},
            **{(plural, "proxy"): self._proxies.upgrade for plural in ("pods", "services", "nodes")},
        }

    @property
    def bindings(self) -> Handler:
        """For the resource `bindings`, which is not stored."""
        return self._bindings.handle
