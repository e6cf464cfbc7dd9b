"""Services that lead to servers of the platform itself, which run on the host and in no pod."""

from flowdeck.client.base import Client
from flowdeck.embedded.workloads.endpoints.legacy import SKIP_MIRROR
from flowdeck.embedded.workloads.endpoints.slices import MANAGED_BY, SERVICE_NAME
from flowdeck.kube.kinds import ENDPOINT_SLICE, ENDPOINTS, SERVICE
from flowdeck.kube.objects import ObjectKey, Tree

MANAGER = "flowdeck"


async def lead_to(client: Client, service: ObjectKey, *, label: str, port: int, host: str, host_port: int) -> None:
    """Makes the port `port` (named `label`) of a Service lead to an address and port of the host."""
    made: Tree = {
        "apiVersion": SERVICE.api_version,
        "kind": SERVICE.kind,
        "metadata": {"name": service.name, "namespace": service.namespace},
        "spec": {"ports": [{"name": label, "port": port, "protocol": "TCP", "targetPort": host_port}]},
    }
    endpoints: Tree = {
        "apiVersion": ENDPOINT_SLICE.api_version,
        "kind": ENDPOINT_SLICE.kind,
        "metadata": {
            "name": f"{service.name}-{host.replace('.', '-').replace(':', '-')}",
            "namespace": service.namespace,
            "labels": {SERVICE_NAME: service.name, MANAGED_BY: MANAGER},
        },
        "addressType": "IPv6" if ":" in host else "IPv4",
        "endpoints": [{"addresses": [host], "conditions": {"ready": True}}],
        "ports": [{"name": label, "port": host_port, "protocol": "TCP"}],
    }
    legacy: Tree = {
        "apiVersion": ENDPOINTS.api_version,
        "kind": ENDPOINTS.kind,
        "metadata": {"name": service.name, "namespace": service.namespace, "labels": {SKIP_MIRROR: "true"}},
        "subsets": [{"addresses": [{"ip": host}], "ports": [{"name": label, "port": host_port, "protocol": "TCP"}]}],
    }
    for kind, obj in ((SERVICE, made), (ENDPOINT_SLICE, endpoints), (ENDPOINTS, legacy)):
        await client.apply(kind, obj, manager=MANAGER)
