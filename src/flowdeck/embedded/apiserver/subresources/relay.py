"""The WebSocket from the API server to a node, which takes any sub-protocol that the client offered.

The library checks that a sub-protocol's name is a token; `SPDY/3.1+portforward.k8s.io`, which kubectl offers for
port-forward, is none. What is offered and chosen is between client and node, so it is passed on as it is.
"""

from collections.abc import Sequence
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol


class RelayConnection(ClientConnection):
    """For `websockets.connect(create_connection=RelayConnection, additional_headers=offer(...))`."""

    def __init__(self, protocol: ClientProtocol, **options: Any) -> None:
        super().__init__(protocol, **options)
        protocol.process_subprotocol = lambda headers: headers.get("Sec-WebSocket-Protocol")  # type: ignore


def offer(protocols: Sequence[str]) -> dict[str, str]:
    """The header that offers sub-protocols; none where there are none."""
    return {"Sec-WebSocket-Protocol": ", ".join(protocols)} if protocols else {}
