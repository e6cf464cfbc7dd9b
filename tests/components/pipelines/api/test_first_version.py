"""Health, metrics, and what is left of the first version of the API."""

from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest

from flowdeck.web.identity import User
from tests.components.pipelines.api.served import DOCUMENT, Served

FILE = {"uploadfile": ("hello.yaml", msgspec.json.encode(DOCUMENT))}
V1 = "http://pipelines/apis/v1beta1"


@pytest.fixture
async def api(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with served.client() as client:
        yield client


async def test_uploads_of_the_first_version(api: httpx.AsyncClient) -> None:
    made = (await api.post(f"{V1}/pipelines/upload?name=hello", files=FILE)).json()
    assert {"id", "name", "created_at"} == set(made)
    assert (await api.get(f"/pipelines/{made['id']}")).json()["name"] == "hello"
    again = await api.post(f"{V1}/pipelines/upload_version?name=v2&pipelineid={made['id']}", files=FILE)
    version = again.json()
    assert version["name"] == "v2"
    assert version["resource_references"] == [{"key": {"type": "PIPELINE", "id": made["id"]}, "relationship": "OWNER"}]


async def test_who_may_view_is_asked_in_the_old_words(served: Served, api: httpx.AsyncClient) -> None:
    path = f"{V1}/auth?namespace=kubeflow&resources=VIEWERS&verb=GET"
    assert (await api.get(path)).json() == {}
    async with served.client(User("anna")) as anna:
        assert (await anna.get(path)).status_code == 403
    assert (await api.get(f"{V1}/auth?namespace=kubeflow&resources=DOORS&verb=GET")).status_code == 400


async def test_there_is_nobody_to_draw(api: httpx.AsyncClient) -> None:
    answer = await api.post(f"{V1}/visualizations/kubeflow", json={})
    assert (answer.status_code, answer.json()["code"]) == (503, 14)


@pytest.mark.parametrize("path", ["runs", "jobs", "experiments", "pipelines", "reports/workflow"])
async def test_the_rest_is_gone(api: httpx.AsyncClient, path: str) -> None:
    answer = await api.get(f"{V1}/{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, 5)


@pytest.mark.parametrize("path", ["auth", "visualizations", "filters", "workflows", "scheduledworkflows"])
async def test_what_upstream_does_not_route_is_not_there(api: httpx.AsyncClient, path: str) -> None:
    assert (await api.post(f"/{path}", json={})).status_code == 404


@pytest.mark.parametrize("version", ["v1beta1", "v2beta1"])
async def test_health_says_what_it_is(api: httpx.AsyncClient, version: str) -> None:
    told = (await api.get(f"http://pipelines/apis/{version}/healthz")).json()
    assert (told["multi_user"], told["pipeline_store"]) == (False, "database")


async def test_metrics_are_prometheus_text(api: httpx.AsyncClient) -> None:
    answer = await api.get("http://pipelines/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "# HELP" in answer.text
