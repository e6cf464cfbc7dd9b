"""What goes in: runs, a controller that works on them, failures of its neighbours. Pods are acted out by the test.

Asserted is what becomes of the run. The API server and SQL are real; nothing runs in pods.
"""

import inspect
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from flowdeck.artifacts.artifacts import Artifacts
from flowdeck.artifacts.settings import ArtifactSettings
from flowdeck.client.base import Client
from flowdeck.components.pipelines.engine.events import RetryRequested
from flowdeck.components.pipelines.engine.run import Run as EngineRun
from flowdeck.components.pipelines.ir.document import from_wire
from flowdeck.components.pipelines.plan.compiler import compile_plan
from flowdeck.components.pipelines.runner import launcher
from flowdeck.components.pipelines.runner.controller import RunController
from flowdeck.components.pipelines.runner.folders import OUTPUT
from flowdeck.components.pipelines.runner.made import acts_with
from flowdeck.components.pipelines.runner.pods import LAUNCHER, root_in
from flowdeck.components.pipelines.settings import PipelinesSettings
from flowdeck.components.pipelines.store import runs
from flowdeck.components.pipelines.store.migrations import MIGRATIONS
from flowdeck.components.pipelines.store.runs import Run
from flowdeck.controller.contract import Controller
from flowdeck.kube.errors import ServiceUnavailable
from flowdeck.kube.kinds import CONFIG_MAP, POD
from flowdeck.kube.objects import Kind, Tree, key_of
from flowdeck.sql.database import Database, Work
from tests.pipelines.functions import a_function
from tests.pipelines.makers import a_component, a_pipeline, a_task
from tests.world.world import World

T = TypeVar("T")
ONE_TASK = a_pipeline({"say": a_component("pass", outputs={"word": "STRING"})}, {"only": a_task("say")})


class Sometimes:
    """Whether a call fails: so many that are yet to come."""

    def __init__(self) -> None:
        self.failures = 0

    def fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise ServiceUnavailable("not now")


class TroubledDatabase(Database):
    """Writes fail when they are told to; what was written stays."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.trouble = Sometimes()

    async def write(self, work: Work[T]) -> T:
        self.trouble.fail()
        return await super().write(work)


class TroubledClient:
    """A client whose creates fail when they are told to."""

    def __init__(self, client: Client, trouble: Sometimes) -> None:
        self._client = client
        self._trouble = trouble

    async def create(self, kind: Kind, obj: Tree) -> Tree:
        self._trouble.fail()
        return await self._client.create(kind, obj)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


class Scene:
    """A world with the runs' controller in it."""

    def __init__(self, world: World, database: TroubledDatabase, artifacts: Path) -> None:
        self.world, self.database, self.artifacts = world, database, artifacts
        self.api_trouble = Sometimes()
        self.controller: RunController

    def controllers(self, client: Client, clock: Any) -> list[Controller]:
        troubled: Any = TroubledClient(client, self.api_trouble)
        artifacts = Artifacts(ArtifactSettings(), self.artifacts)
        acts = acts_with(troubled, clock, self.database, artifacts, PipelinesSettings())
        self.controller = RunController(database=self.database, clock=clock, acts=acts)
        return [self.controller]

    async def submit(self, document: Tree) -> Run:
        parsed = from_wire(document)
        plan, now, run_id = compile_plan(parsed), self.world.clock.now(), str(uuid.uuid4())
        engine = EngineRun(
            id=run_id, display_name=plan.name, resource_name=plan.name, pipeline_root="minio://mlpipeline/root",
            parameters={}, created_at=now.timestamp(),
        )  # fmt: skip

        def write(connection: Any) -> Run:
            run = Run(
                id=run_id, experiment_id="", namespace="default", name=plan.name, created_at=now, scheduled_at=now,
                service_account="default", document=runs.keep_document(connection, parsed),
                engine=msgspec.to_builtins(engine),
            )  # fmt: skip
            runs.create(connection, run)
            return run

        return await self.database.write(write)

    async def go(self, run: Run) -> Run:
        """Lets the controller work, as long as its neighbours let it; the run as it is then."""
        self.controller.look_at(run)
        for _ in range(3):
            await self.settle()
            await self.world.advance(seconds=5)
        await self.settle()
        return await self.database.read(lambda connection: runs.get(connection, run.id))

    async def settle(self) -> None:
        """SQL works in threads, of which the world knows nothing."""
        for _ in range(3):
            await self.database.ping()
            await self.world.settle()

    async def pod(self) -> Tree:
        (pod,) = await self.world.list(POD)
        return pod

    async def end(self, pod: Tree, outputs: bytes | None) -> None:
        """What the launcher and the node do when the program has ended well."""
        folder = self.artifacts / root_in(pod).removeprefix("minio://")
        if outputs is not None:
            (folder / OUTPUT).write_bytes(outputs)
        await self.world.client.patch(POD, key_of(pod), {"status": {"phase": "Succeeded"}}, subresource="status")


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    world = await World.open(tmp_path)
    database = TroubledDatabase(f"sqlite:///{tmp_path}/pipelines.db")
    await MIGRATIONS.run(database)
    scene = Scene(world, database, tmp_path / "artifacts")
    await world.start(scene.controllers)
    yield scene
    await world.kill()
    await database.close()
    await world.close()


