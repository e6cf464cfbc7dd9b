"""What goes in: runs, a controller that works on them, failures of its neighbours. Pods are acted out by the test.

Asserted is what becomes of the run. The API server and SQL are real; nothing runs in pods.
"""

import inspect
import shutil
from functools import partial

import pytest

from flowdeck.components.pipelines.api.task_details import task_details
from flowdeck.components.pipelines.engine.events import RetryRequested, TerminateRequested
from flowdeck.components.pipelines.engine.states import RunStatus
from flowdeck.components.pipelines.runner import launcher
from flowdeck.components.pipelines.runner.ended_pods import key_of_pod
from flowdeck.components.pipelines.runner.pods import (
    LAUNCHER,
    PULL_PATIENCE_S,
    ROOT_ANNOTATION,
    RUN_LABEL,
    TASK_ANNOTATION,
    root_in,
)
from flowdeck.components.pipelines.runner.task_pods import LOG
from flowdeck.components.pipelines.store import ends, runs
from flowdeck.kube.kinds import CONFIG_MAP, POD
from flowdeck.kube.objects import Tree, is_being_deleted, key_of
from tests.components.pipelines.scene import Scene
from tests.pipelines.functions import a_function
from tests.pipelines.makers import a_component, a_pipeline, a_task

ONE_TASK = a_pipeline({"say": a_component("pass", outputs={"word": "STRING"})}, {"only": a_task("say")})


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
    told = await scene.database.read(lambda connection: ends.of_run(connection, run.id))
    assert len(told) == 1, "it did not end again"


def pulling(reason: str, message: str) -> Tree:
    waiting = {"name": "main", "image": "x", "state": {"waiting": {"reason": reason, "message": message}}}
    return {"status": {"phase": "Pending", "containerStatuses": [waiting]}}


async def test_an_image_that_cannot_be_pulled_is_told_at_once_and_fails_after_a_while(scene: Scene) -> None:
    run = await scene.submit(ONE_TASK)
    await scene.go(run)
    pod = await scene.pod()
    for reason, message in (("ErrImagePull", "there is no such image"), ("ImagePullBackOff", "back-off")):
        await scene.world.client.patch(POD, key_of(pod), pulling(reason, message), subresource="status")
        assert (await scene.go(run)).state == "RUNNING"
    why = f"pod {key_of(pod).name} cannot start: ErrImagePull: there is no such image"
    tasks = await scene.database.read(lambda connection: runs.tasks(connection, run.id))
    (told,) = [each["error"]["message"] for each in task_details(tasks) if each["display_name"] == "say"]
    assert told == why
    await scene.world.advance(seconds=PULL_PATIENCE_S)
    ended = await scene.go(run)
    assert (ended.state, ended.error) == ("FAILED", f'task "only" failed: {why}')
    assert await scene.world.list(POD) == []


async def test_an_image_that_comes_at_last_is_no_failure(scene: Scene) -> None:
    run = await scene.submit(ONE_TASK)
    await scene.go(run)
    pod = await scene.pod()
    await scene.world.client.patch(POD, key_of(pod), pulling("ErrImagePull", "not now"), subresource="status")
    await scene.go(run)
    running = {"name": "main", "image": "x", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}
    status = {"status": {"phase": "Running", "containerStatuses": [running]}}
    await scene.world.client.patch(POD, key_of(pod), status, subresource="status")
    await scene.go(run)
    await scene.world.advance(seconds=PULL_PATIENCE_S)
    assert (await scene.go(run)).state == "RUNNING"
    tasks = await scene.database.read(lambda connection: runs.tasks(connection, run.id))
    assert [each.message for each in tasks] == ["", ""]


async def test_a_run_whose_row_does_not_know_that_it_is_over_is_told(scene: Scene) -> None:
    run = await scene.submit(ONE_TASK)
    await scene.go(run)
    await scene.end(await scene.pod(), b'{"parameterValues": {"word": "hello"}}')
    assert (await scene.go(run)).state == "SUCCEEDED"
    cancel = partial(runs.record_state, id=run.id, state=RunStatus.CANCELING, error="", at=scene.world.clock.now())
    await scene.database.write(cancel)
    run = await scene.go(run)
    assert (run.state, run.is_active) == ("SUCCEEDED", False)


async def test_what_a_foreign_pod_says_of_itself_leads_nowhere(scene: Scene) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "foreign",
            "namespace": "default",
            "labels": {RUN_LABEL: "nobody-s"},
            "annotations": {TASK_ANNOTATION: "no-task", ROOT_ANNOTATION: "minio://mlpipeline/mine"},
        },
        "spec": {"containers": [{"name": "main", "image": "i"}]},
    }
    await scene.world.create(pod)
    await scene.world.client.patch_status(POD, key_of(pod), {"status": {"phase": "Failed"}})
    await scene.controller.acts.ended_pods.put_away(key_of_pod("default", "foreign"))
    assert not list(scene.artifacts.rglob(LOG))


async def test_a_run_is_stopped_although_its_log_cannot_be_kept(scene: Scene) -> None:
    run = await scene.submit(ONE_TASK)
    await scene.go(run)
    pod = await scene.pod()
    folder = scene.artifacts / root_in(pod).removeprefix("minio://")
    shutil.rmtree(folder)
    folder.write_text("the program's own")
    wish = TerminateRequested(at=0.0, cause="user")
    await scene.database.write(lambda connection: runs.wish(connection, run.id, wish, scene.world.clock.now()))
    await scene.go(run)
    found = await scene.world.client.find(POD, key_of(pod))
    assert found is None or is_being_deleted(found)
