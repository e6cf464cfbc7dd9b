"""Artifacts and their links on the REST wire, and what is behind them."""

import io
import tarfile
from typing import Any

import httpx
import pytest

from flowdeck.artifacts.artifacts import Artifacts
from flowdeck.components.pipelines.engine.records import Artifacts as Io
from flowdeck.components.pipelines.engine.records import IoType
from flowdeck.components.pipelines.store import runs
from flowdeck.components.pipelines.values.artifacts import Artifact as Handed
from flowdeck.components.pipelines.values.artifacts import ArtifactType
from flowdeck.sql.database import Database
from tests.components.pipelines.api.conftest import http, parts_of
from tests.components.pipelines.api.records import a_record, a_run
from tests.world.world import World

ANNA = {"kubeflow-userid": "anna"}
URI = "minio://mlpipeline/v2/run-1/train/model"


@pytest.fixture
def contents(world: World, database: Database) -> Artifacts:
    return parts_of(world, database).homes.artifacts


@pytest.fixture
async def trained(world: World, database: Database) -> str:
    """A run whose task `train` has made a model; gives the artifact's id."""
    await a_run(database, "run-1", world.clock.now())
    model = Handed(id="model-1", uri=URI, type=ArtifactType("system.Model"), metadata={"depth": 3})
    score = Handed(id="score-1", uri="", type=ArtifactType("system.Metrics"), metadata={"accuracy": 0.5})
    outputs = [Io("model", [model], IoType.OUTPUT), Io("score", [score], IoType.OUTPUT)]
    train = a_record("run-1", "train", output_artifacts=outputs)
    test = a_record("run-1", "test", artifacts=[Io("given", [model], IoType.TASK_OUTPUT_INPUT, "train")])
    await database.write(lambda connection: runs.keep_tasks(connection, [train, test]))
    return "model-1"


async def test_an_artifact_is_told(api: httpx.AsyncClient, trained: str) -> None:
    told = (await api.get(f"/artifacts/{trained}")).json()
    assert told == {
        "artifact_id": "model-1",
        "name": "model",
        "type": "Model",
        "uri": URI,
        "metadata": {"depth": 3},
        "created_at": "2026-01-01T00:00:00Z",
        "run_id": "run-1",
        "task_id": "train",
    }
    gone = await api.get("/artifacts/nothing")
    assert (gone.status_code, gone.json()["code"]) == (404, 5)


async def test_artifacts_are_listed_filtered_and_sorted(api: httpx.AsyncClient, trained: str) -> None:
    everything = (await api.get("/artifacts", params={"sort_by": "name desc"})).json()
    assert [one["name"] for one in everything["artifacts"]] == ["score", "model", "accuracy"]
    assert everything["artifacts"][2]["number_value"] == 0.5
    wanted = '{"predicates": [{"operation": "EQUALS", "key": "type", "string_value": "Metric"}]}'
    metrics = (await api.get("/artifacts", params={"filter": wanted, "sort_by": "number_value desc"})).json()
    assert [one["name"] for one in metrics["artifacts"]] == ["accuracy", "score"]
    wanted = '{"predicates": [{"operation": "GREATER_THAN", "key": "number_value", "int_value": 0}]}'
    assert (await api.get("/artifacts", params={"filter": wanted})).json()["total_size"] == 1
    wanted = '{"predicates": [{"operation": "IS_SUBSTRING", "key": "metadata", "string_value": "depth"}]}'
    assert (await api.get("/artifacts", params={"filter": wanted})).json()["total_size"] == 1


