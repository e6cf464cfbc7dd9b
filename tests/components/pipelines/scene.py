"""A world with the controller of runs in it, and neighbours that fail when they are told to. Pods are acted out by
the test; the API server and SQL are real."""

import uuid
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from flowdeck.artifacts.artifacts import Artifacts
from flowdeck.artifacts.settings import ArtifactSettings
from flowdeck.client.base import Client
from flowdeck.components.pipelines.engine.run import Run as EngineRun
from flowdeck.components.pipelines.ir.document import from_wire
from flowdeck.components.pipelines.plan.compiler import compile_plan
from flowdeck.components.pipelines.runner.controller import RunController
from flowdeck.components.pipelines.runner.folders import OUTPUT
from flowdeck.components.pipelines.runner.made import acts_with
from flowdeck.components.pipelines.runner.pods import root_in
from flowdeck.components.pipelines.settings import PipelinesSettings
from flowdeck.components.pipelines.store import runs
from flowdeck.components.pipelines.store.runs import Run
from flowdeck.controller.contract import Controller
from flowdeck.kube.errors import ServiceUnavailable
from flowdeck.kube.kinds import POD
from flowdeck.kube.objects import Kind, Tree, key_of
from flowdeck.sql.database import Database, Work
from tests.world.world import World

T = TypeVar("T")


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
