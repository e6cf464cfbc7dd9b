"""What goes in: documents of pipelines. They run as pods of a platform; runner, SQL and files are the test's own."""

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

import flowdeck
from flowdeck.artifacts.artifacts import Artifacts
from flowdeck.artifacts.settings import ArtifactSettings
from flowdeck.clock import SystemClock
from flowdeck.components.pipelines.engine.events import RetryRequested, TerminateRequested
from flowdeck.components.pipelines.engine.records import TaskRecord
from flowdeck.components.pipelines.engine.run import Run as EngineRun
from flowdeck.components.pipelines.ir.document import from_wire
from flowdeck.components.pipelines.plan.compiler import compile_plan
from flowdeck.components.pipelines.plan.parameters import run_parameters
from flowdeck.components.pipelines.runner.controller import RunController
from flowdeck.components.pipelines.runner.made import acts_with
from flowdeck.components.pipelines.runner.task_pods import LOG
from flowdeck.components.pipelines.settings import PipelinesSettings
from flowdeck.components.pipelines.store import runs
from flowdeck.components.pipelines.store.migrations import MIGRATIONS
from flowdeck.components.pipelines.store.runs import Run
from flowdeck.controller.manager import Manager
from flowdeck.kube.kinds import POD
from flowdeck.kube.objects import ObjectKey, Tree
from flowdeck.sql.database import Database, Work
from flowdeck.testing.platform import RunningPlatform

NAMESPACE = "default"
PATIENCE_S = 40
T = TypeVar("T")


@pytest.fixture(scope="session", params=["namespaces", "plain"])
def started(request: pytest.FixtureRequest) -> Iterator[RunningPlatform]:
    """A platform whose pods see volumes at their literal paths, and one whose pods do not."""
    if request.param == "namespaces" and sys.platform != "linux":
        pytest.skip("namespaces are Linux's")
    with flowdeck.platform(options=["--driver", request.param]) as running:
        yield running


class WatchedDatabase(Database):
    """Tells of what is written."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._writes = 0
        self._seen = 0
        self._wrote = asyncio.Event()

    async def write(self, work: Work[T]) -> T:
        result = await super().write(work)
        self._writes += 1
        self._wrote.set()
        return result

    async def written(self) -> None:
        """Returns when something was written since it last returned."""
        while self._writes == self._seen:
            self._wrote.clear()
            await self._wrote.wait()
        self._seen = self._writes


@dataclass
class Runner:
    """Runs pipelines, and can be killed and started again."""

    platform: RunningPlatform
    database: "WatchedDatabase"
    artifacts: Path
    root: str = "minio://mlpipeline/v2/artifacts"
    controller: RunController | None = None
    _working: "asyncio.Task[None] | None" = None
    _manager: Manager | None = None

    async def start(self) -> None:
        made: list[RunController] = []
        client = self.platform.client()
        clock = SystemClock()

        def controllers(cached: Any) -> list[RunController]:
            artifacts = Artifacts(ArtifactSettings(), self.artifacts)
            acts = acts_with(cached, clock, self.database, artifacts, PipelinesSettings())
            made.append(RunController(database=self.database, clock=clock, acts=acts))
            return made

        manager = self._manager = Manager(client, clock, controllers)

        async def work() -> None:
            async with client:
                await manager.run()

        self._working = asyncio.create_task(work())
        self.controller = made[0]
        await self.controller.open_all()

    async def rest(self) -> None:
        """Returns when nothing is under way: a connection that is just being made would outlive the test."""
        assert self._manager is not None
        async with asyncio.timeout(PATIENCE_S):
            while not self._manager.is_idle:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)

    async def kill(self) -> None:
        """Ends it wherever it is."""
        assert self._working is not None
        self._working.cancel()
        await asyncio.gather(self._working, return_exceptions=True)

    async def submit(self, document: Tree, **parameters: Any) -> str:
        """Starts a run; gives its id."""
        parsed = from_wire(document)
        plan = compile_plan(parsed)
        now = SystemClock().now()
        run_id = str(uuid.uuid4())
        engine = EngineRun(
            id=run_id,
            display_name=f"run of {plan.name}",
            resource_name=f"{plan.name}-{run_id[:5]}",
            pipeline_root=self.root,
            parameters=run_parameters(plan, parameters),
            created_at=now.timestamp(),
        )

        def write(connection: Any) -> Run:
            run = Run(
                id=run_id,
                experiment_id="",
                namespace=NAMESPACE,
                name=engine.display_name,
                created_at=now,
                scheduled_at=now,
                service_account="default",
                document=runs.keep_document(connection, parsed),
                engine=msgspec.to_builtins(engine),
            )
            runs.create(connection, run)
            return run

        self._look_at(await self.database.write(write))
        return run_id

    async def wish(self, run_id: str, event: TerminateRequested | RetryRequested) -> None:
        """What a user wants."""
        now = SystemClock().now()
        await self.database.write(lambda connection: runs.wish(connection, run_id, event, now))
        self._look_at(await self.run(run_id))

    async def run(self, run_id: str) -> Run:
        return await self.database.read(lambda connection: runs.get(connection, run_id))

    async def tasks(self, run_id: str) -> dict[str, TaskRecord]:
        """By their label."""
        found = await self.database.read(lambda connection: runs.tasks(connection, run_id))
        return {record.label: record for record in found}

    async def finished(self, run_id: str) -> Run:
        """The run, when it has ended."""
        async with asyncio.timeout(PATIENCE_S):
            while (run := await self.run(run_id)).is_active:
                await self.database.written()
        return run

    async def reaches(self, run_id: str, label: str, state: str) -> None:
        """Returns when a task is in that state."""
        async with asyncio.timeout(PATIENCE_S):
            while (record := (await self.tasks(run_id)).get(label)) is None or record.state != state:
                await self.database.written()

    async def says(self, run_id: str, label: str, text: bytes) -> None:
        """Returns when the program of a task has written that."""
        (*_, attempt) = (await self.tasks(run_id))[label].attempts
        path = POD.url(ObjectKey(NAMESPACE, attempt.pod), subresource="log")
        async with self.platform.client() as client, client.stream(path, query={"follow": "true"}) as pieces:
            async with asyncio.timeout(PATIENCE_S):
                async for piece in pieces:
                    if text in piece:
                        return

    async def kept_log(self, run_id: str, label: str) -> str:
        """What the program of a task wrote, now that its pod is gone."""
        (place,) = self.artifacts.rglob(f"{run_id}/{label.removeprefix('root.')}/*")
        return (place / LOG).read_text()

    def _look_at(self, run: Run) -> None:
        assert self.controller is not None
        self.controller.look_at(run)


@pytest.fixture
async def runner(started: RunningPlatform, tmp_path: Path) -> AsyncIterator[Runner]:
    database = WatchedDatabase(f"sqlite:///{tmp_path}/pipelines.db")
    await MIGRATIONS.run(database)
    artifacts = tmp_path / "artifacts"
    artifacts.mkdir()
    runner = Runner(started, database, artifacts)
    await runner.start()
    yield runner
    await runner.rest()
    await runner.kill()
    await database.close()
