"""Cluster IPs and node ports of Services: handed out from what is free among the stored ones.

There is no ledger beside the Services: what is in use is read off them, so nothing can leak. Two numbers handed out
one after the other always differ, so two creates at the same moment do not collide.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from itertools import chain

from flowdeck.embedded.apiserver.contract import Storage
from flowdeck.kube.errors import Invalid, invalid, invalid_object
from flowdeck.kube.kinds import SERVICE
from flowdeck.kube.objects import ObjectKey, Tree, key_of

NODE_PORTS = range(30000, 32768)
_RESERVED = 10
"""The first addresses are for the platform's own Services: `kubernetes` is .1, the resolver .10."""


class ServiceAddresses:
    """Gives addresses to Services as they are created and changed."""

    def __init__(self, storage: Storage, cidr: str = "10.96.0.0/16") -> None:
        self._storage = storage
        self._network = ipaddress.ip_network(cidr)
        self._next_host = _RESERVED + 1
        self._next_port = NODE_PORTS.start

    def give(self, service: Tree) -> None:
        """Completes a new Service; raises `Invalid` when an address that it asks for is taken or outside."""
        spec = service["spec"]
        if spec["type"] == "ExternalName":
            return
        self._families(service, tuple(spec.get("ipFamilies") or ()))
        self._cluster_ip(service, {})
        if _wants_node_ports(spec):
            self._node_ports(service, {})

    def change(self, service: Tree, old: Tree) -> None:
        """A changed Service keeps what it has, and gets what its new type needs."""
        spec, was = service["spec"], old["spec"]
        if spec["type"] == "ExternalName":
            if was["type"] != "ExternalName" and spec.get("clusterIP") == was.get("clusterIP"):
                for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
                    spec.pop(name, None)
            return
        asked = tuple(spec.get("ipFamilies") or ())
        if was["type"] != "ExternalName":
            for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
                if not spec.get(name) and name in was:
                    spec[name] = was[name]
        self._families(service, asked)
        self._cluster_ip(service, old)
        if _wants_node_ports(spec):
            self._node_ports(service, old)
        elif _wants_node_ports(was):
            _drop_node_ports(spec, was)

    def _families(self, service: Tree, asked: Sequence[str]) -> None:
        spec = service["spec"]
        if spec.get("clusterIP") == "None" and not spec.get("selector"):
            # who writes the endpoints of such a Service himself may have any
            spec.setdefault("ipFamilyPolicy", "RequireDualStack")
            spec.setdefault("ipFamilies", ["IPv4", "IPv6"])
        elif spec.get("ipFamilyPolicy") == "RequireDualStack":
            raise _one_family(service, asked)
        spec.setdefault("ipFamilyPolicy", "SingleStack")
        spec.setdefault("ipFamilies", ["IPv4"])

    def _cluster_ip(self, service: Tree, old: Tree) -> None:
        spec = service["spec"]
        asked = spec.get("clusterIP") or next(iter(spec.get("clusterIPs") or ()), "")
        if not asked:
            asked = self._free_host()
        elif asked != "None" and asked != (old.get("spec") or {}).get("clusterIP"):
            self._check_host(service, asked)
        spec["clusterIP"] = asked
        spec["clusterIPs"] = [asked]

    def _check_host(self, service: Tree, asked: str) -> None:
        try:
            inside = ipaddress.ip_address(asked) in self._network
        except ValueError:
            return  # validation says what is wrong with it
        if not inside:
            raise _refused(
                service, "spec.clusterIPs", [asked],
                f"failed to allocate IP {asked}: the provided IP ({asked}) is not in the valid range. "
                f"The range of valid IPs is {self._network}",
            )  # fmt: skip
        if asked in self._used_hosts(service):
            raise _refused(
                service, "spec.clusterIPs", [asked], f"failed to allocate IP {asked}: provided IP is already allocated"
            )

    def _used_hosts(self, but: Tree | None = None) -> set[str]:
        me = key_of(but) if but else None
        taken = self._storage.facts(SERVICE, _hosts_of)
        return {ip for key, ips in taken if key != me for ip in ips}

    def _free_host(self) -> str:
        used = self._used_hosts()
        size = self._network.num_addresses - 2
        for step in range(size):
            number = _RESERVED + 1 + (self._next_host - _RESERVED - 1 + step) % (size - _RESERVED)
            host = str(self._network[number])
            if host not in used:
                self._next_host = number + 1
                return host
        raise Invalid("failed to allocate a serviceIP: range is full")

    def _node_ports(self, service: Tree, old: Tree) -> None:
        mine = set(_ports_of(old))
        used = set(chain.from_iterable(self._storage.facts(SERVICE, _ports_of))) - mine
        taken: set[int] = set()
        for index, port in enumerate(_ports_to_fill(service["spec"])):
            wanted = port.get("nodePort") or _kept_port(port, old)
            if not wanted:
                wanted = self._free_port(used | taken | mine)
            elif wanted not in mine:
                self._check_port(service, index, wanted, used)
            port["nodePort"] = wanted
            taken.add(wanted)

    def _check_port(self, service: Tree, index: int, wanted: int, used: set[int]) -> None:
        path = f"spec.ports[{index}].nodePort"
        if wanted not in NODE_PORTS:
            raise _refused(
                service, path, wanted,
                "provided port is not in the valid range. The range of valid ports is "
                f"{NODE_PORTS.start}-{NODE_PORTS.stop - 1}",
            )  # fmt: skip
        if wanted in used:
            raise _refused(service, path, wanted, "provided port is already allocated")

    def _free_port(self, used: set[int]) -> int:
        for step in range(len(NODE_PORTS)):
            port = NODE_PORTS[(self._next_port - NODE_PORTS.start + step) % len(NODE_PORTS)]
            if port not in used:
                self._next_port = port + 1
                return port
        raise Invalid("failed to allocate a nodePort: range is full")