async def test_what_could_not_be_written_down_has_not_happened(scene: Scene) -> None:
    run = await scene.submit(ONE_TASK)
    scene.database.trouble.failures = 1
    assert (await scene.go(run)).state == "RUNNING"
    scene.database.trouble.failures = 1
    await scene.end(await scene.pod(), b'{"parameterValues": {"word": "hello"}}')
    assert (await scene.go(run)).state == "SUCCEEDED"
    events = await scene.database.read(lambda connection: runs.events(connection, run.id))
    assert [type(event).__name__ for event in events] == ["RunStarted", "Succeeded"]


async def test_a_pod_that_could_not_be_made_just_now_is_made_later(scene: Scene) -> None:
    run = await scene.submit(ONE_TASK)
    scene.api_trouble.failures = 2
    assert (await scene.go(run)).state == "RUNNING"
    await scene.end(await scene.pod(), b'{"parameterValues": {"word": "hello"}}')
    assert (await scene.go(run)).state == "SUCCEEDED"


async def test_the_launcher_of_an_earlier_version_is_replaced(scene: Scene) -> None:
    meta = {"name": LAUNCHER, "namespace": "default"}
    old = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"launcher.py": "old"}}
    await scene.world.create(old)
    function = a_pipeline({"f": a_function("def f(): pass")}, {"only": a_task("f")})
    await scene.go(await scene.submit(function))
    found = await scene.world.get(CONFIG_MAP, LAUNCHER)
    assert found["data"]["launcher.py"] == inspect.getsource(launcher)


async def test_a_retry_is_carried_out_although_a_pod_could_not_be_made_just_then(scene: Scene) -> None:
    run = await scene.submit(ONE_TASK)
    await scene.go(run)
    first = await scene.pod()
    await scene.end(first, None)
    assert (await scene.go(run)).state == "FAILED"
    await scene.world.client.delete(POD, key_of(first), missing_ok=True)
    wish = RetryRequested(at=0.0, cause="user")
    await scene.database.write(lambda connection: runs.wish(connection, run.id, wish, scene.world.clock.now()))
    scene.api_trouble.failures = 1
    assert (await scene.go(run)).state == "RUNNING"
    await scene.end(await scene.pod(), b'{"parameterValues": {"word": "hello"}}')
    assert (await scene.go(run)).state == "SUCCEEDED"


@pytest.mark.parametrize(
    "outputs",
    [
        pytest.param(None, id="nothing"),
        pytest.param(b"", id="an-empty-file"),
        pytest.param(b"[1]", id="a-list"),
        pytest.param(b'{"artifacts": []}', id="artifacts-of-another-shape"),
        pytest.param(b'{"parameterValues": "x"}', id="values-of-another-shape"),
        pytest.param(b"\xff\xfe", id="no-text"),
        pytest.param(b"[" * 100_000, id="deep"),
    ],
)
async def test_a_program_that_leaves_nonsense_fails_its_task_alone(scene: Scene, outputs: bytes | None) -> None:
    run = await scene.submit(ONE_TASK)
    await scene.go(run)
    await scene.end(await scene.pod(), outputs)
    ended = await scene.go(run)
    assert ended.state == "FAILED"
    assert "failed to read" in ended.error


async def test_a_run_that_was_removed_loses_its_pod(scene: Scene) -> None:
    run = await scene.submit(ONE_TASK)
    await scene.go(run)
    await scene.database.write(lambda connection: runs.remove(connection, run.id))
    scene.controller.look_at(run)
    await scene.settle()
    assert await scene.world.list(POD) == []
    assert scene.controller.opened == {}


async def test_a_run_that_was_removed_while_nobody_looked_loses_its_pod(scene: Scene) -> None:
    run = await scene.submit(ONE_TASK)
    await scene.go(run)
    await scene.world.kill()
    await scene.database.write(lambda connection: runs.remove(connection, run.id))
    await scene.world.start(scene.controllers)
    await scene.controller.end_orphans()
    await scene.settle()
    assert await scene.world.list(POD) == []


@pytest.mark.parametrize(
    "wish",
    [
        pytest.param(RetryRequested(at=0.0, task="nothing"), id="no such task"),
        pytest.param(RetryRequested(at=0.0, document={"a": 1}), id="no document"),
    ],
)
async def test_a_run_does_not_wait_for_ever_for_a_wish_that_cannot_be_fulfilled(
    scene: Scene, wish: RetryRequested
) -> None:
    run = await scene.submit(ONE_TASK)
    await scene.go(run)
    await scene.end(await scene.pod(), None)
    failed = await scene.go(run)
    await scene.database.write(lambda connection: runs.wish(connection, run.id, wish, scene.world.clock.now()))
    assert (await scene.database.read(lambda connection: runs.get(connection, run.id))).state == "PENDING"
    seen = await scene.go(run)
    assert (seen.state, seen.error, seen.is_active) == ("FAILED", failed.error, False)
    assert await scene.database.read(lambda connection: runs.wishes(connection, run.id)) == []
