"""HTTP servers of the platform's own: an ASGI application on a socket, with a certificate that may change meanwhile."""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from flowdeck.clock import Clock
from flowdeck.http1.asgi import Receive, Send
from flowdeck.http1.server import HttpServer

RELOAD_S = 10.0
"""How often certificate files are looked at."""

log = structlog.get_logger()


@dataclass
class CertificateFiles:
    """A server's certificate and key in PEM files, read again when they change; open connections go on."""

    certificate: Path
    key: Path
    context: ssl.SSLContext = field(init=False)

    def __post_init__(self) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.load()

    def load(self) -> None:
        self.context.load_cert_chain(self.certificate, self.key)

    def version(self) -> tuple[int, int]:
        return self.certificate.stat().st_mtime_ns, self.key.stat().st_mtime_ns

    async def keep(self, clock: Clock) -> None:
        """Looks at the files until it is cancelled; what cannot be used, being written just now, is looked at again."""
        known = self.version()
        while True:
            await clock.sleep(RELOAD_S)
            try:
                if (now := self.version()) != known:
                    self.load()
                    known = now
            except OSError as error:  # of SSL, too
                log.warning("a certificate cannot be used", certificate=str(self.certificate), error=str(error))


async def serve(
    app: Any, listener: socket.socket, clock: Clock, *, certificate: CertificateFiles | None = None
) -> None:
    """Serves an ASGI application until it is cancelled; over HTTPS with a certificate."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(HttpServer(app, listener, certificate.context if certificate else None).run())
        if certificate:
            tasks.create_task(certificate.keep(clock))


async def answer(send: Send, code: int, body: bytes, content_type: str = "application/json") -> None:
    """Sends a whole answer."""
    headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": code, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class BodyTooLarge(Exception):
    """A request's body is longer than the application takes."""


async def pieces_of(receive: Receive, *, limit: int) -> AsyncGenerator[bytes, None]:
    """A request's body as it comes in. Raises `BodyTooLarge` once it is longer; `OSError` when the client hangs up."""
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError("the client hung up")
        piece = message.get("body", b"")
        size += len(piece)
        if size > limit:
            raise BodyTooLarge(f"the body is longer than {limit} bytes")
        yield piece
        if not message.get("more_body"):
            return


async def body_of(receive: Receive, *, limit: int, within_s: float) -> bytes:
    """A request's whole body. Raises as `pieces_of`; `TimeoutError`, an `OSError`, when it takes too long."""
    async with asyncio.timeout(within_s):
        return b"".join([piece async for piece in pieces_of(receive, limit=limit)])
