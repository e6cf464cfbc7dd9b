"""The way to a node's HTTPS API and into pods: addresses, one HTTP client, WebSockets bridged message by message.

Source: k8s.io/kubernetes (pkg/kubelet/client), k8s.io/apimachinery (pkg/util/proxy).
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson

from flowdeck.embedded.apiserver.contract import Answer, Storage
from flowdeck.kube.errors import ApiError, BadRequest, InternalError, NotFound, ServiceUnavailable, from_status
from flowdeck.kube.kinds import NODE
from flowdeck.kube.objects import ObjectKey, Tree, get_in

if TYPE_CHECKING:
    import httpx
    import websockets

_ADDRESS_TYPES = ("InternalIP", "Hostname", "InternalDNS", "ExternalDNS", "ExternalIP")
_HOP_BY_HOP = frozenset(
    {
        "connection", "content-length", "date", "host", "keep-alive", "proxy-authenticate", "proxy-authorization", "te",
        "trailer", "transfer-encoding", "upgrade", "accept-encoding", "authorization", "content-encoding",
    }
)  # fmt: skip
_CONNECT_S = 5.0


class Nodes:
    """Reaches nodes and what runs on them."""

    def __init__(self, storage: Storage, tls: Callable[[], ssl.SSLContext]) -> None:
        self._storage = storage
        self._tls = tls

    def url(self, node: str) -> str:
        """`https://10.0.0.5:10250`; raises `NotFound` / `InternalError` where the node cannot be reached."""
        found = self._storage.get(NODE, ObjectKey("", node))
        if found is None:
            raise NotFound(f'nodes "{node}" not found', kind="nodes", name=node)
        port = get_in(found, "status", "daemonEndpoints", "kubeletEndpoint", "Port", default=10250)
        return f"https://{_host(address_of(found))}:{port}"

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return self._tls()

    @cached_property
    def _http(self) -> "httpx.AsyncClient":
        """Keeps no idle connections, so there is nothing to close at the end."""
        import httpx

        timeout = httpx.Timeout(None, connect=_CONNECT_S)
        return httpx.AsyncClient(
            verify=self._context,
            timeout=timeout,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            follow_redirects=False,
            trust_env=False,
        )

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

    async def ask_node(self, node: str, path: str) -> Answer:
        """GET on the node's own API; its refusals become our errors."""
        url = f"{self.url(node)}{path}"
        try:
            answer = await self.request("GET", url)
        except ServiceUnavailable as error:
            raise InternalError(f'Get "{url}": {error.message}') from error
        if answer.code < 400:
            return answer
        assert answer.stream is not None
        raise _refusal(answer.code, b"".join([piece async for piece in answer.stream]))

    async def bridge(self, url: str, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        """Joins an ASGI WebSocket with one at `url` (`https://...`), until either side ends."""
        import websockets

        from flowdeck.embedded.apiserver.subresources.relay import RelayConnection, offer

        await receive()  # websocket.connect
        target = url.replace("http", "ws", 1)
        try:
            other = await websockets.connect(
                target,
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
            await refuse(send, _refusal(error.response.status_code, bytes(body)))
        except (OSError, websockets.WebSocketException, TimeoutError) as error:
            await refuse(send, InternalError(f"error dialing backend: {error}"))
        else:
            await send({"type": "websocket.accept", "subprotocol": other.subprotocol})
            await _join(other, receive, send)


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
    try:
        async for piece in response.aiter_bytes():
            yield piece
    finally:
        await response.aclose()


def _refusal(code: int, body: bytes) -> ApiError:
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


def address_of(node: Tree) -> str:
    """Where its API listens: the first address of the preferred types. Raises `InternalError`."""
    addresses = get_in(node, "status", "addresses", default=())
    for wanted in _ADDRESS_TYPES:
        for address in addresses:
            if address.get("type") == wanted:
                return str(address["address"])
    raise InternalError("no preferred addresses found; known addresses: []")


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def forwarded(headers: Mapping[str, str], *, but: tuple[str, ...] = ()) -> dict[str, str]:
    """The headers that go through a proxy."""
    return {
        name: value
        for name, value in headers.items()
        if name.lower() not in _HOP_BY_HOP and name.lower() not in but and not name.lower().startswith("impersonate-")
    }
