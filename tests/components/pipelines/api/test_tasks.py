"""Tasks of runs on the next release's wire."""

import httpx
import pytest

from flowdeck.components.pipelines.engine.records import Artifacts, IoType, Parameter
from flowdeck.components.pipelines.engine.states import State
from flowdeck.components.pipelines.engine.task_run import Attempt
from flowdeck.components.pipelines.plan.types import TaskType
from flowdeck.components.pipelines.store import runs
from flowdeck.components.pipelines.values.artifacts import Artifact, ArtifactType
from flowdeck.sql.database import Database
from tests.components.pipelines.api.conftest import http
from tests.components.pipelines.api.records import START, a_record, a_run
from tests.world.world import World

ANNA = {"kubeflow-userid": "anna"}


@pytest.fixture(autouse=True)
async def a_finished_run(database: Database) -> None:
    await a_run(database, "run-1")
    at = START.timestamp()
    model = Artifact(id="m", uri="minio://b/m", type=ArtifactType("system.Model"), metadata={"depth": 3})
    records = [
        a_record("run-1", "root", type=TaskType.ROOT),
        a_record(
            "run-1",
            "loop",
            type=TaskType.LOOP,
            parent="root",
            iteration_count=1,
            began_at=at + 1,
            output_artifacts=[Artifacts("models", [model], IoType.ITERATOR_OUTPUT)],
        ),
        a_record(
            "run-1",
            "train",
            parent="loop",
            iteration_index=0,
            label="root.loop[0].train",
            scope_path="root.loop.train",
            fingerprint="abc",
            fingerprint_parts={"image": "x"},
            cache_note="no earlier task was like it",
            began_at=at + 2,
            ended_at=at + 9,
            history=[(at + 2, State.STARTING), (at + 3, State.RUNNING), (at + 9, State.SUCCEEDED)],
            attempts=[Attempt(1, 0, at + 2, pod="p-1", uid="u")],
            parameters=[Parameter("rate", 0.5, IoType.TASK_OUTPUT_INPUT, "choose")],
            output_parameters=[Parameter("empty", "", IoType.OUTPUT)],
            output_artifacts=[Artifacts("model", [model], IoType.OUTPUT)],
        ),
        a_record("run-1", "skipped", State.SKIPPED, parent="root", began_at=at + 3, message="its condition is false"),
        a_record("run-1", "omitted", State.OMITTED, parent="root", began_at=at + 4),
    ]
    await database.write(lambda connection: runs.keep_tasks(connection, records))


async def test_a_task_is_told_whole(api: httpx.AsyncClient) -> None:
    assert (await api.get("/runs/run-1/tasks/train")).json() == {
        "name": "train",
        "display_name": "train",
        "task_id": "train",
        "run_id": "run-1",
        "pods": [{"name": "p-1", "uid": "u", "type": "EXECUTOR"}],
        "cache_fingerprint": "abc",
        "create_time": "2026-01-01T00:00:02Z",
        "end_time": "2026-01-01T00:00:09Z",
        "state": "SUCCEEDED",
        "status_metadata": {
            "custom_properties": {"cache": "no earlier task was like it", "cache_parts": {"image": "x"}}
        },
        "state_history": [
            {"update_time": "2026-01-01T00:00:02Z", "state": "RUNNING"},
            {"update_time": "2026-01-01T00:00:09Z", "state": "SUCCEEDED"},
        ],
        "type": "RUNTIME",
        "type_attributes": {"iteration_index": "0"},
        "parent_task_id": "loop",
        "inputs": {
            "parameters": [
                {
                    "value": 0.5,
                    "type": "TASK_OUTPUT_INPUT",
                    "parameter_key": "rate",
                    "producer": {"task_name": "choose"},
                }
            ]
        },
        "outputs": {
            "parameters": [{"value": "", "type": "OUTPUT", "parameter_key": "empty"}],
            "artifacts": [
                {
                    "artifacts": [
                        {
                            "artifact_id": "m",
                            "name": "model",
                            "type": "Model",
                            "uri": "minio://b/m",
                            "metadata": {"depth": 3},
                        }
                    ],
                    "type": "OUTPUT",
                    "artifact_key": "model",
                }
            ],
        },
        "scope_path": "root.loop.train",
    }


async def test_tasks_are_listed_by_pages_parents_and_filters(api: httpx.AsyncClient) -> None:
    page = (await api.get("/runs/run-1/tasks", params={"page_size": 3})).json()
    assert [task["name"] for task in page["tasks"]] == ["root", "loop", "train"]
    assert page["total_size"] == 4, "what was omitted is not there"
    assert page["tasks"][0]["child_tasks"][0] == {"task_id": "loop", "name": "loop"}
    rest = (await api.get("/runs/run-1/tasks", params={"page_token": page["next_page_token"]})).json()
    assert [task["status_metadata"]["message"] for task in rest["tasks"]] == ["its condition is false"]
    inside = (await api.get("/runs/run-1/tasks", params={"parent_id": "loop"})).json()
    assert [task["name"] for task in inside["tasks"]] == ["train"]
    wanted = '{"predicates": [{"operation": "EQUALS", "key": "status", "string_value": "SKIPPED"}]}'
    skipped = (await api.get("/runs/run-1/tasks", params={"filter": wanted, "order_by": "name desc"})).json()
    assert [task["name"] for task in skipped["tasks"]] == ["skipped"]
    assert (await api.get("/runs/run-1/tasks", params={"order_by": "colour"})).status_code == 400


