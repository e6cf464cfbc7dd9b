"""Artifacts that are kept in an object store come to their pods and from them, whatever the image has."""

from collections.abc import AsyncIterator

import pytest

from flowdeck.artifacts.artifacts import Artifacts
from tests.artifacts.s3 import SECRET as PASSWORD
from tests.pipelines.conftest import Runner
from tests.pipelines.functions import a_function
from tests.pipelines.makers import a_component, a_pipeline, a_task
from tests.pipelines.servers import NAMESPACE, S3

pytestmark = [
    pytest.mark.xdist_group("pipelines"),
    pytest.mark.timeout(300),
]

MAKE = {
    **a_component("", outputs={"text": "STRING"}, makes={"data": "system.Dataset"}),
    "image": "alpine:3",
    "program": [
        "sh", "-c", 'mkdir -p "$0"/deep && echo one > "$0"/a && echo two > "$0"/deep/b && printf "$HOME_OF_KEY" > "$1"',
        "{{$.outputs.artifacts['data'].path}}", "{{$.outputs.parameters['text'].output_file}}",
    ],
}  # fmt: skip
READ = a_function(
    """def read(data: dsl.Input[dsl.Dataset], model: dsl.Output[dsl.Model]) -> str:
    import os
    model.metadata["parts"] = 2
    with open(model.path, "w") as file:
        file.write("weights")
    with open(os.path.join(data.path, "deep", "b")) as file:
        return file.read()
""",
    takes={"data": "system.Dataset"},
    outputs={"Output": "STRING"},
    makes={"model": "system.Model"},
)


@pytest.fixture(scope="session")
def store(s3: S3) -> Artifacts:
    """A bucket."""
    return s3.bucket("bucket")


@pytest.fixture
async def told(runner: Runner, s3: S3) -> AsyncIterator[Runner]:
    """The namespace knows the store, by its `kfp-launcher`."""
    async with runner.platform.client() as client:
        await s3.tell(client, NAMESPACE)
        yield runner
        await s3.untell(client, NAMESPACE)


async def test_what_a_container_without_python_makes_is_read_by_a_function(told: Runner, store: Artifacts) -> None:
    told.root = "s3://bucket/runs"
    document = a_pipeline(
        {"make": MAKE, "read": READ},
        {"make": a_task("make"), "read": a_task("read", data=("artifact", "make", "data"))},
    )
    run_id = await told.submit(document)
    run = await told.finished(run_id)
    assert (run.state, run.error) == ("SUCCEEDED", "")
    tasks = await told.tasks(run_id)
    assert tasks["root.make"].output_parameters[0].value == ""
    assert tasks["root.read"].output_parameters[0].value == "two\n"
    (data,) = tasks["root.make"].output_artifacts[0].artifacts
    assert data.uri.startswith(f"s3://bucket/runs/tried/{run_id}/make/")
    assert [info.uri.removeprefix(data.uri) async for info in store.list(data.uri)] == ["/a", "/deep/b"]
    (model,) = tasks["root.read"].output_artifacts[0].artifacts
    assert model.metadata == {"parts": 2}
    assert await store.get(model.uri) == b"weights"


async def test_an_imported_object_is_fetched_although_artifacts_are_files(told: Runner, store: Artifacts) -> None:
    await store.put("s3://bucket/given/a", b"one")
    await store.put("s3://bucket/given/deep/b", b"three")
    document = a_pipeline({"read": READ}, {"read": a_task("read", data=("artifact", "bring", "artifact"))})
    document["deploymentSpec"]["executors"]["exec-bring"] = {
        "importer": {"artifactUri": {"constant": "s3://bucket/given"}, "typeSchema": {"schemaTitle": "system.Dataset"}}
    }
    document["components"]["bring"] = {
        "executorLabel": "exec-bring",
        "outputDefinitions": {"artifacts": {"artifact": {"artifactType": {"schemaTitle": "system.Dataset"}}}},
    }
    document["root"]["dag"]["tasks"]["bring"] = a_task("bring")
    run_id = await told.submit(document)
    run = await told.finished(run_id)
    assert (run.state, run.error) == ("SUCCEEDED", "")
    tasks = await told.tasks(run_id)
    assert tasks["root.read"].output_parameters[0].value == "three"


async def test_a_store_that_refuses_fails_the_task_in_words(told: Runner) -> None:
    told.root = "s3://nobodys/runs"
    run = await told.finished(await told.submit(a_pipeline({"make": MAKE}, {"make": a_task("make")})))
    assert run.state == "FAILED"
    assert 'task "make" failed' in run.error
    assert "s3://nobodys/runs" in run.error
    assert PASSWORD not in run.error
