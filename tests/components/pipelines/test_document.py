"""Documents and the files around them: what is taken, what comes back, and how a refusal is told."""

import io
import tarfile
import zipfile
from typing import Any

import pytest
import yaml

from flowdeck.components.pipelines.errors import InvalidPipeline
from flowdeck.components.pipelines.ir import package
from flowdeck.components.pipelines.ir.document import from_wire, parse
from flowdeck.components.pipelines.ir.package import text_of
from flowdeck.components.pipelines.ir.proto_json import decode, to_tree
from flowdeck.components.pipelines.ir.types import ComponentSpec, ParameterSource, Strategy, TaskSpec
from flowdeck.components.pipelines.values.parameter_types import ParameterType
from flowdeck.kube.objects import Tree

SPEC: Tree = {
    "pipelineInfo": {"name": "hello"},
    "schemaVersion": "2.1.0",
    "root": {"dag": {"tasks": {}}},
}
PLATFORM: Tree = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {}}}}}
TEXT = yaml.safe_dump(SPEC)


def zipped(**members: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name.replace("__", "."), text)
    return data.getvalue()


def tarred(**members: str) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name, text in members.items():
            info = tarfile.TarInfo(name.replace("__", "."))
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return data.getvalue()


@pytest.mark.parametrize(
    ("data", "name"),
    [
        pytest.param(TEXT.encode(), "a.yaml", id="yaml"),
        pytest.param(TEXT.encode(), "a.YML", id="yml"),
        pytest.param(b"\xef\xbb\xbf" + TEXT.encode(), "a.yaml", id="byte-order-mark"),
        pytest.param(zipped(pipeline__yaml=TEXT, a__txt="x"), "whatever", id="zip"),
        pytest.param(zipped(a__txt="x", pipeline__yaml=TEXT), "a.yaml", id="zip-by-content-wins-over-name"),
        pytest.param(zipped(other__yaml=TEXT), "a.zip", id="zip-first-member"),
        pytest.param(tarred(pipeline__yaml=TEXT), "a.tar.gz", id="tar"),
        pytest.param(tarred(first__yaml="x", pipeline__yaml=TEXT), "a", id="tar-pipeline.yaml-wins"),
        pytest.param(tarred(first__yaml=TEXT, second__yaml="x"), "a", id="tar-first-member"),
    ],
)
def test_a_file_gives_the_text_of_its_pipeline(data: bytes, name: str) -> None:
    assert parse(text_of(data, name)).wire == SPEC


@pytest.mark.parametrize(
    ("data", "name", "why"),
    [
        pytest.param(b"", "a.yaml", "empty", id="empty"),
        pytest.param(b" \n", "a.yaml", "empty", id="blank"),
        pytest.param(zipped(), "a.zip", "archive is empty", id="empty-zip"),
        pytest.param(tarred(), "a.tar.gz", "archive is empty", id="empty-tar"),
        pytest.param(b"PK\x03\x04garbage", "a.zip", "zip file cannot be read", id="broken-zip"),
        pytest.param(tarred(a__yaml=TEXT)[:40], "a.tar.gz", "tar.gz file cannot be read", id="broken-tar"),
        pytest.param(b"\x1f\x8bnothing", "a.tar.gz", "tar.gz file cannot be read", id="no-gzip"),
        pytest.param(zipped(a__txt="x"), "a.zip", "no pipeline.yaml", id="zip-without-yaml"),
        pytest.param(tarred(a__txt="x"), "a.tgz", "no pipeline.yaml", id="tar-without-yaml"),
        pytest.param(b"\x89PNG\r\n\x1a\n", "a.yaml", "no text", id="picture"),
        pytest.param(b"\x89PNG\r\n\x1a\n", "a.png", "should end in .yaml", id="picture-by-name"),
        pytest.param(TEXT.encode(), "a.txt", "should end in .yaml", id="other-name"),
    ],
)
def test_a_file_that_is_no_pipeline_is_refused_in_words(data: bytes, name: str, why: str) -> None:
    with pytest.raises(InvalidPipeline, match=f"Invalid input error.*{why}") as caught:
        text_of(data, name)
    assert caught.value.code == 400


@pytest.mark.parametrize("packed", [zipped, tarred])
def test_an_archive_is_unpacked_no_further_than_the_limit(packed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package, "MAX_SIZE", 100_000)
    with pytest.raises(InvalidPipeline, match="unpacks to more than"):
        text_of(packed(pipeline__yaml="#" * 3_000_000), "a.zip")
    with pytest.raises(InvalidPipeline, match="larger than 100000 bytes"):
        text_of(b"#" * 100_001, "a.yaml")


