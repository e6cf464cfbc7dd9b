"""What one server's connections share: the application, who is there, and how many and how slow they may be."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flowdeck.http1.asgi import App

if TYPE_CHECKING:
    from flowdeck.http1.connection import Connection


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Of one server."""

    connections: int = 5000
    """More are answered by 429, with `Retry-After`, and closed."""
    head_bytes: int = 1024 * 1024
    """Of a request's first line and headers; more is answered by 431."""
    head_s: float = 32.0
    """For a request's first line and headers, from their first byte (or the connection) on; then it is closed."""
    idle_s: float = 90.0
    """For the next request of a connection; then it is closed."""
    send_s: float = 60.0
    """For a client to take what it was sent; then it is hung up on."""


@dataclass(eq=False)
class Crowd:
    """See the module's text. Also what WebSockets ask of their server."""

    app: App
    limits: Limits
    connections: set[Any] = field(default_factory=set)
    tasks: set["asyncio.Task[None]"] = field(default_factory=set)
    default_headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    _date: tuple[int, bytes] = (-1, b"")

    def date(self, now: float) -> bytes:
        """The header line of the second; `now` is the event loop's time."""
        if self._date[0] != int(now):
            text = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
            self._date = int(now), f"date: {text}\r\n".encode()
        return self._date[1]

    def close_late(self, now: float) -> None:
        """Hangs up on those whose time is over."""
        late: list[Connection] = [each for each in self.connections if getattr(each, "deadline", now) < now]
        for connection in late:
            connection.late()
