"""The old Endpoints object: packed from backends, and read for mirroring. Pure.

Source: kubernetes (pkg/controller/endpoint, pkg/controller/endpointslicemirroring)
"""

import ipaddress
from collections.abc import Iterable, Sequence

from flowdeck.embedded.workloads.endpoints.backends import Backend
from flowdeck.embedded.workloads.endpoints.slices import Group
from flowdeck.kube.objects import Tree, annotations_of, labels_of

MANAGED_BY = "endpoints.kubernetes.io/managed-by"
SKIP_MIRROR = "endpointslice.kubernetes.io/skip-mirror"
LEADER = "control-plane.alpha.kubernetes.io/leader"
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
MAX_ADDRESSES = 1000


def subsets_of(backends: Iterable[Backend]) -> list[Tree]:
    """The subsets: one for each set of ports, ready and not ready addresses apart; what terminates is left out."""
    by_ports: dict[bytes, Tree] = {}
    for backend in sorted(backends, key=lambda b: str(b.endpoint["addresses"][0])):
        conditions = backend.endpoint["conditions"]
        if conditions["terminating"] and not conditions["ready"]:
            continue
        subset = by_ports.setdefault(backend.ports_key, {"addresses": [], "notReadyAddresses": []})
        subset["ports"] = [_without_empty_name(port) for port in backend.ports]
        subset["addresses" if conditions["ready"] else "notReadyAddresses"].append(_address(backend.endpoint))
    ordered = sorted(by_ports.items())
    return [{name: value for name, value in subset.items() if value} for _, subset in ordered]


def _address(endpoint: Tree) -> Tree:
    address: Tree = {"ip": endpoint["addresses"][0]}
    for name in ("hostname", "nodeName", "targetRef"):
        if endpoint.get(name):
            address[name] = endpoint[name]
    return address


def _without_empty_name(port: Tree) -> Tree:
    return {name: value for name, value in port.items() if name != "name" or value}


def truncated(subsets: Sequence[Tree]) -> tuple[list[Tree], bool]:
    """At most 1000 addresses, ready ones first; and whether some were left out."""
    count = sum(len(s.get(kind) or ()) for s in subsets for kind in ("addresses", "notReadyAddresses"))
    if count <= MAX_ADDRESSES:
        return list(subsets), False
    room = MAX_ADDRESSES
    cut: list[Tree] = [{"ports": s.get("ports") or []} for s in subsets]
    for kind in ("addresses", "notReadyAddresses"):
        for source, target in zip(subsets, cut, strict=True):
            if kept := (source.get(kind) or [])[:room]:
                target[kind] = kept
                room -= len(kept)
    return [s for s in cut if "addresses" in s or "notReadyAddresses" in s], True


def is_mirrored(endpoints: Tree) -> bool:
    return labels_of(endpoints).get(SKIP_MIRROR) != "true" and LEADER not in annotations_of(endpoints)


def groups_of(endpoints: Tree) -> list[Group]:
    """The endpoints that a hand-written Endpoints object means."""
    groups = []
    for subset in endpoints.get("subsets") or ():
        ports = [{"name": "", "protocol": "TCP", **port} for port in subset.get("ports") or ()]
        for family in ("IPv4", "IPv6"):
            found = [
                _mirrored(address, ready)
                for kind, ready in (("addresses", True), ("notReadyAddresses", False))
                for address in (subset.get(kind) or ())[:MAX_ADDRESSES]
                if _family(address["ip"]) == family
            ]
            groups.append(Group(ports, found, family))
    return groups


def _family(ip: str) -> str:
    return f"IPv{ipaddress.ip_address(ip).version}"


def _mirrored(address: Tree, ready: bool) -> Tree:
    endpoint: Tree = {"addresses": [address["ip"]], "conditions": {"ready": ready}}
    for name in ("hostname", "nodeName", "targetRef"):
        if address.get(name):
            endpoint[name] = address[name]
    return endpoint
