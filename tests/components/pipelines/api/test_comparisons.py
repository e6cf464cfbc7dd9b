"""Runs side by side."""

from typing import Any

import httpx
import pytest
from msgspec import structs

from flowdeck.components.pipelines.engine.records import Artifacts, IoType
from flowdeck.components.pipelines.engine.states import RunStatus, State
from flowdeck.components.pipelines.ir.document import from_wire
from flowdeck.components.pipelines.plan.compiler import compile_plan
from flowdeck.components.pipelines.store import runs
from flowdeck.components.pipelines.submission import Submission, run_of
from flowdeck.components.pipelines.values.artifacts import Artifact, ArtifactType
from flowdeck.kube.objects import Tree
from flowdeck.sql.database import Database
from tests.components.pipelines.api.conftest import http
from tests.components.pipelines.api.records import a_record
from tests.world.world import World

ANNA = {"kubeflow-userid": "anna"}


def a_document(default: str) -> Tree:
    parameter = {"parameterType": "STRING", "defaultValue": default, "isOptional": True}
    root = {"dag": {"tasks": {}}, "inputDefinitions": {"parameters": {"rate": parameter, "seed": parameter}}}
    return {"pipelineInfo": {"name": "hello"}, "schemaVersion": "2.1.0", "root": root}


async def a_run(world: World, database: Database, id: str, default: str, accuracy: float, **parameters: str) -> None:
    """One that took 8 seconds, with a task that took 5."""
    document = from_wire(a_document(default))
    wanted = Submission(
        id=id,
        name=id,
        experiment_id="",
        namespace="kubeflow",
        plan=compile_plan(document),
        document=runs.hash_of(document),
        parameters=parameters,
        default_root="minio://mlpipeline/v2/artifacts",
    )
    run, began = run_of(wanted, world.clock.now()), world.clock.now().timestamp()
    score = Artifact(id=f"score-{id}", uri="", type=ArtifactType("system.Metrics"), metadata={"accuracy": accuracy})
    state = State.CACHED if default == "b" else State.SUCCEEDED
    made = [Artifacts("score", [score], IoType.OUTPUT)]
    record = a_record(id, "train", state, began_at=began, ended_at=began + 5, output_artifacts=made)
    world.clock.advance(8)

    def keep(connection: Any) -> None:
        runs.keep_document(connection, document)
        runs.create(connection, run)
        runs.keep_tasks(connection, [record])
        runs.record_state(connection, id, RunStatus.SUCCEEDED, "", world.clock.now())

    await database.write(keep)


@pytest.fixture(autouse=True)
async def two_runs(world: World, database: Database) -> None:
    await a_run(world, database, "one", "a", 0.5, rate="x")
    await a_run(world, database, "two", "b", 0.75, rate="x")


async def test_two_runs_are_told_side_by_side(api: httpx.AsyncClient) -> None:
    told = (await api.get("/runs:compare", params={"run_ids": ["one", "two"]})).json()
    assert [(run["run_id"], run["state"], run["duration_s"]) for run in told["runs"]] == [
        ("one", "SUCCEEDED", 8.0),
        ("two", "SUCCEEDED", 8.0),
    ]
    assert told["parameters"] == [
        {"name": "rate", "values": ["x", "x"], "differs": False},
        {"name": "seed", "values": ["a", "b"], "differs": True},
    ]
    assert told["metrics"] == [{"name": "root.train/accuracy", "values": [0.5, 0.75], "differs": True}]
    assert told["tasks"] == [
        {
            "place": "root.train",
            "states": ["SUCCEEDED", "CACHED"],
            "durations_s": [5.0, 5.0],
            "cached": [False, True],
        }
    ]
    path = "root.inputDefinitions.parameters.{}.defaultValue"
    assert told["documents"] == {
        "equal": False,
        "differences": [{"path": path.format(name), "values": ["a", "b"]} for name in ("rate", "seed")],
        "more": 0,
    }


@pytest.mark.parametrize(
    ("ids", "code"),
    [([], 400), (["one"], 400), (["one", "one"], 400), (["one", "nothing"], 404), (list("abcdefghijk"), 400)],
)
async def test_what_is_refused(api: httpx.AsyncClient, ids: list[str], code: int) -> None:
    assert (await api.get("/runs:compare", params={"run_ids": ids})).status_code == code


async def test_runs_are_sorted_by_a_metric_and_those_without_it_are_last(
    api: httpx.AsyncClient, world: World, database: Database
) -> None:
    await a_run(world, database, "three", "a", 0.25)
    await api.post("/runs", json={"display_name": "none", "pipeline_spec": a_document("x")})
    seen: list[str] = []
    params = {"sort_by": "metric:accuracy desc", "page_size": "1"}
    while True:
        page = (await api.get("/runs", params=params)).json()
        seen += [run["display_name"] for run in page["runs"]]
        if "next_page_token" not in page:
            break
        params = {"page_token": page["next_page_token"], "page_size": "1"}
    assert seen == ["two", "one", "three", "none"]
    cached = Artifact(id="score-two", uri="", type=ArtifactType("system.Metrics"), metadata={"accuracy": 0.75})
    record = a_record("three", "test", State.CACHED, output_artifacts=[Artifacts("score", [cached], IoType.OUTPUT)])
    await database.write(lambda connection: runs.keep_tasks(connection, [structs.replace(record, id="three-test")]))
    best = (await api.get("/runs", params={"sort_by": "metric:accuracy desc"})).json()["runs"]
    assert {run["display_name"] for run in best[:2]} == {"two", "three"}, "what was cached counts"
    wanted = '{"predicates": [{"operation": "EQUALS", "key": "metric:accuracy", "int_value": 1}]}'
    assert (await api.get("/runs", params={"filter": wanted})).status_code == 400


async def test_many_users_need_rights_on_runs(world: World, database: Database) -> None:
    async with http(world, database, multi_user=True) as api:
        params = {"run_ids": ["one", "two"]}
        assert (await api.get("/runs:compare", params=params)).status_code == 401
        assert (await api.get("/runs:compare", params=params, headers=ANNA)).status_code == 403
