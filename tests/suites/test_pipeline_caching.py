"""Whose outputs tasks take, and why they take nobody's. On SQLite and PostgreSQL, with artifacts in files.

What goes in: runs of the engine, whose pods end as the test says. Asserted is what the cache answers.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from flowdeck.artifacts.artifacts import Artifacts
from flowdeck.artifacts.settings import ArtifactSettings
from flowdeck.components.pipelines.caching import Cache
from flowdeck.components.pipelines.engine.events import CacheAnswered, Outputs, RunStarted, Succeeded
from flowdeck.components.pipelines.engine.instructions import CreatePvc, LookUpCache
from flowdeck.components.pipelines.engine.records import task_record
from flowdeck.components.pipelines.engine.run_state import RunState
from flowdeck.components.pipelines.ir.document import from_wire
from flowdeck.components.pipelines.plan.compiler import compile_plan
from flowdeck.components.pipelines.runner.homes import Homes
from flowdeck.components.pipelines.store import artifacts, cache, runs
from flowdeck.components.pipelines.store.migrations import MIGRATIONS
from flowdeck.components.pipelines.store.runs import Run
from flowdeck.components.pipelines.submission import Submission, run_of
from flowdeck.kube.errors import NotFound
from flowdeck.kube.kinds import PERSISTENT_VOLUME_CLAIM
from flowdeck.kube.objects import ObjectKey, Tree
from flowdeck.sql.database import Database
from flowdeck.web.listing import ListQuery
from tests.pipelines.makers import a_component, a_pipeline, a_task
from tests.world.world import World

TEAM = "default"
BY_END = ListQuery(20, "end_time", descending=False)


def training(name: str = "tried", rate: str = "1", program: str = "pass") -> Tree:
    """One cached task, with a parameter and an artifact."""
    train = a_component(program, inputs={"rate": "STRING"}, outputs={"word": "STRING"}, makes={"model": "system.Model"})
    task = {**a_task("train", rate=rate), "cachingOptions": {"enableCache": True}}
    return a_pipeline({"train": train}, {"train": task}, name=name)


def claiming(name: str) -> Tree:
    """One task that makes a claim of that name."""
    document = a_pipeline({"claim": a_component("pass", inputs={"pvc_name": "STRING"}, outputs={"name": "STRING"})}, {})
    document["root"]["dag"]["tasks"]["claim"] = {
        **a_task("claim", pvc_name=name),
        "cachingOptions": {"enableCache": True},
    }
    document["deploymentSpec"]["executors"]["exec-claim"]["container"] = {"image": "argostub/createpvc"}
    return document


@dataclass
class Scene:
    world: World
    database: Database
    contents: Artifacts
    cache: Cache
    made: int = 0

    async def start(self, document: Tree) -> "Started":
        """A run, up to the question whether its only task is cached."""
        self.made += 1
        parsed = from_wire(document)
        wanted = Submission(
            id=f"run-{self.made}",
            name=f"run {self.made}",
            experiment_id="",
            namespace=TEAM,
            plan=compile_plan(parsed),
            document=runs.hash_of(parsed),
            default_root="minio://mlpipeline/v2/artifacts",
        )
        run = run_of(wanted, self.world.clock.now())

        def keep(connection: Any) -> None:
            runs.keep_document(connection, parsed)
            runs.create(connection, run)

        await self.database.write(keep)
        state = RunState(run.for_engine, wanted.plan)
        (asked,) = [each for each in state.apply(RunStarted(at=self.now)) if isinstance(each, LookUpCache)]
        return Started(self, run, state, asked)

    async def trained(self, document: Tree) -> "Started":
        """A run whose task was not cached, and ended well."""
        started = await self.start(document)
        answer = await started.answer()
        assert answer.outputs is None, answer.why
        await started.end(answer)
        return started

    @property
    def now(self) -> float:
        return self.world.clock.now().timestamp()


@dataclass
class Started:
    scene: Scene
    run: Run
    state: RunState
    asked: LookUpCache

    async def answer(self) -> CacheAnswered:
        return await self.scene.cache.answer(self.run, self.state, self.asked)

    async def end(self, answer: CacheAnswered) -> None:
        """The task is run, and ends well; the claim that it wants is made."""
        for told in self.state.apply(answer):
            if isinstance(told, CreatePvc):
                meta = {"name": told.name, "namespace": TEAM}
                spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
                claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": spec}
                await self.scene.world.create(claim)
        task = self.state.tasks[self.asked.task]
        outputs = {name: "out" for name in task.task.component.output_parameters}
        if "name" in outputs:
            outputs["name"] = "data"
        ended = Succeeded(at=self.scene.now, task=task.id, attempt=task.attempt, outputs=Outputs(outputs))
        self.state.apply(ended)
        record = task_record(self.state, task.id)
        await self.scene.database.write(partial(runs.keep_tasks, records=[record]))

    @property
    def model(self) -> Any:
        return self.state.tasks[self.asked.task].output_artifacts["model"][0]


@pytest.fixture
async def scene(tmp_path: Path, database: Database) -> AsyncIterator[Scene]:
    world = await World.open(tmp_path)
    await MIGRATIONS.run(database)
    contents = Artifacts(ArtifactSettings(), tmp_path / "artifacts")
    cache = Cache(
        client=world.client,
        clock=world.clock,
        database=database,
        homes=Homes(client=world.client, artifacts=contents),
        ttl_s=0,
        across_pipelines=False,
    )
    yield Scene(world, database, contents, cache)
    await world.close()


async def test_the_same_task_takes_the_same_outputs_and_ids(scene: Scene) -> None:
    first = await scene.trained(training())
    answer = await (await scene.start(training())).answer()
    assert answer.why == "outputs of task train of run run-1"
    assert answer.outputs == Outputs({"word": "out"}, {"model": [first.model]})


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"rate": "2"}, "task train of run run-1 differed in parameter rate"),
        ({"program": "print()"}, "task train of run run-1 differed in command"),
        ({"rate": "2", "program": "print()"}, "task train of run run-1 differed in command, parameter rate"),
        ({"name": "other"}, "no earlier task of this pipeline was in its place"),
    ],
)
async def test_a_miss_tells_what_differs(scene: Scene, changed: dict[str, str], why: str) -> None:
    await scene.trained(training())
    answer = await (await scene.start(training(**changed))).answer()
    assert (answer.outputs, answer.why) == (None, why)


async def test_pipelines_share_where_they_may(scene: Scene) -> None:
    await scene.trained(training())
    scene.cache = replace(scene.cache, across_pipelines=True)
    answer = await (await scene.start(training(name="other"))).answer()
    assert answer.outputs is not None


async def test_outputs_are_taken_for_so_long(scene: Scene) -> None:
    await scene.trained(training())
    scene.cache = replace(scene.cache, ttl_s=3600)
    scene.world.clock.advance(3599)
    started = await scene.start(training())
    assert (await started.answer()).outputs is not None
    scene.world.clock.advance(2)
    answer = await started.answer()
    assert answer.outputs is None
    assert answer.why == (
        "task train of run run-1 was the same, but it ended at 2026-01-01T00:00:00Z, "
        "and outputs are taken for 3600 seconds"
    )


async def test_what_was_removed_is_not_taken_and_an_older_one_is(scene: Scene) -> None:
    await scene.trained(training())
    scene.cache = replace(scene.cache, ttl_s=100)
    scene.world.clock.advance(101)
    second = await scene.trained(training())
    scene.cache = replace(scene.cache, ttl_s=0)
    started = await scene.start(training())
    assert (await started.answer()).why == "outputs of task train of run run-2"
    await scene.database.write(partial(artifacts.remove, id=second.model.id))
    assert (await started.answer()).why == "outputs of task train of run run-1"
    await scene.database.write(partial(runs.remove, id="run-1"))
    assert (await started.answer()).why == "task train of run run-2 was the same, but its artifact model was removed"


async def test_content_that_somebody_removed_from_the_store_is_missed(scene: Scene) -> None:
    first = await scene.trained(training())
    started = await scene.start(training())
    assert (await started.answer()).outputs is not None, "whether it ever had a content, nobody knows"
    await scene.contents.put(f"{first.model.uri}/weights", b"x")
    await scene.database.write(partial(artifacts.note_sizes, sizes={first.model.id: 1}))
    assert (await started.answer()).outputs is not None
    await scene.contents.delete(f"{first.model.uri}/weights")
    answer = await started.answer()
    assert answer.outputs is None
    assert f"the content of its artifact model is gone from {first.model.uri}" in answer.why


async def test_a_claim_that_is_gone_is_made_again(scene: Scene) -> None:
    await scene.trained(claiming("data"))
    started = await scene.start(claiming("data"))
    assert (await started.answer()).outputs == Outputs({"name": "data"})
    await scene.world.client.delete(PERSISTENT_VOLUME_CLAIM, ObjectKey(TEAM, "data"))
    assert (await started.answer()).why == "task claim of run run-1 was the same, but its claim data is gone"


async def test_what_is_cleared_is_not_taken(scene: Scene) -> None:
    first = await scene.trained(training())
    other = await scene.trained(training(name="other"))
    entry = await scene.database.read(partial(cache.get, task_id=first.asked.task))
    assert (entry.pipeline, entry.scope_path, entry.run_id) == ("tried", "root.train", "run-1")
    listed = await scene.database.read(partial(cache.listed, namespace=TEAM, query=BY_END))
    assert listed.total == 2
    clear = partial(cache.clear, namespace=TEAM, pipeline="tried")
    assert [await scene.database.write(clear), await scene.database.write(clear)] == [1, 0]
    with pytest.raises(NotFound):
        await scene.database.read(partial(cache.get, task_id=first.asked.task))
    assert (await (await scene.start(training())).answer()).outputs is None
    assert (await (await scene.start(training(name="other"))).answer()).outputs is not None
    await scene.database.write(partial(cache.forget, run_id="run-2", task_ids=[other.asked.task]))
    assert await scene.database.write(partial(cache.clear, namespace=TEAM)) == 0


async def test_a_removed_run_takes_its_entries_along(scene: Scene) -> None:
    await scene.trained(training())
    await scene.database.write(partial(runs.remove, id="run-1"))
    assert await scene.database.write(partial(cache.clear, namespace=TEAM)) == 0
