"""What a cluster has before anybody uses it: priority classes, the default storage class, the Service `kubernetes`.

Created at each start where missing; what is there stays as its owner made it. The `kubernetes` Service's endpoints are
written anew, since the API server's address may have changed. (Namespaces and roles: the API server's `bootstrap`.)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from flowdeck.client.base import Client
from flowdeck.controller.contract import DONE, Maps, Result
from flowdeck.embedded.apiserver.pki import API_SERVICE_IP
from flowdeck.embedded.workloads.endpoints.legacy import SKIP_MIRROR
from flowdeck.embedded.workloads.endpoints.slices import SERVICE_NAME
from flowdeck.embedded.workloads.persistent_volumes.folders import STANDARD_CLASS
from flowdeck.kube.errors import AlreadyExists
from flowdeck.kube.kinds import ENDPOINT_SLICE, ENDPOINTS, PRIORITY_CLASS, SERVICE, STORAGE_CLASS
from flowdeck.kube.objects import Kind, ObjectKey, Tree, copy_of, key_of

PRIORITIES = {
    "system-cluster-critical": (
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
    "system-node-critical": (
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
}
API_SERVICE = ObjectKey("default", "kubernetes")


def priority_class(name: str) -> Tree:
    value, description = PRIORITIES[name]
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": name},
        "value": value,
        "description": description,
        "preemptionPolicy": "PreemptLowerPriority",
    }


def api_service(cluster_ip: str, port: int) -> Tree:
    """The Service through which pods reach the API server."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": API_SERVICE.name,
            "namespace": API_SERVICE.namespace,
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": cluster_ip,
            "clusterIPs": [cluster_ip],
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": port}],
            "sessionAffinity": "None",
        },
    }


def api_endpoints(address: str, port: int) -> Tree:
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": API_SERVICE.name,
            "namespace": API_SERVICE.namespace,
            "labels": {SKIP_MIRROR: "true"},
        },
        "subsets": [{"addresses": [{"ip": address}], "ports": [{"name": "https", "port": port, "protocol": "TCP"}]}],
    }


def api_slice(address: str, port: int) -> Tree:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": API_SERVICE.name,
            "namespace": API_SERVICE.namespace,
            "labels": {SERVICE_NAME: API_SERVICE.name},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    }


def objects() -> Sequence[tuple[Kind, Tree]]:
    """What does not depend on where the server listens."""
    return [
        *((PRIORITY_CLASS, priority_class(name)) for name in PRIORITIES),
        (STORAGE_CLASS, STANDARD_CLASS),
    ]


@dataclass(frozen=True, kw_only=True)
class ApiServiceController:
    """Makes the Service `kubernetes` again when somebody has deleted it: pods reach the API server through it.

    Source: k8s.io/kubernetes (pkg/controlplane/controller/kubernetesservice), which looks every ten seconds.
    """

    client: Client
    port: int

    name: ClassVar[str] = "kubernetes-service"
    kind: ClassVar[Kind] = SERVICE
    watches: ClassVar[Sequence[Maps]] = ()

    async def reconcile(self, key: ObjectKey) -> Result:
        if key == API_SERVICE:
            await _create(self.client, SERVICE, api_service(API_SERVICE_IP, self.port))
        return DONE


async def ensure(client: Client, *, address: str, port: int, cluster_ip: str = API_SERVICE_IP) -> None:
    """Creates what is missing. `address` and `port`: where pods reach the API server (an IPv4 address)."""
    for kind, obj in objects():
        await _create(client, kind, obj)
    await _create(client, SERVICE, api_service(cluster_ip, port))
    for kind, obj in ((ENDPOINTS, api_endpoints(address, port)), (ENDPOINT_SLICE, api_slice(address, port))):
        await _put(client, kind, obj)


async def _create(client: Client, kind: Kind, obj: Tree) -> None:
    if await client.find(kind, key_of(obj)) is None:
        try:
            await client.create(kind, obj)
        except AlreadyExists:
            return


async def _put(client: Client, kind: Kind, wanted: Tree) -> None:
    found = await client.find(kind, key_of(wanted))
    if found is None:
        await _create(client, kind, wanted)
        return
    content = {name: value for name, value in wanted.items() if name not in ("apiVersion", "kind", "metadata")}
    if any(found.get(name) != value for name, value in content.items()):
        await client.update(kind, {**copy_of(found), **content})
