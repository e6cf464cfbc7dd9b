"""One client's connection: its bytes become exchanges, one after the other."""

import asyncio
import math
from collections import deque
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import httptools

from flowdeck.http1.exchange import Exchange
from flowdeck.http1.limits import Crowd

_LARGE = 64 * 1024
"""Bytes from which on a piece is sent as it is: putting it together with others would copy it."""
_BUSY = "Too many requests, please try again later."


class Connection(asyncio.Protocol):
    """What is written in one turn of the event loop goes out as one piece: one TLS record, one system call."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.deadline = math.inf
        """Loop time by which the next request, or the rest of its head, must be there; at the end: be taken."""
        self._transport: Any = None
        self._parts: list[bytes] = []
        self._can_write = asyncio.Event()
        self._can_write.set()
        self._head_bytes = 0
        self._is_ending = False
        self._reading: Exchange | None = None
        self._answering: Exchange | None = None
        self._waiting: deque[Exchange] = deque()

    # ---- from the transport ---------------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        crowd = self._crowd
        if len(crowd.connections) >= crowd.limits.connections:
            self._refuse(429, _BUSY, "retry-after: 1")
            return
        crowd.connections.add(self)
        self.deadline = self._loop.time() + crowd.limits.head_s
        tls = transport.get_extra_info("ssl_object")
        self._base = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "server": _address(transport.get_extra_info("sockname")),
            "client": _address(transport.get_extra_info("peername")),
            "scheme": "http" if tls is None else "https",
            "root_path": "",
        }
        self._peer_certificate = tls.getpeercert(binary_form=True) if tls is not None else None

    def data_received(self, data: bytes) -> None:
        if self._is_ending:
            return
        self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._upgrade()
            return
        except httptools.HttpParserError:
            self._refuse(400, "Invalid HTTP request received.")
            return
        if self._head_bytes > self._crowd.limits.head_bytes:
            self._refuse(431, "Request Header Fields Too Large")

    def eof_received(self) -> None:
        return None

    def connection_lost(self, error: Exception | None) -> None:
        self._crowd.connections.discard(self)
        self._is_ending = True
        for exchange in (self._reading, self._answering, *self._waiting):
            if exchange is not None:
                exchange.gone()
        self._waiting.clear()
        self._can_write.set()

    def pause_writing(self) -> None:
        self._can_write.clear()

    def resume_writing(self) -> None:
        self._can_write.set()

    # ---- from the server ------------------------------------------------------------------------------------------

    def shutdown(self) -> None:
        """Ends after the answer that is on its way, if any."""
        if self._answering is None:
            self.close()
        else:
            self._answering.close_after()

    def close(self) -> None:
        """Ends when the client has taken what was written, which has its time, too."""
        self._is_ending = True
        self.deadline = self._loop.time() + self._crowd.limits.send_s
        self._flush()
        self._transport.close()

    def late(self) -> None:
        """Its time is over."""
        if self._is_ending:
            self.abort()
        else:
            self.close()

    # ---- from the parser ------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._wants_continue = False
        if self._answering is None:
            self.deadline = self._loop.time() + self._crowd.limits.head_s

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self._wants_continue = True
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._head_bytes = 0
        self.deadline = math.inf
        if self._wants_web_socket():
            return
        version = self._parser.get_http_version()
        keep_alive = version == "1.1" and self._parser.should_keep_alive()
        exchange = Exchange(self, self._scope(version), keep_alive=keep_alive, wants_continue=self._wants_continue)
        self._reading = exchange
        if self._answering is None:
            self._start(exchange)
        else:
            self._waiting.append(exchange)
            self._transport.pause_reading()

    def on_body(self, body: bytes) -> None:
        self._head_bytes = 0
        if self._reading is not None:
            self._reading.feed(body)

    def on_message_complete(self) -> None:
        self._head_bytes = 0
        if self._reading is not None:
            self._reading.fed()
            self._reading = None

    def _scope(self, version: str) -> dict[str, Any]:
        url = httptools.parse_url(self._url)
        path = url.path.decode("ascii")
        return {
            **self._base,
            "http_version": version,
            "method": self._parser.get_method().decode("ascii"),
            "path": unquote(path) if "%" in path else path,
            "raw_path": url.path,
            "query_string": url.query or b"",
            "headers": self._headers,
            "state": {"peer_certificate": self._peer_certificate},
        }

    # ---- exchanges ------------------------------------------------------------------------------------------------

    def _start(self, exchange: Exchange) -> None:
        self._answering = exchange
        task = self._loop.create_task(exchange.run(self._crowd.app))
        self._crowd.tasks.add(task)
        task.add_done_callback(self._crowd.tasks.discard)

    def finished(self, exchange: Exchange, *, keep_alive: bool) -> None:
        self._flush()
        self._answering = None
        if not keep_alive or self._is_ending:
            self.close()
        elif self._waiting:
            self._start(self._waiting.popleft())
        else:
            self.deadline = self._loop.time() + self._crowd.limits.idle_s
            self._transport.resume_reading()

    def write(self, data: bytes) -> None:
        if len(data) > _LARGE:
            self._flush()
            self._transport.write(data)
            return
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def _flush(self) -> None:
        if self._parts:
            parts, self._parts = self._parts, []
            self._transport.write(b"".join(parts))

    async def drained(self) -> None:
        if self._can_write.is_set():
            return
        try:
            async with asyncio.timeout(self._crowd.limits.send_s):
                await self._can_write.wait()
        except TimeoutError:
            self.abort()

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._waiting:
            self._transport.resume_reading()

    def abort(self) -> None:
        self._transport.abort()

    def date(self) -> bytes:
        return self._crowd.date(self._loop.time())

    def _refuse(self, status: int, text: str, *headers: str) -> None:
        """Answers what is no request that could go its way, unless another answer has begun, and hangs up."""
        if self._answering is not None and self._answering.has_started:
            self.close()
            return
        lines = [
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
            "content-type: text/plain; charset=utf-8",
            f"content-length: {len(text)}",
            "connection: close",
            *headers,
        ]
        self.write("".join(f"{line}\r\n" for line in [*lines, ""]).encode() + text.encode())
        self.close()

    # ---- WebSockets -----------------------------------------------------------------------------------------------

    def _wants_web_socket(self) -> bool:
        headers = dict(self._headers)
        return self._parser.should_upgrade() and headers.get(b"upgrade", b"").lower() == b"websocket"

    def _upgrade(self) -> None:
        """Hands the connection over, where a WebSocket is asked for; any other upgrade is a request like others."""
        if not self._wants_web_socket():
            return
        from flowdeck.http1.web_socket import WebSocket

        self._crowd.connections.discard(self)
        head = [self._parser.get_method(), b" ", self._url, b" HTTP/1.1\r\n"]
        head += [part for name, value in self._headers for part in (name, b": ", value, b"\r\n")]
        protocol = WebSocket(self._crowd, {"peer_certificate": self._peer_certificate})
        protocol.connection_made(self._transport)
        protocol.data_received(b"".join([*head, b"\r\n"]))
        self._transport.set_protocol(protocol)


def _address(name: Any) -> tuple[str, int] | None:
    return (name[0], name[1]) if isinstance(name, tuple) else None
