"""Users of an identity provider come in with its tokens; a real one answers over TLS."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from flowdeck.clock import FakeClock, SystemClock
from flowdeck.embedded.apiserver.authentication import BearerTokens
from flowdeck.embedded.apiserver.oidc import RETRY_S, Oidc, Provider
from flowdeck.embedded.apiserver.pki import prepare, server_context
from flowdeck.kube.errors import Unauthorized


class IdentityProvider:
    """An issuer of tokens with one key; `rotate` makes a new one."""

    def __init__(self, folder: Path) -> None:
        self.pki = prepare(folder, node="n", now=SystemClock().now())
        self.asked: list[str] = []
        self.port = 0
        self.is_down = False
        self.says: Any = None
        """What it answers instead of the truth."""
        self.rotate()

    def rotate(self) -> None:
        from joserfc.jwk import ECKey

        self.key = ECKey.generate_key("P-256", auto_kid=True)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def token(self, clock: FakeClock, **changes: Any) -> str:
        from joserfc import jwt

        claims = {"iss": self.url, "aud": "flowdeck", "sub": "ann", "exp": int(clock.now().timestamp()) + 60, **changes}
        return jwt.encode({"alg": "ES256", "kid": self.key.kid}, claims, self.key, ["ES256"])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).decode().split()[1]
        self.asked.append(path)
        if path == "/keys":
            body = orjson.dumps({"keys": [self.key.as_dict(private=False)]})
        else:
            body = orjson.dumps({"issuer": self.url, "jwks_uri": f"{self.url}/keys"})
        if self.says is not None:
            body = orjson.dumps(self.says)
        status = b"503 Service Unavailable" if self.is_down else b"200 OK"
        writer.write(b"HTTP/1.1 %b\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % (status, len(body)) + body)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def a_provider(folder: Path) -> AsyncIterator[IdentityProvider]:
    provider = IdentityProvider(folder)
    listener = await asyncio.start_server(provider.serve, "localhost", 0, ssl=server_context(provider.pki))
    provider.port = listener.sockets[0].getsockname()[1]
    async with listener:
        yield provider


def trusting(provider: IdentityProvider, clock: FakeClock, **more: Any) -> Oidc:
    settings = {"signing_algorithms": ("ES256",), "ca_file": provider.pki.ca, **more}
    return Oidc(Provider(issuer_url=provider.url, client_id="flowdeck", **settings), clock)


@pytest.mark.parametrize(
    ("settings", "claims", "name", "groups"),
    [
        ({}, {}, "{issuer}#ann", ()),
        ({"username_prefix": "-"}, {}, "ann", ()),
        ({"username_prefix": "corp:"}, {}, "corp:ann", ()),
        ({"username_claim": "email"}, {"email": "ann@acme.com"}, "ann@acme.com", ()),
        (
            {"username_prefix": "-", "groups_claim": "groups", "groups_prefix": "corp:"},
            {"groups": ["dev", "ops"]},
            "ann",
            ("corp:dev", "corp:ops"),
        ),
        ({"username_prefix": "-", "groups_claim": "groups"}, {"groups": "dev"}, "ann", ("dev",)),
        ({"username_prefix": "-", "required_claims": {"hd": "acme.com"}}, {"hd": "acme.com"}, "ann", ()),
    ],
)
async def test_claims_name_the_user_and_the_groups(tmp_path: Path, settings, claims, name, groups) -> None:
    clock = FakeClock()
    async with a_provider(tmp_path) as provider:
        found = await trusting(provider, clock, **settings).authenticate_token(provider.token(clock, **claims), ())
    assert found is not None
    assert found.user.name == name.format(issuer=provider.url)
    assert found.user.groups == groups


@pytest.mark.parametrize("says", [[], "no", 7, {"issuer": []}, {"keys": 7}], ids=str)
async def test_a_provider_that_answers_rubbish_lets_nobody_in(tmp_path: Path, says: Any) -> None:
    clock = FakeClock()
    async with a_provider(tmp_path) as provider:
        provider.says = says
        with pytest.raises(Unauthorized, match="oidc: "):
            await trusting(provider, clock).authenticate_token(provider.token(clock), ())


async def test_keys_that_are_rubbish_let_nobody_in(tmp_path: Path) -> None:
    clock, an_odd_key = FakeClock(), {"kty": "EC", "crv": "P-1", "x": "a", "y": "b"}
    async with a_provider(tmp_path) as provider:
        for keys in ({}, {"keys": 7}, {"keys": [7]}, {"keys": [{"kty": []}]}, {"keys": [an_odd_key]}):
            provider.says = {"issuer": provider.url, "jwks_uri": f"{provider.url}/keys"} | keys
            with pytest.raises(Unauthorized, match="oidc: authenticator not initialized"):
                await trusting(provider, clock).authenticate_token(provider.token(clock), ())


@pytest.mark.parametrize(
    ("settings", "claims", "text"),
    [
        ({}, {"exp": 1}, "token is expired"),
        ({}, {"nbf": 10**11}, "before the nbf"),
        ({}, {"aud": "another"}, "expected audience 'flowdeck' got"),
        ({}, {"aud": 7}, "expected audience 'flowdeck' got"),
        ({"username_claim": "email"}, {}, "claim not present"),
        ({"username_claim": "email"}, {"email": "a@b", "email_verified": False}, "email not verified"),
        ({"groups_claim": "groups"}, {"groups": 7}, "neither a text nor a list of texts"),
        ({"required_claims": {"hd": "acme.com"}}, {"hd": "evil.com"}, "required claim hd value does not match"),
    ],
)
async def test_a_token_that_does_not_fit_is_refused(tmp_path: Path, settings, claims, text: str) -> None:
    clock = FakeClock()
    async with a_provider(tmp_path) as provider:
        with pytest.raises(Unauthorized, match=text):
            await trusting(provider, clock, **settings).authenticate_token(provider.token(clock, **claims), ())


async def test_a_forged_token_is_refused_and_does_not_flood_the_provider(tmp_path: Path) -> None:
    clock = FakeClock()
    async with a_provider(tmp_path) as provider:
        oidc = trusting(provider, clock)
        await oidc.authenticate_token(provider.token(clock), ())
        good = provider.key
        provider.rotate()
        forged = provider.token(clock)
        provider.key = good
        for _ in range(3):
            with pytest.raises(Unauthorized, match="failed to verify signature"):
                await oidc.authenticate_token(forged, ())
        assert provider.asked.count("/keys") == 1


async def test_a_new_key_of_the_provider_is_found(tmp_path: Path) -> None:
    clock = FakeClock()
    async with a_provider(tmp_path) as provider:
        oidc = trusting(provider, clock)
        await oidc.authenticate_token(provider.token(clock), ())
        provider.rotate()
        clock.advance(11)
        assert await oidc.authenticate_token(provider.token(clock), ())


async def test_tokens_of_others_are_left_alone(tmp_path: Path) -> None:
    clock = FakeClock()
    async with a_provider(tmp_path) as provider:
        oidc = trusting(provider, clock)
        assert await oidc.authenticate_token(provider.token(clock, iss="https://other"), ()) is None
        assert await oidc.authenticate_token("static", ()) is None
        assert provider.asked == []


async def test_a_provider_that_cannot_be_reached_lets_nobody_in(tmp_path: Path) -> None:
    clock = FakeClock()
    async with a_provider(tmp_path) as provider:
        token = provider.token(clock)
        oidc = trusting(provider, clock)
    with pytest.raises(Unauthorized, match="not initialized"):
        await BearerTokens([oidc]).authenticate({"authorization": f"Bearer {token}"}, None)


async def test_a_provider_that_is_down_is_not_asked_at_every_token(tmp_path: Path) -> None:
    clock = FakeClock()
    async with a_provider(tmp_path) as provider:
        oidc = trusting(provider, clock)
        provider.is_down = True
        for _ in range(3):
            with pytest.raises(Unauthorized, match="not initialized"):
                await oidc.authenticate_token(provider.token(clock), ())
        assert len(provider.asked) == 1
        provider.is_down = False
        clock.advance(RETRY_S + 1)
        assert await oidc.authenticate_token(provider.token(clock), ())
