"""Who may ask the kubelet's API: client certificates of the cluster's authority, and tokens that the cluster knows;
each for what the cluster lets them do with this node.

Source: kubernetes/kubernetes (cmd/kubelet/app/auth.go, pkg/kubelet/server/auth.go).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from flowdeck.client.base import Client
from flowdeck.client.reviews import TokenReviews, access_review
from flowdeck.clock import Clock
from flowdeck.embedded.apiserver.authentication import BearerTokens, ClientCertificates, Union
from flowdeck.embedded.apiserver.contract import User
from flowdeck.embedded.apiserver.tokens import Authenticated
from flowdeck.http1.asgi import Scope
from flowdeck.kube.errors import Forbidden
from flowdeck.kube.objects import Tree

MASTERS = "system:masters"
"""May do everything, everywhere: nobody needs to be asked."""
TOKEN_TRUST_S = 120.0
"""For how long an answer about a token is believed."""
ALLOWED_LIFE = timedelta(minutes=5)
DENIED_LIFE = timedelta(seconds=30)
MOST_ANSWERS = 1024

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_SUBRESOURCES = {
    "stats": ("stats",),
    "metrics": ("metrics",),
    "pods": ("pods", "proxy"),
    "healthz": ("healthz", "proxy"),
    "configz": ("configz", "proxy"),
}
"""By the path's first segment, `proxy` for the others; to be allowed one of them is enough."""


@dataclass(frozen=True)
class ReviewedTokens:
    """Bearer tokens that the cluster knows."""

    reviews: TokenReviews

    async def authenticate_token(self, token: str, audiences: Sequence[str]) -> Authenticated | None:
        user = await self.reviews.user_of(token)
        return None if user is None else Authenticated(User(user.name, user.uid, user.groups, user.extra))


class Access:
    """Lets requests pass, or not."""

    def __init__(self, client: Client, clock: Clock, node: str) -> None:
        self._client = client
        self._clock = clock
        self._node = node
        tokens = BearerTokens([ReviewedTokens(TokenReviews(client, clock, TOKEN_TRUST_S))])
        self._authenticator = Union([ClientCertificates(clock), tokens], allow_anonymous=False)
        self._decided: dict[tuple[str, tuple[str, ...], str, str], tuple[bool, datetime]] = {}

    async def check(self, scope: Scope) -> None:
        """Raises `Unauthorized`, `Forbidden`; other errors when the cluster cannot be asked."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        certificate = scope.get("state", {}).get("peer_certificate")
        user = await self._authenticator.authenticate(headers, certificate)
        if MASTERS in user.groups:
            return
        verb = _VERBS.get(scope.get("method", "GET"), "get")
        wanted = _SUBRESOURCES.get(scope["path"].strip("/").partition("/")[0], ("proxy",))
        for subresource in wanted:
            if await self._may(user, verb, subresource):
                return
        named = f"[{' '.join(wanted)}]"
        raise Forbidden(f"Forbidden (user={user.name}, verb={verb}, resource=nodes, subresource(s)={named})")

    async def _may(self, user: User, verb: str, subresource: str) -> bool:
        question = (user.name, user.groups, verb, subresource)
        allowed, until = self._decided.get(question, (False, self._clock.now()))
        if until > self._clock.now():
            return allowed
        attributes = {"verb": verb, "version": "v1", "resource": "nodes", "subresource": subresource}
        spec: Tree = {"resourceAttributes": {**attributes, "name": self._node}, "user": user.name}
        spec |= {"uid": user.uid, "groups": list(user.groups), "extra": {k: list(v) for k, v in user.extra.items()}}
        allowed, _ = await access_review(self._client, spec)
        if len(self._decided) >= MOST_ANSWERS:
            self._decided.clear()
        self._decided[question] = (allowed, self._clock.now() + (ALLOWED_LIFE if allowed else DENIED_LIFE))
        return allowed
