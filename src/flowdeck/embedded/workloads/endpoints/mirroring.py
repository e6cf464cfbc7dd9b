"""EndpointSlices for Services without a selector, from the Endpoints that a user wrote.

Reads   Endpoints, Service (same name), EndpointSlice (owned by the Endpoints)
Writes  EndpointSlice
Source: kubernetes (pkg/controller/endpointslicemirroring)
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flowdeck.client.base import Client
from flowdeck.controller.contract import DONE, Maps, Owns, Result
from flowdeck.embedded.workloads.endpoints import legacy, slices
from flowdeck.embedded.workloads.endpoints.backends import has_selector
from flowdeck.embedded.workloads.endpoints.controller import same_name, write_changes
from flowdeck.embedded.workloads.endpoints.slices import Changes, Identity, pack
from flowdeck.kube.kinds import ENDPOINT_SLICE, ENDPOINTS, SERVICE
from flowdeck.kube.objects import Kind, ObjectKey, Tree, annotations_of, is_being_deleted, labels_of

MIRROR_MANAGER = "endpointslicemirroring-controller.k8s.io"


@dataclass(frozen=True, kw_only=True)
class EndpointsMirroringController:
    """Slices of hand-written Endpoints."""

    client: Client
    name: str = "endpointslicemirroring"
    kind: Kind = ENDPOINTS

    @property
    def watches(self) -> Sequence[Maps]:
        return Maps(SERVICE, same_name), Owns(ENDPOINT_SLICE, owner=ENDPOINTS)

    async def reconcile(self, key: ObjectKey) -> Result:
        endpoints = await self.client.find(ENDPOINTS, key)
        if endpoints is None or is_being_deleted(endpoints):
            return DONE
        service = await self.client.find(SERVICE, key)
        existing = await self.client.owned(ENDPOINT_SLICE, endpoints)
        groups = legacy.groups_of(endpoints)
        is_ours = service is not None and not has_selector(service) and legacy.is_mirrored(endpoints)
        if not is_ours or not any(group.endpoints for group in groups):
            await write_changes(self.client, Changes(delete=list(existing)))
            return DONE
        await write_changes(self.client, pack(_identity(endpoints), groups, existing))
        return DONE


def _identity(endpoints: Tree) -> Identity:
    annotations = {
        name: text
        for name, text in annotations_of(endpoints).items()
        if name not in ("kubectl.kubernetes.io/last-applied-configuration", legacy.OVER_CAPACITY)
    }
    return Identity(
        owner=endpoints,
        service_name=endpoints["metadata"]["name"],
        labels={**labels_of(endpoints), slices.MANAGED_BY: MIRROR_MANAGER},
        annotations=annotations,
    )
