"""What follows from the end of a run, and what goes by itself. On SQLite and PostgreSQL, with artifacts in files.

What goes in: runs that end, web hooks that answer as the test says, time. Asserted is what they hear and what is left.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from msgspec import structs

from flowdeck.artifacts.artifacts import Artifacts
from flowdeck.artifacts.settings import ArtifactSettings
from flowdeck.clock import FakeClock
from flowdeck.components.pipelines.ends.controller import GIVE_UP, RunEndController
from flowdeck.components.pipelines.engine.records import Artifacts as Io
from flowdeck.components.pipelines.engine.records import IoType
from flowdeck.components.pipelines.engine.states import RUN_FINISHED, RunStatus
from flowdeck.components.pipelines.retention.controller import GRACE_S, SWEEP, RetentionController
from flowdeck.components.pipelines.runner.homes import Homes
from flowdeck.components.pipelines.settings import RetentionSettings
from flowdeck.components.pipelines.store import artifacts, ends, retention, runs
from flowdeck.components.pipelines.store.migrations import MIGRATIONS
from flowdeck.components.pipelines.values.artifacts import Artifact as Handed
from flowdeck.components.pipelines.values.artifacts import ArtifactType
from flowdeck.kube.errors import Forbidden, NotFound, ServiceUnavailable
from flowdeck.kube.objects import ObjectKey
from flowdeck.sql.database import Database
from flowdeck.web.listing import ListQuery
from flowdeck.web.webhooks import SIGNATURE, Webhooks
from tests.artifacts.s3 import SECRET, make_bucket, options, s3_server
from tests.components.pipelines.api.records import a_record, a_run
from tests.world.world import World

DAY_S = 24 * 3600


@dataclass
class Hook:
    """A server that somebody else has."""

    url: str
    code: int = 200
    heard: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def runs(self) -> list[str]:
        return [json.loads(body)["run"]["run_id"] for _, body in self.heard]


@pytest.fixture
def hook() -> Iterator[Hook]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            served.heard.append((dict(self.headers), body))
            self.send_response(served.code)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served = Hook(f"http://127.0.0.1:{server.server_port}/runs")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield served
        server.shutdown()
        thread.join()


@dataclass
class Scene:
    database: Database
    contents: Artifacts
    homes: Homes
    world: World

    @property
    def clock(self) -> FakeClock:
        return self.world.clock

    async def a_run(self, id: str, *, state: RunStatus | None = RunStatus.SUCCEEDED, makes: str = "") -> None:
        """One that ended now, whose only task made a model of that id, with a content."""
        engine = {"pipeline_root": "minio://mlpipeline/v2"}
        await a_run(self.database, id, self.clock.now(), pipeline_name="tried", engine=engine)
        if makes:
            model = Handed(id=makes, uri=self.uri(id, "model"), type=ArtifactType("system.Model"))
            now = self.clock.now().timestamp()
            record = a_record(id, "train", output_artifacts=[Io("model", [model], IoType.OUTPUT)], ended_at=now)
            await self.database.write(partial(runs.keep_tasks, records=[replace_id(record, id)]))
            await self.contents.put(f"{model.uri}/weights", b"12345")
            await self.contents.put(self.uri(id, "executor-logs"), b"log")
        if state is not None:
            await self.end(id, state)

    def uri(self, run: str, name: str) -> str:
        return f"minio://mlpipeline/v2/tried/{run}/train/x/{name}"

    async def end(self, id: str, state: RunStatus, error: str = "") -> None:
        record = partial(runs.record_state, id=id, state=state, error=error, at=self.clock.now())
        await self.database.write(record)
        if state in RUN_FINISHED:
            await self.database.write(partial(runs.note_end, id=id, at=self.clock.now()))

    async def takes(self, run: str, id: str) -> None:
        """A task of that run has the artifact from the cache."""
        artifact = await self.database.read(partial(artifacts.get, id=id))
        handed = Handed(id=id, uri=artifact.uri, type=ArtifactType("system.Model"))
        record = a_record(run, "train", output_artifacts=[Io("model", [handed], IoType.OUTPUT)])
        await self.database.write(partial(runs.keep_tasks, records=[replace_id(record, run)]))

    def ends(self, *hooks: str, secret: str = "") -> RunEndController:
        return RunEndController(
            database=self.database, clock=self.clock, homes=self.homes, urls=hooks, webhooks=Webhooks(secret)
        )

    async def sweep(self, **settings: Any) -> None:
        """Until nothing is left to do now."""
        controller = RetentionController(
            database=self.database,
            clock=self.clock,
            homes=self.homes,
            settings=RetentionSettings(**settings),
        )
        while (await controller.reconcile(SWEEP)).look_again_in_s == 0:
            pass
        for id in await self.database.read(retention.leftovers):
            if (wait_s := (await controller.reconcile(ObjectKey("", id))).look_again_in_s) is not None:
                self.clock.advance(wait_s)
                await controller.reconcile(ObjectKey("", id))

    async def states(self) -> dict[str, str]:
        """Of the runs that there are, their storage states."""
        query = ListQuery(200, "id", descending=False)
        found = await self.database.read(partial(runs.listed, query=query, namespace="kubeflow"))
        return {run.id: run.storage_state for run in found.items}

    async def files(self) -> list[str]:
        home = "minio://mlpipeline/v2/tried/"
        return [info.uri.removeprefix(home) async for info in self.contents.list(home)]


def replace_id(record: Any, run: str) -> Any:
    """Ids of tasks are unique over all runs."""
    return structs.replace(record, id=f"{run}-{record.name}")


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture
async def scene(tmp_path: Path, database: Database) -> AsyncIterator[Scene]:
    await MIGRATIONS.run(database)
    world = await World.open(tmp_path)
    contents = Artifacts(ArtifactSettings(), tmp_path / "artifacts")
    yield Scene(database, contents, Homes(client=world.client, artifacts=contents), world)
    await world.close()


def key(id: str) -> ObjectKey:
    return ObjectKey("kubeflow", id)


# ---- ends -------------------------------------------------------------------------------------------------------


async def test_a_web_hook_hears_of_a_run_once(scene: Scene, hook: Hook) -> None:
    controller = scene.ends(hook.url, secret="s3")
    await scene.a_run("a", state=None)
    await controller.reconcile(key("a"))
    assert hook.heard == []
    await scene.end("a", RunStatus.FAILED, "because")
    assert await scene.database.read(ends.waiting) == [("kubeflow", "a")]
    for _ in range(2):
        await controller.reconcile(key("a"))
    ((headers, body),) = hook.heard
    told = json.loads(body)
    assert (told["event"], told["namespace"], told["run"]["state"]) == ("RUN_FINISHED", "kubeflow", "FAILED")
    assert told["run"]["error"]["message"] == "because"
    assert headers[SIGNATURE] == f"sha256={hmac.new(b's3', body, hashlib.sha256).hexdigest()}"
    assert await scene.database.read(ends.waiting) == []


async def test_a_run_that_is_retried_ends_again(scene: Scene, hook: Hook) -> None:
    controller = scene.ends(hook.url)
    await scene.a_run("a", state=RunStatus.FAILED)
    await controller.reconcile(key("a"))
    scene.clock.advance(1)
    await scene.end("a", RunStatus.PENDING)
    await scene.end("a", RunStatus.SUCCEEDED)
    await controller.reconcile(key("a"))
    assert hook.runs == ["a", "a"]
    assert len({headers["X-Flowdeck-Delivery"] for headers, _ in hook.heard}) == 2


async def test_who_does_not_answer_is_told_again_and_others_are_not(scene: Scene, hook: Hook) -> None:
    controller = scene.ends("http://127.0.0.1:1/", hook.url)
    await scene.a_run("a")
    for _ in range(3):
        with pytest.raises(ServiceUnavailable, match=r"the web hook at http://127\.0\.0\.1 does not answer"):
            await controller.reconcile(key("a"))
    assert hook.runs == ["a"]
    scene.clock.advance(GIVE_UP.total_seconds() + 1)
    await controller.reconcile(key("a"))
    assert await scene.database.read(ends.waiting) == []


async def test_a_busy_web_hook_hears_the_same_message_later(scene: Scene, hook: Hook) -> None:
    controller, hook.code = scene.ends(hook.url), 503
    await scene.a_run("a")
    with pytest.raises(ServiceUnavailable, match="answers 503"):
        await controller.reconcile(key("a"))
    hook.code = 204
    await controller.reconcile(key("a"))
    assert len({headers["X-Flowdeck-Delivery"] for headers, _ in hook.heard}) == 1


async def test_what_is_not_done_is_taken_up_once(scene: Scene, hook: Hook) -> None:
    asked: list[ObjectKey] = []
    controller = replace(scene.ends(hook.url), pokes=[asked.append])
    await scene.a_run("a")
    for _ in range(3):
        await controller.open_all()
    assert asked == [key("a")]
    hook.code = 503
    with pytest.raises(ServiceUnavailable):
        await controller.reconcile(key("a"))
    await controller.open_all()
    assert asked == [key("a")], "it is tried again as failures are"
    hook.code = 200
    await controller.reconcile(key("a"))
    scene.clock.advance(1)
    await scene.end("a", RunStatus.FAILED)
    await controller.open_all()
    assert asked == [key("a")] * 2


@pytest.mark.parametrize("url", ["", "ftp://host/", "nonsense", "http://[::1"])
async def test_a_url_that_is_none_holds_nothing_up(scene: Scene, hook: Hook, url: str) -> None:
    await scene.a_run("a")
    await scene.ends(url, hook.url).reconcile(key("a"))
    assert hook.runs == ["a"]


async def test_who_refuses_is_not_told_again(scene: Scene, hook: Hook) -> None:
    controller, hook.code = scene.ends(hook.url), 404
    await scene.a_run("a")
    for _ in range(2):
        await controller.reconcile(key("a"))
    assert hook.runs == ["a"]


async def test_the_sizes_of_what_it_made_are_noted(scene: Scene) -> None:
    await scene.a_run("a", makes="m")
    await scene.a_run("b", makes="n")
    await scene.contents.delete(f"{scene.uri('b', 'model')}/weights")
    for id in ("a", "b"):
        await scene.ends().reconcile(key(id))
    sizes = [(await scene.database.read(partial(artifacts.get, id=id))).size_bytes for id in ("m", "n")]
    assert sizes == [5, 0]


# ---- what goes by itself ----------------------------------------------------------------------------------------


async def test_nothing_goes_unless_it_is_set(scene: Scene) -> None:
    await scene.a_run("a", makes="m")
    scene.clock.advance(1000 * DAY_S)
    await scene.sweep()
    assert await scene.states() == {"a": "AVAILABLE"}
    assert await scene.files() == ["a/train/x/executor-logs", "a/train/x/model/weights"]


async def test_old_runs_are_archived_and_older_ones_removed(scene: Scene) -> None:
    await scene.a_run("old", makes="m")
    await scene.a_run("active", state=RunStatus.RUNNING)
    scene.clock.advance(5 * DAY_S)
    await scene.a_run("new")
    settings = {"archive_runs_s": 3 * DAY_S, "remove_archived_runs_s": 6 * DAY_S}
    await scene.sweep(**settings)
    assert await scene.states() == {"old": "ARCHIVED", "active": "AVAILABLE", "new": "AVAILABLE"}
    scene.clock.advance(2 * DAY_S)
    await scene.sweep(**settings)
    assert await scene.states() == {"active": "AVAILABLE", "new": "AVAILABLE"}
    assert await scene.files() == ["old/train/x/executor-logs", "old/train/x/model/weights"]


async def test_more_than_a_batch(scene: Scene) -> None:
    for number in range(205):
        await scene.a_run(f"r{number:03}")
    scene.clock.advance(DAY_S + 1)
    await scene.sweep(archive_runs_s=DAY_S)
    assert set((await scene.states()).values()) == {"ARCHIVED"}


async def test_a_removed_run_takes_along_what_nobody_else_has(scene: Scene) -> None:
    await scene.a_run("a", makes="m")
    await scene.a_run("b", makes="n")
    await scene.takes("b", "m")
    await scene.contents.put("minio://mlpipeline/v2/tried/b2/other", b"x")
    await scene.database.write(partial(runs.remove, id="a", leaves_at=scene.clock.now()))
    await scene.sweep(with_runs=True)
    assert await scene.files() == [
        "a/train/x/model/weights", "b/train/x/executor-logs", "b/train/x/model/weights", "b2/other",
    ]  # fmt: skip
    await scene.database.write(partial(runs.remove, id="b", leaves_at=scene.clock.now()))
    await scene.sweep(with_runs=True)
    assert await scene.files() == ["a/train/x/model/weights", "b2/other"]
    with pytest.raises(NotFound):
        await scene.database.read(partial(artifacts.get, id="n"))


async def test_old_logs_go_and_new_ones_stay(scene: Scene) -> None:
    await scene.a_run("a", makes="m")
    await scene.a_run("b", makes="n")
    scene.clock.advance(2 * DAY_S)
    await scene.a_run("c", makes="o")
    for _ in range(2):
        await scene.sweep(remove_logs_s=DAY_S)
        logs = [name for name in await scene.files() if "executor-logs" in name]
        assert logs == ["c/train/x/executor-logs"]
    scene.clock.advance(2 * DAY_S)
    await scene.sweep(remove_logs_s=DAY_S)
    assert [name for name in await scene.files() if "executor-logs" in name] == []


async def test_old_artifacts_go_with_their_content(scene: Scene) -> None:
    await scene.a_run("a", makes="m")
    scene.clock.advance(2 * DAY_S)
    await scene.a_run("b", makes="n")
    await scene.sweep(remove_artifacts_s=DAY_S)
    assert [name for name in await scene.files() if "model" in name] == ["b/train/x/model/weights"]
    with pytest.raises(NotFound):
        await scene.database.read(partial(artifacts.get, id="m"))
    assert set(await scene.states()) == {"a", "b"}


class TroubledHomes(Homes):
    """Refuses what belongs to the runs that it is told."""

    refused: ClassVar[set[str]] = set()

    async def contents(self, namespace: str, uri: str) -> tuple[Artifacts, str]:
        if self.refused.intersection(uri.split("/")):
            raise Forbidden("the key of this store is no more")
        return await super().contents(namespace, uri)


@pytest.mark.parametrize("batch", [1, 2, 100])
async def test_a_store_that_refuses_holds_up_nobody_else_and_is_asked_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr("flowdeck.components.pipelines.retention.controller.BATCH", batch)
    monkeypatch.setattr(TroubledHomes, "refused", {"a", "b"})
    scene.homes = TroubledHomes(client=scene.world.client, artifacts=scene.contents)
    for id in ("a", "b", "c"):
        await scene.a_run(id, makes=f"made-by-{id}")
    scene.clock.advance(2 * DAY_S)
    await scene.sweep(remove_logs_s=DAY_S, remove_artifacts_s=DAY_S)
    assert {name.partition("/")[0] for name in await scene.files()} == {"a", "b"}
    assert (await scene.database.read(partial(artifacts.get, id="made-by-a"))).id == "made-by-a"
    TroubledHomes.refused.clear()
    await scene.sweep(remove_logs_s=DAY_S, remove_artifacts_s=DAY_S)
    assert await scene.files() == []


async def test_sweeps_are_asked_for_once_and_leftovers_as_they_come(scene: Scene) -> None:
    asked: list[ObjectKey] = []
    controller = RetentionController(
        database=scene.database,
        clock=scene.clock,
        homes=scene.homes,
        settings=RetentionSettings(with_runs=True),
        pokes=[asked.append],
    )
    await scene.a_run("a", makes="m")
    await controller.open_all()
    await scene.database.write(partial(runs.remove, id="a", leaves_at=scene.clock.now()))
    for _ in range(2):
        await controller.open_all()
    assert asked == [SWEEP, ObjectKey("", "a")]
    assert (await controller.reconcile(ObjectKey("", "a"))).look_again_in_s == GRACE_S
    assert await scene.files() != [], "its pods may still be stopping"
    scene.clock.advance(GRACE_S)
    await controller.reconcile(ObjectKey("", "a"))
    assert (await scene.files(), await scene.database.read(retention.leftovers)) == ([], [])


async def test_all_of_it_in_a_store_that_the_namespace_names(scene: Scene, s3: str) -> None:
    bucket = "team"
    await asyncio.to_thread(make_bucket, s3, bucket)
    secret = {name: base64.b64encode(value.encode()).decode() for name, value in (("a", "key"), ("s", SECRET))}
    meta: dict[str, str] = {"namespace": "kubeflow"}
    provider = {
        "endpoint": s3,
        "region": "us-east-1",
        "credentials": {"secretRef": {"secretName": "s3", "accessKeyKey": "a", "secretKeyKey": "s"}},
    }
    data = {"providers": json.dumps({"s3": {"default": provider}})}
    for obj in (
        {"kind": "Namespace", "metadata": {"name": "kubeflow"}},
        {"kind": "Secret", "metadata": {"name": "s3", **meta}, "data": secret},
        {"kind": "ConfigMap", "metadata": {"name": "kfp-launcher", **meta}, "data": data},
    ):
        await scene.world.create({"apiVersion": "v1", **obj})
    store = Artifacts(ArtifactSettings(url=f"s3://{bucket}", options=options(s3)), Path())
    engine = {"pipeline_root": f"s3://{bucket}/root"}
    await a_run(scene.database, "a", scene.clock.now(), pipeline_name="tried", engine=engine)
    folder = f"s3://{bucket}/root/tried/a/train/x"
    model = Handed(id="m", uri=f"{folder}/model", type=ArtifactType("system.Model"))
    record = a_record("a", "train", output_artifacts=[Io("model", [model], IoType.OUTPUT)])
    await scene.database.write(partial(runs.keep_tasks, records=[record]))
    for name in ("model/weights", "executor-logs", "other"):
        await store.put(f"{folder}/{name}", b"12345")
    await scene.end("a", RunStatus.SUCCEEDED)
    await scene.ends().reconcile(key("a"))
    assert (await scene.database.read(partial(artifacts.get, id="m"))).size_bytes == 5

    async def left() -> list[str]:
        return [info.uri.removeprefix(f"{folder}/") async for info in store.list(f"s3://{bucket}")]

    scene.clock.advance(10)
    await scene.sweep(remove_logs_s=5)
    assert await left() == ["model/weights", "other"]
    await scene.sweep(remove_artifacts_s=5)
    assert await left() == ["other"]
    await scene.database.write(partial(runs.remove, id="a", leaves_at=scene.clock.now()))
    await scene.sweep(with_runs=True)
    assert await left() == []


def test_ages_are_what_is_wanted() -> None:
    assert not RetentionSettings().is_wanted
    assert replace(RetentionSettings(), with_runs=True).is_wanted
    assert RetentionSettings(remove_logs_s=1).is_wanted
