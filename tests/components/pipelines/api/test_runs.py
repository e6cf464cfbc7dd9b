"""Runs on the REST wire: what goes in, what comes out, what is refused. Nobody runs them here."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from flowdeck.components.pipelines.engine.states import RunStatus
from flowdeck.components.pipelines.store import runs
from tests.components.pipelines.api.records import a_record
from tests.components.pipelines.api.served import DOCUMENT, Served
from tests.pipelines.makers import a_component, a_pipeline, a_task
from tests.world.world import World

NEVER = "1970-01-01T00:00:00Z"
NEEDS_WORD = {
    **DOCUMENT,
    "root": {
        "dag": DOCUMENT["root"]["dag"],
        "inputDefinitions": {"parameters": {"word": {"parameterType": "STRING", "literals": ["a", "b"]}}},
    },
}


@pytest.fixture
async def api(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with served.client() as client:
        yield client


async def good(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def create(api: httpx.AsyncClient, name: str = "first", **more: Any) -> dict[str, Any]:
    if not {"pipeline_version_reference", "pipeline_version_id"} & set(more):
        more.setdefault("pipeline_spec", DOCUMENT)
    return await good(await api.post("/runs", json={"display_name": name, **more}))


async def a_version(api: httpx.AsyncClient, name: str = "uploaded") -> tuple[str, str]:
    """The ids of a pipeline and its only version."""
    body = {"pipeline": {"name": name}, "pipeline_version": {"pipeline_spec": DOCUMENT}}
    pipeline = await good(await api.post("/pipelines/create", json=body))
    found = await good(await api.get(f"/pipelines/{pipeline['pipeline_id']}/versions"))
    return pipeline["pipeline_id"], found["pipeline_versions"][0]["pipeline_version_id"]


# ---- new ones ---------------------------------------------------------------------------------------------------


async def test_a_new_run_is_pending_in_the_default_experiment(api: httpx.AsyncClient, served: Served) -> None:
    made = await create(api, description="a try", runtime_config={"pipeline_root": "minio://b/x"})
    default = (await good(await api.get("/experiments")))["experiments"][0]
    assert made == {
        "run_id": made["run_id"],
        "experiment_id": default["experiment_id"],
        "display_name": "first",
        "description": "a try",
        "storage_state": "AVAILABLE",
        "pipeline_spec": DOCUMENT,
        "runtime_config": {"pipeline_root": "minio://b/x"},
        "service_account": "pipeline-runner",
        "created_at": "2026-01-01T00:00:00Z",
        "scheduled_at": "2026-01-01T00:00:00Z",
        "finished_at": NEVER,
        "state": "PENDING",
        "state_history": [{"update_time": "2026-01-01T00:00:00Z", "state": "PENDING"}],
    }
    assert await good(await api.get(f"/runs/{made['run_id']}")) == made
    assert default["last_run_created_at"] == "2026-01-01T00:00:00Z"
    assert [(key.namespace, key.name) for key in served.told] == [("kubeflow", made["run_id"])]


async def test_a_run_of_a_version_says_which_and_not_what(api: httpx.AsyncClient) -> None:
    pipeline, version = await a_version(api)
    reference = {"pipeline_id": pipeline, "pipeline_version_id": version}
    for asked in (
        {"pipeline_version_reference": reference},
        {"pipeline_version_reference": {"pipeline_id": pipeline}},
        {"pipelineVersionReference": {"pipelineVersionId": version}, "pipeline_version_reference": None},
        {"pipeline_version_id": version},
    ):
        made = await create(api, **asked)
        assert made["pipeline_version_reference"] == reference
        assert "pipeline_spec" not in made


async def test_of_versions_of_one_second_the_last_one_is_the_latest(api: httpx.AsyncClient, world: World) -> None:
    pipeline, _ = await a_version(api)
    for number in range(12):
        world.clock.advance(0.001)
        body = {"pipeline_id": pipeline, "name": f"version-{number}", "pipeline_spec": DOCUMENT}
        version = await good(await api.post(f"/pipelines/{pipeline}/versions", json=body))
        made = await create(api, pipeline_version_reference={"pipeline_id": pipeline})
        assert made["pipeline_version_reference"]["pipeline_version_id"] == version["pipeline_version_id"]


async def test_a_run_keeps_what_it_runs_when_its_version_goes(api: httpx.AsyncClient) -> None:
    pipeline, version = await a_version(api)
    made = await create(api, pipeline_version_reference={"pipeline_id": pipeline, "pipeline_version_id": version})
    assert await good(await api.delete(f"/pipelines/{pipeline}?cascade=true")) == {}
    assert await good(await api.get(f"/runs/{made['run_id']}")) == made


@pytest.mark.parametrize(
    ("body", "code", "rpc_code", "words"),
    [
        pytest.param({}, 400, 3, "needs a name", id="no-name"),
        pytest.param({"display_name": "x" * 129}, 400, 3, "128", id="long-name"),
        pytest.param({"pipeline_spec": None}, 400, 3, "no pipeline is named", id="no-source"),
        pytest.param({"pipeline_spec": {"a": 1}}, 400, 3, "no pipeline", id="no-document"),
        pytest.param(
            {"pipeline_spec": {**DOCUMENT, "components": {}}}, 400, 3, "comp", id="a-document-that-cannot-be-compiled"
        ),
        pytest.param({"pipeline_version_reference": {}}, 400, 3, "only one of", id="two-sources"),
        pytest.param({"colour": "red"}, 400, 3, "colour", id="unknown-field"),
        pytest.param({"plugins_output": {}}, 400, 3, "plugins_output", id="plugins-output"),
        pytest.param({"runtime_config": {"parameters": {"x": 1}}}, 400, 3, "not required", id="unknown-parameter"),
        pytest.param({"pipeline_spec": NEEDS_WORD}, 400, 3, "'word' is missing", id="missing-parameter"),
        pytest.param(
            {"pipeline_spec": NEEDS_WORD, "runtime_config": {"parameters": {"word": 1}}},
            400, 3, "type mismatch", id="wrong-type",
        ),
        pytest.param(
            {"pipeline_spec": NEEDS_WORD, "runtime_config": {"parameters": {"word": "c"}}},
            400, 3, "must be one of", id="none-of-the-literals",
        ),
        pytest.param({"experiment_id": "nowhere"}, 404, 5, "Experiment nowhere not found", id="unknown-experiment"),
        pytest.param(
            {"pipeline_spec": None, "pipeline_version_reference": {"pipeline_version_id": "nowhere"}},
            404, 5, "not found", id="unknown-version",
        ),
    ],
)  # fmt: skip
async def test_what_is_refused(
    api: httpx.AsyncClient, body: dict[str, Any], code: int, rpc_code: int, words: str
) -> None:
    default = {"display_name": "first", "pipeline_spec": DOCUMENT} if body else {}
    answer = await api.post("/runs", json={**default, **body})
    assert (answer.status_code, answer.json()["code"]) == (code, rpc_code), answer.text
    assert words in answer.json()["message"]
    assert (await api.get("/runs")).json() == {}


async def test_ids_that_do_not_belong_together_are_refused(api: httpx.AsyncClient) -> None:
    (_, version), (other, _) = await a_version(api), await a_version(api, "other")
    reference = {"pipeline_id": other, "pipeline_version_id": version}
    answer = await api.post("/runs", json={"display_name": "x", "pipeline_version_reference": reference})
    assert (answer.status_code, answer.json()["code"]) == (400, 3)


async def test_nothing_runs_in_an_archived_experiment(api: httpx.AsyncClient) -> None:
    id = (await good(await api.post("/experiments", json={"display_name": "old"})))["experiment_id"]
    await api.post(f"/experiments/{id}:archive")
    answer = await api.post("/runs", json={"display_name": "x", "experiment_id": id, "pipeline_spec": DOCUMENT})
    assert (answer.status_code, answer.json()["code"]) == (400, 9)


# ---- lists ------------------------------------------------------------------------------------------------------


async def test_pages_neither_repeat_nor_leave_out(api: httpx.AsyncClient, served: Served) -> None:
    made = []
    for number in range(45):
        made.append((await create(api, f"run {number}"))["run_id"])
        served.world.clock.advance(1)
    seen: list[str] = []
    token = ""
    sizes = []
    while True:
        params = {"page_size": "20", "sort_by": "created_at desc", "page_token": token}
        page = await good(await api.get("/runs", params=params))
        seen += [run["run_id"] for run in page["runs"]]
        sizes.append(len(page["runs"]))
        token = page.get("next_page_token", "")
        if not token:
            break
        await create(api, "in between")
    assert sizes == [20, 20, 5]
    assert seen == made[::-1]


async def test_a_token_of_another_sort_is_refused(api: httpx.AsyncClient) -> None:
    for name in ("a", "b"):
        await create(api, name)
    token = (await good(await api.get("/runs?page_size=1&sort_by=name")))["next_page_token"]
    for params in ({"page_token": token, "sort_by": "created_at"}, {"page_token": "nonsense"}):
        answer = await api.get("/runs", params=params)
        assert (answer.status_code, answer.json()["code"]) == (400, 3)
        assert "Invalid page token" in answer.json()["message"]


@pytest.mark.parametrize(
    ("key", "operation", "value", "found"),
    [
        ("display_name", "EQUALS", {"string_value": "b"}, ["b"]),
        ("name", "IS_SUBSTRING", {"stringValue": "B"}, ["b", "cb"]),
        ("state", "EQUALS", {"string_value": "FAILED"}, ["b"]),
        ("state", "IN", {"string_values": {"values": ["FAILED", "PENDING"]}}, ["a", "b", "cb"]),
        ("storage_state", 2, {"string_value": "ARCHIVED"}, ["a", "b", "cb"]),
        ("created_at", "GREATER_THAN", {"timestamp_value": "2026-01-01T00:00:00Z"}, ["b", "cb"]),
    ],
)
async def test_filters(
    api: httpx.AsyncClient, served: Served, key: str, operation: Any, value: dict[str, Any], found: list[str]
) -> None:
    for name in ("a", "b", "cb"):
        run = await create(api, name)
        served.world.clock.advance(1)
        if name == "b":
            await served.becomes(run["run_id"], RunStatus.RUNNING, RunStatus.FAILED)
    text = json.dumps({"predicates": [{"operation": operation, "key": key, **value}]})
    page = await good(await api.get("/runs", params={"filter": text}))
    assert [run["display_name"] for run in page["runs"]] == found
    assert page["total_size"] == len(found)


async def test_the_runs_of_one_experiment(api: httpx.AsyncClient) -> None:
    id = (await good(await api.post("/experiments", json={"display_name": "mine"})))["experiment_id"]
    await create(api, "elsewhere")
    await create(api, "here", experiment_id=id)
    page = await good(await api.get("/runs", params={"experiment_id": id, "namespace": "whatever"}))
    assert [run["display_name"] for run in page["runs"]] == ["here"]


# ---- what is done to them ---------------------------------------------------------------------------------------


async def test_a_failed_run_tells_why_and_when(api: httpx.AsyncClient, served: Served) -> None:
    run_id = (await create(api))["run_id"]
    await served.becomes(run_id, RunStatus.RUNNING)
    served.world.clock.advance(5)
    await served.becomes(run_id, RunStatus.FAILED, error="train: exit code 3")
    run = await good(await api.get(f"/runs/{run_id}"))
    assert run["error"] == {"code": 2, "message": "train: exit code 3"}
    assert run["finished_at"] == "2026-01-01T00:00:05Z"
    assert [entry["state"] for entry in run["state_history"]] == ["PENDING", "RUNNING", "FAILED"]
    assert run["state_history"][-1]["error"] == run["error"]


async def test_termination_is_seen_at_once_and_wished_for_once(api: httpx.AsyncClient, served: Served) -> None:
    run_id = (await create(api))["run_id"]
    for _ in range(2):
        assert await good(await api.post(f"/runs/{run_id}:terminate", json={})) == {}
    assert (await good(await api.get(f"/runs/{run_id}")))["state"] == "CANCELING"
    assert len(await served.database.read(lambda connection: runs.wishes(connection, run_id))) == 1
    assert [key.name for key in served.told] == [run_id] * 3


async def test_termination_of_a_finished_run_is_nothing(api: httpx.AsyncClient, served: Served) -> None:
    run_id = (await create(api))["run_id"]
    await served.becomes(run_id, RunStatus.RUNNING, RunStatus.SUCCEEDED)
    assert await good(await api.post(f"/runs/{run_id}:terminate")) == {}
    assert (await good(await api.get(f"/runs/{run_id}")))["state"] == "SUCCEEDED"


async def test_a_failed_run_can_be_retried(api: httpx.AsyncClient, served: Served) -> None:
    run_id = (await create(api))["run_id"]
    await served.becomes(run_id, RunStatus.RUNNING, RunStatus.FAILED, error="because")
    assert await good(await api.post(f"/runs/{run_id}:retry")) == {}
    run = await good(await api.get(f"/runs/{run_id}"))
    assert (run["state"], run["finished_at"], "error" in run) == ("PENDING", NEVER, False)


@pytest.mark.parametrize("state", [RunStatus.PENDING, RunStatus.RUNNING, RunStatus.SUCCEEDED])
async def test_others_cannot(api: httpx.AsyncClient, served: Served, state: RunStatus) -> None:
    run_id = (await create(api))["run_id"]
    await served.becomes(run_id, state)
    answer = await api.post(f"/runs/{run_id}:retry", json={})
    assert (answer.status_code, answer.json()["code"]) == (409, 10)


async def test_a_retry_may_bring_another_pipeline_or_name_a_task(api: httpx.AsyncClient, served: Served) -> None:
    run_id = (await create(api))["run_id"]
    await served.becomes(run_id, RunStatus.RUNNING, RunStatus.SUCCEEDED)
    edited = a_pipeline({"say": a_component("pass")}, {"only": a_task("say")})
    unknown = await api.post(f"/runs/{run_id}:retry", json={"task_id": "some-task"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, 5)
    await served.database.write(lambda connection: runs.keep_tasks(connection, [a_record(run_id, "some-task")]))
    body = {"task_id": "some-task", "pipeline_spec": edited}
    assert await good(await api.post(f"/runs/{run_id}:retry", json=body)) == {}
    ((_, wish),) = await served.database.read(lambda connection: runs.wishes(connection, run_id))
    assert (wish.task, wish.document) == ("some-task", edited)  # type: ignore[union-attr]
    broken = await api.post(f"/runs/{run_id}:retry", json={"pipeline_spec": {**edited, "components": {}}})
    assert broken.status_code == 400


async def test_archive_and_back(api: httpx.AsyncClient) -> None:
    run_id = (await create(api))["run_id"]
    assert await good(await api.post(f"/runs/{run_id}:archive")) == {}
    assert (await good(await api.get(f"/runs/{run_id}")))["storage_state"] == "ARCHIVED"
    assert await good(await api.post(f"/runs/{run_id}:unarchive")) == {}
    run = await good(await api.get(f"/runs/{run_id}"))
    assert run["storage_state"] == "AVAILABLE"
    await api.post(f"/experiments/{run['experiment_id']}:archive")
    answer = await api.post(f"/runs/{run_id}:unarchive")
    assert (answer.status_code, answer.json()["code"]) == (400, 9)


async def test_a_deleted_run_is_gone_and_who_works_on_it_learns_of_it(api: httpx.AsyncClient, served: Served) -> None:
    run_id = (await create(api))["run_id"]
    served.told.clear()
    assert await good(await api.delete(f"/runs/{run_id}")) == {}
    assert [key.name for key in served.told] == [run_id]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("DELETE", ""), *(("POST", f":{verb}") for verb in ("archive", "unarchive", "terminate", "retry"))],
)
async def test_there_is_no_run_of_another_id(api: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await api.request(method, f"/runs/nowhere{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, 5)
    assert "Run nowhere not found" in answer.json()["message"]
