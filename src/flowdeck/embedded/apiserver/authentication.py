"""Who sent a request: client certificates, bearer tokens, and nobody in particular.

    Union                 asks each in turn; what the pipeline uses
      ClientCertificates  CN and O of the certificate that TLS verified
      BearerTokens        the `Authorization` header, by TokenAuthenticators: ServiceAccountTokens, Oidc
      Anonymous           everybody else

Source: kubernetes (pkg/kubeapiserver/authenticator/config.go), k8s.io/apiserver (pkg/authentication).
"""

import base64
import binascii
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from flowdeck.clock import Clock
from flowdeck.embedded.apiserver.contract import ANONYMOUS, Authenticator, User
from flowdeck.embedded.apiserver.tokens import Authenticated, TokenAuthenticator
from flowdeck.kube.errors import Unauthorized

AUTHENTICATED = "system:authenticated"
WEBSOCKET_PREFIX = "base64url.bearer.authorization.k8s.io."
"""Browsers cannot set headers on a WebSocket: they may send the token as a sub-protocol with this prefix."""


@dataclass(frozen=True)
class Union:
    """The first authenticator that knows the sender; `Unauthorized` when one refused and none knew him."""

    authenticators: Sequence[Authenticator]
    allow_anonymous: bool = True

    async def authenticate(self, headers: Mapping[str, str], peer_certificate: bytes | None) -> User:
        refusal: Unauthorized | None = None
        for authenticator in self.authenticators:
            try:
                user = await authenticator.authenticate(headers, peer_certificate)
            except Unauthorized as error:
                refusal = error
                continue
            if user is not None:
                return user
        if refusal is not None or not self.allow_anonymous:
            raise Unauthorized("Unauthorized") from refusal
        return ANONYMOUS


@dataclass(frozen=True)
class ClientCertificates:
    """Reads the user out of a client certificate: the name is CN, the groups are each O."""

    clock: Clock
    _known: dict[bytes, tuple[User, datetime]] = field(default_factory=dict)

    async def authenticate(self, headers: Mapping[str, str], peer_certificate: bytes | None) -> User | None:
        if not peer_certificate:
            return None
        known = self._known.get(peer_certificate)
        if known is None:
            known = self._remember(peer_certificate)
        user, not_after = known
        if self.clock.now() > not_after:
            raise Unauthorized("x509: certificate has expired or is not yet valid")
        return user if user.name else None

    def _remember(self, der: bytes) -> tuple[User, datetime]:
        if len(self._known) >= 1024:
            self._known.clear()
        self._known[der] = known = _read_certificate(der)
        return known


@dataclass(frozen=True)
class BearerTokens:
    """Reads the user out of `Authorization: Bearer ...`."""

    authenticators: Sequence[TokenAuthenticator]

    async def authenticate(self, headers: Mapping[str, str], peer_certificate: bytes | None) -> User | None:
        token = _bearer(headers)
        if not token:
            return None
        found = await self.authenticate_token(token, ())
        if found is None:
            raise Unauthorized("invalid bearer token")
        return _with_group(found.user)

    async def authenticate_token(self, token: str, audiences: Sequence[str]) -> Authenticated | None:
        """Asks each token authenticator; raises the last refusal when nobody knew the token."""
        refusal: Unauthorized | None = None
        for authenticator in self.authenticators:
            try:
                found = await authenticator.authenticate_token(token, audiences)
            except Unauthorized as error:
                refusal = error
                continue
            if found is not None:
                return found
        if refusal is not None:
            raise refusal
        return None


def _with_group(user: User) -> User:
    if AUTHENTICATED in user.groups or user.name == ANONYMOUS.name:
        return user
    return replace(user, groups=(*user.groups, AUTHENTICATED))


def _bearer(headers: Mapping[str, str]) -> str:
    scheme, *rest = headers.get("authorization", "").split(" ")
    if scheme.lower() == "bearer":
        return rest[0] if rest else ""
    for protocol in headers.get("sec-websocket-protocol", "").split(","):
        encoded = protocol.strip().removeprefix(WEBSOCKET_PREFIX)
        if encoded != protocol.strip():
            return _decoded(encoded)
    return ""


def _decoded(encoded: str) -> str:
    try:
        return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Unauthorized("invalid base64.bearer.authorization encoding") from error


# A certificate is read by hand: TLS has verified it, only two fields are wanted, and the library that could do it
# takes a tenth of a second to import, which would be a tenth of a start.

_COMMON_NAME = bytes.fromhex("550403")
_ORGANIZATION = bytes.fromhex("55040a")
_USER_ID = bytes.fromhex("2b0601040183c25302")
"""1.3.6.1.4.1.57683.2: the user's uid, since Kubernetes 1.33."""


def _read_certificate(der: bytes) -> tuple[User, datetime]:
    """The user and the end of validity. RFC 5280, 4.1: tbsCertificate = version, serial, signature, issuer,
    validity, subject, ..."""
    try:
        parts = list(_children(next(_children(next(_children(der))[1]))[1]))
        offset = 1 if parts[0][0] == 0xA0 else 0
        _, not_after = _children(parts[3 + offset][1])
        subject = list(_subject(parts[4 + offset][1]))
        expires = _time(*not_after)
    except (IndexError, StopIteration, ValueError) as error:
        raise Unauthorized("x509: malformed certificate") from error
    names = [text for oid, text in subject if oid == _COMMON_NAME]
    user = User(
        names[-1] if names else "",
        next((text for oid, text in subject if oid == _USER_ID), ""),
        (*(text for oid, text in subject if oid == _ORGANIZATION), AUTHENTICATED),
        {"authentication.kubernetes.io/credential-id": (f"X509SHA256={hashlib.sha256(der).hexdigest()}",)},
    )
    return user, expires


def _children(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The DER elements in `data`: tag and contents."""
    at = 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(data[at : at + size]), at + size
        if at + length > len(data):
            raise ValueError("an element is longer than what holds it")
        yield tag, data[at : at + length]
        at += length


def _subject(name: bytes) -> Iterator[tuple[bytes, str]]:
    for _, part in _children(name):
        for _, pair in _children(part):
            (_, oid), (tag, value) = _children(pair)
            yield oid, value.decode("utf-16-be" if tag == 0x1E else "utf-8")


def _time(tag: int, value: bytes) -> datetime:
    """UTCTime (two digits of year, 1950 to 2049) or GeneralizedTime."""
    text = value.decode("ascii")
    if tag == 0x17:
        text = ("19" if text[:2] >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
