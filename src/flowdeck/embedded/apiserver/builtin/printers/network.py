"""How Services, endpoints, Ingresses and NetworkPolicies are shown.

Source: k8s.io/kubernetes (pkg/printers/internalversion/printers.go).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from flowdeck.embedded.apiserver.builtin.printers.cells import (
    NONE,
    UNSET,
    age_of,
    first_and_more,
    labels_text,
    name_of,
    selector_text,
)
from flowdeck.embedded.apiserver.builtin.printers.printer import AGE, NAME, Column, Printer, wide
from flowdeck.kube.objects import Tree, get_in


def _service(obj: Tree, now: datetime) -> Sequence[Any]:
    spec = obj.get("spec") or {}
    ips = spec.get("clusterIPs") or ()
    return (
        name_of(obj),
        spec.get("type", ""),
        (ips[0] if ips else spec.get("clusterIP")) or NONE,
        _external_ip(obj, spec),
        _ports(spec.get("ports") or []),
        age_of(obj, now),
        labels_text(spec.get("selector")),
    )


def _external_ip(service: Tree, spec: Tree) -> str:
    given = list(spec.get("externalIPs") or ())
    match spec.get("type"):
        case "ExternalName":
            return spec.get("externalName") or ""
        case "LoadBalancer":
            found = [
                item.get("ip") or item.get("hostname") or ""
                for item in get_in(service, "status", "loadBalancer", "ingress", default=())
            ]
            return ",".join([*found, *given]) or "<pending>"
    return ",".join(given) or NONE


def _ports(ports: list[Tree]) -> str:
    return ",".join(map(_port, ports)) or NONE


def _port(port: Tree) -> str:
    number, node_port = port.get("port", 0), port.get("nodePort")
    shown = f"{number}:{node_port}" if node_port else str(number)
    return f"{shown}/{port.get('protocol', 'TCP')}"


def _endpoints(obj: Tree, now: datetime) -> Sequence[Any]:
    found: list[str] = []
    for subset in obj.get("subsets") or ():
        addresses = [address.get("ip", "") for address in subset.get("addresses") or ()]
        ports = subset.get("ports") or ()
        if not ports:
            found += addresses
        for port in ports:
            found += [f"{_host(ip)}:{port.get('port')}" for ip in addresses]
    return name_of(obj), first_and_more(found), age_of(obj, now)


def _host(ip: str) -> str:
    return f"[{ip}]" if ":" in ip else ip


def _endpoint_slice(obj: Tree, now: datetime) -> Sequence[Any]:
    ports = [str(port.get("port") or UNSET) for port in obj.get("ports") or ()]
    addresses = [ip for endpoint in obj.get("endpoints") or () for ip in endpoint.get("addresses") or ()]
    return (
        name_of(obj),
        obj.get("addressType", ""),
        first_and_more(ports) if ports else UNSET,
        first_and_more(addresses) if addresses else UNSET,
        age_of(obj, now),
    )


def _ingress(obj: Tree, now: datetime) -> Sequence[Any]:
    spec = obj.get("spec") or {}
    hosts = [rule["host"] for rule in spec.get("rules") or () if rule.get("host")]
    found = get_in(obj, "status", "loadBalancer", "ingress", default=())
    address = ",".join(item.get("ip") or item.get("hostname") or "" for item in found)
    return (
        name_of(obj),
        spec.get("ingressClassName") or NONE,
        first_and_more(hosts) if hosts else "*",
        address,
        "80, 443" if spec.get("tls") else "80",
        age_of(obj, now),
    )


def _ingress_class(obj: Tree, now: datetime) -> Sequence[Any]:
    spec = obj.get("spec") or {}
    parameters = spec.get("parameters")
    shown = NONE
    if parameters:
        kind = parameters.get("kind", "")
        group = parameters.get("apiGroup")
        shown = f"{kind}.{group}/{parameters.get('name', '')}" if group else f"{kind}/{parameters.get('name', '')}"
    return name_of(obj), spec.get("controller", ""), shown, age_of(obj, now)


def _network_policy(obj: Tree, now: datetime) -> Sequence[Any]:
    return name_of(obj), selector_text(get_in(obj, "spec", "podSelector", default={})), age_of(obj, now)


PRINTERS: dict[str, Printer] = {
    "services": Printer(
        (NAME, Column("Type"), Column("Cluster-IP"), Column("External-IP"), Column("Port(s)"), AGE, wide("Selector")),
        _service,
    ),
    "endpoints": Printer((NAME, Column("Endpoints"), AGE), _endpoints),
    "endpointslices.discovery.k8s.io": Printer(
        (NAME, Column("AddressType"), Column("Ports"), Column("Endpoints"), AGE), _endpoint_slice
    ),
    "ingresses.networking.k8s.io": Printer(
        (NAME, Column("Class"), Column("Hosts"), Column("Address"), Column("Ports"), AGE), _ingress
    ),
    "ingressclasses.networking.k8s.io": Printer(
        (NAME, Column("Controller"), Column("Parameters"), AGE), _ingress_class
    ),
    "networkpolicies.networking.k8s.io": Printer((NAME, Column("Pod-Selector"), AGE), _network_policy),
}