async def test_a_run_counts_its_tasks_and_tells_them_when_asked(api: httpx.AsyncClient) -> None:
    for params, told in (({}, None), ({"view": "FULL"}, ["root", "loop", "train", "skipped"])):
        run = (await api.get("/runs/run-1", params=params)).json()
        (same,) = (await api.get("/runs", params=params)).json()["runs"]
        assert run["task_count"] == same["task_count"] == 4
        for each in (run, same):
            assert [task["name"] for task in each["tasks"]] == told if told else "tasks" not in each


async def test_what_is_not_there_is_not_found(api: httpx.AsyncClient) -> None:
    for path in ("/runs/nothing/tasks", "/runs/nothing/tasks/train", "/runs/run-1/tasks/nothing"):
        answer = await api.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, 5)


async def test_what_runs_elsewhere_is_reported_and_shown(api: httpx.AsyncClient, world: World) -> None:
    asked = {"name": "tune", "parent_task_id": "loop", "inputs": {"parameters": [{"parameter_key": "n", "value": 3}]}}
    made = (await api.post("/runs/run-1/tasks", json=asked)).json()
    assert (made["name"], made["state"], made["type"]) == ("tune", "RUNNING", "RUNTIME")
    assert made["inputs"]["parameters"] == [{"parameter_key": "n", "value": 3, "type": "OUTPUT"}]
    path = f"/runs/run-1/tasks/{made['task_id']}"
    world.clock.advance(5)
    outputs = {"parameters": [{"parameter_key": "best", "value": 0.5, "type": 9}]}
    ended = {"state": "FAILED", "status_metadata": {"message": "no luck"}, "outputs": outputs}
    told = (await api.patch(path, json=ended)).json()
    assert told == (await api.get(path)).json()
    assert (told["state"], told["end_time"]) == ("FAILED", "2026-01-01T00:00:05Z")
    assert [entry["state"] for entry in told["state_history"]] == ["RUNNING", "FAILED"]
    assert told["outputs"]["parameters"][0]["value"] == 0.5
    again = {"tasks": {made["task_id"]: {"state": "SUCCEEDED"}}}
    batch = (await api.post("/runs/run-1/tasks:batchUpdate", json=again)).json()["tasks"]
    assert (batch[made["task_id"]]["state"], batch[made["task_id"]]["name"]) == ("SUCCEEDED", "tune")
    inside = (await api.get("/runs/run-1/tasks", params={"parent_id": "loop"})).json()
    assert {task["name"] for task in inside["tasks"]} == {"train", "tune"}
    assert (await api.get("/runs/run-1")).json()["task_count"] == 5


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("POST", "/runs/run-1/tasks", {}, 400),
        ("POST", "/runs/run-1/tasks", {"name": "x", "state": "LOST"}, 400),
        ("POST", "/runs/run-1/tasks", {"name": "x", "type": "THING"}, 400),
        ("POST", "/runs/run-1/tasks", {"name": "x", "end_time": "soon"}, 400),
        ("POST", "/runs/run-1/tasks", {"name": "x", "parent_task_id": "nothing"}, 404),
        ("POST", "/runs/nothing/tasks", {"name": "x"}, 404),
        ("PATCH", "/runs/run-1/tasks/train", {"state": "FAILED"}, 400),
        ("PATCH", "/runs/run-1/tasks/nothing", {"state": "FAILED"}, 404),
        ("POST", "/runs/run-1/tasks:batchUpdate", {"tasks": {}}, 400),
        ("POST", "/runs/run-1/tasks:batchUpdate", {"tasks": {"train": {"state": "FAILED"}}}, 400),
    ],
)
async def test_what_is_refused_of_others(
    api: httpx.AsyncClient, method: str, path: str, body: dict[str, object], code: int
) -> None:
    answer = await api.request(method, path, json=body)
    assert answer.status_code == code, answer.text
    assert (await api.get("/runs/run-1/tasks")).json()["total_size"] == 4


async def test_a_cached_task_is_found_by_its_fingerprint(api: httpx.AsyncClient) -> None:
    found = await api.post("/tasks:findCached", json={"cache_fingerprint": "abc", "namespace": "kubeflow"})
    assert found.json()["task_id"] == "train"
    assert (await api.post("/tasks:findCached", json={"cache_fingerprint": "abcd"})).status_code == 404
    assert (await api.post("/tasks:findCached", json={})).status_code == 400


async def test_many_users_need_rights_on_runs(world: World, database: Database) -> None:
    async with http(world, database, multi_user=True) as api:
        for path in ("/runs/run-1/tasks", "/runs/run-1/tasks/train"):
            assert (await api.get(path)).status_code == 401
            assert (await api.get(path, headers=ANNA)).status_code == 403
        body = {"cache_fingerprint": "abc", "namespace": "team-a"}
        assert (await api.post("/tasks:findCached", json=body, headers=ANNA)).status_code == 403
