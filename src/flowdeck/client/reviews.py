"""Questions that the cluster answers: whose is this token (TokenReview), and may they do that (SubjectAccessReview)?"""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.kube.kinds import SUBJECT_ACCESS_REVIEW, TOKEN_REVIEW
from flowdeck.kube.objects import Kind, Tree

TRUST_S = 60.0
"""How long an answer about a token is believed."""
MAX_TRUSTED = 10_000
"""Answers that are kept; the oldest goes first."""


@dataclass(frozen=True)
class UserInfo:
    """Whom a token stands for."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass
class TokenReviews:
    """Asks whose a bearer token is, and remembers good answers; tokens themselves are not kept."""

    client: Client
    clock: Clock
    trust_s: float = TRUST_S
    _trusted: "OrderedDict[bytes, tuple[float, UserInfo]]" = field(default_factory=OrderedDict)
    """Until when, by a digest of audience and token."""

    async def user_of(self, token: str, *, audience: str = "") -> UserInfo | None:
        """None for a token that is not valid for that audience; for the API server's own when it is `""`.

        Raises `ApiError`, `OSError` when the cluster cannot be asked.
        """
        digest = hashlib.sha256(f"{audience}\0{token}".encode()).digest()
        until, user = self._trusted.get(digest, (0.0, None))
        if user is not None and until > self.clock.monotonic():
            return user
        user = await self._ask(token, audience)
        self._trusted.pop(digest, None)
        if user is not None:
            self._trusted[digest] = (self.clock.monotonic() + self.trust_s, user)
            if len(self._trusted) > MAX_TRUSTED:
                self._trusted.popitem(last=False)
        return user

    async def _ask(self, token: str, audience: str) -> UserInfo | None:
        wanted: Tree = {"token": token} | ({"audiences": [audience]} if audience else {})
        status = await _reviewed(self.client, TOKEN_REVIEW, wanted)
        if not status.get("authenticated") or (audience and audience not in (status.get("audiences") or ())):
            return None
        info = status.get("user") or {}
        extra = {name: tuple(values) for name, values in (info.get("extra") or {}).items()}
        return UserInfo(info.get("username", ""), info.get("uid", ""), tuple(info.get("groups") or ()), extra)


async def access_review(client: Client, spec: Tree) -> tuple[bool, str]:
    """Whether a SubjectAccessReview's `spec` is allowed, and why (may be empty)."""
    status = await _reviewed(client, SUBJECT_ACCESS_REVIEW, spec)
    return bool(status.get("allowed")), status.get("reason") or ""


async def _reviewed(client: Client, kind: Kind, spec: Tree) -> Tree:
    review = {"apiVersion": kind.api_version, "kind": kind.kind, "spec": spec}
    answer: Tree = msgspec.json.decode(await client.raw("POST", kind.url(), body=review))
    status: Tree = answer.get("status") or {}
    return status
