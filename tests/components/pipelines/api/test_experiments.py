"""Experiments on the REST wire."""

import json
from typing import Any

import httpx
import pytest

from flowdeck.sql.database import Database
from tests.components.pipelines.api.conftest import http
from tests.world.world import World

ANNA = {"kubeflow-userid": "anna"}


async def create(api: httpx.AsyncClient, name: str, **more: Any) -> dict[str, Any]:
    answer = await api.post("/experiments", json={"display_name": name, **more})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_a_new_experiment_is_available_and_has_no_run(api: httpx.AsyncClient) -> None:
    made = await create(api, "first", description="tries")
    assert {key: made[key] for key in ("display_name", "description", "storage_state", "last_run_created_at")} == {
        "display_name": "first",
        "description": "tries",
        "storage_state": "AVAILABLE",
        "last_run_created_at": "1970-01-01T00:00:00Z",
    }
    assert "namespace" not in made
    assert (await api.get(f"/experiments/{made['experiment_id']}")).json() == made


async def test_names_are_unique(api: httpx.AsyncClient) -> None:
    await create(api, "first")
    again = await api.post("/experiments", json={"display_name": "first"})
    assert (again.status_code, again.json()["code"]) == (409, 6)
    assert "already exist" in again.json()["message"]


@pytest.mark.parametrize(
    "body", [{}, {"display_name": ""}, {"display_name": "x" * 129}, {"display_name": "x", "colour": "red"}]
)
async def test_what_is_refused(api: httpx.AsyncClient, body: dict[str, Any]) -> None:
    answer = await api.post("/experiments", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, 3)


async def test_the_sdk_finds_an_experiment_by_its_name(api: httpx.AsyncClient) -> None:
    made = await create(api, "mine")
    await create(api, "other")
    wanted = {"predicates": [{"operation": 1, "key": "display_name", "stringValue": "mine"}]}
    found = (await api.get("/experiments", params={"filter": json.dumps(wanted), "namespace": ""})).json()
    assert found == {"experiments": [made], "total_size": 1}
    wanted["predicates"][0]["stringValue"] = "nothing"
    assert (await api.get("/experiments", params={"filter": json.dumps(wanted)})).json() == {}


async def test_archive_and_back(api: httpx.AsyncClient) -> None:
    path = f"/experiments/{(await create(api, 'first'))['experiment_id']}"
    assert (await api.post(f"{path}:archive")).json() == {}
    assert (await api.get(path)).json()["storage_state"] == "ARCHIVED"
    archived = {"predicates": [{"operation": "EQUALS", "key": "storage_state", "string_value": "ARCHIVED"}]}
    assert (await api.get("/experiments", params={"filter": json.dumps(archived)})).json()["total_size"] == 1
    assert (await api.post(f"{path}:unarchive")).json() == {}
    assert (await api.get(path)).json()["storage_state"] == "AVAILABLE"


async def test_deleting_takes_all_but_the_default_one(api: httpx.AsyncClient) -> None:
    path = f"/experiments/{(await create(api, 'first'))['experiment_id']}"
    assert (await api.delete(path)).json() == {}
    for method, url in (("GET", path), ("DELETE", path), ("POST", f"{path}:archive"), ("POST", f"{path}:unarchive")):
        gone = await api.request(method, url)
        assert (gone.status_code, gone.json()["code"]) == (404, 5)
        assert "not found" in gone.json()["message"]
    default = await create(api, "Default")
    refused = await api.delete(f"/experiments/{default['experiment_id']}")
    assert (refused.status_code, refused.json()["code"]) == (409, 10)


async def test_pages_show_each_once_while_more_are_made(api: httpx.AsyncClient, world: World) -> None:
    for number in range(45):
        await create(api, f"e{number:02}")
    world.clock.advance(1)
    sizes, seen, token = [], [], ""
    while True:
        params = {"page_size": "20", "sort_by": "created_at desc", "page_token": token}
        page = (await api.get("/experiments", params=params)).json()
        sizes.append(len(page["experiments"]))
        seen += [one["display_name"] for one in page["experiments"]]
        token = page.get("next_page_token", "")
        await create(api, f"later-{len(sizes)}")
        if not token:
            break
    assert sizes == [20, 20, 5]
    assert sorted(seen) == [f"e{number:02}" for number in range(45)]


async def test_many_users_need_a_namespace_and_rights_in_it(world: World, database: Database) -> None:
    async with http(world, database, multi_user=True) as api:
        assert (await api.get("/experiments", params={"namespace": "team-a"})).status_code == 401
        assert (await api.get("/experiments", headers=ANNA)).status_code == 400
        assert (await api.post("/experiments", headers=ANNA, json={"display_name": "x"})).status_code == 400
        assert (await api.get("/experiments", params={"namespace": "team-a"}, headers=ANNA)).status_code == 403
