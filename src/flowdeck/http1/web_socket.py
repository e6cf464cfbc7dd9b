"""WebSockets: uvicorn's, loaded when the first one comes."""

from typing import Any

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from flowdeck.http1.limits import Crowd

_MAX_MESSAGE_BYTES = 1024 * 1024


class WebSocket(WebSocketsSansIOProtocol):
    """Lets the application choose among sub-protocols, whatever they are called: `SPDY/3.1+portforward.k8s.io`, which
    kubectl offers, is no token as the library wants it, and would be refused."""

    def __init__(self, crowd: Crowd, state: dict[str, Any]) -> None:
        config = uvicorn.Config(crowd.app, lifespan="off", log_config=None, ws_max_size=_MAX_MESSAGE_BYTES)
        config.load()
        super().__init__(config, crowd, state)  # type: ignore[arg-type]  # it asks for what a crowd has
        self.conn.process_subprotocol = lambda headers: None  # type: ignore[method-assign]
