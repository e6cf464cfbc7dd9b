"""The cache over REST."""

from typing import Any

import httpx
import pytest

from flowdeck.components.pipelines.engine.states import State
from flowdeck.components.pipelines.store import runs
from flowdeck.sql.database import Database
from tests.components.pipelines.api.conftest import http
from tests.components.pipelines.api.records import START, a_record, a_run
from tests.world.world import World

ANNA = {"kubeflow-userid": "anna"}


async def keep(database: Database, run: str, id: str, state: State = State.SUCCEEDED, **more: Any) -> None:
    record = a_record(run, "train", state, **{"id": id, **more})
    await database.write(lambda connection: runs.keep_tasks(connection, [record]))


@pytest.fixture(autouse=True)
async def two_runs(database: Database) -> None:
    at = START.timestamp()
    for number, parts in enumerate(({"image": "a", "parameter rate": "x"}, {"image": "a", "parameter rate": "y"}), 1):
        await a_run(database, f"run-{number}", pipeline_name="tried")
        await keep(
            database,
            f"run-{number}",
            f"task-{number}",
            fingerprint=f"f{number}",
            fingerprint_parts=parts,
            cache_note="as the cache said",
            ended_at=at + number,
        )


async def test_entries_are_listed_and_dropped(api: httpx.AsyncClient) -> None:
    found = (await api.get("/cache", params={"sort_by": "end_time desc"})).json()
    assert [entry["task_id"] for entry in found["entries"]] == ["task-2", "task-1"]
    assert found["entries"][1] == {
        "task_id": "task-1",
        "run_id": "run-1",
        "pipeline_name": "tried",
        "scope_path": "root.train",
        "cache_fingerprint": "f1",
        "parts": {"image": "a", "parameter rate": "x"},
        "end_time": "2026-01-01T00:00:01Z",
    }
    assert (await api.delete("/cache/task-1")).json() == {}
    assert (await api.delete("/cache/task-1")).status_code == 404
    assert (await api.get("/cache")).json()["total_size"] == 1


@pytest.mark.parametrize(
    ("params", "cleared"),
    [({}, 2), ({"pipeline_name": "tried"}, 2), ({"pipeline_name": "other"}, 0), ({"cache_fingerprint": "f2"}, 1)],
)
async def test_it_is_cleared_wholly_or_in_part(api: httpx.AsyncClient, params: dict[str, str], cleared: int) -> None:
    assert (await api.delete("/cache", params=params)).json() == {"cleared": cleared}
    assert (await api.get("/cache")).json().get("total_size", 0) == 2 - cleared


async def test_why_a_task_was_run_is_explained(api: httpx.AsyncClient) -> None:
    told = (await api.get("/runs/run-2/tasks/task-2:explainCache")).json()
    assert (told["cached"], told["why"], told["differences"]) == (False, "as the cache said", ["parameter rate"])
    assert (told["compared_with"]["run_id"], told["parts"]["image"]) == ("run-1", "a")


async def test_why_a_task_was_cached_is_explained(api: httpx.AsyncClient, database: Database) -> None:
    await a_run(database, "run-3", pipeline_name="tried")
    same = {
        "fingerprint": "f2",
        "fingerprint_parts": {"image": "a"},
        "cache_note": "outputs of task train of run run-2",
    }
    await keep(database, "run-3", "task-3", State.CACHED, **same)
    told = (await api.get("/runs/run-3/tasks/task-3:explainCache")).json()
    assert (told["cached"], told["why"], told["differences"]) == (True, "outputs of task train of run run-2", [])


async def test_what_has_no_part_in_caching_says_so(api: httpx.AsyncClient, database: Database) -> None:
    await keep(database, "run-1", "plain")
    told = (await api.get("/runs/run-1/tasks/plain:explainCache")).json()
    assert "has no part in caching" in told["why"]
    assert "differences" not in told
    assert (await api.get("/runs/run-1/tasks/nothing:explainCache")).status_code == 404


async def test_many_users_need_rights_on_runs(world: World, database: Database) -> None:
    async with http(world, database, multi_user=True) as api:
        calls = (("GET", "/cache?namespace=team-a"), ("DELETE", "/cache?namespace=team-a"), ("DELETE", "/cache/task-1"))
        for method, path in (*calls, ("GET", "/runs/run-1/tasks/task-1:explainCache")):
            assert (await api.request(method, path)).status_code == 401
            assert (await api.request(method, path, headers=ANNA)).status_code == 403
        assert (await api.delete("/cache", headers=ANNA)).status_code == 400
