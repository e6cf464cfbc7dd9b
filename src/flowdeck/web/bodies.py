"""Reads what a request brings, within limits."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator
from typing import TypeVar

import msgspec
from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from flowdeck.kube.errors import BadRequest, RequestEntityTooLarge, Timeout
from flowdeck.serving import BodyTooLarge, body_of, pieces_of

MAX_BODY = 4 * 1024 * 1024
"""Bytes of a JSON body, unless a route says otherwise."""
FORM = 64 * 1024
"""Bytes of a form around its file, and of its largest field."""
BODY_S = 300.0
"""For a body to come in."""

T = TypeVar("T")


async def raw(request: Request, *, limit: int = MAX_BODY) -> bytes:
    """The body; read once, also when several ask. Raises `RequestEntityTooLarge` before it is read whole, `Timeout`."""
    kept: bytes | None = getattr(request.state, "body", None)
    if kept is not None:
        return kept
    with _refused(request, limit):
        body = await body_of(request.receive, limit=limit, within_s=BODY_S)
    request.state.body = body
    return body


async def decoded(request: Request, type: type[T], *, limit: int = MAX_BODY) -> T:
    """The body as JSON of that type; one that forbids unknown fields refuses them. Raises `BadRequest`."""
    body = await raw(request, limit=limit)
    if not body:
        raise BadRequest(f"{request.method} {request.url.path} needs a JSON body")
    try:
        return msgspec.json.decode(body, type=type)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the body of {request.method} {request.url.path} is not valid: {error}") from error


@contextlib.asynccontextmanager
async def form(request: Request, *, limit: int) -> AsyncGenerator[FormData, None]:
    """A form of at most one file; a large one is kept on disk. Raises `BadRequest`, `RequestEntityTooLarge`,
    `Timeout`.
    """
    pieces = pieces_of(request.receive, limit=limit)
    try:
        parser = MultiPartParser(request.headers, pieces, max_files=1, max_part_size=FORM)
        with _refused(request, limit):
            async with asyncio.timeout(BODY_S):
                found = await parser.parse()
    except (MultiPartException, KeyError) as error:
        why = error.message if isinstance(error, MultiPartException) else "it is no multipart/form-data"
        raise BadRequest(f"the form cannot be read: {why}") from error
    try:
        yield found
    finally:
        await found.close()


@contextlib.contextmanager
def _refused(request: Request, limit: int) -> Iterator[None]:
    """Tells what goes wrong with a body in words of this API."""
    try:
        yield
    except BodyTooLarge as error:
        message = f"the body is larger than {limit} bytes, the limit of {request.url.path}"
        raise RequestEntityTooLarge(message) from error
    except TimeoutError as error:
        raise Timeout(f"the body of {request.method} {request.url.path} did not come within {BODY_S:g} s") from error
    except ConnectionResetError as error:
        raise BadRequest("the connection ended before the body did") from error
