"""`Client` over HTTP, to any conformant API server.

Reads are tried again when the connection breaks or the server asks for patience (429 and 503 with Retry-After); writes
only when they cannot have happened, or are safe to repeat.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any, Self

import aiohttp
import orjson

from flowdeck.client.base import ObjectList, PatchType, Propagation, WatchEvent
from flowdeck.client.kubeconfig import ClusterConfig, Credentials
from flowdeck.clock import Clock
from flowdeck.kube.errors import ApiError, NotFound, ServiceUnavailable, TooManyRequests, Unauthorized, from_status
from flowdeck.kube.objects import Kind, ObjectKey, Tree, controller_of, key_of, uid_of

ATTEMPTS = 5
REQUEST_S = 60.0
WATCH_IDLE_S = 120.0
"""A watch on which nothing (no bookmark either) comes for so long is taken for dead."""
APPLY = "application/apply-patch+yaml"
JSON = "application/json"


class HttpClient:
    """See the module's text. Use as an async context manager, or call `close`."""

    def __init__(self, config: ClusterConfig, clock: Clock, *, manager: str = "flowdeck") -> None:
        self._config = config
        self._clock = clock
        self._manager = manager
        self._credentials = Credentials(config, clock)
        self._random = Random()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            context = self._config.ssl_context()
            connector = aiohttp.TCPConnector(ssl=context if context is not None else False, limit=0)
            self._session = aiohttp.ClientSession(connector=connector, headers={"User-Agent": self._manager})
        return self._session

    # ---- requests -------------------------------------------------------------------------------------------------

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> bytes:
        """One request; raises the `ApiError` that it is answered with, `OSError` when there is no answer."""
        for attempt in range(ATTEMPTS):
            try:
                return await self._once(method, path, query, body, await self._headers(content_type, accept))
            except Unauthorized:
                self._credentials.forget()
                if attempt:
                    raise
            except (TooManyRequests, ServiceUnavailable) as error:
                if attempt == ATTEMPTS - 1 or not error.retry_after_s:
                    raise
                await self._clock.sleep(error.retry_after_s)
            except aiohttp.ClientConnectorError:
                if attempt == ATTEMPTS - 1:
                    raise
                await self._clock.sleep(self._pause_s(attempt))
            except (TimeoutError, aiohttp.ClientError) as error:
                if attempt == ATTEMPTS - 1 or method != "GET":
                    raise OSError(f"{method} {self._config.server}{path} got no answer: {error!r}") from error
                await self._clock.sleep(self._pause_s(attempt))
        raise AssertionError("unreachable")

    def _pause_s(self, attempt: int) -> float:
        return 0.05 * float(2**attempt) * (0.5 + self._random.random())

    async def _once(
        self, method: str, path: str, query: Mapping[str, str] | None, body: bytes | None, headers: Mapping[str, str]
    ) -> bytes:
        async with self._open().request(
            method,
            self._config.server + path,
            params=query,
            data=body,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=REQUEST_S),
            server_hostname=self._config.server_name or None,
        ) as response:
            answer = await response.read()
            if response.status >= 400:
                raise _error(answer, response.status, response.headers.get("Retry-After", ""))
            return answer

    async def _headers(self, content_type: str = JSON, accept: str = JSON) -> dict[str, str]:
        headers = {"Accept": accept, "Content-Type": content_type}
        authorization = await self._credentials.header()
        if authorization:
            headers["Authorization"] = authorization
        return headers

    async def _object(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
    ) -> Tree:
        encoded = None if body is None else orjson.dumps(body)
        obj: Tree = orjson.loads(await self.request(method, path, query=query, body=encoded, content_type=content_type))
        return obj

    # ---- Reader ---------------------------------------------------------------------------------------------------

    async def get(self, kind: Kind, key: ObjectKey) -> Tree:
        return await self._object("GET", kind.url(key))

    async def find(self, kind: Kind, key: ObjectKey) -> Tree | None:
        try:
            return await self.get(kind, key)
        except NotFound:
            return None

    async def list(
        self,
        kind: Kind,
        *,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
        limit: int = 0,
        continue_token: str = "",
    ) -> ObjectList:
        query = _selectors(labels, fields)
        if limit:
            query["limit"] = str(limit)
        if continue_token:
            query["continue"] = continue_token
        found = await self._object("GET", kind.url(namespace=namespace), query=query)
        for item in found.get("items") or ():
            item.setdefault("apiVersion", kind.api_version)
            item.setdefault("kind", kind.kind)
        meta = found.get("metadata") or {}
        return ObjectList(found.get("items") or [], meta.get("resourceVersion") or "0", meta.get("continue") or "")

    async def owned(self, kind: Kind, owner: Tree) -> Sequence[Tree]:
        found = await self.list(kind, namespace=key_of(owner).namespace)
        return [obj for obj in found.items if (controller_of(obj) or {}).get("uid") == uid_of(owner)]

    @asynccontextmanager
    async def watch(
        self, kind: Kind, *, namespace: str = "", labels: str = "", fields: str = "", resource_version: str
    ) -> AsyncIterator[AsyncIterator[WatchEvent]]:
        query = _selectors(labels, fields) | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
        }
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=REQUEST_S, sock_read=WATCH_IDLE_S)
        try:
            async with self._open().get(
                self._config.server + kind.url(namespace=namespace),
                params=query,
                headers=await self._headers(),
                timeout=timeout,
                server_hostname=self._config.server_name or None,
                read_bufsize=2**22,
            ) as response:
                if response.status >= 400:
                    raise _error(await response.read(), response.status, "")
                try:
                    yield _events(response)
                finally:
                    _cut(response)
        except (TimeoutError, aiohttp.ClientError) as error:
            raise OSError(f"watch of {kind.resource} broke off: {error!r}") from error

    # ---- Writer, StatusWriter -------------------------------------------------------------------------------------

    def _write(self, *, dry_run: bool = False) -> dict[str, str]:
        return {"fieldManager": self._manager} | ({"dryRun": "All"} if dry_run else {})

    async def create(self, kind: Kind, obj: Tree, *, dry_run: bool = False) -> Tree:
        namespace = obj["metadata"].get("namespace") or ""
        return await self._object("POST", kind.url(namespace=namespace), obj, self._write(dry_run=dry_run))

    async def create_sub(self, kind: Kind, key: ObjectKey, subresource: str, obj: Tree) -> Tree:
        return await self._object("POST", kind.url(key, subresource=subresource), obj)

    async def update(self, kind: Kind, obj: Tree, *, dry_run: bool = False) -> Tree:
        return await self._object("PUT", kind.url(key_of(obj)), obj, self._write(dry_run=dry_run))

    async def patch(
        self,
        kind: Kind,
        key: ObjectKey,
        patch: Tree | Sequence[Tree],
        *,
        type: PatchType = PatchType.MERGE,
        subresource: str = "",
    ) -> Tree:
        url = kind.url(key, subresource=subresource)
        return await self._object("PATCH", url, patch, self._write(), type.value)

    async def apply(self, kind: Kind, obj: Tree, *, manager: str, force: bool = True, subresource: str = "") -> Tree:
        query = {"fieldManager": manager, "force": "true" if force else "false"}
        url = kind.url(key_of(obj), subresource=subresource)
        return await self._object("PATCH", url, obj, query, APPLY)

    async def delete(
        self,
        kind: Kind,
        key: ObjectKey,
        *,
        propagation: Propagation | None = None,
        uid: str = "",
        resource_version: str = "",
        grace_period_s: int | None = None,
        missing_ok: bool = False,
    ) -> Tree | None:
        options = _delete_options(propagation, uid, resource_version, grace_period_s)
        try:
            answer = await self._object("DELETE", kind.url(key), options)
        except NotFound:
            if missing_ok:
                return None
            raise
        return answer if _stays(answer) else None

    async def delete_all(
        self,
        kind: Kind,
        *,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
        propagation: Propagation | None = None,
    ) -> None:
        options = _delete_options(propagation, "", "", None)
        await self._object("DELETE", kind.url(namespace=namespace), options, _selectors(labels, fields))

    async def update_status(self, kind: Kind, obj: Tree) -> Tree:
        return await self._object("PUT", kind.url(key_of(obj), subresource="status"), obj, self._write())

    async def patch_status(self, kind: Kind, key: ObjectKey, patch: Tree) -> Tree:
        return await self.patch(kind, key, patch, subresource="status")

    async def raw(self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Any = None) -> bytes:
        return await self.request(method, path, query=query, body=None if body is None else orjson.dumps(body))

    @asynccontextmanager
    async def stream(self, path: str, *, query: Mapping[str, str] | None = None) -> AsyncIterator[AsyncIterator[bytes]]:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=REQUEST_S)
        try:
            async with self._open().get(
                self._config.server + path,
                params=query,
                headers=await self._headers(),
                timeout=timeout,
                server_hostname=self._config.server_name or None,
            ) as response:
                if response.status >= 400:
                    raise _error(await response.read(), response.status, "")
                try:
                    yield response.content.iter_any()
                finally:
                    _cut(response)
        except aiohttp.ClientError as error:
            raise OSError(f"the answer to GET {path} broke off: {type(error).__name__}") from error


