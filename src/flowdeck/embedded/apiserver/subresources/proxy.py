"""`pods/proxy`, `services/proxy` and `nodes/proxy`: HTTP and WebSockets into the cluster, without credentials.

Names may carry a scheme and a port: `https:web:8443`, `web:http`. Servers of the platform's own are told who asks.

Source: k8s.io/kubernetes (pkg/registry/core/{pod,service,node}, ResourceLocation), k8s.io/apimachinery (pkg/util/net).
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlencode

from flowdeck.embedded.apiserver.contract import Answer, RequestInfo, Storage
from flowdeck.embedded.apiserver.subresources.connections import Connections, forwarded, refuse
from flowdeck.embedded.apiserver.subresources.fronts import Fronts
from flowdeck.embedded.apiserver.subresources.nodes import Nodes
from flowdeck.kube.errors import ApiError, BadRequest, ServiceUnavailable, not_found
from flowdeck.kube.kinds import ENDPOINTS, NODE, POD, SERVICE
from flowdeck.kube.objects import Kind, ObjectKey, Tree, get_in


class Target(NamedTuple):
    """`scheme:name:port`, taken apart."""

    scheme: str
    name: str
    port: str


@dataclass(frozen=True)
class Proxies:
    """Answers `proxy` of pods, services and nodes."""

    storage: Storage
    nodes: Nodes
    fronts: Fronts
    strangers: Connections
    """To everything but the nodes' own APIs."""

    async def handle(self, info: RequestInfo) -> Answer:
        """Raises `ServiceUnavailable` when nobody answers there."""
        connections, base = self._target(info)
        if not info.subpath and not info.path.endswith("/"):
            return Answer(raw=b"", code=301, headers={"Location": f"{info.path}/"})
        headers = forwarded(info.headers) | {"x-forwarded-uri": f"{info.path}", "x-forwarded-proto": "https"}
        headers |= self.fronts.headers_for(base, info.user)
        return await connections.request(info.method, _join(base, info), headers=headers, body=info.body)

    async def upgrade(self, info: RequestInfo, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        try:
            connections, base = self._target(info)
        except ApiError as error:
            await receive()
            await refuse(send, error)
            return
        await connections.bridge(_join(base, info), scope, receive, send)

    def _target(self, info: RequestInfo) -> tuple[Connections, str]:
        """Where a request goes: the connections to use, and the URL without path."""
        assert info.resource is not None
        assert info.key is not None
        kind = info.resource.kind
        target = split(info.key.name, kind)
        key = ObjectKey(info.key.namespace, target.name)
        match kind.plural:
            case "pods":
                return self.strangers, self._pod(target, key)
            case "services":
                return self.strangers, self._service(target, key)
        return self._node(target)

    def _find(self, kind: Kind, key: ObjectKey) -> Tree:
        found = self.storage.get(kind, key)
        if found is None:
            raise not_found(kind, key.name)
        return found

    def _pod(self, target: Target, key: ObjectKey) -> str:
        pod = self._find(POD, key)
        port = target.port or _first_port(pod)
        return _url(target.scheme, _checked(get_in(pod, "status", "podIP", default="")), port)

    def _service(self, target: Target, key: ObjectKey) -> str:
        service = self._find(SERVICE, key)
        port = target.port
        if port.isdigit():
            declared = [p for p in service["spec"].get("ports") or () if p["port"] == int(port)]
            if not declared:
                raise ServiceUnavailable(f'no service port {port} found for service "{target.name}"')
            port = declared[0].get("name") or ""
        endpoints = self.storage.get(ENDPOINTS, key)
        for subset in (endpoints or {}).get("subsets") or ():
            addresses = subset.get("addresses") or ()
            for found in subset.get("ports") or ():
                if addresses and (found.get("name") or "") == port:
                    return _url(target.scheme, addresses[0]["ip"], str(found["port"]))
        raise ServiceUnavailable(f'no endpoints available for service "{target.name}"')

    def _node(self, target: Target) -> tuple[Connections, str]:
        base = self.nodes.url(target.name)
        if not target.port or base.endswith(f":{target.port}"):
            return self.nodes.connections, base
        host = base.removeprefix("https://").rpartition(":")[0]
        return self.strangers, f"{target.scheme or 'http'}://{host}:{target.port}"


def split(name: str, kind: Kind) -> Target:
    """Takes `name`, `name:port` or `scheme:name:port` apart. Raises `BadRequest`."""
    parts = name.split(":")
    match parts:
        case [only] if only:
            return Target("", only, "")
        case [only, port] if only:
            return Target("", only, port)
        case [scheme, only, port] if only and scheme in ("http", "https", ""):
            return Target(scheme, only, port)
    word = {POD.plural: "pod", SERVICE.plural: "service", NODE.plural: "node"}[kind.plural]
    raise BadRequest(f'invalid {word} request "{name}"')


def _first_port(pod: Tree) -> str:
    for container in pod["spec"].get("containers") or ():
        for port in container.get("ports") or ():
            return str(port["containerPort"])
    return ""


def _checked(ip: str) -> str:
    """Pods of the plain sandbox live on loopback, so that is allowed beside what upstream allows."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        raise BadRequest("address not allowed") from None
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        raise BadRequest("address not allowed")
    return ip


def _url(scheme: str, host: str, port: str) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme or 'http'}://{shown}:{port}" if port else f"{scheme or 'http'}://{shown}"


def _join(base: str, info: RequestInfo) -> str:
    pairs = [(name, value) for name, values in info.queries.items() for value in values]
    path = "/".join(part for part in info.subpath.split("/") if part)
    path += "/" if path and info.path.endswith("/") else ""
    return f"{base}/{path}" + (f"?{urlencode(pairs)}" if pairs else "")
