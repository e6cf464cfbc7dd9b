"""The controller of runs is made when there is something to do, and finds what others made. Nothing runs here."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from flowdeck.components.base import Context
from flowdeck.components.pipelines.ir.document import from_wire
from flowdeck.components.pipelines.late import RUNS, LateRuns
from flowdeck.components.pipelines.plan.compiler import compile_plan
from flowdeck.components.pipelines.runner.pods import RUN_LABEL
from flowdeck.components.pipelines.settings import PipelinesSettings
from flowdeck.components.pipelines.store import experiments, runs
from flowdeck.components.pipelines.store.migrations import MIGRATIONS
from flowdeck.components.pipelines.store.runs import Run
from flowdeck.components.pipelines.submission import Submission, run_of
from flowdeck.controller.events import EventRecorder
from flowdeck.kube.errors import ServiceUnavailable
from flowdeck.kube.kinds import POD
from flowdeck.kube.objects import Kind, ObjectKey, key_of
from flowdeck.sql.database import Database
from flowdeck.stores import Stores
from tests.pipelines.makers import a_component, a_pipeline, a_task
from tests.world.world import World

DOCUMENT = from_wire(a_pipeline({"say": a_component("pass")}, {"only": a_task("say")}))
MAKER = "flowdeck.components.pipelines.runner.made"
PATIENCE_S = 30


class Scene:
    """A world with the stand-in, and another process's connection to the database."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.url = f"sqlite:///{folder}/flowdeck.db"
        self.folder = folder
        self.stores = Stores(folder=folder)
        self.started = asyncio.Event()
        self.other = Database(self.url)
        self.lists_that_fail = 0
        """Of pods, yet to come."""

    async def start(self, *, is_shared: bool = False) -> None:
        self.stores = Stores(self.url if is_shared else "", folder=self.folder)

        def controllers(client: Any, clock: Any) -> list[Any]:
            ctx = Context(
                client=Troubled(client, self),
                clock=clock,
                settings=PipelinesSettings(),
                events=EventRecorder(client, clock, "test"),
                stores=self.stores,
                started=self._wait,
            )
            return [LateRuns(ctx, "pipeline-run", RUNS, MAKER)]

        self.world.begin(controllers)

    async def _wait(self) -> None:
        await self.started.wait()

    async def submit(self) -> Run:
        """A run that another process makes: nobody is told."""
        await MIGRATIONS.run(self.other)
        now = self.world.clock.now()

        def write(connection: Any) -> Run:
            wanted = Submission(
                id="run-1",
                name="a run",
                experiment_id=experiments.default(connection, "default", now).id,
                namespace="default",
                plan=compile_plan(DOCUMENT),
                document=runs.keep_document(connection, DOCUMENT),
                service_account="default",
                default_root="minio://mlpipeline/v2/artifacts",
            )
            run = run_of(wanted, now)
            runs.create(connection, run)
            return run

        return await self.other.write(write)

    async def state(self) -> str:
        run = await self.other.read(lambda connection: runs.get(connection, "run-1"))
        return str(run.state)

    async def reaches(self, state: str, *, seconds: float = 0) -> None:
        """Returns when the run is in that state; time passes meanwhile, if it shall."""
        async with asyncio.timeout(PATIENCE_S):
            while await self.state() != state:
                await self.world.advance(seconds=seconds)

    async def has_pods(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(await self.world.list(POD)) != count:
                await self.other.ping()


class Troubled:
    """A client that fails to list pods when it is told to."""

    def __init__(self, client: Any, scene: Scene) -> None:
        self._client, self._scene = client, scene

    async def list(self, kind: Kind, **how: Any) -> Any:
        if kind == POD and self._scene.lists_that_fail:
            self._scene.lists_that_fail -= 1
            raise ServiceUnavailable("not now")
        return await self._client.list(kind, **how)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


@pytest.fixture
async def scene(world: World, tmp_path: Path) -> AsyncIterator[Scene]:
    scene = Scene(world, tmp_path)
    yield scene
    await world.kill()
    await scene.stores.close()
    await scene.other.close()


async def test_where_nothing_is_kept_nothing_is_loaded(scene: Scene) -> None:
    await scene.start()
    await scene.world.settle()
    assert "database" not in vars(scene.stores)
    assert not (scene.folder / "flowdeck.db").exists()


async def test_a_run_that_it_is_told_of_is_worked_on(scene: Scene) -> None:
    await scene.start()
    await scene.world.settle()
    run = await scene.submit()
    scene.stores.news.tell(RUNS, ObjectKey(run.namespace, run.id))
    await scene.reaches("RUNNING")
    await scene.has_pods(1)


async def test_what_is_unfinished_is_taken_up_once_the_platform_has_started(scene: Scene) -> None:
    await scene.submit()
    await scene.start()
    for _ in range(5):
        await scene.other.ping()
    assert await scene.state() == "PENDING"
    assert "database" not in vars(scene.stores)
    scene.started.set()
    await scene.reaches("RUNNING")


async def test_runs_that_other_processes_make_are_found(scene: Scene) -> None:
    scene.started.set()
    await scene.start(is_shared=True)
    await scene.submit()
    await scene.reaches("RUNNING", seconds=1)
    await scene.has_pods(1)


async def test_a_run_that_another_process_removed_loses_its_pods(scene: Scene) -> None:
    scene.started.set()
    await scene.submit()
    await scene.start(is_shared=True)
    await scene.reaches("RUNNING")
    await scene.has_pods(1)
    await scene.other.write(lambda connection: runs.remove(connection, "run-1"))
    async with asyncio.timeout(PATIENCE_S):
        while await scene.world.list(POD):
            await scene.world.advance(seconds=1)
            await scene.other.ping()


async def test_pods_of_a_run_that_is_no_more_go_though_another_was_told_of_first_and_a_list_failed(
    scene: Scene,
) -> None:
    container = {"name": "main", "image": "python:3.11"}
    meta = {"namespace": "default", "name": "orphan", "labels": {RUN_LABEL: "gone"}}
    await scene.world.create({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [container]}})
    run = await scene.submit()
    await scene.start()
    scene.stores.news.tell(RUNS, ObjectKey(run.namespace, run.id))
    await scene.has_pods(2)
    scene.lists_that_fail = 1
    scene.started.set()
    async with asyncio.timeout(PATIENCE_S):
        while any(key_of(pod).name == "orphan" for pod in await scene.world.list(POD)):
            await scene.world.advance(seconds=1)
            await scene.other.ping()
    assert scene.lists_that_fail == 0
    assert await scene.state() == "RUNNING"