def _cut(response: aiohttp.ClientResponse) -> None:
    """Ends a stream that nobody reads any more: TLS would wait for the server to say good-bye, after all is closed."""
    transport = response.connection and response.connection.transport
    if transport is not None:
        transport.abort()


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[WatchEvent]:
    """The events of a watch; a line that breaks off in the middle ends it."""
    rest = b""
    async for piece in response.content.iter_any():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if not line:
                continue
            event = orjson.loads(line)
            if event["type"] == "ERROR":
                raise from_status(event["object"])
            yield WatchEvent(event["type"], event["object"])


def _selectors(labels: str, fields: str) -> dict[str, str]:
    query = {}
    if labels:
        query["labelSelector"] = labels
    if fields:
        query["fieldSelector"] = fields
    return query


def _delete_options(
    propagation: Propagation | None, uid: str, resource_version: str, grace_period_s: int | None
) -> Tree:
    options: Tree = {"kind": "DeleteOptions", "apiVersion": "v1"}
    if propagation:
        options["propagationPolicy"] = propagation
    if grace_period_s is not None:
        options["gracePeriodSeconds"] = grace_period_s
    preconditions = {"uid": uid, "resourceVersion": resource_version}
    if any(preconditions.values()):
        options["preconditions"] = {name: value for name, value in preconditions.items() if value}
    return options


def _stays(answer: Tree) -> bool:
    """Whether the object that a DELETE answered with is still there: it waits for finalizers or grace."""
    meta = answer.get("metadata") or {}
    waits = meta.get("finalizers") or meta.get("deletionGracePeriodSeconds")
    return answer.get("kind") != "Status" and bool(meta.get("deletionTimestamp") and waits)


def _error(body: bytes, code: int, retry_after: str) -> ApiError:
    try:
        status = orjson.loads(body)
    except orjson.JSONDecodeError:
        status = {"message": body.decode(errors="replace")[:1000] or f"the server answered {code}", "code": code}
    if not isinstance(status, dict) or status.get("kind") not in ("Status", None):
        status = {"message": body.decode(errors="replace")[:1000], "code": code}
    error = from_status(status, http_code=code)
    if retry_after.isdigit():
        error.retry_after_s = int(retry_after)
    return error