async def test_links_are_listed_by_what_they_are_between(api: httpx.AsyncClient, trained: str) -> None:
    async def keys(**params: Any) -> list[tuple[str, str, str]]:
        found = (await api.get("/artifact_tasks", params=params)).json().get("artifact_tasks", [])
        return sorted((link["task_id"], link["type"], link["key"]) for link in found)

    maker, taker = ("train", "OUTPUT", "model"), ("test", "TASK_OUTPUT_INPUT", "given")
    assert await keys(artifact_ids=[trained]) == [taker, maker]
    assert await keys(artifact_ids=[trained], type="OUTPUT") == [maker]
    assert await keys(task_ids=["test", "other"], run_ids=["run-1"]) == [taker]
    assert await keys(run_ids=["nothing"]) == []
    (link,) = (await api.get("/artifact_tasks", params={"task_ids": "test"})).json()["artifact_tasks"]
    assert link["producer"] == {"task_name": "train"}
    assert (await api.get("/artifact_tasks", params={"type": "SOMETHING"})).status_code == 400


async def test_a_file_is_downloaded_whole_or_in_part(api: httpx.AsyncClient, contents: Artifacts, trained: str) -> None:
    url = f"/artifacts/{trained}:download"
    assert (await api.get(url)).status_code == 404
    await contents.put(URI, b"0123456789")
    whole = await api.get(url)
    assert (whole.status_code, whole.content, whole.headers["content-length"]) == (200, b"0123456789", "10")
    assert whole.headers["content-disposition"] == 'attachment; filename="model"'
    for wanted, content, told in (
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=8-", b"89", "bytes 8-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=5-500", b"56789", "bytes 5-9/10"),
    ):
        part = await api.get(url, headers={"Range": wanted})
        assert (part.status_code, part.content, part.headers["content-range"]) == (206, content, told)
    assert (await api.get(url, headers={"Range": "bytes=10-"})).status_code == 416
    for odd in ("bytes=", "bytes=-", "lines=1-2", "bytes=0-1,3-4"):
        assert (await api.get(url, headers={"Range": odd})).content == b"0123456789"


async def test_a_folder_is_downloaded_as_an_archive(api: httpx.AsyncClient, contents: Artifacts, trained: str) -> None:
    files = {"weights": b"w" * 3000, "deep/er/notes.txt": b"", "deep/other": b"x" * 512}
    for name, data in files.items():
        await contents.put(f"{URI}/{name}", data)
    await contents.put(f"{URI}-2/not-this", b"x")
    answer = await api.get(f"/artifacts/{trained}:download")
    assert answer.headers["content-disposition"] == 'attachment; filename="model.tar.gz"'
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
        found = {member.name: archive.extractfile(member) for member in archive.getmembers()}
        assert {name: file and file.read() for name, file in found.items()} == {
            f"model/{name}": data for name, data in files.items()
        }


async def test_a_deleted_artifact_takes_its_content_and_links_along(
    api: httpx.AsyncClient, contents: Artifacts, trained: str
) -> None:
    for name in ("a", "b/c"):
        await contents.put(f"{URI}/{name}", b"x")
    await contents.put(f"{URI}-2", b"x")
    assert (await api.delete(f"/artifacts/{trained}")).json() == {}
    assert [info.uri async for info in contents.list("minio://mlpipeline")] == [f"{URI}-2"]
    assert (await api.get(f"/artifacts/{trained}")).status_code == 404
    assert (await api.get("/artifact_tasks", params={"artifact_ids": trained})).json() == {}
    assert (await api.delete(f"/artifacts/{trained}")).status_code == 404


async def test_what_others_own_is_unlisted_but_not_removed(
    api: httpx.AsyncClient, contents: Artifacts, trained: str
) -> None:
    await contents.put("minio://other/data", b"x")
    artifact = {"name": "data", "type": "Dataset", "uri": "minio://other/data"}
    made = (await api.post("/artifacts", json={"artifact": artifact})).json()
    assert (await api.delete(f"/artifacts/{made['artifact_id']}")).json() == {}
    assert await contents.get("minio://other/data") == b"x"


