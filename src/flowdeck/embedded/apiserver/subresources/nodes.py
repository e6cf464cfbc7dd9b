"""The way to a node's HTTPS API.

Source: k8s.io/kubernetes (pkg/kubelet/client).
"""

import ssl
from collections.abc import Callable

from flowdeck.embedded.apiserver.contract import Answer, Storage
from flowdeck.embedded.apiserver.subresources.connections import Connections, refusal_of
from flowdeck.kube.errors import InternalError, NotFound, ServiceUnavailable
from flowdeck.kube.kinds import NODE
from flowdeck.kube.objects import ObjectKey, Tree, get_in

KEPT = 8
"""Idle connections to the nodes: each pod that ends is asked for its log, and a handshake costs more than that."""
_ADDRESS_TYPES = ("InternalIP", "Hostname", "InternalDNS", "ExternalDNS", "ExternalIP")


class Nodes:
    """Reaches nodes and what runs on them."""

    def __init__(self, storage: Storage, tls: Callable[[], ssl.SSLContext]) -> None:
        self._storage = storage
        self.connections = Connections(tls, kept=KEPT)
        """To the nodes' own APIs, with the certificate that they ask for."""

    def url(self, node: str) -> str:
        """`https://10.0.0.5:10250`; raises `NotFound` / `InternalError` where the node cannot be reached."""
        found = self._storage.get(NODE, ObjectKey("", node))
        if found is None:
            raise NotFound(f'nodes "{node}" not found', kind="nodes", name=node)
        port = get_in(found, "status", "daemonEndpoints", "kubeletEndpoint", "Port", default=10250)
        return f"https://{_host(address_of(found))}:{port}"

    async def ask_node(self, node: str, path: str) -> Answer:
        """GET on the node's own API; its refusals become our errors."""
        url = f"{self.url(node)}{path}"
        try:
            answer = await self.connections.request("GET", url)
        except ServiceUnavailable as error:
            raise InternalError(f'Get "{url}": {error.message}') from error
        if answer.code < 400:
            return answer
        assert answer.stream is not None
        raise refusal_of(answer.code, b"".join([piece async for piece in answer.stream]))


def address_of(node: Tree) -> str:
    """Where its API listens: the first address of the preferred types. Raises `InternalError`."""
    addresses = get_in(node, "status", "addresses", default=())
    for wanted in _ADDRESS_TYPES:
        for address in addresses:
            if address.get("type") == wanted:
                return str(address["address"])
    raise InternalError("no preferred addresses found; known addresses: []")


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address
