"""What the node knows of Services, their endpoints and its own pods; answers who stands behind a name or an address.

Pure: fed by `feed.py` and by the network, asked by the resolver, the proxy and the rewriting of plain mode.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from flowdeck.kube.objects import ObjectKey, Tree, get_in, key_of, labels_of, uid_of

HEADLESS = "None"


@dataclass(frozen=True)
class Backend:
    """One process that serves: an address and a port."""

    address: str
    port: int


@dataclass(frozen=True)
class PodName:
    """How a pod of this node is called."""

    namespace: str
    name: str
    hostname: str
    """`spec.hostname`; empty when the pod has no record of its own."""
    subdomain: str
    address: str


class Services:
    """Services and EndpointSlices by key, pods by uid."""

    def __init__(self) -> None:
        self._services: dict[ObjectKey, Tree] = {}
        self._slices: dict[ObjectKey, Tree] = {}
        self._slices_of: dict[ObjectKey, set[ObjectKey]] = {}
        self._by_address: dict[str, ObjectKey] = {}
        self._pods: dict[str, PodName] = {}

    # what is fed

    def put_service(self, service: Tree) -> None:
        self.drop_service(key_of(service))
        self._services[key_of(service)] = service
        for address in _addresses(service):
            self._by_address[address] = key_of(service)

    def drop_service(self, key: ObjectKey) -> None:
        old = self._services.pop(key, None)
        for address in _addresses(old) if old else ():
            self._by_address.pop(address, None)

    def put_slice(self, slice_: Tree) -> None:
        self.drop_slice(key_of(slice_))
        self._slices[key_of(slice_)] = slice_
        self._slices_of.setdefault(_service_of(slice_), set()).add(key_of(slice_))

    def drop_slice(self, key: ObjectKey) -> None:
        if old := self._slices.pop(key, None):
            self._slices_of[_service_of(old)].discard(key)

    def put_pod(self, pod: Tree, address: str) -> None:
        spec = pod["spec"]
        self._pods[uid_of(pod)] = PodName(
            key_of(pod).namespace, key_of(pod).name, spec.get("hostname") or "", spec.get("subdomain") or "", address
        )

    def drop_pod(self, uid: str) -> None:
        self._pods.pop(uid, None)

    # what is asked

    def find(self, key: ObjectKey) -> Tree | None:
        return self._services.get(key)

    def in_namespace(self, namespace: str) -> list[Tree]:
        return [each for key, each in sorted(self._services.items()) if key.namespace == namespace]

    def by_address(self, address: str) -> Tree | None:
        key = self._by_address.get(address)
        return self._services[key] if key else None

    def ports(self) -> set[int]:
        """Every TCP port of a Service with an address of its own."""
        return {port["port"] for each in self._services.values() if _addresses(each) for port in _tcp(each)}

    def all_ports(self) -> set[tuple[ObjectKey, int]]:
        """Every TCP port of every Service with an address of its own."""
        return {(key, port["port"]) for key, each in self._services.items() if _addresses(each) for port in _tcp(each)}

    def node_ports(self) -> dict[int, tuple[ObjectKey, int]]:
        """Port of the machine -> Service and its port."""
        return {
            port["nodePort"]: (key, port["port"])
            for key, each in self._services.items()
            for port in _tcp(each)
            if port.get("nodePort")
        }

    def backends(self, key: ObjectKey, port: int) -> list[Backend]:
        """Who serves a port of a Service now."""
        service = self._services.get(key)
        wanted = next((each for each in _tcp(service) if each["port"] == port), None) if service else None
        if wanted is None:
            return []
        found = []
        for slice_, endpoint in self._endpoints(key):
            for each in slice_.get("ports") or ():
                if (each.get("name") or "") == (wanted.get("name") or "") and each.get("port"):
                    found += [Backend(address, each["port"]) for address in endpoint["addresses"]]
        return found

    def members(self, key: ObjectKey) -> dict[str, str]:
        """Address -> hostname (may be empty) of what stands behind a headless Service: endpoints, and our own pods
        that carry its name as subdomain, which count as soon as they have an address where the Service says so."""
        found = {
            address: endpoint.get("hostname") or ""
            for _, endpoint in self._endpoints(key)
            for address in endpoint["addresses"]
        }
        service = self._services.get(key)
        if service and get_in(service, "spec", "publishNotReadyAddresses"):
            selector = get_in(service, "spec", "selector", default={})
            for pod in self._pods.values():
                if selector and pod.namespace == key.namespace and pod.subdomain == key.name and pod.hostname:
                    found.setdefault(pod.address, pod.hostname)
        return found

    def address_of_hostname(self, key: ObjectKey, hostname: str) -> list[str]:
        """Addresses of `<hostname>.<service>`."""
        return [address for address, name in self.members(key).items() if hostname in (name, _dashed(address))]

    def pod_at(self, address: str) -> PodName | None:
        return next((pod for pod in self._pods.values() if pod.address == address), None)

    def pods(self) -> list[PodName]:
        return list(self._pods.values())

    def _endpoints(self, key: ObjectKey) -> Iterator[tuple[Tree, Tree]]:
        for slice_key in sorted(self._slices_of.get(key, ())):
            slice_ = self._slices[slice_key]
            if slice_.get("addressType", "IPv4") != "IPv4":
                continue
            for endpoint in slice_.get("endpoints") or ():
                if get_in(endpoint, "conditions", "ready", default=True):
                    yield slice_, endpoint


def is_headless(service: Tree) -> bool:
    return bool(get_in(service, "spec", "clusterIP") == HEADLESS)


def _addresses(service: Tree) -> list[str]:
    spec = service.get("spec") or {}
    given = [spec.get("clusterIP"), *(spec.get("clusterIPs") or ()), *(spec.get("externalIPs") or ())]
    return [address for address in dict.fromkeys(given) if address and address != HEADLESS]


def _tcp(service: Tree) -> Iterable[Tree]:
    return [port for port in get_in(service, "spec", "ports", default=[]) if (port.get("protocol") or "TCP") == "TCP"]


def _service_of(slice_: Tree) -> ObjectKey:
    return ObjectKey(key_of(slice_).namespace, labels_of(slice_).get("kubernetes.io/service-name", ""))


def _dashed(address: str) -> str:
    return address.replace(".", "-")