def test_what_comes_back_is_what_was_uploaded() -> None:
    assert parse(TEXT).wire == SPEC
    two = parse(TEXT + "---\n" + yaml.safe_dump(PLATFORM))
    assert two.wire == {"pipeline_spec": SPEC, "platform_spec": PLATFORM}
    assert from_wire(two.wire) == two
    assert from_wire(SPEC).platform_tree is None
    other = parse(TEXT + "---\nplatforms: {vertex: {}}\n")
    assert other.wire == SPEC


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param({"schemaVersion": "2.0.0"}, "schemaVersion is '2.0.0'", id="old-schema"),
        pytest.param({"pipelineInfo": {"name": "Hello"}}, "pipelineInfo.name is 'Hello'", id="bad-name"),
        pytest.param({"pipelineInfo": {"name": "a" * 129}}, "pipelineInfo.name", id="long-name"),
        pytest.param({"pipelineInfo": {}}, "pipelineInfo.name is empty", id="no-name"),
        pytest.param({"root": None}, "`root` is missing", id="no-root"),
        pytest.param({"rooot": {}}, "rooot: unknown field", id="unknown-field"),
        pytest.param({"root": {"dag": {"tasks": {"a": {"oops": 1}}}}}, r"root.dag.tasks.a.oops: unknown", id="deep"),
        pytest.param({"components": []}, r"components: expected an object, got \[\]", id="wrong-type"),
    ],
)
def test_a_document_that_is_wrong_in_itself_is_refused(change: Tree, why: str) -> None:
    with pytest.raises(InvalidPipeline, match=f"Invalid input error: invalid pipeline spec: .*{why}"):
        from_wire({**SPEC, **change})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("a: [", "is no YAML", id="no-yaml"),
        pytest.param("just text", "is no pipeline", id="text"),
        pytest.param("# nothing", "holds no document", id="comments"),
        pytest.param(TEXT + "---\n" + TEXT, "holds 2 pipelines", id="two"),
        pytest.param(TEXT + "---\na: 1\n", "is no pipeline", id="something-else"),
        pytest.param(yaml.safe_dump(PLATFORM), "holds 0 pipelines", id="platform-alone"),
        pytest.param(
            TEXT + ("---\n" + yaml.safe_dump(PLATFORM)) * 2, "more than one platform document", id="two-platforms"
        ),
        pytest.param("apiVersion: argoproj.io/v1alpha1\nkind: Workflow\n", "Argo workflow.*kfp 2.0", id="argo"),
    ],
)
def test_a_text_that_holds_no_one_pipeline_is_refused(text: str, why: str) -> None:
    with pytest.raises(InvalidPipeline, match=why):
        parse(text)


def test_messages_are_read_as_protobuf_reads_json() -> None:
    tree = {
        "component_ref": {"name": "c"},
        "cachingOptions": None,
        "triggerPolicy": {"strategy": 2},
        "retryPolicy": {"maxRetryCount": "3", "backoffDuration": "1.5s", "backoffFactor": "2"},
        "inputs": {"parameters": {"x": {"runtimeValue": {"constant": None}}}},
    }
    task = decode(TaskSpec, tree, "")
    assert task.component_ref.name == "c"
    assert task.trigger_policy.strategy is Strategy.ALL_UPSTREAM_TASKS_COMPLETED
    assert (task.retry_policy.max_retry_count, task.retry_policy.backoff_duration) == (3, 1.5)
    value = task.inputs.parameters["x"].runtime_value
    assert value is not None
    assert value.constant is None  # a null is a value, where values are meant
    assert not task.caching_options.enable_cache


@pytest.mark.parametrize(
    ("message", "tree", "why"),
    [
        (TaskSpec, {"componentRef": {}, "component_ref": {}}, "there twice"),
        (TaskSpec, {"dependentTasks": "a"}, "dependentTasks: expected a list"),
        (TaskSpec, {"triggerPolicy": {"strategy": "NEVER"}}, 'triggerPolicy.strategy: "NEVER" is not one of'),
        (TaskSpec, {"triggerPolicy": {"strategy": 9}}, "9 is not one of"),
        (TaskSpec, {"retryPolicy": {"maxRetryCount": 1.5}}, "maxRetryCount: expected a whole number"),
        (TaskSpec, {"retryPolicy": {"maxRetryCount": True}}, "maxRetryCount: expected a whole number"),
        (TaskSpec, {"retryPolicy": {"backoffDuration": "5"}}, "expected a duration"),
        (TaskSpec, {"cachingOptions": {"enableCache": "true"}}, "expected true or false"),
        (
            TaskSpec,
            {"parameterIterator": {}, "artifactIterator": {}},
            "only one of artifactIterator, parameterIterator",
        ),
        (ParameterSource, {"componentInputParameter": "a", "taskFinalStatus": {}}, "only one of"),
        (ComponentSpec, {"dag": {}, "executorLabel": "x"}, "only one of dag, executorLabel"),
    ],
)
def test_messages_that_break_their_definition_are_refused_with_the_path(message: Any, tree: Tree, why: str) -> None:
    with pytest.raises(InvalidPipeline, match=why):
        decode(message, tree, "")


def test_the_deployment_passes_over_what_it_does_not_know() -> None:
    document = from_wire(
        {**SPEC, "deploymentSpec": {"@type": "x", "executors": {"e": {"container": {"image": "i", "new": 1}}}}}
    )
    container = document.spec.deployment_spec.executors["e"].container
    assert container is not None
    assert container.image == "i"


def test_enums_and_defaults_go_back_to_json() -> None:
    component = decode(
        ComponentSpec, {"inputDefinitions": {"parameters": {"x": {"parameterType": 2}}}, "executorLabel": "e"}, ""
    )
    assert component.input_definitions.parameters["x"].parameter_type is ParameterType.NUMBER_INTEGER
    assert to_tree(component)["executorLabel"] == "e"
