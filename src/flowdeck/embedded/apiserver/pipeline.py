"""One request through the API server: who asks, what for, whether they may, and then the verb. An ASGI application."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import unquote

import orjson
import structlog

from flowdeck.embedded.apiserver.admission.connect import admit_connect
from flowdeck.embedded.apiserver.asgi import error_answer, read_body, refuse_websocket, send_answer
from flowdeck.embedded.apiserver.bodies import read_beside
from flowdeck.embedded.apiserver.contract import (
    ANONYMOUS,
    Answer,
    Attributes,
    Authenticator,
    Authorizer,
    Handler,
    RequestInfo,
    Upgrade,
    User,
)
from flowdeck.embedded.apiserver.forbidden import forbidden
from flowdeck.embedded.apiserver.impersonation import impersonate
from flowdeck.embedded.apiserver.metrics import Metrics
from flowdeck.embedded.apiserver.request import (
    MAX_PROXIED_BYTES,
    ResourcePath,
    parse_path,
    parse_query,
    selected_name,
    verb_of,
)
from flowdeck.embedded.apiserver.resource_handlers import ResourceHandlers
from flowdeck.http1.asgi import Receive, Scope, Send
from flowdeck.kube.errors import (
    ApiError,
    InternalError,
    MethodNotAllowed,
    not_allowed,
    page_not_found,
    unknown_path,
)
from flowdeck.kube.objects import ObjectKey

_RUNS_SOMETHING = frozenset((("pods", "exec"), ("pods", "attach"), ("pods", "portforward")))
"""A WebSocket is opened by GET, yet these do something in a pod: `create` is asked for as well, as since 1.35."""
_NO_KEY = ObjectKey("", "")

log = structlog.get_logger()


@dataclass
class Pipeline:
    """The API server as an ASGI application; `apiserver.py` puts it together."""

    handlers: ResourceHandlers
    """The verbs on resources."""
    metrics: Metrics
    authenticator: Authenticator
    authorizer: Authorizer
    documents: Sequence[Callable[[RequestInfo], Answer | None]] = ()
    """Asked in turn for paths that are not resources: discovery, OpenAPI."""
    routes: Mapping[str, Handler] = field(default_factory=dict)
    """Other paths that are not resources: `/readyz`, `/metrics`."""
    subresources: Mapping[tuple[str, str], Handler] = field(default_factory=dict)
    """`("pods", "log")` -> handler; `("*", "scale")` for every resource that has it."""
    upgrades: Mapping[tuple[str, str], Upgrade] = field(default_factory=dict)
    """`("pods", "exec")` -> what answers its WebSockets."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def call(
        self, method: str, path: str, query: Mapping[str, str], body: bytes, user: User, content_type: str
    ) -> bytes:
        """One request from inside the process, as `user`; raises the `ApiError` that it is answered with."""
        answer = await self.ask(method, path, query, body, user, content_type)
        if answer.stream is not None:
            return b"".join([piece async for piece in answer.stream])
        return answer.raw if answer.raw is not None else orjson.dumps(answer.obj)

    async def ask(
        self, method: str, path: str, query: Mapping[str, str], body: bytes, user: User, content_type: str
    ) -> Answer:
        """The same, with an answer whose body may come piece by piece."""
        headers = {"content-type": content_type}
        info = self._parse(method, unquote(path), {name: [value] for name, value in query.items()}, headers, user)
        return await self._answer(replace(info, body=body))

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        info: RequestInfo | None = None
        try:
            info = await self._understand(scope)
            info = await self._with_body(info, receive)
            answer = await self._answer(info)
        except ApiError as error:
            answer = error_answer(error)
        except Exception as error:
            log.exception("request failed", path=scope["path"], method=scope["method"])
            answer = error_answer(InternalError(f"Internal error occurred: {error}"))
        self.metrics.count(info, answer.code)
        await send_answer(answer, scope, receive, send)

    async def _understand(self, scope: Scope) -> RequestInfo:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        user = await self.authenticator.authenticate(headers, scope.get("state", {}).get("peer_certificate"))
        queries = parse_query(scope["query_string"])
        info = self._parse(scope.get("method", "GET"), scope["path"], queries, headers, user or ANONYMOUS)
        if any(name.startswith("impersonate-") for name in headers):
            info = replace(info, user=impersonate(info.user, scope["headers"], self.authorizer))
        path = parse_path(info.path)
        self._authorize(info, path)
        if path is not None:
            self._check_route(info, path)
        return info

    def _check_route(self, info: RequestInfo, path: ResourcePath) -> None:
        """Raises for a path, or a method on it, of which upstream's router knows nothing."""
        if info.resource is None:
            is_known = any(resource.kind.group == path.group for resource in self.handlers.registry)
            raise page_not_found() if is_known else unknown_path()
        is_below = path.namespace and path.plural != "namespaces"
        if is_below and not info.resource.kind.namespaced:
            raise page_not_found()
        if info.resource.kind.namespaced and not path.namespace:
            if path.name:
                raise page_not_found()
            if info.verb not in ("list", "watch"):
                raise not_allowed()
        if info.method == "HEAD" or (info.verb in ("update", "patch") and not path.name):
            raise not_allowed()

    def _parse(
        self,
        method: str,
        path: str,
        queries: Mapping[str, Sequence[str]],
        headers: Mapping[str, str],
        user: User,
    ) -> RequestInfo:
        query = {name: values[0] for name, values in queries.items()}
        parts = parse_path(path)
        if parts is None:
            return RequestInfo(method, path, query, queries, headers, user, verb=method.lower())
        resource = self.handlers.registry.find(parts.group, parts.version, parts.plural)
        namespace = parts.namespace if resource is None or resource.kind.namespaced else ""
        return RequestInfo(
            method,
            path,
            query,
            queries,
            headers,
            user,
            verb=verb_of(method, parts, query),
            resource=resource,
            key=ObjectKey(namespace, parts.name),
            subresource=parts.subresource,
            subpath=parts.subpath,
        )

    def _authorize(self, info: RequestInfo, path: ResourcePath | None) -> None:
        if path is None:
            attributes = Attributes(info.user, info.method.lower(), path=info.path)
        else:
            attributes = Attributes(
                info.user,
                info.verb,
                group=path.group,
                version=path.version,
                resource=path.plural,
                subresource=path.subresource,
                namespace=info.key.namespace if info.key else "",
                name=path.name or selected_name(info.verb, info.query),
            )
        decision = self.authorizer.authorize(attributes)
        if not decision.allowed:
            raise forbidden(attributes, decision.reason)

    async def _with_body(self, info: RequestInfo, receive: Receive) -> RequestInfo:
        if info.method in ("GET", "HEAD"):
            return info
        if info.subresource == "proxy":
            return replace(info, body=await read_body(receive, MAX_PROXIED_BYTES))
        return await read_beside(replace(info, body=await read_body(receive)))

    async def _answer(self, info: RequestInfo) -> Answer:
        if info.resource is None:
            return await self._page(info)
        if info.subresource and info.subresource != "status":
            names = (info.resource.kind.plural, info.subresource)
            handler = self.subresources.get(names) or self.subresources.get(("*", info.subresource))
            if handler is None or info.subresource not in info.resource.subresources:
                raise page_not_found()
            if info.verb not in info.resource.subresources[info.subresource].verbs:
                raise not_allowed()
            await admit_connect(self.handlers.verbs.plugins, info)
            return await handler(info)
        if info.resource.virtual is not None:
            if info.key and info.key.name and info.resource.verbs == ("create",):
                raise page_not_found()
            if info.verb not in info.resource.verbs:
                raise not_allowed()
            return await info.resource.virtual(info)
        if _may_create(info) and self.handlers.verbs.find(info.resource, info.key or _NO_KEY) is None:
            self._authorize(replace(info, verb="create"), parse_path(info.path))
        return await self.handlers.answer(info)

    async def _page(self, info: RequestInfo) -> Answer:
        for document in self.documents:
            answer = document(info)
            if answer is not None:
                return answer
        handler = self.routes.get(info.path.rstrip("/"))
        if handler is None:
            raise unknown_path()
        return await handler(info)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            info = await self._understand(scope)
            plural = info.resource.kind.plural if info.resource else ""
            if (plural, info.subresource) in _RUNS_SOMETHING:
                self._authorize(replace(info, verb="create"), parse_path(info.path))
            upgrade = self.upgrades.get((plural, info.subresource))
            if upgrade is None:
                raise MethodNotAllowed("this resource does not speak WebSocket")
            await admit_connect(self.handlers.verbs.plugins, info)
        except ApiError as error:
            await refuse_websocket(error_answer(error), scope, receive, send)
            return
        await upgrade(info, scope, receive, send)


def _may_create(info: RequestInfo) -> bool:
    """Server-side apply, and an update of some kinds, creates what is not there: then it needs the right to."""
    if info.verb == "update" and not info.subresource:
        return info.resource is not None and info.resource.creates_on_update
    content = info.headers.get("content-type", "").partition(";")[0].strip()
    return info.verb == "patch" and not info.subresource and content == "application/apply-patch+yaml"
