"""Whose pipelines: one user's, who needs no namespaces, or many users', each in namespaces of his own.

Pipelines may be shared by all users; experiments and runs belong to one namespace.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request

from flowdeck.components.pipelines.settings import DEFAULT_SERVICE_ACCOUNT, USER_SERVICE_ACCOUNT
from flowdeck.kube.errors import BadRequest
from flowdeck.web.routing import Namespace

Find = Callable[[Request], Awaitable[str]]


async def in_query(request: Request) -> str:
    """`?namespace=`."""
    return asked_of(request)


def asked_of(request: Request) -> str:
    """`?namespace=`, which a single user's clients fill with whatever they like."""
    return str(request.query_params.get("namespace", ""))


@dataclass(frozen=True)
class Tenancy:
    """How namespaces in requests are read."""

    multi_user: bool
    namespace: str = "kubeflow"
    """Where everything of a single user is, and what many users share."""

    @property
    def service_account(self) -> str:
        """Of a run's pods, when nobody says."""
        return USER_SERVICE_ACCOUNT if self.multi_user else DEFAULT_SERVICE_ACCOUNT

    def shared(self, asked: str) -> str:
        """The namespace of what may be shared."""
        return asked or self.namespace if self.multi_user else self.namespace

    def own(self, asked: str) -> str:
        """The namespace of what may not. Raises `BadRequest`."""
        if self.multi_user and not asked:
            raise BadRequest("Invalid input error: namespace cannot be empty in multi-user mode")
        return self.shared(asked)

    def shared_by(self, find: Find) -> Namespace:
        """For rules about what may be shared."""

        async def found(request: Request) -> str:
            return self.shared(await find(request))

        return found

    def owned_by(self, find: Find) -> Namespace:
        """For rules about what may not."""

        async def found(request: Request) -> str:
            return self.own(await find(request))

        return found
