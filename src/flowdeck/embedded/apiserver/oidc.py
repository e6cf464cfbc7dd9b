"""Users of an OpenID Connect provider: ID tokens as bearer tokens.

The provider is asked for its keys when the first of its tokens comes, and again when a token is signed by a key that is
not known. Source: k8s.io/apiserver (plugin/pkg/authenticator/token/oidc/oidc.go).
"""

import asyncio
import ssl
from collections.abc import Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from flowdeck.clock import Clock
from flowdeck.embedded.apiserver.contract import User
from flowdeck.embedded.apiserver.settings import Provider
from flowdeck.embedded.apiserver.tokens import Authenticated, issuer_of
from flowdeck.kube.errors import Unauthorized

if TYPE_CHECKING:
    import httpx
    from joserfc.jwk import KeySet

KEYS_HOLD_S = 600.0
"""Keys older than this are fetched again."""
RETRY_S = 10.0
"""The provider is asked at most this often, so that forged tokens cannot make us flood it."""
_TIMEOUT_S = 10.0


class _Configuration(msgspec.Struct):
    """What we want of `/.well-known/openid-configuration`."""

    issuer: str
    jwks_uri: str


class _Keys(msgspec.Struct):
    """A JSON Web Key Set."""

    keys: list[dict[str, Any]]


class Oidc:
    """A `TokenAuthenticator` for one provider."""

    def __init__(self, provider: Provider, clock: Clock) -> None:
        self._provider = provider
        self._clock = clock
        self._keys: KeySet | None = None
        self._asked_at = float("-inf")
        self._fetching = asyncio.Lock()

    async def authenticate_token(self, token: str, audiences: Sequence[str]) -> Authenticated | None:
        """None for tokens of other issuers, and where the asker wants an audience that is not the API server's."""
        if audiences or issuer_of(token) != self._provider.issuer_url:
            return None
        claims = await self._claims(token)
        self._check(claims)
        return Authenticated(self._user(claims))

    async def _claims(self, token: str) -> Mapping[str, Any]:
        from joserfc import jwt
        from joserfc.errors import JoseError

        keys = await self._key_set(max_age_s=KEYS_HOLD_S)
        algorithms = list(self._provider.signing_algorithms)
        try:
            return jwt.decode(token, keys, algorithms).claims
        except (JoseError, ValueError):
            newer = await self._key_set(max_age_s=RETRY_S)
        try:
            return jwt.decode(token, newer, algorithms).claims
        except (JoseError, ValueError) as error:
            raise Unauthorized(f"oidc: verify token: failed to verify signature: {error}") from error

    async def _key_set(self, *, max_age_s: float) -> "KeySet":
        async with self._fetching:
            if self._clock.monotonic() - self._asked_at > (max_age_s if self._keys else RETRY_S):
                self._asked_at = self._clock.monotonic()
                self._keys = await self._fetch_keys()
            if self._keys is None:
                raise Unauthorized("oidc: authenticator not initialized")
            return self._keys

    async def _fetch_keys(self) -> "KeySet":
        import httpx

        from flowdeck.embedded.apiserver.answers import answer_of

        issuer = self._provider.issuer_url
        context = ssl.create_default_context(cafile=self._provider.ca_file)
        try:
            async with httpx.AsyncClient(verify=context, timeout=_TIMEOUT_S, trust_env=False) as client:
                url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
                document = msgspec.json.decode(await _good(answer_of(client, "GET", url)), type=_Configuration)
                if document.issuer != issuer:
                    raise Unauthorized(
                        f"oidc: issuer did not match the issuer returned by provider, expected {issuer!r} got "
                        f"{document.issuer!r}"
                    )
                return _keys_in(await _good(answer_of(client, "GET", document.jwks_uri)))
        except (httpx.HTTPError, httpx.InvalidURL, msgspec.DecodeError, OSError, ValueError) as error:
            raise Unauthorized(f"oidc: authenticator not initialized: {error}") from error

    def _check(self, claims: Mapping[str, Any]) -> None:
        now = self._clock.now().timestamp()
        told = claims.get("aud")
        audiences = [told] if isinstance(told, str) else told if isinstance(told, list) else []
        if self._provider.client_id not in audiences:
            raise Unauthorized(
                f"oidc: verify token: oidc: expected audience {self._provider.client_id!r} got {audiences!r}"
            )
        if now >= _number(claims, "exp"):
            raise Unauthorized("oidc: verify token: oidc: token is expired")
        if now < _number(claims, "nbf"):
            raise Unauthorized("oidc: verify token: oidc: current time is before the nbf (not before) time")
        for name, value in self._provider.required_claims.items():
            if claims.get(name) != value:
                raise Unauthorized(f"oidc: required claim {name} value does not match")

    def _user(self, claims: Mapping[str, Any]) -> User:
        provider = self._provider
        name = claims.get(provider.username_claim)
        if not isinstance(name, str) or not name:
            raise Unauthorized(f"oidc: parse username claims {provider.username_claim!r}: claim not present")
        if provider.username_claim == "email" and claims.get("email_verified", True) is not True:
            raise Unauthorized("oidc: email not verified")
        return User(f"{self._prefix()}{name}", groups=self._groups(claims))

    def _groups(self, claims: Mapping[str, Any]) -> tuple[str, ...]:
        provider = self._provider
        found = claims.get(provider.groups_claim) if provider.groups_claim else None
        groups = [found] if isinstance(found, str) else found or []
        if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
            raise Unauthorized(
                f"oidc: parse groups claim {provider.groups_claim!r}: neither a text nor a list of texts"
            )
        return tuple(f"{provider.groups_prefix}{group}" for group in groups)

    def _prefix(self) -> str:
        prefix = self._provider.username_prefix
        if prefix is None:
            return "" if self._provider.username_claim == "email" else f"{self._provider.issuer_url}#"
        return "" if prefix == "-" else prefix


async def _good(asked: Awaitable[tuple["httpx.Response", bytes]]) -> bytes:
    answer, body = await asked
    answer.raise_for_status()
    return body


def _keys_in(document: bytes) -> "KeySet":
    """A JSON Web Key Set. Raises `ValueError`."""
    from joserfc.errors import JoseError
    from joserfc.jwk import KeySet

    try:
        return KeySet.import_key_set({"keys": msgspec.json.decode(document, type=_Keys).keys})
    except (msgspec.DecodeError, JoseError, KeyError, TypeError) as error:  # so the library tells of odd keys
        raise ValueError(f"the keys cannot be used: {error!r}") from error


def _number(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name, 0)
    return float(value) if isinstance(value, int | float) else 0.0
