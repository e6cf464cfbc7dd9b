"""What goes in: documents of pipelines. They run as pods of a platform; runner, SQL and artifacts are the test's own.

Artifacts are files, and on a real cluster (`--cluster real`) objects of an S3 server there.
"""

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from flowdeck.artifacts.artifacts import Artifacts
from flowdeck.artifacts.settings import ArtifactSettings
from flowdeck.client.http import HttpClient
from flowdeck.clock import SystemClock
from flowdeck.components.pipelines.engine.events import RetryRequested, TerminateRequested
from flowdeck.components.pipelines.engine.records import TaskRecord
from flowdeck.components.pipelines.engine.run import Run as EngineRun
from flowdeck.components.pipelines.ir.document import from_wire
from flowdeck.components.pipelines.plan.compiler import compile_plan
from flowdeck.components.pipelines.plan.parameters import run_parameters
from flowdeck.components.pipelines.runner.controller import RunController
from flowdeck.components.pipelines.runner.ended_pods import has_ended
from flowdeck.components.pipelines.runner.made import acts_with
from flowdeck.components.pipelines.runner.pods import RUN_LABEL
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
from tests.conftest import OpenPlatform
from tests.pipelines.servers import NAMESPACE, S3, s3_beside

PATIENCE_S = 40
T = TypeVar("T")


@pytest.fixture(scope="session")
def is_real(request: pytest.FixtureRequest) -> bool:
    """Whether the platform is installed on a real cluster."""
    return bool(request.config.getoption("--cluster") == "real")


@pytest.fixture(scope="session", params=["namespaces", "plain"])
def driver(request: pytest.FixtureRequest, is_real: bool) -> str:
    """Of platforms whose pods see volumes at their literal paths, and of those whose pods do not."""
    if request.param == "plain" and is_real:
        pytest.skip("plain pods have the machine's address, loopback in tests: a real Service leads to no such address")
    if request.param == "namespaces" and sys.platform != "linux":
        pytest.skip("namespaces are Linux's")
    return str(request.param)


@pytest.fixture(scope="session")
def started(driver: str, open_platform: OpenPlatform) -> Iterator[RunningPlatform]:
    """A platform with this driver; `--cluster` says where."""
    with open_platform(options=["--driver", driver]) as running:
        yield running


@pytest.fixture(scope="session")
def s3(driver: str, started: RunningPlatform) -> Iterator[S3]:
    """An S3 server that pods reach."""
    with s3_beside(started, driver) as server:
        yield server


@pytest.fixture(scope="session")
def where(request: pytest.FixtureRequest, is_real: bool, tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    """Where artifacts are kept: a cluster has no folder that is there for this process and for pods."""
    if not is_real:
        return Artifacts(ArtifactSettings(), tmp_path_factory.mktemp("artifacts"))
    server: S3 = request.getfixturevalue("s3")
    return server.bucket("artifacts")


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
    artifacts: Artifacts
    root: str
    controller: RunController | None = None
    _working: "asyncio.Task[None] | None" = None
    _manager: Manager | None = None

    async def start(self) -> None:
        made: list[RunController] = []
        client = self.platform.client()
        clock = SystemClock()

        def controllers(cached: Any) -> list[RunController]:
            acts = acts_with(cached, clock, self.database, self.artifacts, PipelinesSettings())
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

    async def pods_end(self, run_id: str) -> None:
        """Returns when no pod of a run has anything left to do."""
        async with self.platform.client() as client, asyncio.timeout(PATIENCE_S):
            while any(not has_ended(pod) for pod in await self._pods(client, run_id)):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.05)

    async def _pods(self, client: HttpClient, run_id: str) -> Sequence[Tree]:
        return (await client.list(POD, namespace=NAMESPACE, labels=f"{RUN_LABEL}={run_id}")).items

    async def kept_log(self, run_id: str, label: str) -> str:
        """What the program of a task wrote, now that its pod is gone."""
        folder = f"{self.root}/tried/{run_id}/{label.removeprefix('root.')}/"
        (log,) = [each.uri async for each in self.artifacts.list(folder) if each.uri.endswith(f"/{LOG}")]
        return (await self.artifacts.get(log)).decode()

    def _look_at(self, run: Run) -> None:
        assert self.controller is not None
        self.controller.look_at(run)


@pytest.fixture
async def launcher_config(
    request: pytest.FixtureRequest, started: RunningPlatform, where: Artifacts
) -> AsyncIterator[None]:
    """The namespace knows where object stores are, where artifacts are in one."""
    if where.is_local:
        yield
        return
    server: S3 = request.getfixturevalue("s3")
    async with started.client() as client:
        await server.tell(client, NAMESPACE)
        yield


@pytest.fixture
async def runner(
    started: RunningPlatform, where: Artifacts, launcher_config: None, tmp_path: Path
) -> AsyncIterator[Runner]:
    database = WatchedDatabase(f"sqlite:///{tmp_path}/pipelines.db")
    await MIGRATIONS.run(database)
    runner = Runner(started, database, where, f"{where.home}/v2/artifacts")
    await runner.start()
    yield runner
    await runner.rest()
    await runner.kill()
    await database.close()
