"""Upstream's own pipelines: uploaded, given back as they were, run to the end that they should have."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET

from flowdeck.components.pipelines.ir.document import parse
from flowdeck.components.pipelines.ir.package import text_of
from flowdeck.components.pipelines.plan.compiler import compile_plan
from flowdeck.components.pipelines.values.parameter_types import ParameterType
from flowdeck.kube.objects import Tree
from tests.components.pipelines.golden import INVALID, WHY, files
from tests.kfp_sdk.rest import Rest, document_in

pytestmark = [
    pytest.mark.xdist_group("kfp"),
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not INVALID, reason=WHY),
]

FOLDERS = ("essential", "local_execution", "root")
SAMPLES: dict[ParameterType, Any] = {
    ParameterType.STRING: "abcdefghijklmnopqrst",
    ParameterType.NUMBER_INTEGER: 7,
    ParameterType.NUMBER_DOUBLE: 0.5,
    ParameterType.BOOLEAN: True,
    ParameterType.LIST: ["a"],
    ParameterType.STRUCT: {"a": "1", "b": "2"},
}
"""For parameters without a default."""
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
KNOWN_IMAGE = re.compile(
    rf"(.*/)?(python:({HERE}|alpine)|ubi9/python-{HERE.replace('.', '')}|argostub|bash|busybox)|alpine"
)
ELSEWHERE = re.compile(r"gs://ml-pipeline|from minio|NVIDIA_|nvidia|sleep[ (](?:300|naptime)")
"""What needs an object store of its own or a GPU, or runs for minutes."""
EXPECTED = {
    "failing/fail_v2.yaml": 'task "fail" failed',
    "failing/pipeline_with_exit_handler.yaml": 'task "exit-handler-1.fail-op" failed',
    "failing/pipeline_with_multiple_exit_handlers.yaml": 'task "exit-handler-1.fail-op" failed',
    # bodies and steps that fail on purpose
    "local_execution/local_execution_pipeline_with_ignore_upstream_failure.yaml": 'task "fail-always" failed',
    "root/pipeline_as_exit_task.yaml": 'task "exit-handler-1.fail-op" failed',
    "root/pipeline_with_task_final_status.yaml": 'task "exit-handler-1.fail-op" failed',
    "root/pipeline_with_task_using_ignore_upstream_failure.yaml": 'task "fail-op" failed',
    # it counts its attempts in a file, and attempts are pods that share none
    "local_execution/local_execution_pipeline_with_retry.yaml": 'task "flaky" failed',
    # the SDK that it pins has no EmbeddedInput
    "essential/embedded_artifact.yaml": 'task "read-embedded-artifact-',
    # artifacts cannot be given to a run
    "root/component_with_metadata_fields.yaml": 'task "dataset-joiner" failed: input artifact "dataset_a"',
    "root/input_artifact.yaml": 'task "input-artifact" failed: input artifact "data"',
    "root/pipeline_with_metadata_fields.yaml": 'task "dataset-joiner" failed: input artifact "dataset_b"',
    # programs, variables and packages that there are not
    "root/container_io.yaml": 'task "container-io" failed',
    "root/create_pod_metadata_complex.yaml": 'task "validate-no-pod-metadata" failed',
    "root/pipeline_with_google_artifact_type.yaml": 'task "model-producer" failed',
    # its program opens `gs://` alone
    "root/artifacts_simple.yaml": 'task "add-container" failed',
}
"""Those that end otherwise than well: the words that the run's error must have."""


def runs_here(path: Path) -> bool:
    """Whether its images are a shell or this Python, and are all that it needs; `GH-` is known to fail upstream."""
    text = path.read_text()
    images = re.findall(r'"?image"?: "?([^\s",]+)', text)
    known = all(KNOWN_IMAGE.match(image) for image in images)
    return known and "GH-" not in path.name and ELSEWHERE.search(text) is None


def label(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def arguments(path: Path) -> Tree:
    plan = compile_plan(parse(text_of(path.read_bytes(), path.name)))
    return {
        name: SAMPLES[each.type] for name, each in plan.inputs.items() if each.default is UNSET and not each.optional
    }


VALID = files(*FOLDERS, "failing")
RUN = [path for path in VALID if runs_here(path)]

Start = Callable[[Path], str]


@pytest.fixture(scope="session")
def start(rest: Rest) -> Start:
    """Starts a run of a file, and those of the next three beside it."""
    started: dict[Path, str] = {}

    def once(path: Path) -> str:
        at = RUN.index(path)
        for each in RUN[at : at + 4]:
            if each not in started:
                started[each] = rest.start(document_in(each), arguments(each))
        return started[path]

    return once


@pytest.mark.parametrize("path", VALID, ids=label)
def test_an_upload_is_given_back_as_it_was(rest: Rest, path: Path) -> None:
    answer = rest.upload(path, label(path))
    assert answer.status_code == 200, answer.text
    pipeline = answer.json()["pipeline_id"]
    (version,) = rest.get(f"pipelines/{pipeline}/versions")["pipeline_versions"]
    read = rest.get(f"pipelines/{pipeline}/versions/{version['pipeline_version_id']}")
    assert read["pipeline_spec"] == document_in(path)
    rest.delete(f"pipelines/{pipeline}", cascade="true")


@pytest.mark.parametrize("path", INVALID, ids=label)
def test_what_is_broken_is_refused(rest: Rest, path: Path) -> None:
    answer = rest.upload(path, label(path))
    assert answer.status_code == 400
    assert answer.json()["error_message"].startswith("Invalid input error")


@pytest.mark.parametrize("path", RUN, ids=label)
def test_a_run_has_the_end_that_it_should_have(rest: Rest, start: Start, path: Path) -> None:
    run = rest.finished(start(path))
    told = run.get("error", {}).get("message", "")
    expected = EXPECTED.get(label(path))
    assert run["state"] == ("SUCCEEDED" if expected is None else "FAILED"), told
    assert (expected or "") in told
    tasks = document_in(path)
    spec = tasks.get("pipeline_spec", tasks)
    assert len(run["run_details"]["task_details"]) >= len(spec["root"]["dag"]["tasks"])
