"""Who a request comes from: certificates, bearer tokens, nobody; and acting as somebody else."""

import base64
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flowdeck.certificates import split_pem
from flowdeck.clock import FakeClock
from flowdeck.embedded.apiserver.authentication import BearerTokens, ClientCertificates, Union
from flowdeck.embedded.apiserver.contract import Attributes, Decision, User
from flowdeck.embedded.apiserver.impersonation import impersonate
from flowdeck.embedded.apiserver.pki import prepare
from flowdeck.embedded.apiserver.tokens import Authenticated
from flowdeck.kube.errors import BadRequest, Forbidden, Unauthorized

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ADMIN = User("admin", groups=("system:masters",))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def certificate(tmp_path: Path) -> bytes:
    pki = prepare(tmp_path, node="node-1", now=NOW)
    return ssl.PEM_cert_to_DER_cert(split_pem(pki.node.read_text())[0])


async def test_a_certificate_names_the_user_and_the_groups(certificate: bytes, clock: FakeClock) -> None:
    user = await ClientCertificates(clock).authenticate({}, certificate)
    assert user is not None
    assert user.name == "system:node:node-1"
    assert user.groups == ("system:nodes", "system:authenticated")


async def test_a_certificate_that_expired_on_an_open_connection_is_refused(certificate, clock) -> None:
    certificates = ClientCertificates(clock)
    await certificates.authenticate({}, certificate)
    clock.advance(timedelta(days=366).total_seconds())
    with pytest.raises(Unauthorized, match="expired"):
        await certificates.authenticate({}, certificate)


@pytest.mark.parametrize("cut", [1, 10, 100, 300])
async def test_a_broken_certificate_is_refused(certificate: bytes, clock: FakeClock, cut: int) -> None:
    with pytest.raises(Unauthorized, match="malformed"):
        await ClientCertificates(clock).authenticate({}, certificate[:cut])


class OneToken:
    """Knows the administrator's token."""

    async def authenticate_token(self, token: str, audiences: Sequence[str]) -> Authenticated | None:
        return Authenticated(ADMIN) if token == "s3cret" else None


def union(clock: FakeClock, *, allow_anonymous: bool = True) -> Union:
    tokens = BearerTokens([OneToken()])
    return Union([ClientCertificates(clock), tokens], allow_anonymous=allow_anonymous)


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({}, "system:anonymous"),
        ({"authorization": "Bearer s3cret"}, "admin"),
        ({"authorization": "bearer s3cret"}, "admin"),
        ({"authorization": "bearer  s3cret"}, "system:anonymous"),
        ({"authorization": "Basic abc"}, "system:anonymous"),
        (
            {
                "sec-websocket-protocol": "v4.channel.k8s.io, base64url.bearer.authorization.k8s.io."
                + base64.urlsafe_b64encode(b"s3cret").decode().rstrip("=")
            },
            "admin",
        ),
    ],
)
async def test_a_bearer_token_names_the_user(headers, name: str, clock: FakeClock) -> None:
    assert (await union(clock).authenticate(headers, None)).name == name


async def test_a_bad_token_is_not_taken_for_nobody(clock: FakeClock) -> None:
    with pytest.raises(Unauthorized, match=r"^Unauthorized$"):
        await union(clock).authenticate({"authorization": "Bearer wrong"}, None)


async def test_nobody_is_refused_where_anonymous_is_off(clock: FakeClock) -> None:
    with pytest.raises(Unauthorized):
        await union(clock, allow_anonymous=False).authenticate({}, None)


class Allows:
    """Allows impersonating just these."""

    def __init__(self, *allowed: tuple[str, str]) -> None:
        self.allowed = allowed

    def authorize(self, attributes: Attributes) -> Decision:
        return Decision((attributes.resource, attributes.name) in self.allowed)


def test_without_headers_everybody_stays_who_they_are() -> None:
    assert impersonate(ADMIN, [(b"accept", b"*/*")], Allows()) is ADMIN


def test_a_user_is_impersonated_with_groups_uid_and_extra() -> None:
    authorizer = Allows(("users", "bob"), ("groups", "dev"), ("groups", "ops"), ("uids", "7"), ("userextras", "x"))
    headers = [
        (b"impersonate-user", b"bob"),
        (b"impersonate-group", b"dev"),
        (b"impersonate-group", b"ops"),
        (b"impersonate-uid", b"7"),
        (b"impersonate-extra-acme.com%2fscope", b"x"),
    ]
    bob = impersonate(ADMIN, headers, authorizer)
    assert bob == User("bob", "7", ("dev", "ops", "system:authenticated"), {"acme.com/scope": ("x",)})


def test_a_service_account_brings_its_groups() -> None:
    name = b"system:serviceaccount:team:builder"
    user = impersonate(ADMIN, [(b"impersonate-user", name)], Allows(("serviceaccounts", "builder")))
    assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:team", "system:authenticated")


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        (
            [(b"impersonate-user", b"root")],
            'users "root" is forbidden: User "admin" cannot impersonate resource "users" in API group "" at the '
            "cluster scope",
        ),
        (
            [(b"impersonate-user", b"bob"), (b"impersonate-group", b"system:masters")],
            'groups "system:masters" is forbidden: User "admin" cannot impersonate resource "groups" in API group "" '
            "at the cluster scope",
        ),
        (
            [(b"impersonate-user", b"bob"), (b"impersonate-extra-scope", b"x")],
            'userextras.authentication.k8s.io "x" is forbidden: User "admin" cannot impersonate resource '
            '"userextras/scope" in API group "authentication.k8s.io" at the cluster scope',
        ),
        (
            [(b"impersonate-user", b"system:serviceaccount:team:builder")],
            'serviceaccounts "builder" is forbidden: User "admin" cannot impersonate resource "serviceaccounts" in '
            'API group "" in the namespace "team"',
        ),
    ],
)
def test_each_part_of_the_other_needs_a_permission(headers, text: str) -> None:
    with pytest.raises(Forbidden) as refused:
        impersonate(ADMIN, headers, Allows(("users", "bob")))
    assert str(refused.value) == text


def test_a_group_alone_is_no_user() -> None:
    with pytest.raises(BadRequest):
        impersonate(ADMIN, [(b"impersonate-group", b"dev")], Allows(("groups", "dev")))
