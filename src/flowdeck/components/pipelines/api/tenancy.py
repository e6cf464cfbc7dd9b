"""Whose pipelines: one user's, who needs no namespaces, or many users', each in namespaces of his own."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request

from flowdeck.kube.errors import BadRequest
from flowdeck.web.routing import Namespace

Find = Callable[[Request], Awaitable[str]]


@dataclass(frozen=True)
class Tenancy:
    """How namespaces in requests are read."""

    multi_user: bool
    namespace: str = "kubeflow"
    """Where everything of a single user is, and what many users share."""

    def home_of(self, asked: str) -> str:
        """The namespace for what a request wants to be there."""
        return asked or self.namespace if self.multi_user else self.namespace

    def namespace_asked(self, request: Request) -> str:
        """Of a list; a single user's clients send whatever they like."""
        return self.home_of(request.query_params.get("namespace", ""))

    async def in_query(self, request: Request) -> str:
        """For rules: the namespace that a list asks for."""
        return self.namespace_asked(request)

    def required_in_query(self, request: Request) -> str:
        """Of lists that many users cannot share. Raises `BadRequest`."""
        if self.multi_user and not request.query_params.get("namespace"):
            raise BadRequest("Invalid input error: namespace cannot be empty in multi-user mode")
        return self.namespace_asked(request)

    def of(self, find: Find) -> Namespace:
        """For rules: what `find` says, if there are many users."""

        async def found(request: Request) -> str:
            return self.home_of(await find(request))

        return found
