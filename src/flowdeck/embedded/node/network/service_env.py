"""The variables that name Services in a container: `KUBERNETES_SERVICE_HOST` and the like. Pure."""

from collections.abc import Callable

from flowdeck.embedded.node.network.services import Services, is_headless
from flowdeck.kube.objects import ObjectKey, Tree, get_in, key_of

API = ObjectKey("default", "kubernetes")

Place = Callable[[ObjectKey, str, int], tuple[str, int]]
"""Service, its address, its port -> the address and port that a container must use."""


def service_env(pod: Tree, services: Services, place: Place) -> dict[str, str]:
    """The variables of all Services of the pod's namespace (unless `enableServiceLinks` is false) and of the API.

    Source: kubernetes/kubernetes (pkg/kubelet/envvars/envvars.go).
    """
    env: dict[str, str] = {}
    if get_in(pod, "spec", "enableServiceLinks", default=True):
        for service in services.in_namespace(key_of(pod).namespace):
            env |= _variables(service, place)
    if api := services.find(API):
        env |= _variables(api, place)
    return env


def _variables(service: Tree, place: Place) -> dict[str, str]:
    address = get_in(service, "spec", "clusterIP", default="")
    ports = get_in(service, "spec", "ports", default=[])
    if not address or is_headless(service) or not ports:
        return {}
    name = service["metadata"]["name"].upper().replace("-", "_")
    host, first = place(key_of(service), address, ports[0]["port"])
    env = {f"{name}_SERVICE_HOST": host, f"{name}_SERVICE_PORT": str(first)}
    for index, port in enumerate(ports):
        protocol = (port.get("protocol") or "TCP").lower()
        host, number = place(key_of(service), address, port["port"])
        url = f"{protocol}://{host}:{number}"
        if port.get("name"):
            env[f"{name}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(number)
        prefix = f"{name}_PORT_{port['port']}_{protocol.upper()}"
        if index == 0:
            env[f"{name}_PORT"] = url
        env |= {prefix: url, f"{prefix}_PROTO": protocol, f"{prefix}_PORT": str(number), f"{prefix}_ADDR": host}
    return env
