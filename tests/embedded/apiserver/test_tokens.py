"""A pod's token says who it is for as long as the pod, its account and its time last."""

import base64
from pathlib import Path

import pytest

from flowdeck.clock import FakeClock
from flowdeck.embedded.apiserver.pki import prepare
from flowdeck.embedded.apiserver.tokens import EXTENDED_S, WARN_ONLY_S, ServiceAccountTokens, TokenOrder
from flowdeck.kube.errors import Unauthorized
from flowdeck.kube.kinds import NODE, POD, SECRET, SERVICE_ACCOUNT
from flowdeck.kube.objects import ObjectKey, Tree
from tests.embedded.apiserver.in_memory import InMemoryStorage

ISSUER = "https://kubernetes.default.svc.cluster.local"


class World:
    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.storage = InMemoryStorage()
        self.account = self.storage.put(SERVICE_ACCOUNT, named("builder", "team"))
        self.pod = self.storage.put(POD, named("pod-1", "team"))
        self.node = self.storage.put(NODE, named("node-1"))
        pki = prepare(folder, node="node-1", now=self.clock.now())
        self.tokens = ServiceAccountTokens(pki.service_account, storage=self.storage, clock=self.clock, issuer=ISSUER)

    def order(self, **changes: object) -> TokenOrder:
        return TokenOrder(account=self.account, **changes)


def named(name: str, namespace: str = "") -> Tree:
    return {"metadata": {"name": name, **({"namespace": namespace} if namespace else {})}}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "pki")


async def test_a_token_stands_for_its_account_pod_and_node(world: World) -> None:
    token = world.tokens.issue(world.order(pod=world.pod, node=world.node))
    found = await world.tokens.authenticate_token(token, ())
    assert found is not None
    assert found.user.name == "system:serviceaccount:team:builder"
    assert found.user.uid == "uid-of-builder"
    assert found.user.groups == ("system:serviceaccounts", "system:serviceaccounts:team")
    assert found.user.extra["authentication.kubernetes.io/pod-name"] == ("pod-1",)
    assert found.user.extra["authentication.kubernetes.io/node-uid"] == ("uid-of-node-1",)
    assert found.user.extra["authentication.kubernetes.io/credential-id"][0].startswith("JTI=")
    assert found.audiences == (ISSUER,)


async def test_a_token_dies_with_its_time(world: World) -> None:
    token = world.tokens.issue(world.order(lifetime_s=600))
    world.clock.advance(599)
    assert await world.tokens.authenticate_token(token, ())
    world.clock.advance(1)
    with pytest.raises(Unauthorized, match="service account token has expired"):
        await world.tokens.authenticate_token(token, ())


async def test_a_pods_default_token_is_extended_and_says_when_to_warn(world: World) -> None:
    from joserfc.jws import extract_compact

    token = world.tokens.issue(world.order(lifetime_s=WARN_ONLY_S, pod=world.pod))
    import orjson

    claims = orjson.loads(extract_compact(token.encode()).payload)
    assert claims["exp"] - claims["iat"] == EXTENDED_S
    assert claims["kubernetes.io"]["warnafter"] - claims["iat"] == WARN_ONLY_S


@pytest.mark.parametrize(
    ("kind", "key"),
    [(POD, ObjectKey("team", "pod-1")), (SERVICE_ACCOUNT, ObjectKey("team", "builder"))],
)
async def test_a_token_dies_with_what_it_is_bound_to(world: World, kind, key) -> None:
    token = world.tokens.issue(world.order(pod=world.pod))
    assert await world.tokens.authenticate_token(token, ())
    world.storage.remove(kind, key)
    with pytest.raises(Unauthorized, match="has been invalidated"):
        await world.tokens.authenticate_token(token, ())


async def test_a_new_pod_of_the_same_name_does_not_revive_a_token(world: World) -> None:
    token = world.tokens.issue(world.order(pod=world.pod))
    world.storage.put(POD, {"metadata": {"name": "pod-1", "namespace": "team", "uid": "another"}})
    with pytest.raises(Unauthorized, match="has been invalidated"):
        await world.tokens.authenticate_token(token, ())


async def test_a_token_is_only_good_for_its_audience(world: World) -> None:
    token = world.tokens.issue(world.order(audiences=("vault",)))
    found = await world.tokens.authenticate_token(token, ["vault", "other"])
    assert found is not None
    assert found.audiences == ("vault",)
    with pytest.raises(Unauthorized, match=r'token audiences \["vault"\] is invalid for the target audiences'):
        await world.tokens.authenticate_token(token, ())


async def test_a_forged_token_is_refused(world: World, tmp_path: Path) -> None:
    forger = World(tmp_path / "forger")
    token = forger.tokens.issue(forger.order())
    with pytest.raises(Unauthorized, match="invalid signature"):
        await world.tokens.authenticate_token(token, ())


@pytest.mark.parametrize("token", ["", "abc", "a.b.c", "e30.e30.e30", "..", "e30.bnVsbA.x"])
async def test_what_is_no_token_of_ours_is_left_to_others(world: World, token: str) -> None:
    assert await world.tokens.authenticate_token(token, ()) is None


async def test_a_secrets_token_lives_as_long_as_the_secret(world: World) -> None:
    secret = world.storage.put(SECRET, named("builder-token", "team"))
    token = world.tokens.issue_for_secret(world.account, secret)
    secret["data"] = {"token": base64.b64encode(token.encode()).decode()}
    assert await world.tokens.authenticate_token(token, ())
    world.storage.remove(SECRET, ObjectKey("team", "builder-token"))
    with pytest.raises(Unauthorized, match="has been invalidated"):
        await world.tokens.authenticate_token(token, ())


async def test_strangers_verify_tokens_with_the_published_keys(world: World) -> None:
    from joserfc import jwt
    from joserfc.jwk import KeySet

    token = world.tokens.issue(world.order(audiences=("vault",)))
    assert jwt.decode(token, KeySet.import_key_set(world.tokens.key_set()), ["ES256"]).claims["aud"] == ["vault"]
    assert world.tokens.discovery()["jwks_uri"] == f"{ISSUER}/openid/v1/jwks"
    assert "d" not in world.tokens.key_set()["keys"][0]
