"""Nobody may do anything at the pipelines server unless the cluster knows him and a role lets him."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from flowdeck.clock import FakeClock
from flowdeck.embedded.apiserver import pki
from flowdeck.kube.kinds import NAMESPACE, SERVICE_ACCOUNT
from flowdeck.kube.objects import ObjectKey
from flowdeck.web.identity import User
from flowdeck.web.routing import Open
from flowdeck.web.vouchers import HEADER, Vouchers
from tests.components.pipelines.api.served import ADMIN, DOCUMENT, Served, serving
from tests.world.world import World

ANNA, BERT = User("anna", ("system:authenticated",)), User("bert", ("system:authenticated",))
RUN = {"display_name": "x", "pipeline_spec": DOCUMENT}


async def asks(served: Served, method: str, path: str, user: User | None, body: Any = None, **headers: str) -> int:
    async with served.client(user, **headers) as client:
        return (await client.request(method, path, json=body)).status_code


async def test_a_stranger_may_ask_for_health_and_for_nothing_else(served: Served) -> None:
    routes = served.routes
    is_open = {route.path for route in routes if isinstance(route.rule, Open)}
    assert is_open == {"/apis/v2beta1/healthz", "/apis/v1beta1/healthz"}
    transport = httpx.ASGITransport(served.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://pipelines") as client:
        for route in routes:
            answer = await client.request(route.method, route.path, content=b"no json")
            assert answer.status_code == (200 if route.path in is_open else 401), route
            if route.path not in is_open:
                told = answer.json()
                assert told.get("code") == 16 or "no user is named" in told["error_message"]


@pytest.mark.parametrize("value", ["forged", Vouchers().write(ADMIN, FakeClock().now())])
async def test_who_vouches_for_himself_is_nobody(served: Served, value: str) -> None:
    assert await asks(served, "GET", "/runs", None, **{HEADER: value}) == 401


async def test_a_voucher_ends(served: Served) -> None:
    async with served.client() as client:
        assert (await client.get("/runs")).status_code == 200
        served.world.clock.advance(61)
        assert (await client.get("/runs")).status_code == 401


async def test_a_user_needs_a_role(served: Served) -> None:
    async with served.client(ANNA) as client:
        answer = await client.post("/runs", json=RUN)
    assert (answer.status_code, answer.json()["code"]) == (403, 7)
    assert answer.json()["message"].startswith("User 'anna' is not authorized with reason: ")
    await served.let("anna", "kubeflow", "runs", "create", "list")
    assert await asks(served, "POST", "/runs", ANNA, RUN) == 200
    assert await asks(served, "GET", "/runs", ANNA) == 200
    assert await asks(served, "GET", "/experiments", ANNA) == 403


async def token(served: Served, account: str, *audiences: str) -> str:
    body = {"spec": {"audiences": list(audiences)}} if audiences else {"spec": {}}
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", **body}
    key = ObjectKey("kubeflow", account)
    made = await served.world.client.create_sub(SERVICE_ACCOUNT, key, "token", request)
    return str(made["status"]["token"])


async def test_pods_of_runs_may_use_the_server_with_their_token(served: Served, tmp_path: Path) -> None:
    pki.prepare(tmp_path / "pki", node="n1", now=served.world.clock.now())
    good = f"Bearer {await token(served, 'pipeline-runner', 'pipelines.kubeflow.org')}"
    assert await asks(served, "POST", "/runs", None, RUN, authorization=good) == 200
    for bad in (f"Bearer {await token(served, 'pipeline-runner')}", "Bearer nonsense", "Bearer ", "Basic x"):
        assert await asks(served, "GET", "/runs", None, authorization=bad) == 401


# ---- many users -------------------------------------------------------------------------------------------------


@pytest.fixture(params=[False, True], ids=["vouched", "trusting"])
async def many(world: World, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    async with serving(world, tmp_path, multi_user=True, trusts_user_header=request.param) as served:
        for name in ("anna", "bert"):
            meta = {"name": name}
            await world.client.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
            for resource in ("experiments", "runs", "pipelines"):
                await served.let(name, name, resource, "create", "list", "get", "delete", "terminate")
        yield served


def trusts(many: Served) -> bool:
    return bool(many.ctx.settings.trusts_user_header)


async def test_a_front_door_speaks_for_users_and_strangers_do_not(many: Served) -> None:
    as_anna = {"kubeflow-userid": "anna"}
    url = "/runs?namespace=anna"
    assert await asks(many, "GET", url, ADMIN, **as_anna) == 200  # who may impersonate her
    assert await asks(many, "GET", url, ANNA) == 200
    assert await asks(many, "GET", url, BERT, **as_anna) == 403
    assert await asks(many, "GET", url, None, **as_anna) == (200 if trusts(many) else 401)
    assert await asks(many, "GET", url, None) == 401


async def test_users_see_their_own_namespaces(many: Served) -> None:
    async with many.client(ANNA) as anna, many.client(BERT) as bert:
        body = {"display_name": "hers", "namespace": "anna"}
        experiment = (await anna.post("/experiments", json=body)).json()
        assert experiment["namespace"] == "anna"
        run = (await anna.post("/runs", json={**RUN, "experiment_id": experiment["experiment_id"]})).json()
        assert run["service_account"] == "default-editor"
        path = f"/runs/{run['run_id']}"
        assert (await anna.get(path)).status_code == 200
        listed = (await anna.get(f"/runs?experiment_id={experiment['experiment_id']}")).json()
        assert listed["total_size"] == 1
        for method, url, sent in (
            ("GET", path, None),
            ("POST", f"{path}:terminate", None),
            ("DELETE", path, None),
            ("GET", "/runs?namespace=anna", None),
            ("GET", f"/runs?experiment_id={experiment['experiment_id']}", None),
            ("POST", "/runs", {**RUN, "experiment_id": experiment["experiment_id"]}),
        ):
            assert (await bert.request(method, url, json=sent)).status_code == 403, (method, url)


async def test_what_belongs_to_nobody_is_asked_for_in_words(many: Served) -> None:
    async with many.client(ANNA) as anna:
        for method, url, body in (
            ("GET", "/runs", None),
            ("GET", "/experiments", None),
            ("POST", "/runs", RUN),
            ("POST", "/experiments", {"display_name": "x"}),
        ):
            answer = await anna.request(method, url, json=body)
            assert (answer.status_code, answer.json()["code"]) == (400, 3), (method, url)


async def test_a_pipeline_of_others_cannot_be_run(many: Served) -> None:
    async with many.client(ANNA) as anna, many.client(BERT) as bert:
        body = {"pipeline": {"name": "his", "namespace": "bert"}, "pipeline_version": {"pipeline_spec": DOCUMENT}}
        pipeline = (await bert.post("/pipelines/create", json=body)).json()
        experiment = (await anna.post("/experiments", json={"display_name": "x", "namespace": "anna"})).json()
        answer = await anna.post(
            "/runs",
            json={
                "display_name": "x",
                "experiment_id": experiment["experiment_id"],
                "pipeline_version_reference": {"pipeline_id": pipeline["pipeline_id"]},
            },
        )
        assert answer.status_code == 403, json.dumps(answer.json())
