"""Whose a token is, asked of the cluster; the answer is believed for a minute and belongs to one audience."""

from pathlib import Path

import pytest

from flowdeck.client.reviews import TRUST_S, TokenReviews
from flowdeck.embedded.apiserver import pki
from flowdeck.kube.kinds import SERVICE_ACCOUNT
from flowdeck.kube.objects import ObjectKey
from tests.world.world import World

ANNA = ObjectKey("default", "anna")
AUDIENCE = "pipelines.kubeflow.org"


@pytest.fixture
async def token(world: World, tmp_path: Path) -> str:
    pki.prepare(tmp_path / "pki", node="node", now=world.clock.now(), names=())
    meta = {"name": ANNA.name, "namespace": ANNA.namespace}
    await world.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": [AUDIENCE]}}
    answer = await world.client.create_sub(SERVICE_ACCOUNT, ANNA, "token", request)
    return str(answer["status"]["token"])


async def test_a_token_that_was_withdrawn_is_believed_for_a_minute(world: World, token: str) -> None:
    reviews = TokenReviews(world.client, world.clock)
    user = await reviews.user_of(token, audience=AUDIENCE)
    assert user is not None
    assert user.name == "system:serviceaccount:default:anna"
    await world.client.delete(SERVICE_ACCOUNT, ANNA)
    await world.advance(seconds=TRUST_S - 1)
    assert await reviews.user_of(token, audience=AUDIENCE) == user
    await world.advance(seconds=2)
    assert await reviews.user_of(token, audience=AUDIENCE) is None


async def test_an_answer_about_one_audience_says_nothing_about_another(world: World, token: str) -> None:
    reviews = TokenReviews(world.client, world.clock)
    assert await reviews.user_of(token, audience=AUDIENCE) is not None
    assert await reviews.user_of(token, audience="somebody-else") is None
    assert await reviews.user_of(token) is None, "the API server's own audience is another one, too"
    assert await reviews.user_of("rubbish", audience=AUDIENCE) is None
