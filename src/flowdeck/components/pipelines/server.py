"""Serves the REST surface, at the Service `ml-pipeline`; what is heavy is loaded when the first request comes."""

import asyncio
import socket
from dataclasses import dataclass, field
from typing import Any

import msgspec

from flowdeck.components.base import Context, Front
from flowdeck.components.pipelines.settings import NAMESPACE, SERVICE, SERVICE_PORT
from flowdeck.http1.asgi import Receive, Scope, Send
from flowdeck.kube.errors import ServiceUnavailable
from flowdeck.loading import load
from flowdeck.serving import answer, serve

FRONT = Front(SERVICE, NAMESPACE, SERVICE_PORT, target_port=SERVICE_PORT, label="http")


@dataclass(frozen=True)
class PipelinesServer:
    """The server."""

    ctx: Context

    async def run(self) -> None:
        """Serves until it is cancelled."""
        settings = self.ctx.settings
        listener = socket.create_server((settings.host, settings.port), backlog=2048)
        await self.ctx.publish(FRONT, *listener.getsockname()[:2])
        await serve(LateSurface(self.ctx), listener, self.ctx.clock)


@dataclass
class LateSurface:
    """The ASGI application, from the first request on."""

    ctx: Context
    _surface: Any = None
    _loading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            surface = await self._loaded()
        except ServiceUnavailable as error:
            await answer(send, 503, msgspec.json.encode({"code": 14, "message": error.message, "details": []}))
        else:
            await surface(scope, receive, send)

    async def _loaded(self) -> Any:
        async with self._loading:
            if self._surface is None:
                module = await load("flowdeck.components.pipelines.api.surface")
                self._surface = await module.surface(self.ctx)
        return self._surface
