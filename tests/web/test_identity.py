"""Who is asked about, and what the cluster says: real tokens and real roles, on a real API server."""

from pathlib import Path

import pytest

from flowdeck.embedded.apiserver import pki
from flowdeck.kube.errors import Forbidden, Unauthorized
from flowdeck.kube.kinds import SERVICE_ACCOUNT
from flowdeck.kube.objects import ObjectKey
from flowdeck.web.identity import Access, AccessReviews, FirstOf, HeaderIdentity, TokenIdentity, User
from tests.world.world import World

AUDIENCE = "pipelines.kubeflow.org"
EDIT_RUNS = Access("create", "pipelines.kubeflow.org", "v1beta1", "runs", "default")


@pytest.fixture(autouse=True)
def keys(world: World, tmp_path: Path) -> None:
    """What the world signs tokens with."""
    pki.prepare(tmp_path / "pki", node="node", now=world.clock.now(), names=())


async def token_of_anna(world: World, audience: str) -> str:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "anna", "namespace": "default"}}
    await world.client.create(SERVICE_ACCOUNT, account)
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": [audience]}}
    answer = await world.client.create_sub(SERVICE_ACCOUNT, ObjectKey("default", "anna"), "token", request)
    return str(answer["status"]["token"])


async def test_a_token_for_the_audience_names_its_account(world: World) -> None:
    identity = TokenIdentity(world.client, world.clock, AUDIENCE)
    token = await token_of_anna(world, AUDIENCE)
    user = await identity.of({"authorization": f"Bearer {token}"})
    assert user is not None
    assert user.name == "system:serviceaccount:default:anna"
    assert "system:authenticated" in user.groups
    assert await identity.of({"authorization": f"Bearer {token}"}) == user


async def test_a_token_for_another_audience_is_refused(world: World) -> None:
    token = await token_of_anna(world, "somebody-else")
    with pytest.raises(Unauthorized, match=AUDIENCE):
        await TokenIdentity(world.client, world.clock, AUDIENCE).of({"authorization": f"Bearer {token}"})


@pytest.mark.parametrize("headers", [{}, {"authorization": "Basic eA=="}, {"authorization": "Bearer "}])
async def test_without_a_bearer_token_it_says_nothing(world: World, headers: dict[str, str]) -> None:
    assert await TokenIdentity(world.client, world.clock, AUDIENCE).of(headers) is None


async def test_a_rubbish_token_is_refused(world: World) -> None:
    with pytest.raises(Unauthorized):
        await TokenIdentity(world.client, world.clock, AUDIENCE).of({"authorization": "Bearer rubbish"})


async def test_the_header_of_the_front_door_is_believed_with_its_prefix_only() -> None:
    identity = FirstOf([HeaderIdentity("kubeflow-userid", "accounts:")])
    assert await identity.of({"kubeflow-userid": "accounts:anna"}) == User("anna")
    assert await identity.of({}) is None
    for lie in ("anna", "accounts:"):
        with pytest.raises(Unauthorized):
            await identity.of({"kubeflow-userid": lie})


async def test_the_clusters_roles_decide(world: World) -> None:
    reviews = AccessReviews(world.client)
    await reviews.check(User("root", ("system:masters",)), EDIT_RUNS)
    with pytest.raises(Forbidden, match=r"User 'anna' is not authorized with reason: .* in namespace 'default'"):
        await reviews.check(User("anna"), EDIT_RUNS)
