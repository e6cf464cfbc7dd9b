"""Service-account tokens: JWTs that are bound to an account, and to a pod, secret or node if asked for.

A token holds for as long as what it is bound to exists with the same uid; so each use looks those objects up, while
the signature is checked only once a token. Source: kubernetes (pkg/serviceaccount/claims.go, legacy.go).
"""

import base64
import hashlib
import uuid
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from flowdeck.clock import Clock
from flowdeck.embedded.apiserver.contract import Storage, User
from flowdeck.kube.errors import Unauthorized
from flowdeck.kube.kinds import NODE, POD, SECRET, SERVICE_ACCOUNT
from flowdeck.kube.objects import Kind, ObjectKey, Tree, uid_of
from flowdeck.kube.times import parse_time

if TYPE_CHECKING:
    from joserfc.jwk import ECKey

ALGORITHM = "ES256"
PRIVATE = "kubernetes.io"
"""The claim that holds what Kubernetes adds: namespace, account, pod, node, secret, warnafter."""
LEGACY_ISSUER = "kubernetes/serviceaccount"
LEGACY = "kubernetes.io/serviceaccount"
"""Prefix of the claims in tokens of `kubernetes.io/service-account-token` secrets, which never expire."""
USER_PREFIX = "system:serviceaccount:"
GROUP = "system:serviceaccounts"

WARN_ONLY_S = 3607
"""Who asks for just this time (the pods' projected volume) gets a token that lives on for `EXTENDED_S`."""
EXTENDED_S = 365 * 24 * 3600
_LEEWAY = timedelta(seconds=60)
"""How long a token of a pod or account that is being deleted goes on working, beside its grace period."""
_REMEMBERED = 4096


@dataclass(frozen=True)
class Authenticated:
    """Whom a token stands for, and for which of the asked-for audiences."""

    user: User
    audiences: tuple[str, ...] = ()
    expires: datetime | None = None