def _refused(service: Tree, path: str, value: object, why: str) -> Invalid:
    return invalid_object(SERVICE, service["metadata"].get("name") or "", [invalid(path, value, why)])


def _one_family(service: Tree, asked: Sequence[str]) -> Invalid:
    told = "this cluster is not configured for dual-stack services"
    errors = [invalid("spec.ipFamilyPolicy", "RequireDualStack", told)]
    for index, family in enumerate(asked):
        if family == "IPv6":
            errors.append(invalid(f"spec.ipFamilies[{index}]", family, "not configured on this cluster"))
    return invalid_object(SERVICE, service["metadata"].get("name") or "", errors)


def _wants_node_ports(spec: Tree) -> bool:
    if spec["type"] == "LoadBalancer":
        return bool(spec.get("allocateLoadBalancerNodePorts", True))
    return bool(spec["type"] == "NodePort")


def _ports_to_fill(spec: Tree) -> Iterable[Tree]:
    return spec.get("ports") or ()


def _hosts_of(service: Tree) -> tuple[ObjectKey, Sequence[str]]:
    return key_of(service), tuple(service["spec"].get("clusterIPs") or ())


def _ports_of(service: Tree) -> Sequence[int]:
    ports = (service.get("spec") or {}).get("ports") or ()
    return tuple(port["nodePort"] for port in ports if port.get("nodePort"))


def _kept_port(port: Tree, old: Tree) -> int:
    """The node port that the same port had before a change that did not mention it."""
    for was in (old.get("spec") or {}).get("ports") or ():
        if (was.get("port"), was.get("protocol")) == (port.get("port"), port.get("protocol")):
            return int(was.get("nodePort") or 0)
    return 0


def _drop_node_ports(spec: Tree, was: Tree) -> None:
    """A Service that is no longer of a type with node ports loses those that it did not ask for anew."""
    before = {port.get("nodePort") for port in was.get("ports") or ()}
    for port in spec.get("ports") or ():
        if port.get("nodePort") in before:
            port.pop("nodePort", None)
