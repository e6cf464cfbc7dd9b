"""The API server, and other applications, on ports of their own."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from flowdeck.clock import SystemClock
from flowdeck.embedded.apiserver import pki
from flowdeck.embedded.apiserver.apiserver import ApiServer
from flowdeck.http1.asgi import App
from flowdeck.http1.server import HttpServer


@dataclass(frozen=True)
class Served:
    """A running API server."""

    api: ApiServer
    keys: pki.Pki
    port: int

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[Served]:
    """An API server whose node is called `n1`, over HTTPS."""
    clock = SystemClock()
    keys = pki.prepare(folder / "pki", node="n1", now=clock.now())
    api = ApiServer.open(folder / "store.db", keys, clock)
    await api.bootstrap()
    async with listening(api.pipeline, pki.server_context(keys)) as port:
        yield Served(api, keys, port)
    await api.end()


@asynccontextmanager
async def listening(app: App, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The port of an application; over HTTPS with a context."""
    server = HttpServer(app, socket.create_server(("127.0.0.1", 0)), context)
    running = asyncio.create_task(server.run())
    await server.wait_ready()
    try:
        yield server.port
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
