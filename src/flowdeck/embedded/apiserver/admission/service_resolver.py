"""Where a Service answers, for the API server itself: one of its ready endpoints.

Source: kubernetes (pkg/util/proxy.go: ResolveEndpoint).
"""

from dataclasses import dataclass

from flowdeck.embedded.apiserver.contract import Storage
from flowdeck.kube.kinds import ENDPOINT_SLICE, SERVICE
from flowdeck.kube.objects import ObjectKey, Tree, get_in, labels_of

_SERVICE_LABEL = "kubernetes.io/service-name"


@dataclass(frozen=True)
class ServiceResolver:
    """Implements `webhook_client.ResolveService`."""

    storage: Storage

    def __call__(self, namespace: str, name: str, port: int) -> str:
        service = self.storage.get(SERVICE, ObjectKey(namespace, name))
        if service is None:
            raise LookupError(f'service "{name}" not found')
        if get_in(service, "spec", "type") == "ExternalName":
            return f"{service['spec'].get('externalName')}:{port}"
        ports = [item for item in get_in(service, "spec", "ports", default=()) if item.get("port") == port]
        if not ports:
            raise LookupError(f'no service port {port} found for service "{name}"')
        for endpoints in self.storage.list(ENDPOINT_SLICE, namespace):
            if labels_of(endpoints).get(_SERVICE_LABEL) == name:
                address = _address(endpoints, ports[0].get("name") or "")
                if address:
                    return address
        raise LookupError(f'no endpoints available for service "{name}"')


def _address(endpoints: Tree, port_name: str) -> str:
    ports = [item["port"] for item in endpoints.get("ports") or () if (item.get("name") or "") == port_name]
    for endpoint in endpoints.get("endpoints") or ():
        if ports and get_in(endpoint, "conditions", "ready", default=True) and endpoint.get("addresses"):
            host = endpoint["addresses"][0]
            return f"[{host}]:{ports[0]}" if ":" in host else f"{host}:{ports[0]}"
    return ""
