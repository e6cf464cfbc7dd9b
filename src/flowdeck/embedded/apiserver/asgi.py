"""Requests and answers as ASGI has them: a body read whole, an answer sent whole or piece by piece."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing
from random import getrandbits

import orjson
import structlog

from flowdeck.embedded.apiserver.contract import Answer
from flowdeck.embedded.apiserver.request import MAX_BODY_BYTES
from flowdeck.http1.asgi import Receive, Scope, Send
from flowdeck.kube.errors import ApiError, BadRequest, RequestEntityTooLarge, Timeout, UnknownPath
from flowdeck.serving import BodyTooLarge, body_of

BODY_S = 60.0
"""For a request's body to come in, as upstream."""

log = structlog.get_logger()


async def read_body(receive: Receive, limit: int = MAX_BODY_BYTES) -> bytes:
    """The whole body of a request. Raises `RequestEntityTooLarge`, `Timeout`, and `BadRequest` when it breaks off."""
    try:
        return await body_of(receive, limit=limit, within_s=BODY_S)
    except BodyTooLarge as error:
        raise RequestEntityTooLarge(f"Request entity too large: limit is {limit}") from error
    except TimeoutError as error:
        raise Timeout("Timeout: request did not complete within the allotted timeout") from error
    except ConnectionResetError as error:
        raise BadRequest("unexpected EOF") from error


def error_answer(error: ApiError) -> Answer:
    """The Status that tells an error."""
    if isinstance(error, UnknownPath):
        return Answer(raw=error.message.encode(), code=error.code, content_type="text/plain; charset=utf-8")
    headers = {"retry-after": str(error.retry_after_s)} if error.retry_after_s else {}
    return Answer(obj=error.to_status(), code=error.code, headers=headers, warnings=error.warnings)


async def send_answer(answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    """Sends an answer of any sort."""
    body = answer.raw or b""
    if answer.raw is None and answer.obj is not None:
        body = orjson.dumps(answer.obj)
    headers = _headers(answer)
    if answer.stream is not None:
        await _send_stream(answer, headers, receive, send)
        return
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": answer.code, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def _headers(answer: Answer) -> list[tuple[bytes, bytes]]:
    headers = [
        (b"content-type", answer.content_type.encode()),
        (b"audit-id", b"%032x" % getrandbits(128)),
        (b"cache-control", b"no-cache, private"),
    ]
    headers += [(name.encode(), value.encode()) for name, value in answer.headers.items()]
    headers += [(b"warning", _warning(text)) for text in dict.fromkeys(answer.warnings)]
    return headers


def _warning(text: str) -> bytes:
    quoted = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'299 - "{quoted}"'.encode()


async def _send_stream(answer: Answer, headers: Sequence[tuple[bytes, bytes]], receive: Receive, send: Send) -> None:
    """Sends a body piece by piece, until it ends or the client goes away."""
    assert answer.stream is not None
    await send({"type": "http.response.start", "status": answer.code, "headers": headers})
    pump = asyncio.ensure_future(_pump(answer.stream, send))
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait((pump, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (pump, gone):
            task.cancel()
        await asyncio.gather(pump, gone, return_exceptions=True)
    if not pump.cancelled():
        try:
            pump.result()
        except ApiError as error:
            log.warning("an answer broke off", error=str(error))


async def _pump(stream: AsyncIterator[bytes], send: Send) -> None:
    async with AsyncExitStack() as ending:
        if isinstance(stream, AsyncGenerator):
            await ending.enter_async_context(aclosing(stream))
        async for piece in stream:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def refuse_websocket(answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers an upgrade request by an ordinary HTTP error."""
    await receive()
    body = orjson.dumps(answer.obj)
    headers = [*_headers(answer), (b"content-length", str(len(body)).encode())]
    await send({"type": "websocket.http.response.start", "status": answer.code, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
