"""Contents of artifacts by the names that old clients use. (Logs are read from real pods: tests/kfp_sdk.)"""

import base64

import httpx
import pytest

from flowdeck.components.pipelines.api.task_details import attempt_id
from flowdeck.components.pipelines.engine.launch import attempt_root
from flowdeck.components.pipelines.engine.records import Artifacts, IoType, TaskRecord
from flowdeck.components.pipelines.engine.states import State
from flowdeck.components.pipelines.engine.task_run import Attempt
from flowdeck.components.pipelines.plan.types import TaskType
from flowdeck.components.pipelines.store import runs
from flowdeck.components.pipelines.values.artifacts import Artifact
from tests.components.pipelines.api.served import DOCUMENT, Served

URI = "minio://mlpipeline/v2/artifacts/model"


@pytest.fixture
async def record(served: Served) -> TaskRecord:
    """A task that made a model, at its second attempt."""
    async with served.client() as api:
        run_id = (await api.post("/runs", json={"display_name": "x", "pipeline_spec": DOCUMENT})).json()["run_id"]
    made = TaskRecord(
        id="task-1",
        run=run_id,
        name="train",
        display_name="train",
        label="root.train",
        scope_path="root.train",
        type=TaskType.RUNTIME,
        state=State.SUCCEEDED,
        wire_a="SUCCEEDED",
        wire_b="SUCCEEDED",
        attempts=[Attempt(1, 0, 1.0, pod="pod-1", state=State.FAILED), Attempt(2, 1, 2.0, pod="pod-2")],
        output_artifacts=[Artifacts("model", [Artifact("a1", URI)], IoType.OUTPUT)],
    )
    await served.database.write(lambda connection: runs.keep_tasks(connection, [made]))
    return made


async def read(served: Served, record: TaskRecord, node: str, name: str = "model") -> httpx.Response:
    async with served.client() as api:
        return await api.get(f"/runs/{record.run}/nodes/{node}/artifacts/{name}:read")


async def test_an_artifact_is_read_by_task_attempt_and_pod(served: Served, record: TaskRecord) -> None:
    await served.ctx.stores.artifacts.put(URI, b"\x00weights")
    for node in ("task-1", "pod-1", "pod-2", attempt_id(record, record.attempts[0])):
        answer = await read(served, record, node)
        assert base64.b64decode(answer.json()["data"]) == b"\x00weights", node


@pytest.mark.parametrize(
    ("node", "name", "words"),
    [
        ("nowhere", "model", "Node nowhere of run"),
        ("task-1", "nothing", "has no artifact nothing"),
        ("task-1", "model", f"no file at {URI}"),
    ],
)
async def test_what_is_not_there_is_told(served: Served, record: TaskRecord, node: str, name: str, words: str) -> None:
    answer = await read(served, record, node, name)
    assert (answer.status_code, answer.json()["code"]) == (404, 5)
    assert words in answer.json()["message"]
    assert "not found" in answer.json()["message"]


async def test_the_log_of_a_pod_that_is_gone_was_kept(served: Served, record: TaskRecord) -> None:
    run = await served.database.read(lambda connection: runs.get(connection, record.run))
    root = attempt_root(run.for_engine, "tried", "train", "root.train", 1)
    await served.ctx.stores.artifacts.put(f"{root}/executor-logs", b"epoch 1")
    url = f"http://pipelines/apis/v1alpha1/runs/{record.run}/nodes"
    async with served.client() as api:
        kept = await api.get(f"{url}/pod-1/log")
        assert (kept.text, kept.headers["content-type"]) == ("epoch 1", "text/plain; charset=utf-8")
        assert (await api.get(f"{url}/pod-2/log")).status_code == 404


async def test_log_clients_get_errors_of_their_own_form(served: Served, record: TaskRecord) -> None:
    async with served.client() as api:
        url = f"http://pipelines/apis/v1alpha1/runs/{record.run}/nodes/nowhere/log"
        answer = await api.get(url)
    assert answer.status_code == 404
    assert "nowhere" in answer.json()["error_message"]
    assert set(answer.json()) == {"error_message", "error_details"}
