"""A WebSocket as an ASGI server gives it, with the few verbs that the stream protocols need."""

from collections.abc import Sequence

from flowdeck.http1.asgi import Receive, Scope, Send

NORMAL, PROTOCOL_ERROR = 1000, 1002


class WebSocket:
    """One connection; `receive` gives None once the peer is gone, `send` is then silent."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self._receive = receive
        self._send = send
        self._is_open = True

    @property
    def offered(self) -> Sequence[str]:
        """The sub-protocols that the client can speak, its favourite first."""
        return list(self.scope.get("subprotocols") or ())

    async def accept(self, protocol: str | None) -> None:
        await self._receive()  # websocket.connect
        await self._send({"type": "websocket.accept", "subprotocol": protocol})

    async def refuse(self, status: int, body: bytes, content_type: str) -> None:
        """Answers the upgrade request with an HTTP error."""
        await self._receive()
        self._is_open = False
        headers = [(b"content-type", content_type.encode())]
        await self._send({"type": "websocket.http.response.start", "status": status, "headers": headers})
        await self._send({"type": "websocket.http.response.body", "body": body})

    async def receive(self) -> bytes | None:
        message = await self._receive()
        if message["type"] != "websocket.receive":
            self._is_open = False
            return None
        data: bytes | None = message.get("bytes")
        return data if data is not None else message["text"].encode()

    async def send(self, data: bytes) -> None:
        if self._is_open:
            await self._send({"type": "websocket.send", "bytes": data})

    async def close(self, code: int = NORMAL, reason: str = "") -> None:
        if self._is_open:
            self._is_open = False
            await self._send({"type": "websocket.close", "code": code, "reason": reason[:120]})
