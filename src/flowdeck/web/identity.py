"""Who sent a request, and whether he may: the cluster decides both, by TokenReview and SubjectAccessReview.

SingleUser      everybody who reaches the port may do everything (Kubeflow without profiles)
HeaderIdentity  a header that the front door sets, and nobody else may
TokenIdentity   `Authorization: Bearer`, asked of the API server
FirstOf         the first that knows the sender
OnBehalf        a sender who may act for others, and does
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from flowdeck.client.base import Client
from flowdeck.client.reviews import TokenReviews, access_review
from flowdeck.clock import Clock
from flowdeck.kube.errors import Forbidden, Unauthorized


@dataclass(frozen=True)
class User:
    """A sender. Everybody is somebody: there is no None."""

    name: str
    groups: tuple[str, ...] = ()


class Identity(Protocol):
    """Finds out who sent a request."""

    async def of(self, headers: Mapping[str, str]) -> User | None:
        """The sender, None when these headers say nothing to it. Raises `Unauthorized` when they lie."""
        ...


class Authorizer(Protocol):
    """Decides what a user may do."""

    async def check(self, user: User, access: "Access") -> None:
        """Raises `Forbidden`."""
        ...


@dataclass(frozen=True)
class Access:
    """One thing that somebody wants to do, in RBAC's words."""

    verb: str
    group: str
    version: str
    resource: str
    namespace: str = ""
    name: str = ""


@dataclass(frozen=True)
class SingleUser:
    """One user, who may do everything. For ports that only he can reach."""

    user: User = User("flowdeck:user")

    async def of(self, headers: Mapping[str, str]) -> User | None:
        return self.user

    async def check(self, user: User, access: Access) -> None:
        return None


@dataclass(frozen=True)
class HeaderIdentity:
    """Believes a header of the front door, which takes that header off whatever comes from outside."""

    header: str
    """Lower case: `kubeflow-userid`."""
    prefix: str = ""
    """Taken off the value: `accounts.google.com:`."""

    async def of(self, headers: Mapping[str, str]) -> User | None:
        value = headers.get(self.header, "")
        if not value:
            return None
        if not value.startswith(self.prefix) or value == self.prefix:
            raise Unauthorized(f"the header {self.header} does not start with {self.prefix!r} and name a user")
        return User(value.removeprefix(self.prefix))


class TokenIdentity:
    """Asks the API server whose token it is; the token must be made for that audience."""

    def __init__(self, client: Client, clock: Clock, audience: str) -> None:
        self._reviews = TokenReviews(client, clock)
        self._audience = audience

    async def of(self, headers: Mapping[str, str]) -> User | None:
        scheme, _, token = headers.get("authorization", "").strip().partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return None
        user = await self._reviews.user_of(token.strip(), audience=self._audience)
        if user is None:
            raise Unauthorized(f"the token is not valid for {self._audience}: ask for one with that audience")
        return User(user.name, user.groups)


@dataclass(frozen=True)
class FirstOf:
    """Asks each in turn."""

    identities: Sequence[Identity]

    async def of(self, headers: Mapping[str, str]) -> User | None:
        for identity in self.identities:
            user = await identity.of(headers)
            if user is not None:
                return user
        return None


@dataclass(frozen=True)
class OnBehalf:
    """A sender may name another user in a header, if he may impersonate him: a front door that has signed him in."""

    sender: Identity
    named: Identity
    authorizer: "Authorizer"

    async def of(self, headers: Mapping[str, str]) -> User | None:
        user = await self.named.of(headers)
        if user is None:
            return await self.sender.of(headers)
        door = await self.sender.of(headers)
        if door is None:
            return None
        await self.authorizer.check(door, Access("impersonate", "", "v1", "users", name=user.name))
        return user


@dataclass(frozen=True)
class AccessReviews:
    """Asks the API server, by SubjectAccessReview."""

    client: Client

    async def check(self, user: User, access: Access) -> None:
        attributes = {
            "verb": access.verb,
            "group": access.group,
            "version": access.version,
            "resource": access.resource,
            "namespace": access.namespace,
            "name": access.name,
        }
        wanted = {"user": user.name, "groups": list(user.groups), "resourceAttributes": attributes}
        allowed, why = await access_review(self.client, wanted)
        if not allowed:
            reason = why or f"no rule lets him {access.verb} {access.resource}.{access.group}"
            where = f" in namespace {access.namespace!r}" if access.namespace else ""
            raise Forbidden(f"User '{user.name}' is not authorized with reason: {reason}{where}")
