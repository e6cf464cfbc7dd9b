"""Keeps EndpointSlices and Endpoints in step with Services and pods.

Reads   Service, Pod (selected), Node (zones), EndpointSlice (owned), Endpoints
Writes  EndpointSlice, Endpoints
Services without a selector get nothing here: their Endpoints are the user's, and `mirroring.py` makes slices of them.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from flowdeck.client.base import Client
from flowdeck.controller.contract import DONE, Maps, Owns, Result
from flowdeck.embedded.workloads.endpoints import legacy, slices
from flowdeck.embedded.workloads.endpoints.backends import (
    TRIGGER_TIME,
    Backend,
    backends_of,
    has_selector,
    inherited_labels,
    trigger_time,
)
from flowdeck.embedded.workloads.endpoints.slices import Changes, Group, Identity, pack
from flowdeck.embedded.workloads.selector_index import SelectorIndex
from flowdeck.kube.errors import AlreadyExists, NotFound
from flowdeck.kube.kinds import ENDPOINT_SLICE, ENDPOINTS, NODE, POD, SERVICE
from flowdeck.kube.objects import (
    Kind,
    ObjectKey,
    Tree,
    annotations_of,
    copy_of,
    get_in,
    is_being_deleted,
    key_of,
    labels_of,
    uid_of,
)
from flowdeck.kube.selectors import LabelSelector, format_label_selector, label_selector_of

SLICE_MANAGER = "endpointslice-controller.k8s.io"
ZONE = "topology.kubernetes.io/zone"


def same_name(obj: Tree) -> Iterable[ObjectKey]:
    yield key_of(obj)


@dataclass(frozen=True, kw_only=True)
class EndpointsController:
    """Endpoints of the Services that select pods."""

    client: Client
    name: str = "endpoints"
    kind: Kind = SERVICE
    _selectors: SelectorIndex = field(default_factory=SelectorIndex)

    @property
    def watches(self) -> Sequence[Maps]:
        return (
            Owns(ENDPOINT_SLICE, owner=SERVICE),
            Maps(ENDPOINTS, same_name),
            Maps(POD, self._selectors.keys_for),
        )

    async def reconcile(self, key: ObjectKey) -> Result:
        service = await self.client.find(SERVICE, key)
        if service is None:
            self._selectors.remember(key, None)
            await self._forget(key)
            return DONE
        if is_being_deleted(service) or not has_selector(service) or service["spec"].get("type") == "ExternalName":
            self._selectors.remember(key, None)
            return DONE
        selector = label_selector_of({"matchLabels": service["spec"]["selector"]})
        selected = await self._selected(key.namespace, selector)
        self._selectors.remember(key, selector)
        backends = backends_of(service, selected, await self._zones(selected))
        await self._write_slices(service, selected, backends)
        await self._write_endpoints(service, selected, backends)
        return DONE

    async def _selected(self, namespace: str, selector: LabelSelector) -> Sequence[Tree]:
        found = await self.client.list(POD, namespace=namespace, labels=format_label_selector(selector))
        return found.items

    async def _zones(self, selected: Sequence[Tree]) -> dict[str, str]:
        names = {name for pod in selected if (name := get_in(pod, "spec", "nodeName"))}
        nodes = [await self.client.find(NODE, ObjectKey("", name)) for name in names]
        return {key_of(node).name: labels_of(node)[ZONE] for node in nodes if node and ZONE in labels_of(node)}

    async def _forget(self, key: ObjectKey) -> None:
        """The Endpoints of a Service that is gone; its slices go with their owner."""
        found = await self.client.find(ENDPOINTS, key)
        if found is not None and labels_of(found).get(legacy.MANAGED_BY):
            await self.client.delete(ENDPOINTS, key, uid=uid_of(found), missing_ok=True)

    async def _write_slices(self, service: Tree, selected: Sequence[Tree], backends: Sequence[Backend]) -> None:
        by_ports: dict[bytes, list[Backend]] = defaultdict(list)
        for backend in backends:
            by_ports[backend.ports_key].append(backend)
        groups = [Group(same[0].ports, [backend.endpoint for backend in same]) for same in by_ports.values()]
        existing = await self.client.owned(ENDPOINT_SLICE, service)
        when = trigger_time(selected) or ("" if existing else service["metadata"]["creationTimestamp"])
        identity = Identity(
            owner=service,
            service_name=key_of(service).name,
            labels={slices.MANAGED_BY: SLICE_MANAGER, **inherited_labels(service)},
            annotations={TRIGGER_TIME: when} if when else {},
        )
        await write_changes(self.client, pack(identity, groups, existing))

    async def _write_endpoints(self, service: Tree, selected: Sequence[Tree], backends: Sequence[Backend]) -> None:
        with_ports = [each for each in backends if each.ports or not service["spec"].get("ports")]
        subsets, is_cut = legacy.truncated(legacy.subsets_of(with_ports))
        labels = {**inherited_labels(service), legacy.MANAGED_BY: "endpoint-controller"}
        found = await self.client.find(ENDPOINTS, key_of(service))
        same = found is not None and (found.get("subsets") or []) == subsets
        if found and same and labels_of(found) == labels:
            return
        annotations = dict(annotations_of(found)) if found else {}
        annotations.pop(TRIGGER_TIME, None)
        if when := trigger_time(selected) or ("" if found else service["metadata"]["creationTimestamp"]):
            annotations[TRIGGER_TIME] = when
        annotations.pop(legacy.OVER_CAPACITY, None)
        if is_cut:
            annotations[legacy.OVER_CAPACITY] = "truncated"
        namespace, name = key_of(service)
        metadata: Tree = {"name": name, "namespace": namespace, "labels": labels, "annotations": annotations}
        wanted: Tree = {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": subsets}
        await self._store_endpoints(wanted, found)

    async def _store_endpoints(self, wanted: Tree, found: Tree | None) -> None:
        if found is None:
            try:
                await self.client.create(ENDPOINTS, wanted)
            except AlreadyExists:
                found = await self.client.get(ENDPOINTS, key_of(wanted))
            else:
                return
        changed = copy_of(found)
        changed["metadata"]["labels"] = wanted["metadata"]["labels"]
        changed["metadata"]["annotations"] = wanted["metadata"]["annotations"]
        changed["subsets"] = wanted["subsets"]
        await self.client.update(ENDPOINTS, changed)


async def write_changes(client: Client, changes: Changes) -> None:
    """Creates first, deletes last, so that no endpoint is missing in between."""
    for new in changes.create:
        await client.create(ENDPOINT_SLICE, new)
    for changed in changes.update:
        await client.update(ENDPOINT_SLICE, changed)
    for old in changes.delete:
        try:
            await client.delete(ENDPOINT_SLICE, key_of(old), uid=uid_of(old))
        except NotFound:
            continue
