"""One request and its answer, as ASGI has them."""

import asyncio
from http import HTTPStatus
from typing import Protocol

import structlog

from flowdeck.http1.asgi import App, Message, Scope

BUFFERED = 64 * 1024
"""Bytes of a body that wait for the application before no more are read."""
_NO_BODY = (204, 304)
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}

log = structlog.get_logger()


class Wire(Protocol):
    """What an exchange needs of its connection."""

    def write(self, data: bytes) -> None: ...

    async def drained(self) -> None:
        """Returns when the client has taken enough of what was written, or is hung up on because it did not."""
        ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def finished(self, exchange: "Exchange", *, keep_alive: bool) -> None:
        """The answer is whole."""
        ...

    def abort(self) -> None: ...

    def date(self) -> bytes:
        """The header line that says what time it is."""
        ...


class Exchange:
    """See the module's text. The connection puts the body in; the application calls `receive` and `send`."""

    def __init__(self, wire: Wire, scope: Scope, *, keep_alive: bool, wants_continue: bool) -> None:
        self.scope = scope
        self.is_complete = False
        """The answer is whole: what is still to come of the request is dropped."""
        self.has_started = False
        """The head of the answer is on its way."""
        self._wire = wire
        self._keep_alive = keep_alive
        self._wants_continue = wants_continue
        self._body = bytearray()
        self._is_read = False
        self._is_gone = False
        self._is_chunked = False
        self._left = 0
        self._news = asyncio.Event()

    # ---- from the connection --------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        if not self.is_complete:
            self._body += data
            if len(self._body) > BUFFERED:
                self._wire.pause_reading()
            self._news.set()

    def fed(self) -> None:
        """The request is whole."""
        self._is_read = True
        self._news.set()

    def gone(self) -> None:
        """The client is: what is sent from now on goes nowhere."""
        self._is_gone = True
        self._news.set()

    def close_after(self) -> None:
        """The connection ends with this answer."""
        self._keep_alive = False

    async def run(self, app: App) -> None:
        """Lets the application answer."""
        try:
            await app(self.scope, self.receive, self.send)
        except Exception:
            log.exception("an application failed", path=self.scope["path"])
            if not self.has_started:
                await self._send_failure()
        finally:
            if not self.is_complete and not self._is_gone:
                self._wire.abort()

    async def _send_failure(self) -> None:
        text = b"Internal Server Error"
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(text))]
        await self.send({"type": "http.response.start", "status": 500, "headers": headers})
        await self.send({"type": "http.response.body", "body": text})

    # ---- ASGI -----------------------------------------------------------------------------------------------------

    async def receive(self) -> Message:
        if self._wants_continue and not self.has_started:
            self._wire.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._wants_continue = False
        if not self._is_gone and not self.is_complete:
            self._wire.resume_reading()
            await self._news.wait()
            self._news.clear()
        if self._is_gone or self.is_complete:
            return {"type": "http.disconnect"}
        body, self._body = bytes(self._body), bytearray()
        return {"type": "http.request", "body": body, "more_body": not self._is_read}

    async def send(self, message: Message) -> None:
        if self._is_gone:
            return
        if message["type"] == "http.response.start":
            self._send_head(message["status"], list(message.get("headers") or ()))
            return
        await self._wire.drained()
        if not self._is_gone and not self.is_complete:
            self._send_body(message.get("body") or b"", is_last=not message.get("more_body"))

    def _send_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.has_started = True
        length = next((int(value) for name, value in headers if name.lower() == b"content-length"), None)
        may_have_body = self.scope["method"] != "HEAD" and status not in _NO_BODY
        self._left = (length or 0) if may_have_body else 0
        if length is None and may_have_body:
            self._is_chunked = self.scope["http_version"] == "1.1"
            self._keep_alive = self._keep_alive and self._is_chunked
        if any(name.lower() == b"connection" and b"close" in value.lower() for name, value in headers):
            self._keep_alive = False
        elif not self._keep_alive:
            headers.append((b"connection", b"close"))
        lines = [b"%b: %b\r\n" % pair for pair in headers]
        if self._is_chunked:
            lines.append(b"transfer-encoding: chunked\r\n")
        head = b"".join((_STATUS_LINES[status], self._wire.date(), *lines, b"\r\n"))
        if head.count(b"\n") != len(lines) + 3:
            raise ValueError(f"a header of the answer to {self.scope['path']} holds a line break")
        self._wire.write(head)

    def _send_body(self, body: bytes, *, is_last: bool) -> None:
        if self.scope["method"] == "HEAD":
            body = b""
        if self._is_chunked:
            if body:
                self._wire.write(b"%x\r\n%b\r\n" % (len(body), body))
            if is_last:
                self._wire.write(b"0\r\n\r\n")
        elif body:
            self._left -= len(body)
            self._wire.write(body)
        if is_last:
            self.is_complete = True
            self._news.set()
            self._wire.finished(self, keep_alive=self._keep_alive and self._left == 0)