class TokenAuthenticator(Protocol):
    """Finds out whom a bearer token stands for."""

    async def authenticate_token(self, token: str, audiences: Sequence[str]) -> Authenticated | None:
        """None for a token that somebody else may know; raises `Unauthorized` with the reason for a bad one.

        `audiences` are those that the asker is one of; empty means the API server's own.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class TokenOrder:
    """What a new token shall be good for."""

    account: Tree
    """The ServiceAccount."""
    audiences: tuple[str, ...] = ()
    """Empty: the API server itself."""
    lifetime_s: int = 3600
    pod: Tree | None = None
    secret: Tree | None = None
    node: Tree | None = None
    """The node of the pod, or the node that the token is bound to when there is no pod."""


class ServiceAccountTokens:
    """Issues tokens and knows them again.

    `issuer` is the URL in `iss` (where discovery documents are served); `audiences` are the API server's own names.
    """

    def __init__(
        self, key_file: Path, *, storage: Storage, clock: Clock, issuer: str, audiences: Sequence[str] = ()
    ) -> None:
        self._key_file = key_file
        self._storage = storage
        self._clock = clock
        self.issuer = issuer
        self.audiences = tuple(audiences) or (issuer,)
        self._verified: OrderedDict[str, Tree] = OrderedDict()

    @cached_property
    def _key(self) -> "ECKey":
        from joserfc.jwk import ECKey

        return ECKey.import_key(self._key_file.read_text())

    @cached_property
    def _key_id(self) -> str:
        """Hash of the public key, as kube-apiserver names its keys."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        der = self._key.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()

    def issue(self, order: TokenOrder) -> str:
        """A token for an account, bound as the order says."""
        now = int(self._clock.now().timestamp())
        meta = order.account["metadata"]
        private: Tree = {"namespace": meta["namespace"]}
        for word, bound in (("node", order.node), ("pod", order.pod), ("secret", order.secret)):
            if bound is not None:
                private[word] = _reference(bound)
        private["serviceaccount"] = _reference(order.account)
        audiences = order.audiences or self.audiences
        lifetime_s = order.lifetime_s
        if order.pod and lifetime_s == WARN_ONLY_S and set(audiences) <= set(self.audiences):
            private["warnafter"] = now + WARN_ONLY_S
            lifetime_s = EXTENDED_S
        return self._sign(
            {
                "aud": list(audiences),
                "exp": now + lifetime_s,
                "iat": now,
                "iss": self.issuer,
                "jti": str(uuid.uuid4()),
                PRIVATE: private,
                "nbf": now,
                "sub": f"{USER_PREFIX}{meta['namespace']}:{meta['name']}",
            }
        )

    def issue_for_secret(self, account: Tree, secret: Tree) -> str:
        """The token of a `kubernetes.io/service-account-token` secret: good while both exist."""
        meta = account["metadata"]
        return self._sign(
            {
                "iss": LEGACY_ISSUER,
                f"{LEGACY}/namespace": meta["namespace"],
                f"{LEGACY}/secret.name": secret["metadata"]["name"],
                f"{LEGACY}/service-account.name": meta["name"],
                f"{LEGACY}/service-account.uid": meta["uid"],
                "sub": f"{USER_PREFIX}{meta['namespace']}:{meta['name']}",
            }
        )

    def _sign(self, claims: Tree) -> str:
        from joserfc import jwt

        return jwt.encode({"alg": ALGORITHM, "kid": self._key_id}, claims, self._key, [ALGORITHM])

    async def authenticate_token(self, token: str, audiences: Sequence[str]) -> Authenticated | None:
        if token not in self._verified and issuer_of(token) not in (self.issuer, LEGACY_ISSUER):
            return None
        claims = self._claims(token)
        if claims["iss"] == LEGACY_ISSUER:
            return self._authenticate_legacy(claims, token, audiences)
        wanted = tuple(audiences) or self.audiences
        told = claims.get("aud") or []
        common = tuple(name for name in wanted if name in told)
        if not common:
            raise Unauthorized(f"token audiences {_quoted(told)} is invalid for the target audiences {_quoted(wanted)}")
        now = self._clock.now()
        self._check_times(claims, now)
        user = self._check_bindings(claims, now)
        return Authenticated(user, common, datetime.fromtimestamp(claims["exp"], tz=now.tzinfo))

    def _claims(self, token: str) -> Tree:
        """The claims of a token with a good signature."""
        known = self._verified.get(token)
        if known is not None:
            self._verified.move_to_end(token)
            return known
        from joserfc import jwt
        from joserfc.errors import JoseError

        try:
            claims = jwt.decode(token, self._key, [ALGORITHM]).claims
        except (JoseError, ValueError) as error:
            raise Unauthorized(f"invalid signature: {error}") from error
        self._verified[token] = claims
        if len(self._verified) > _REMEMBERED:
            self._verified.popitem(last=False)
        return claims

    def _check_times(self, claims: Mapping[str, Any], now: datetime) -> None:
        at = now.timestamp()
        if at >= claims.get("exp", 0):
            raise Unauthorized("service account token has expired")
        if at < claims.get("nbf", 0):
            raise Unauthorized("service account token is not valid yet")

    def _check_bindings(self, claims: Mapping[str, Any], now: datetime) -> User:
        private: Tree = claims.get(PRIVATE) or {}
        namespace = private.get("namespace", "")
        account = private.get("serviceaccount") or {}
        self._must_exist(SERVICE_ACCOUNT, namespace, account, now)
        if claims.get("sub") != f"{USER_PREFIX}{namespace}:{account.get('name')}":
            raise Unauthorized("service account token has been invalidated")
        extra: dict[str, tuple[str, ...]] = {
            "authentication.kubernetes.io/credential-id": (f"JTI={claims.get('jti', '')}",)
        }
        if secret := private.get("secret"):
            self._must_exist(SECRET, namespace, secret, now)
        pod, node = private.get("pod"), private.get("node")
        if pod:
            self._must_exist(POD, namespace, pod, now)
            extra |= _extra("pod", pod)
        if node:
            if not pod:
                self._must_exist(NODE, "", node, now)
            extra |= _extra("node", node)
        return account_user(namespace, account["name"], account.get("uid", ""), extra)

    def _must_exist(self, kind: Kind, namespace: str, reference: Tree, now: datetime) -> Tree:
        obj = self._storage.get(kind, ObjectKey(namespace, reference.get("name", "")))
        if obj is None or uid_of(obj) != reference.get("uid"):
            raise Unauthorized("service account token has been invalidated")
        deleted = obj["metadata"].get("deletionTimestamp")
        if deleted and parse_time(deleted) + _LEEWAY < now:
            raise Unauthorized("service account token has been invalidated")
        return obj

    def _authenticate_legacy(self, claims: Tree, token: str, audiences: Sequence[str]) -> Authenticated | None:
        namespace = claims.get(f"{LEGACY}/namespace", "")
        name = claims.get(f"{LEGACY}/service-account.name", "")
        uid = claims.get(f"{LEGACY}/service-account.uid", "")
        wanted = tuple(audiences) or self.audiences
        common = tuple(audience for audience in wanted if audience in self.audiences)
        if not common:
            raise Unauthorized(
                f"token audiences {_quoted(self.audiences)} is invalid for the target audiences {_quoted(wanted)}"
            )
        self._must_exist(SERVICE_ACCOUNT, namespace, {"name": name, "uid": uid}, self._clock.now())
        secret = self._storage.get(SECRET, ObjectKey(namespace, claims.get(f"{LEGACY}/secret.name", "")))
        stored = ((secret or {}).get("data") or {}).get("token", "")
        if base64.b64decode(stored) != token.encode():
            raise Unauthorized("service account token has been invalidated")
        return Authenticated(account_user(namespace, name, uid), common)

    def key_set(self) -> Tree:
        """The JWK set that verifies our tokens: the body of `/openid/v1/jwks`."""
        public = self._key.as_dict(private=False)
        wanted = {name: public[name] for name in ("kty", "crv", "x", "y")}
        return {"keys": [{"use": "sig", "kid": self._key_id, "alg": ALGORITHM, **wanted}]}

    def discovery(self) -> Tree:
        """The body of `/.well-known/openid-configuration`."""
        return {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer.rstrip('/')}/openid/v1/jwks",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
        }


def account_user(namespace: str, name: str, uid: str, extra: Mapping[str, tuple[str, ...]] | None = None) -> User:
    """The user that a service account is."""
    groups = (GROUP, f"{GROUP}:{namespace}")
    return User(f"{USER_PREFIX}{namespace}:{name}", uid, groups, extra or {})


def issuer_of(token: str) -> str:
    """The `iss` claim of a JWT, unverified; `""` when it is none."""
    if token.count(".") != 2:
        return ""
    payload = token.split(".")[1]
    try:
        claims = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError:
        return ""
    return str(claims.get("iss", "")) if isinstance(claims, dict) else ""


def _reference(obj: Tree) -> Tree:
    return {"name": obj["metadata"]["name"], "uid": obj["metadata"].get("uid", "")}


def _extra(word: str, reference: Tree) -> dict[str, tuple[str, ...]]:
    return {
        f"authentication.kubernetes.io/{word}-name": (reference.get("name", ""),),
        f"authentication.kubernetes.io/{word}-uid": (reference.get("uid", ""),),
    }


def _quoted(names: Sequence[str]) -> str:
    return "[" + " ".join(f'"{name}"' for name in names) + "]"
