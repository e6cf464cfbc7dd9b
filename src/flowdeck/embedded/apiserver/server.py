"""HTTP for the API server: TLS with client certificates, on uvicorn."""

import asyncio
import socket
import ssl
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

MAX_HEAD_BYTES = 1024 * 1024
"""Of a request's first line and headers, as upstream; the parser itself would take any number of them."""


def _peer_certificate(transport: Any) -> bytes | None:
    """The client's certificate (DER), which TLS has verified."""
    tls = transport.get_extra_info("ssl_object")
    certificate: bytes | None = tls.getpeercert(binary_form=True) if tls is not None else None
    return certificate


_LARGE = 64 * 1024
"""Bytes from which on a piece is sent as it is: putting it together with others would copy it."""


class _Corked:
    """A transport that sends what is written in one turn of the event loop as one piece: head and body of an answer
    are one TLS record and one system call."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._parts: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if len(data) > _LARGE:
            self._flush()
            self._transport.write(data)
            return
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._parts:
            parts, self._parts = self._parts, []
            self._transport.write(b"".join(parts))


class _Http(HttpToolsProtocol):
    """Puts the client's certificate into each request's (and WebSocket's) `scope["state"]`; ends endless headers."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(_Corked(transport))  # type: ignore[arg-type]
        self.app_state = {**self.app_state, "peer_certificate": _peer_certificate(transport)}
        self._head_bytes = 0

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self.send_400_response("Request header fields too large")

    def on_body(self, body: bytes) -> None:
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._head_bytes = 0
        super().on_message_complete()


class _WebSocket(WebSocketsSansIOProtocol):
    """Lets the application choose among sub-protocols, whatever they are called: `SPDY/3.1+portforward.k8s.io`, which
    kubectl offers, is no token as the library wants it, and would be refused."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn.process_subprotocol = lambda headers: None  # type: ignore[method-assign]


class HttpServer:
    """An ASGI application on a TCP socket that listens already; `tls` says which client certificates are believed."""

    def __init__(self, app: Any, listener: socket.socket, tls: ssl.SSLContext) -> None:
        self._socket = listener
        config = uvicorn.Config(
            app,
            http=_Http,
            ws=_WebSocket,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=2,
            ws_max_size=1024 * 1024,
        )
        config.load()
        config.ssl = tls
        self._server = uvicorn.Server(config)

    @property
    def port(self) -> int:
        port: int = self._socket.getsockname()[1]
        return port

    async def run(self) -> None:
        """Serves until it is cancelled."""
        serving = asyncio.ensure_future(self._server._serve([self._socket]))
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            self._server.should_exit = True
            await serving
            raise

    async def wait_ready(self) -> None:
        while not self._server.started:  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(0.001)
