"""The cluster's names: what a DNS question inside the cluster's domain is answered. Pure.

    <svc>.<ns>.svc.<domain>                  the Service's address, or all members of a headless one
    <host>.<svc>.<ns>.svc.<domain>           one member, by hostname or by its address with dashes
    _<port>._tcp.<svc>.<ns>.svc.<domain>     SRV
    a-b-c-d.<ns>.pod.<domain>                that address
Source: kubernetes/dns (docs/specification.md).
"""

from dataclasses import dataclass
from enum import Enum, auto

from flowdeck.embedded.node.network.services import Services, is_headless
from flowdeck.kube.objects import ObjectKey, Tree, get_in


class Verdict(Enum):
    """How a question ends."""

    FOUND = auto()
    """The name exists, with or without records of the type that was asked for."""
    NOT_YET = auto()
    """A member of a headless Service whose pod has no address yet: worth waiting a moment."""
    MISSING = auto()
    OUTSIDE = auto()
    """Not our domain: ask the machine's resolver."""


@dataclass(frozen=True)
class Srv:
    port: int
    target: str


@dataclass(frozen=True)
class Answer:
    verdict: Verdict
    addresses: tuple[str, ...] = ()
    services: tuple[Srv, ...] = ()
    alias: str = ""
    """The name that an ExternalName Service stands for."""
    pointer: str = ""
    """For reverse questions."""


_MISSING = Answer(Verdict.MISSING)


def look_up(name: str, services: Services, domain: str) -> Answer:
    """The answer for a lower-case name without final dot."""
    if name.endswith(".in-addr.arpa"):
        return _reverse(name.removesuffix(".in-addr.arpa"), services, domain)
    if name == domain or name == f"svc.{domain}":
        return Answer(Verdict.FOUND)
    if not name.endswith(f".{domain}"):
        return Answer(Verdict.OUTSIDE)
    labels = name.removesuffix(f".{domain}").split(".")
    match labels:
        case [dashed, _, "pod"]:
            return _pod(dashed)
        case [service, namespace, "svc"]:
            return _service(services, ObjectKey(namespace, service))
        case [port, protocol, service, namespace, "svc"] if port.startswith("_") and protocol.startswith("_"):
            key = ObjectKey(namespace, service)
            return _srv(services, key, port[1:], protocol[1:], f"{service}.{namespace}.svc.{domain}")
        case [host, service, namespace, "svc"]:
            return _member(services, ObjectKey(namespace, service), host)
    return _MISSING


def _pod(dashed: str) -> Answer:
    parts = dashed.split("-")
    if len(parts) != 4 or not all(part.isdigit() and int(part) < 256 for part in parts):
        return _MISSING
    return Answer(Verdict.FOUND, addresses=(".".join(parts),))


def _service(services: Services, key: ObjectKey) -> Answer:
    service = services.find(key)
    if service is None:
        return _MISSING
    if get_in(service, "spec", "type") == "ExternalName":
        return Answer(Verdict.FOUND, alias=get_in(service, "spec", "externalName", default="").rstrip("."))
    if is_headless(service):
        members = tuple(services.members(key))
        return Answer(Verdict.FOUND, addresses=members) if members else _MISSING
    address = get_in(service, "spec", "clusterIP")
    return Answer(Verdict.FOUND, addresses=(address,)) if address else _MISSING


def _member(services: Services, key: ObjectKey, host: str) -> Answer:
    service = services.find(key)
    if service is None or not is_headless(service):
        return _MISSING
    addresses = tuple(services.address_of_hostname(key, host))
    return Answer(Verdict.FOUND if addresses else Verdict.NOT_YET, addresses=addresses)


def _srv(services: Services, key: ObjectKey, port: str, protocol: str, base: str) -> Answer:
    service = services.find(key)
    wanted = [each for each in get_in(service, "spec", "ports", default=[]) if _is_named(each, port, protocol)]
    if service is None or not wanted:
        return _MISSING
    if not is_headless(service):
        return Answer(Verdict.FOUND, services=tuple(Srv(each["port"], base) for each in wanted))
    found = [
        Srv(each["port"], f"{host or address.replace('.', '-')}.{base}")
        for each in wanted
        for address, host in services.members(key).items()
    ]
    return Answer(Verdict.FOUND, services=tuple(found)) if found else _MISSING


def _is_named(port: Tree, name: str, protocol: str) -> bool:
    return (port.get("name") or "") == name and (port.get("protocol") or "TCP").lower() == protocol


def _reverse(dotted: str, services: Services, domain: str) -> Answer:
    address = ".".join(reversed(dotted.split(".")))
    if service := services.by_address(address):
        meta = service["metadata"]
        return Answer(Verdict.FOUND, pointer=f"{meta['name']}.{meta['namespace']}.svc.{domain}")
    pod = services.pod_at(address)
    if pod is None:
        return Answer(Verdict.OUTSIDE)
    if pod.hostname and pod.subdomain:
        return Answer(Verdict.FOUND, pointer=f"{pod.hostname}.{pod.subdomain}.{pod.namespace}.svc.{domain}")
    return Answer(Verdict.FOUND, pointer=f"{address.replace('.', '-')}.{pod.namespace}.pod.{domain}")