async def test_artifacts_of_others_are_written_down_and_linked(api: httpx.AsyncClient, trained: str) -> None:
    artifact = {"name": "data", "type": 3, "uri": "s3://b/data", "metadata": {"rows": 7}}
    body = {"artifact": artifact, "run_id": "run-1", "task_id": "test", "producer_key": "out", "reuse_if_exists": True}
    made = (await api.post("/artifacts", json=body)).json()
    assert (made["type"], made["uri"], made["metadata"]) == ("Dataset", "s3://b/data", {"rows": 7})
    again = (await api.post("/artifacts", json=body)).json()
    assert again["artifact_id"] == made["artifact_id"]
    both = {"artifacts": [{**body, "reuse_if_exists": False}, {"artifact": {**artifact, "name": "second"}}]}
    batch = (await api.post("/artifacts:batchCreate", json=both)).json()["artifacts"]
    assert [one["name"] for one in batch] == ["data", "second"]
    link = {
        "artifact_id": made["artifact_id"],
        "run_id": "run-1",
        "task_id": "train",
        "type": "COMPONENT_INPUT",
        "key": "k",
    }
    one = (await api.post("/artifact_tasks", json=link)).json()
    assert {key: one[key] for key in link} == link
    many = (await api.post("/artifact_tasks:batchCreate", json={"artifact_tasks": [link, link]})).json()
    assert len(many["artifact_tasks"]) == 2


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/artifacts", {}, 400),
        ("/artifacts", {"artifact": {"name": "x"}}, 400),
        ("/artifacts", {"artifact": {"type": "Model"}}, 400),
        ("/artifacts", {"artifact": {"name": "x", "type": "Thing"}}, 400),
        ("/artifacts", {"artifact": {"name": "x", "type": "Model"}, "run_id": "nothing"}, 404),
        ("/artifacts", {"artifact": {"name": "x", "type": "Model"}, "run_id": "run-1", "task_id": "nothing"}, 404),
        ("/artifacts", {"artifact": {"name": "x", "type": "Metric", "number_value": "NaN"}}, 400),
        (
            "/artifacts",
            {
                "artifact": {"name": "x", "type": "Model"},
                "run_id": "run-1",
                "task_id": "test",
                "iteration_index": 2**70,
            },
            400,
        ),
        ("/artifacts:batchCreate", {"artifacts": []}, 400),
        ("/artifact_tasks", {"artifact_id": "model-1", "run_id": "run-1", "task_id": "train"}, 400),
        ("/artifact_tasks", {"artifact_id": "nothing", "run_id": "run-1", "task_id": "train", "type": "OUTPUT"}, 404),
        ("/artifact_tasks", {"artifact_id": "model-1", "run_id": "run-1", "task_id": "x", "type": "OUTPUT"}, 404),
        ("/artifact_tasks", {"artifact_id": "model-1", "run_id": "x", "task_id": "train", "type": "OUTPUT"}, 404),
    ],
)
async def test_what_is_refused(api: httpx.AsyncClient, trained: str, path: str, body: Any, code: int) -> None:
    answer = await api.post(path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (code, {400: 3, 404: 5}[code]), answer.text


async def test_many_users_need_rights_on_runs_of_the_namespace(world: World, database: Database, trained: str) -> None:
    async with http(world, database, multi_user=True) as api:
        calls = (f"/artifacts/{trained}", f"/artifacts/{trained}:download", "/artifact_tasks?run_ids=run-1")
        for path in (*calls, "/artifacts?namespace=kubeflow"):
            assert (await api.get(path)).status_code == 401
            assert (await api.get(path, headers=ANNA)).status_code == 403
        assert (await api.get("/artifacts", headers=ANNA)).status_code == 400
        artifact = {"name": "x", "type": "Model", "namespace": "team-a"}
        mixed = {"artifacts": [{"artifact": artifact}, {"artifact": artifact, "run_id": "run-1"}]}
        assert (await api.post("/artifacts:batchCreate", json=mixed, headers=ANNA)).status_code == 400
