"""What the store of pipelines keeps of artifacts, on SQLite and PostgreSQL."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from flowdeck.components.pipelines.engine.records import Artifacts, IoType, TaskRecord
from flowdeck.components.pipelines.engine.states import State
from flowdeck.components.pipelines.ir.document import from_wire
from flowdeck.components.pipelines.plan.types import TaskType
from flowdeck.components.pipelines.store import artifacts, runs
from flowdeck.components.pipelines.store.artifacts import Artifact, Link, LinkFilter
from flowdeck.components.pipelines.store.migrations import MIGRATIONS
from flowdeck.components.pipelines.store.runs import Run
from flowdeck.components.pipelines.values.artifacts import Artifact as Handed
from flowdeck.components.pipelines.values.artifacts import ArtifactType
from flowdeck.kube.errors import AlreadyExists, NotFound
from flowdeck.sql.database import Database
from flowdeck.web.listing import ListQuery, Op, Predicate

START = datetime(2026, 1, 1, tzinfo=UTC)
BY_NAME = ListQuery(50, "name", descending=False)
BY_ID = ListQuery(200, "id", descending=False)
SPEC = {"pipelineInfo": {"name": "hello"}, "schemaVersion": "2.1.0", "root": {"dag": {"tasks": {}}}}


@pytest.fixture
async def store(database: Database) -> Database:
    await MIGRATIONS.run(database)

    def make(connection: Any) -> None:
        run = Run(
            id="run", experiment_id="", namespace="team", name="run", created_at=START, scheduled_at=START,
            service_account="x", document=runs.keep_document(connection, from_wire(SPEC)), engine={},
        )  # fmt: skip
        runs.create(connection, run)

    await database.write(make)
    return database


def handed(id: str, title: str = "system.Model", **metadata: Any) -> Handed:
    return Handed(id=id, uri=f"minio://mlpipeline/run/{id}", type=ArtifactType(title, "0.0.1"), metadata=metadata)


def a_task(id: str, *, makes: Sequence[Handed] = (), takes: Sequence[Handed] = (), **more: Any) -> TaskRecord:
    values: dict[str, Any] = {
        "id": id,
        "run": "run",
        "name": id,
        "display_name": id,
        "label": f"root.{id}",
        "scope_path": f"root.{id}",
        "type": TaskType.RUNTIME,
        "state": State.SUCCEEDED,
        "wire_a": "SUCCEEDED",
        "wire_b": "SUCCEEDED",
        "ended_at": START.timestamp(),
        "output_artifacts": [Artifacts("out", list(makes), IoType.OUTPUT)] if makes else [],
        "artifacts": [Artifacts("in", list(takes), IoType.TASK_OUTPUT_INPUT, "maker")] if takes else [],
        **more,
    }
    return TaskRecord(**values)


async def keep(store: Database, *records: TaskRecord) -> None:
    await store.write(partial(runs.keep_tasks, records=records))


async def names(store: Database, **filters: Any) -> list[tuple[str, str]]:
    predicates = tuple(Predicate(key, Op.EQUALS, value) for key, value in filters.items())
    query = ListQuery(50, "name", descending=False, predicates=predicates)
    page = await store.read(partial(artifacts.listed, namespace="team", query=query))
    return [(each.name, each.type) for each in page.items]


async def links(store: Database, **wanted: Any) -> list[Link]:
    found = partial(artifacts.links, namespace="team", wanted=LinkFilter(**wanted), query=BY_ID)
    return list((await store.read(found)).items)


async def test_what_a_task_makes_is_an_artifact_and_who_takes_it_is_linked(store: Database) -> None:
    model = handed("m", accuracy=1)
    await keep(store, a_task("maker", makes=[model]), a_task("taker", takes=[model]))
    found = await store.read(partial(artifacts.get, id="m"))
    assert (found.name, found.type, found.uri) == ("out", "Model", "minio://mlpipeline/run/m")
    assert (found.metadata, found.number_value, found.is_ours, found.created_at) == ({"accuracy": 1}, None, True, START)
    assert {(link.task_id, link.type, link.key, link.producer) for link in await links(store)} == {
        ("maker", "OUTPUT", "out", ""),
        ("taker", "TASK_OUTPUT_INPUT", "in", "maker"),
    }
    assert [link.task_id for link in await links(store, type="OUTPUT")] == ["maker"]
    assert [link.task_id for link in await links(store, task_ids=["taker"], run_ids=["run"])] == ["taker"]
    assert await links(store, artifact_ids=["other"]) == []


async def test_each_scalar_of_metrics_is_an_artifact_of_its_own(store: Database) -> None:
    metrics = handed("m", "system.Metrics", accuracy=0.95, epochs=3, good=True, note="x")
    await keep(store, a_task("maker", makes=[metrics]))
    assert await names(store) == [("accuracy", "Metric"), ("epochs", "Metric"), ("out", "Metric")]
    query = ListQuery(5, "number_value", descending=True)
    page = await store.read(partial(artifacts.listed, namespace="team", query=query))
    assert [each.number_value for each in page.items] == [3.0, 0.95, None]
    assert len(await links(store, type="OUTPUT")) == 3
    await store.write(partial(artifacts.remove, id="m"))
    assert (await names(store), await links(store)) == ([], [])


async def test_an_imported_artifact_is_not_ours_and_dags_hand_on_what_was_made_inside(store: Database) -> None:
    model = handed("m")
    await keep(store, a_task("dag", makes=[model], type=TaskType.DAG))
    assert await names(store) == []
    await keep(store, a_task("import", makes=[model], type=TaskType.IMPORTER))
    assert not (await store.read(partial(artifacts.get, id="m"))).is_ours
    assert {link.task_id for link in await links(store)} == {"dag", "import"}


async def test_what_a_program_says_of_other_places_is_not_ours(store: Database) -> None:
    elsewhere = Handed(id="m", uri="minio://mlpipeline/other/x", type=ArtifactType("system.Model"))
    await keep(store, a_task("maker", makes=[elsewhere]))
    assert not (await store.read(partial(artifacts.get, id="m"))).is_ours


async def test_an_attempt_after_another_takes_its_place(store: Database) -> None:
    await keep(store, a_task("maker", makes=[handed("first")]))
    await keep(store, a_task("maker", makes=[handed("first")]))
    assert len(await links(store)) == 1
    await keep(store, a_task("maker", makes=[handed("second")]))
    assert [link.artifact_id for link in await links(store)] == ["second"]
    await store.write(partial(runs.forget_tasks, run_id="run", ids=["maker"]))
    assert await links(store) == []


async def test_a_list_of_many_artifacts(store: Database) -> None:
    many = [handed(f"a{number:04}") for number in range(1201)]
    await keep(store, a_task("maker", makes=many), a_task("taker", takes=many))
    page = await store.read(partial(artifacts.listed, namespace="team", query=BY_NAME))
    assert page.total == 1201
    assert (
        await store.read(partial(artifacts.links, namespace="team", wanted=LinkFilter(), query=BY_ID))
    ).total == 2402
    assert [each.id for each in await store.read(partial(artifacts.with_ids, ids=["a0000", "b"]))] == ["a0000"]


async def test_artifacts_outlive_their_run_and_their_links_do_not(store: Database) -> None:
    await keep(store, a_task("maker", makes=[handed("m")]))
    await store.write(partial(runs.remove, id="run"))
    assert await links(store) == []
    assert await names(store) == [("out", "Model")]


async def test_artifacts_and_links_that_others_write_down(store: Database) -> None:
    mine = Artifact(id="x", namespace="team", name="mine", uri="s3://b/k", created_at=START, last_update=START)
    await store.write(partial(artifacts.create, artifact=mine))
    with pytest.raises(AlreadyExists):
        await store.write(partial(artifacts.create, artifact=mine))
    find = partial(artifacts.with_uri, namespace="team", uri="s3://b/k", type="Artifact")
    assert await store.read(find) == mine
    link = Link(id="l", namespace="team", artifact_id="x", run_id="run", task_id="t", type="OUTPUT", key="out")
    await store.write(partial(artifacts.create_link, link=link))
    assert await links(store, artifact_ids=["x"]) == [link]
    with pytest.raises(AlreadyExists):
        await store.write(partial(artifacts.create_link, link=link))
    lost = replace(link, id="l2", artifact_id="y")
    with pytest.raises(NotFound):
        await store.write(partial(artifacts.create_link, link=lost))
