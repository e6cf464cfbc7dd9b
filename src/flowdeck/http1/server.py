"""The server: a socket that listens, and the connections that come in by it."""

import asyncio
import socket
import ssl

from flowdeck.http1.asgi import App
from flowdeck.http1.connection import Connection
from flowdeck.http1.limits import Crowd, Limits

_LOOK_S = 5.0
"""How often late connections are looked for."""
_HANDSHAKE_S = 20.0
_END_S = 2.0
"""How long answers on their way may take when the server ends."""


class HttpServer:
    """An ASGI application on a TCP socket that listens already; `tls` says which client certificates are believed."""

    def __init__(
        self, app: App, listener: socket.socket, tls: ssl.SSLContext | None = None, limits: Limits | None = None
    ) -> None:
        self._socket = listener
        self._tls = tls
        self._crowd = Crowd(app, limits or Limits())
        self._ready = asyncio.Event()

    @property
    def port(self) -> int:
        port: int = self._socket.getsockname()[1]
        return port

    async def wait_ready(self) -> None:
        await self._ready.wait()

    async def run(self) -> None:
        """Serves until it is cancelled; answers on their way are then finished, for a moment."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: Connection(self._crowd),
            sock=self._socket,
            ssl=self._tls,
            backlog=2048,
            ssl_handshake_timeout=_HANDSHAKE_S if self._tls else None,
        )
        self._ready.set()
        try:
            while True:
                await asyncio.sleep(_LOOK_S)
                self._crowd.close_late(loop.time())
        finally:
            server.close()
            await self._end()

    async def _end(self) -> None:
        for connection in list(self._crowd.connections):
            connection.shutdown()
        if self._crowd.tasks:
            await asyncio.wait(self._crowd.tasks, timeout=_END_S)
        for task in self._crowd.tasks:
            task.cancel()
        await asyncio.gather(*self._crowd.tasks, return_exceptions=True)
