"""The routing table of a REST surface, and the application that it makes.

Each route states the rule by which it is allowed; there is no route without one. From the outside in:

    what nobody caught   500 in the surface's own form, and a traceback in the log
    known errors         `ApiError` in the surface's own form
    who                  `Identity`; nobody: 401
    may he               the route's rule, by the `Authorizer`; no: 403
    handler              parse, one domain call, render

A handler raises; it never builds an error response.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog
from starlette import routing
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from flowdeck.kube.errors import ApiError, InternalError, MethodNotAllowed, NotFound, Unauthorized
from flowdeck.web.identity import Access, Authorizer, Identity, User

Handler = Callable[[Request], Awaitable[Response]]
Namespace = Callable[[Request], Awaitable[str]]
"""Finds the namespace that a request is about, in its query, its body, or the object that its path names."""

log = structlog.get_logger()


async def no_namespace(request: Request) -> str:
    """Of what belongs to no namespace."""
    return ""


class Rule(Protocol):
    """Whether a route may be used."""

    async def check(self, request: Request, door: "Door") -> None:
        """Raises `Unauthorized` or `Forbidden`."""
        ...


@dataclass(frozen=True)
class Open:
    """Everybody may: health, version."""

    async def check(self, request: Request, door: "Door") -> None:
        return None


@dataclass(frozen=True)
class SignedIn:
    """Whoever is somebody may."""

    async def check(self, request: Request, door: "Door") -> None:
        await door.user(request)


@dataclass(frozen=True)
class Needs:
    """Whoever has this right, in the namespace that the request is about."""

    verb: str
    resource: str
    namespace: Namespace = no_namespace

    async def check(self, request: Request, door: "Door") -> None:
        await door.user(request)  # nobody's body is read, and nobody is told what there is
        await door.check(request, self.verb, self.resource, await self.namespace(request))


ErrorForm = Callable[[ApiError, Request], Response]
"""How a surface tells an error on its wire."""


@dataclass(frozen=True)
class Route:
    """One line of the table."""

    method: str
    path: str
    """`/apis/v2beta1/runs/{run_id}:archive`; `{name:path}` spans slashes."""
    handler: Handler
    rule: Rule
    error_form: ErrorForm | None = None
    """Of this route, where it is not its surface's."""


@dataclass(frozen=True)
class Door:
    """Who is asked whether a request may pass. Handlers ask it for what their route's rule cannot know."""

    identity: Identity
    authorizer: Authorizer
    group: str
    """API group of the surface's resources in RBAC: `pipelines.kubeflow.org`."""
    version: str

    async def user(self, request: Request) -> User:
        """The sender. Raises `Unauthorized`."""
        known: User | None = getattr(request.state, "user", None)
        if known is None:
            known = await self.identity.of(request.headers)
            if known is None:
                raise Unauthorized("no user is named: sign in, or send a bearer token")
            request.state.user = known
        return known

    async def check(self, request: Request, verb: str, resource: str, namespace: str) -> None:
        """Raises `Unauthorized`, `Forbidden`."""
        access = Access(verb, self.group, self.version, resource, namespace)
        await self.authorizer.check(await self.user(request), access)


def application(routes: Sequence[Route], door: Door, error_form: ErrorForm) -> ASGIApp:
    """The ASGI application of a surface."""

    async def missing(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        answer = error_form(NotFound(f"there is nothing at {request.url.path}"), request)
        await answer(scope, receive, send)

    paths = sorted({route.path for route in routes}, key=lambda path: ("}:" not in path, path))  # {id}:verb before {id}
    table = [
        routing.Route(path, _Path({route.method: route for route in routes if route.path == path}, door, error_form))
        for path in paths
    ]
    return routing.Router(table, redirect_slashes=False, default=missing)


@dataclass(frozen=True)
class _Path:
    """The ASGI application of one path."""

    routes: Mapping[str, Route]
    door: Door
    error_form: ErrorForm

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        route = self.routes.get(request.method)
        told = (route and route.error_form) or self.error_form
        try:
            answer = await self._answer(route, request)
        except ApiError as error:
            answer = told(error, request)
        except Exception as error:
            log.exception("a request failed for a reason that is a fault of ours", path=request.url.path)
            answer = told(InternalError(f"{type(error).__name__}: see the server's log"), request)
        await answer(scope, receive, send)

    async def _answer(self, route: Route | None, request: Request) -> Response:
        if route is None:
            allowed = ", ".join(sorted(self.routes))
            raise MethodNotAllowed(f"{request.method} {request.url.path}: allowed are {allowed}")
        await route.rule.check(request, self.door)
        return await route.handler(request)
