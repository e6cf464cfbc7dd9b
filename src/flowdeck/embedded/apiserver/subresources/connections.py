"""HTTP and WebSockets from the API server to nodes and pods; WebSockets are bridged message by message.

Source: k8s.io/apimachinery (pkg/util/proxy).
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from flowdeck.embedded.apiserver.contract import Answer
from flowdeck.embedded.apiserver.pods_network import ToPod, reached_directly
from flowdeck.kube.errors import ApiError, BadRequest, InternalError, NotFound, ServiceUnavailable, from_status
from flowdeck.web.vouchers import HEADER

if TYPE_CHECKING:
    import httpx
    import websockets

_HOP_BY_HOP = frozenset(
    {
        "connection", "content-length", "date", "host", "keep-alive", "proxy-authenticate", "proxy-authorization", "te",
        "trailer", "transfer-encoding", "upgrade", "accept-encoding", "authorization", "content-encoding",
        HEADER,
    }
)  # fmt: skip
_CONNECT_S = 5.0


class Connections:
    """Connections to servers of one sort; `tls` makes what they are believed by, and what we show them."""

    def __init__(self, tls: Callable[[], ssl.SSLContext], to_pod: ToPod = reached_directly, *, kept: int = 0) -> None:
        """`kept` is how many idle connections are kept for the next request; who keeps some must `close`."""
        self._tls = tls
        self._to_pod = to_pod
        self._kept = kept

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return self._tls()

    @cached_property
    def _http(self) -> "httpx.AsyncClient":
        import httpx

        from flowdeck.embedded.apiserver.pods_transport import Transport

        return httpx.AsyncClient(
            transport=Transport(self._context, self._to_pod, kept=self._kept),
            timeout=httpx.Timeout(None, connect=_CONNECT_S),
            follow_redirects=False,
            trust_env=False,
        )

    async def close(self) -> None:
        if "_http" in vars(self):
            await self._http.aclose()

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """One request; the answer's body is streamed. Raises `ServiceUnavailable` when nobody is there."""
        import httpx

        asked = self._http.build_request(method, url, headers=dict(headers or {}), content=body or None)
        try:
            response = await self._http.send(asked, stream=True)
        except httpx.HTTPError as error:
            raise ServiceUnavailable(f"error trying to reach service: {error or type(error).__name__}") from error
        return Answer(
            code=response.status_code,
            content_type=response.headers.get("content-type", "text/plain"),
            headers=forwarded(response.headers, but=("content-type",)),
            stream=_body(response),
        )

    async def bridge(self, url: str, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        """Joins an ASGI WebSocket with one at `url` (`https://...`), until either side ends."""
        import websockets

        from flowdeck.embedded.apiserver.subresources.relay import RelayConnection, offer

        await receive()  # websocket.connect
        target = url.replace("http", "ws", 1)
        there = urlsplit(url)
        try:
            other = await websockets.connect(
                target,
                sock=await self._to_pod(there.hostname or "", there.port or 80),
                create_connection=RelayConnection,
                additional_headers=offer(scope.get("subprotocols") or ()),
                ssl=self._context if target.startswith("wss") else None,
                compression=None,
                max_size=None,
                ping_interval=None,
                open_timeout=30,
                proxy=None,
            )
        except websockets.InvalidStatus as error:
            body = error.response.body or b""
            await refuse(send, refusal_of(error.response.status_code, bytes(body)))
        except (OSError, websockets.WebSocketException, TimeoutError) as error:
            await refuse(send, InternalError(f"error dialing backend: {error}"))
        else:
            await send({"type": "websocket.accept", "subprotocol": other.subprotocol})
            await _join(other, receive, send)


def to_anybody() -> ssl.SSLContext:
    """TLS to what runs in a pod, or beside the kubelet: any certificate is good, as upstream, and we show none.

    A pod on the node's network has the node's address: a certificate of ours would open the kubelet to everybody who
    may ask for a pod's proxy.
    """
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def refuse(send: Any, error: ApiError) -> None:
    """Answers an upgrade request by an ordinary HTTP error."""
    body = orjson.dumps(error.to_status())
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "websocket.http.response.start", "status": error.code, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})


async def _join(other: "websockets.ClientConnection", receive: Any, send: Any) -> None:
    """Passes messages both ways; the end of one side ends the other, with its code."""

    async def to_node() -> None:
        while (message := await receive())["type"] == "websocket.receive":
            data = message.get("bytes")
            await other.send(data if data is not None else message["text"])
        await other.close(message.get("code") or 1000)

    async def to_client() -> None:
        async for data in other:
            part = {"text": data} if isinstance(data, str) else {"bytes": data}
            await send({"type": "websocket.send", **part})
        await send({"type": "websocket.close", "code": _closing_code(other.close_code)})

    import websockets

    pumps = [asyncio.create_task(to_node()), asyncio.create_task(to_client())]
    try:
        done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in done:
            if isinstance(pump.exception(), websockets.ConnectionClosedError):
                await send({"type": "websocket.close", "code": 1011})
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        await other.close()


def _closing_code(code: int | None) -> int:
    """1005 and 1006 are never sent: they say that there was none."""
    return code if code and code not in (1005, 1006, 1015) else 1000


async def _body(response: "httpx.Response") -> AsyncIterator[bytes]:
    import httpx

    try:
        async for piece in response.aiter_bytes():
            yield piece
    except httpx.HTTPError as error:
        raise ServiceUnavailable(f"the answer of {response.url} broke off: {error or type(error).__name__}") from error
    finally:
        await response.aclose()


def refusal_of(code: int, body: bytes) -> ApiError:
    """What a node's refusal means: its Status, or its text by the code."""
    try:
        tree: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        tree = None
    if isinstance(tree, dict) and tree.get("kind") == "Status":
        return from_status(tree, http_code=code)
    text = body.decode(errors="replace").strip() or f"the node answered {code}"
    match code:
        case 400:
            return BadRequest(text)
        case 404:
            return NotFound(text)
    return InternalError(f"Internal error occurred: {text}")


def forwarded(headers: Mapping[str, str], *, but: tuple[str, ...] = ()) -> dict[str, str]:
    """The headers that go through a proxy."""
    return {
        name: value
        for name, value in headers.items()
        if name.lower() not in _HOP_BY_HOP and name.lower() not in but and not name.lower().startswith("impersonate-")
    }
