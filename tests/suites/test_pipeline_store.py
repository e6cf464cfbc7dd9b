"""What the store of pipelines keeps, on SQLite and PostgreSQL."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, func, select

from flowdeck.components.pipelines.engine.events import Event, RunStarted, TerminateRequested, TimePassed
from flowdeck.components.pipelines.engine.states import RunStatus
from flowdeck.components.pipelines.ir.document import from_wire
from flowdeck.components.pipelines.store import artifacts, experiments, runs
from flowdeck.components.pipelines.store.artifacts import Artifact
from flowdeck.components.pipelines.store.migrations import MIGRATIONS
from flowdeck.components.pipelines.store.runs import Run
from flowdeck.components.pipelines.store.tables import DOCUMENTS, METADATA
from flowdeck.kube.errors import AlreadyExists, Conflict, NotFound
from flowdeck.kube.objects import ObjectKey
from flowdeck.sql.database import Database
from flowdeck.web.listing import ListQuery
from flowdeck.web.rpc_errors import Aborted, FailedPrecondition
from tests.sql.overlap import overlap

START = datetime(2026, 1, 1, tzinfo=UTC)
SPEC = {"pipelineInfo": {"name": "hello"}, "schemaVersion": "2.1.0", "root": {"dag": {"tasks": {}}}}
BY_AGE = ListQuery(20, "created_at", descending=False)


@pytest.fixture
async def store(database: Database) -> Database:
    await MIGRATIONS.run(database)
    return database


async def an_experiment(store: Database, name: str = "tries") -> str:
    make = partial(experiments.create, name=name, namespace="team", description="", now=START)
    return (await store.write(make)).id


def new_run(id: str, experiment: str, document: str, **more: Any) -> Run:
    return Run(
        id=id,
        experiment_id=experiment,
        namespace="team",
        name=id,
        created_at=START,
        scheduled_at=START,
        service_account="pipeline-runner",
        document=document,
        engine={},
        **more,
    )


async def a_run(store: Database, id: str, experiment: str, **more: Any) -> None:
    def make(connection: Connection) -> None:
        document = runs.keep_document(connection, from_wire(SPEC))
        runs.create(connection, new_run(id, experiment, document, **more))

    await store.write(make)


async def test_the_steps_make_the_tables_that_are_declared(store: Database) -> None:
    def differences(connection: Connection) -> list[Any]:
        def is_declared(name: str | None, kind: str, parents: object) -> bool:
            return kind != "table" or name in METADATA.tables

        options = {"compare_type": True, "include_name": is_declared}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), METADATA))

    assert await store.read(differences) == []


async def test_a_run_is_read_as_it_was_written(store: Database) -> None:
    experiment = await an_experiment(store)
    await a_run(store, "a", experiment, parameters={"x": [1, None]})
    run = await store.read(lambda connection: runs.get(connection, "a"))
    assert (run.state, run.parameters, run.is_active) == (RunStatus.PENDING, {"x": [1, None]}, True)
    assert run.history == [{"update_time": "2026-01-01T00:00:00Z", "state": "PENDING"}]
    assert (await store.read(lambda connection: runs.document(connection, run.document))).wire == SPEC
    touched = await store.read(lambda connection: experiments.get(connection, experiment))
    assert touched.last_run_created_at == START


async def test_states_are_kept_in_their_order(store: Database) -> None:
    await a_run(store, "a", await an_experiment(store))
    for second, state in enumerate((RunStatus.RUNNING, RunStatus.RUNNING, RunStatus.FAILED), 1):
        at = START + timedelta(seconds=second)
        await store.write(partial(runs.record_state, id="a", state=state, error="because", at=at))
    run = await store.read(lambda connection: runs.get(connection, "a"))
    assert [entry["state"] for entry in run.history] == ["PENDING", "RUNNING", "FAILED"]
    assert (run.is_active, run.finished_at, run.error) == (False, START + timedelta(seconds=3), "because")
    assert await store.read(runs.at_work) == {}


async def test_the_end_of_a_run_is_no_state_that_it_enters_again(store: Database) -> None:
    await a_run(store, "a", await an_experiment(store))
    for second in (1, 2):
        at = START + timedelta(seconds=second)
        await store.write(partial(runs.record_state, id="a", state=RunStatus.FAILED, error="because", at=at))
    assert (await store.read(partial(runs.get, id="a"))).finished_at == START + timedelta(seconds=1)


async def test_the_end_of_a_run_that_ends_just_then_is_no_wish(store: Database) -> None:
    await a_run(store, "a", await an_experiment(store))
    end = partial(runs.record_state, id="a", state=RunStatus.SUCCEEDED, error="", at=START)
    wish = partial(runs.wish, run_id="a", event=TerminateRequested(at=0.0), at=START)
    _, found = await overlap(store, end, wish)
    assert found.state == RunStatus.SUCCEEDED
    run = await store.read(partial(runs.get, id="a"))
    assert (run.state, run.is_active) == (RunStatus.SUCCEEDED, False)
    assert await store.read(partial(runs.wishes, run_id="a")) == []


async def test_who_works_on_runs_learns_which_are_wanted(store: Database) -> None:
    experiment = await an_experiment(store)
    await a_run(store, "a", experiment)
    await a_run(store, "b", experiment)
    wish = TerminateRequested(at=0.0)
    await store.write(lambda connection: runs.wish(connection, "b", wish, START))
    assert [(key.name, wanted) for key, wanted in (await store.read(runs.at_work)).items()] == [
        ("a", False),
        ("b", True),
    ]


async def test_nothing_is_noted_of_a_run_that_was_removed(store: Database) -> None:
    await a_run(store, "a", await an_experiment(store))
    await store.write(partial(runs.remove, id="a"))
    with pytest.raises(NotFound):
        await store.write(partial(runs.append, run_id="a", first=0, happened=[RunStarted(at=1.0)]))
    with pytest.raises(NotFound):
        await store.read(partial(runs.wishes, run_id="a"))


async def test_events_are_appended_by_one_writer(store: Database) -> None:
    await a_run(store, "a", await an_experiment(store))
    happened: list[Event] = [RunStarted(at=1.0), TimePassed(at=2.5, cause="timer")]
    await store.write(lambda connection: runs.append(connection, "a", 0, happened))
    with pytest.raises(Conflict):
        await store.write(lambda connection: runs.append(connection, "a", 1, [TimePassed(at=3.0)]))
    assert await store.read(lambda connection: runs.events(connection, "a")) == happened


async def test_a_removed_run_takes_its_document_with_it_unless_others_have_it(store: Database) -> None:
    experiment = await an_experiment(store)
    for id in ("a", "b"):
        await a_run(store, id, experiment)

    def documents(connection: Connection) -> int:
        return connection.execute(select(func.count()).select_from(DOCUMENTS)).scalar_one()

    await store.write(lambda connection: runs.remove(connection, "a"))
    assert await store.read(documents) == 1
    await store.write(lambda connection: runs.remove(connection, "b"))
    assert await store.read(documents) == 0
    with pytest.raises(NotFound):
        await store.write(lambda connection: runs.remove(connection, "b"))


async def test_an_archived_experiment_archives_its_runs_and_keeps_them_archived(store: Database) -> None:
    experiment = await an_experiment(store)
    await a_run(store, "a", experiment)
    await store.write(lambda connection: experiments.archive(connection, experiment, START))
    assert (await store.read(lambda connection: runs.get(connection, "a"))).storage_state == "ARCHIVED"
    with pytest.raises(FailedPrecondition):
        await store.write(lambda connection: runs.unarchive(connection, "a"))
    await store.write(lambda connection: experiments.unarchive(connection, experiment))
    assert (await store.read(lambda connection: runs.get(connection, "a"))).storage_state == "ARCHIVED"
    await store.write(lambda connection: runs.unarchive(connection, "a"))
    assert (await store.read(lambda connection: runs.get(connection, "a"))).storage_state == "AVAILABLE"


async def test_the_default_experiment_is_made_when_it_is_needed_and_stays(store: Database) -> None:
    make = partial(experiments.default, namespace="team", now=START)
    first = await store.write(make)
    assert await store.write(make) == first
    with pytest.raises(Aborted):
        await store.write(lambda connection: experiments.remove(connection, first.id))


async def test_names_of_experiments_are_unique_in_a_namespace(store: Database) -> None:
    await an_experiment(store)
    with pytest.raises(AlreadyExists):
        await an_experiment(store)
    other = partial(experiments.create, name="tries", namespace="other", description="", now=START)
    await store.write(other)
    page = await store.read(lambda connection: experiments.listed(connection, "team", BY_AGE))
    assert page.total == 1


# ---- at the same time -------------------------------------------------------------------------------------------


def keeps(id: str, experiment: str) -> Callable[[Connection], None]:
    """A run of the document that all have here."""

    def make(connection: Connection) -> None:
        document = runs.keep_document(connection, from_wire(SPEC))
        runs.create(connection, new_run(id, experiment, document))

    return make


async def test_two_first_runs_of_a_document_are_both_made(store: Database) -> None:
    experiment = await an_experiment(store)
    await overlap(store, keeps("a", experiment), keeps("b", experiment))
    assert set(await store.read(runs.at_work)) == {ObjectKey("team", "a"), ObjectKey("team", "b")}


async def test_a_document_stays_when_its_last_run_goes_and_another_comes(store: Database) -> None:
    experiment = await an_experiment(store)
    await a_run(store, "a", experiment)
    await overlap(store, keeps("b", experiment), partial(runs.remove, id="a"))
    await overlap(store, partial(runs.remove, id="b"), keeps("c", experiment))
    run = await store.read(partial(runs.get, id="c"))
    assert (await store.read(partial(runs.document, hash=run.document))).wire == SPEC


async def test_two_who_need_the_default_experiment_get_the_same(store: Database) -> None:
    default = partial(experiments.default, namespace="team", now=START)
    one, other = await overlap(store, default, default)
    assert one == other


async def test_two_new_artifacts_of_one_id_are_a_conflict(store: Database) -> None:
    artifact = Artifact(id="a", namespace="team", name="a", created_at=START, last_update=START)
    create = partial(artifacts.create, artifact=artifact)
    with pytest.raises(AlreadyExists):
        await overlap(store, create, create)
