"""Recurring runs start their runs: on time, each point once, whatever happens in between. On SQLite and PostgreSQL.

What goes in: recurring runs, the clock, runs that end, leaders that come and go. Asserted are the runs that there are.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from flowdeck.artifacts.artifacts import Artifacts
from flowdeck.artifacts.settings import ArtifactSettings
from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.components.pipelines import admission
from flowdeck.components.pipelines.catalog import Catalog, NewPipeline, NewVersion
from flowdeck.components.pipelines.engine.run import Options
from flowdeck.components.pipelines.engine.states import RunStatus
from flowdeck.components.pipelines.ir.document import Document, from_wire
from flowdeck.components.pipelines.kinds import definitions
from flowdeck.components.pipelines.runner.homes import Homes
from flowdeck.components.pipelines.schedules.controller import RecurringRunController
from flowdeck.components.pipelines.store import experiments, runs, schedules
from flowdeck.components.pipelines.store.migrations import MIGRATIONS
from flowdeck.components.pipelines.store.runs import Run
from flowdeck.components.pipelines.store.schedules import RecurringRun
from flowdeck.controller.contract import Controller
from flowdeck.kube.errors import ApiError, Conflict
from flowdeck.kube.kinds import CUSTOM_RESOURCE_DEFINITION, NAMESPACE
from flowdeck.kube.objects import ObjectKey, Tree, uid_of
from flowdeck.kube.times import format_time
from flowdeck.sql.database import Database
from flowdeck.web.listing import ListQuery
from tests.world.world import World

TEAM = "kubeflow"
OLDEST_FIRST = ListQuery(200, "scheduled_at", descending=False)


def a_document(name: str = "hello", **inputs: str) -> Document:
    """One without tasks, that takes texts."""
    parameters = {key: {"parameterType": kind} for key, kind in inputs.items()}
    root = {"dag": {"tasks": {}}, "inputDefinitions": {"parameters": parameters}}
    return from_wire({"pipelineInfo": {"name": name}, "schemaVersion": "2.1.0", "root": root})


def every(seconds: int, **more: str) -> Tree:
    return {"periodic_schedule": {"interval_second": str(seconds), **more}}


def cron(line: str, **more: str) -> Tree:
    return {"cron_schedule": {"cron": line, **more}}


@dataclass
class Scene:
    """A world with leaders in it that start runs, and a database that outlives them."""

    world: World
    database: Database
    begun: list[str] = field(default_factory=list)
    """The ids that whoever runs the runs was told of."""
    controller: RecurringRunController | None = None

    async def lead(self) -> None:
        """A leader, instead of the one before."""
        await self.world.kill()
        await self.world.start(self._controllers)
        assert self.controller is not None
        await self.controller.open_all()
        await self.settle()

    def _controllers(self, client: Client, clock: Clock) -> list[Controller]:
        self.controller = self.a_controller(client)
        return [self.controller]

    def a_controller(self, client: Client) -> RecurringRunController:
        return RecurringRunController(
            database=self.database,
            clock=self.world.clock,
            catalog=Catalog(client),
            zone="",
            homes=Homes(client=client, artifacts=Artifacts(ArtifactSettings(), Path("nowhere"))),
            options=Options(),
            begin=lambda run: self.begun.append(run.id),
        )

    async def add(self, trigger: Tree, document: Document | None = None, **more: Any) -> RecurringRun:
        """A new recurring run."""
        now = self.world.clock.now()
        document = document or a_document()
        digest = "" if "pipeline_id" in more else runs.hash_of(document)

        def write(connection: Any) -> RecurringRun:
            values: dict[str, Any] = {
                "id": f"recurring-{random.random()}",
                "experiment_id": experiments.default(connection, TEAM, now).id,
                "namespace": TEAM,
                "name": "nightly",
                "resource_name": "nightly-abcde",
                "service_account": "pipeline-runner",
                "document": digest,
                "trigger": trigger,
                "max_concurrency": 10,
                "is_enabled": True,
                "created_at": now,
                "updated_at": now,
                **more,
            }
            runs.keep_document(connection, document)
            made = RecurringRun(**values)
            schedules.create(connection, made)
            return made

        made = await self.database.write(write)
        await self.look_at(made)
        return made

    async def look_at(self, recurring: RecurringRun) -> None:
        if self.controller is not None:
            self.controller.look_at(recurring.namespace, recurring.id)
        await self.settle()

    async def settle(self) -> None:
        """SQL works in threads, of which the world knows nothing."""
        assert self.world.manager is not None
        quiet = 0
        while quiet < 4:
            quiet = quiet + 1 if self.world.manager.is_idle else 0
            await self.database.ping()
        await self.world.settle()

    async def passes(self, seconds: float, step: float = 1) -> None:
        for _ in range(round(seconds / step)):
            self.world.clock.advance(step)
            await self.settle()

    async def all_runs(self) -> list[Run]:
        """From the one that was scheduled first."""
        listed = partial(runs.listed, query=OLDEST_FIRST, namespace=TEAM)
        return list((await self.database.read(listed)).items)

    async def times(self) -> list[str]:
        return [format_time(run.scheduled_at)[11:19] for run in await self.all_runs()]

    async def end(self, run: Run) -> None:
        record = partial(runs.record_state, id=run.id, state=RunStatus.SUCCEEDED, error="", at=self.world.clock.now())
        await self.database.write(record)

    async def enable(self, recurring: RecurringRun, *, enabled: bool) -> None:
        now = self.world.clock.now()
        await self.database.write(partial(schedules.enable, id=recurring.id, enabled=enabled, now=now))
        await self.look_at(recurring)

    async def as_it_is(self, recurring: RecurringRun) -> RecurringRun:
        return await self.database.read(partial(schedules.get, id=recurring.id))


@pytest.fixture
async def scene(tmp_path: Path, database: Database) -> AsyncIterator[Scene]:
    world = await World.open(tmp_path, rules=admission.rules())
    for crd in definitions():
        await world.client.apply(CUSTOM_RESOURCE_DEFINITION, crd, manager="test")
    await world.client.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": TEAM}})
    await MIGRATIONS.run(database)
    scene = Scene(world, database)
    await scene.lead()
    yield scene
    await world.kill()
    await world.close()


async def test_runs_start_when_they_are_due(scene: Scene) -> None:
    await scene.add(cron("*/5 * * * * *"))
    await scene.passes(4)
    assert await scene.times() == []
    await scene.passes(1)
    assert await scene.times() == ["00:00:05"]
    await scene.passes(11)
    found = await scene.all_runs()
    assert await scene.times() == ["00:00:05", "00:00:10", "00:00:15"]
    assert [run.created_at - run.scheduled_at for run in found] == [timedelta(0)] * 3
    assert sorted(scene.begun) == sorted(run.id for run in found)


async def test_a_run_tells_where_it_is_from_and_macros_are_replaced(scene: Scene) -> None:
    parameters = {"number": "run [[Index]]", "day": "[[ScheduledTime.2006-01-02]]", "me": "[[RunUUID]]"}
    document = a_document(number="STRING", day="STRING", me="STRING")
    recurring = await scene.add(every(3), document, parameters=parameters, description="each")
    await scene.passes(6)
    first, second = await scene.all_runs()
    assert first.parameters == {"number": "run 1", "day": "2026-01-01", "me": first.id}
    assert second.parameters["number"] == "run 2"
    assert second.for_engine.parameters == second.parameters
    assert (first.recurring_run_id, first.description, first.state) == (recurring.id, "each", "PENDING")
    assert first.name.startswith("nightly-abcde-1-")
    assert second.name.startswith("nightly-abcde-2-")


async def test_artifacts_go_where_the_namespace_says(scene: Scene) -> None:
    meta, data = {"name": "kfp-launcher", "namespace": TEAM}, {"defaultPipelineRoot": "s3://team/artifacts"}
    await scene.world.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})
    await scene.add(every(3))
    await scene.add(every(3), pipeline_root="s3://own/root", resource_name="own")
    await scene.passes(3)
    assert {run.for_engine.pipeline_root for run in await scene.all_runs()} == {"s3://team/artifacts", "s3://own/root"}


async def test_a_recurring_run_without_a_trigger_runs_once(scene: Scene) -> None:
    await scene.add({})
    await scene.passes(3)
    assert await scene.times() == ["00:00:00"]


async def test_no_more_than_may_be_are_unfinished_and_what_was_missed_queues_up(scene: Scene) -> None:
    await scene.add(every(3), max_concurrency=1)
    await scene.passes(10)
    assert await scene.times() == ["00:00:03"]
    for count in (2, 3):
        await scene.end((await scene.all_runs())[-1])
        await scene.passes(1)
        assert len(await scene.all_runs()) == count
    assert await scene.times() == ["00:00:03", "00:00:06", "00:00:09"]


@pytest.mark.parametrize(
    ("trigger", "no_catchup", "times"),
    [
        pytest.param(every(10), False, ["00:00:10", "00:00:20", "00:00:30", "00:00:40"], id="interval"),
        pytest.param(every(10), True, ["00:00:10", "00:00:45"], id="interval-none"),
        pytest.param(cron("*/10 * * * * *"), False, ["00:00:10", "00:00:20", "00:00:30", "00:00:40"], id="cron"),
        pytest.param(cron("*/10 * * * * *"), True, ["00:00:10", "00:00:40"], id="cron-none"),
    ],
)
async def test_what_was_missed_while_it_was_disabled(
    scene: Scene, trigger: Tree, no_catchup: bool, times: list[str]
) -> None:
    recurring = await scene.add(trigger, no_catchup=no_catchup)
    await scene.passes(10)
    await scene.enable(recurring, enabled=False)
    await scene.passes(35, step=5)
    assert await scene.times() == ["00:00:10"]
    await scene.enable(recurring, enabled=True)
    assert await scene.times() == times


async def test_without_a_version_the_newest_one_of_the_pipeline_is_run_each_time(scene: Scene) -> None:
    catalog = Catalog(scene.world.client)
    new = NewPipeline(name="hello", namespace=TEAM)
    pipeline, first = await catalog.create_with_version(new, NewVersion(name="v1", document=a_document()))
    await scene.add(every(10), pipeline_id=uid_of(pipeline))
    await scene.passes(10)
    second = await catalog.create_version(pipeline, NewVersion(name="v2", document=a_document(what="STRING")))
    recurring_without_value = await scene.add(every(10), pipeline_id=uid_of(pipeline))
    await scene.passes(10)
    found = await scene.all_runs()
    assert [run.pipeline_version_id for run in found] == [uid_of(first)]
    told = (await scene.as_it_is(recurring_without_value)).error
    assert told.startswith("the run of 2026-01-01T00:00:20Z cannot be started: ")
    assert "parameter 'what' is missing" in told
    await catalog.delete_version(uid_of(second))
    await scene.passes(70, step=10)
    assert (await scene.as_it_is(recurring_without_value)).error == ""
    assert {run.pipeline_version_id for run in await scene.all_runs()} == {uid_of(first)}


async def test_a_backfill_runs_each_point_of_a_range_that_was_not_run(scene: Scene) -> None:
    recurring = await scene.add(cron("0 * * * * *"), max_concurrency=2)
    await scene.passes(120, step=30)
    assert await scene.times() == ["00:01:00", "00:02:00"]
    begin, end = scene.world.clock.now() - timedelta(minutes=4), scene.world.clock.now()
    await scene.database.write(partial(schedules.backfill, id=recurring.id, begin=begin, end=end))
    await scene.look_at(recurring)
    assert len(await scene.all_runs()) == 2, "as many as may be are unfinished"
    for run in await scene.all_runs():
        await scene.end(run)
    await scene.passes(2)
    assert [format_time(run.scheduled_at)[:16] for run in await scene.all_runs()] == [
        "2025-12-31T23:58", "2025-12-31T23:59", "2026-01-01T00:01", "2026-01-01T00:02",
    ]  # fmt: skip
    for run in await scene.all_runs():
        await scene.end(run)
    await scene.passes(2)
    assert await scene.times() == ["23:58:00", "23:59:00", "00:00:00", "00:01:00", "00:02:00"]
    assert await scene.database.read(partial(schedules.backfills, id=recurring.id)) == []


async def test_a_deleted_one_starts_nothing_and_its_runs_stay(scene: Scene) -> None:
    recurring = await scene.add(every(3))
    await scene.passes(3)
    await scene.database.write(partial(schedules.remove, id=recurring.id))
    await scene.look_at(recurring)
    await scene.passes(6)
    assert await scene.times() == ["00:00:03"]


async def test_an_archived_experiment_disables_its_recurring_runs(scene: Scene) -> None:
    recurring = await scene.add(every(3))
    archive = partial(experiments.archive, id=recurring.experiment_id, now=scene.world.clock.now())
    await scene.database.write(archive)
    await scene.passes(6)
    assert await scene.times() == []
    assert not (await scene.as_it_is(recurring)).is_enabled


async def test_leaders_come_and_go_and_no_point_is_lost_or_run_twice(scene: Scene) -> None:
    chance = random.Random(7)
    recurring = [await scene.add(every(2), max_concurrency=10), await scene.add(cron("*/3 * * * * *"))]
    for _ in range(60):
        scene.world.clock.advance(1)
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
            await scene.database.ping()
        await scene.lead()
        for run in await scene.all_runs():
            if run.is_active:
                await scene.end(run)
    await scene.passes(1)
    found = await scene.all_runs()
    for one, gap in zip(recurring, (2, 3), strict=True):
        points = [run.scheduled_at for run in found if run.recurring_run_id == one.id]
        assert points == [one.created_at + timedelta(seconds=gap * n) for n in range(1, 60 // gap + 1)]
        assert (await scene.as_it_is(one)).made == len(points)


async def test_two_leaders_at_once_make_one_run(scene: Scene) -> None:
    recurring = await scene.add(every(2), is_enabled=False)
    await scene.database.write(partial(schedules.enable, id=recurring.id, enabled=True, now=recurring.created_at))
    rivals = [scene.a_controller(scene.world.client) for _ in range(4)]
    scene.world.clock.advance(9)
    key = ObjectKey(recurring.namespace, recurring.id)
    for _ in range(4):
        ended = await asyncio.gather(*(rival.reconcile(key) for rival in rivals), return_exceptions=True)
        assert all(isinstance(one, Conflict) for one in ended if isinstance(one, ApiError))
    assert await scene.times() == ["00:00:02", "00:00:04", "00:00:06", "00:00:08"]
    assert sorted(scene.begun) == sorted(run.id for run in await scene.all_runs())


async def test_what_others_change_is_taken_up_once(scene: Scene) -> None:
    asked: list[str] = []
    controller = replace(scene.a_controller(scene.world.client), pokes=[lambda key: asked.append(key.name)])
    recurring = await scene.add(every(3600), is_enabled=False)
    other = await scene.add(every(3600))

    async def taken_up() -> list[str]:
        asked.clear()
        await controller.open_all()
        return asked

    assert await taken_up() == [other.id]
    assert await taken_up() == []
    now = scene.world.clock.now()
    scene.world.clock.advance(1)
    await scene.database.write(partial(schedules.enable, id=recurring.id, enabled=True, now=scene.world.clock.now()))
    assert await taken_up() == [recurring.id]
    await scene.database.write(partial(schedules.backfill, id=other.id, begin=now, end=now))
    assert await taken_up() == [other.id]
    assert await taken_up() == []


def test_the_id_of_a_run_is_made_of_its_schedule_and_its_time() -> None:
    at = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
    assert schedules.run_id("a", at) == schedules.run_id("a", at)
    assert schedules.run_id("a", at) != schedules.run_id("b", at)
    assert schedules.run_id("a", at) != schedules.run_id("a", at + timedelta(seconds=1))
