"""What `kfp.local` cannot run, or gives otherwise than a server does."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowdeck.artifacts.artifacts import Artifacts
from flowdeck.kube.objects import Tree
from tests.kfp_sdk.conftest import HERE
from tests.kfp_sdk.outputs import outputs_of
from tests.kfp_sdk.rest import Rest, document_in

pytestmark = [pytest.mark.xdist_group("kfp"), pytest.mark.timeout(600)]

OUTPUTS: dict[str, Tree] = {
    "numbers_in_texts": {"text": "6 of 3, 0.25, 1000000", "sum": 12, "kinds": "[1, 2.5, 3] {'a': 1, 'b': [2]}"},
    "values_in_a_command": {
        "Output": ["a 'b'", "1000000", "0.1", "true", '[1,"x",{"y":[]}]', '{"a":[1.5],"b":2}', "--text=a 'b'"]
    },
    "maybe_there": {"without": ["--no-other", "<n>"], "given": ["--other", "o", "there", "<m+o>"]},
    "a_copied_file": {
        "text": "line\nfrom sh\n",
        "target": [{"type": "system.Dataset", "metadata": {}, "files": {"": "line\nfrom sh\n"}}],
    },
    "reals_decide": {"Output": "middle"},
    "one_of_two_artifacts": {"Output": "the second"},
    "skipped_tasks": {"text": "this runs"},
    "no_iterations": {"Output": []},
    "loop_over_artifacts": {"Output": ["a", "b", "c"]},
    "loop_in_a_loop_over_its_item": {"Output": [["a", "b"], ["c"]]},
    "what_nobody_gave": {"none": "None 4", "given": "'given' 3", "own": "None 4"},
    "artifacts_into_pipelines": {"Output": "Ada reads what was written"},
    "a_pipeline_as_exit": {},
    "paths_of_their_own": {"Output": "at a path of its own"},
    "what_a_run_knows": {"Output": {"resource": True, "created": True, "scheduled": True, "mixed": True}},
}
FAILURES = {
    "an_exit_after_a_failure": 'task "exit-handler-1.fail" failed: ',
    "failures_that_do_not_matter": 'task "fail-or-say" failed: ',
}
"""What the run's error begins with."""

Start = Callable[..., str]


@pytest.fixture(scope="session")
def start(kfp_python: Path, rest: Rest, tmp_path_factory: pytest.TempPathFactory) -> Start:
    """`start(pipeline, parameter=value, ...)` gives the id of a run."""
    folder = tmp_path_factory.mktemp("beyond")
    command = [str(kfp_python), "-W", "ignore", str(HERE / "compiled.py"), "beyond", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    def run(pipeline: str, **parameters: Any) -> str:
        return rest.start(document_in(folder / f"{pipeline}.yaml"), parameters)

    return run


@pytest.fixture(scope="session")
def started(start: Start) -> dict[str, str]:
    """All of them, at once."""
    return {name: start(name) for name in (*OUTPUTS, *FAILURES)}


@pytest.mark.parametrize("name", OUTPUTS)
def test_the_outputs_are_what_a_server_gives(started: dict[str, str], rest: Rest, store: Artifacts, name: str) -> None:
    run = rest.finished(started[name])
    assert run["state"] == "SUCCEEDED", run.get("error")
    assert outputs_of(store, run) == OUTPUTS[name]


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_told_with_its_task(started: dict[str, str], rest: Rest, name: str) -> None:
    run = rest.finished(started[name])
    assert run["state"] == "FAILED"
    assert run["error"]["message"].startswith(FAILURES[name])


def test_an_exit_task_is_told_of_the_failure(started: dict[str, str], rest: Rest, store: Artifacts) -> None:
    run = rest.finished(started["an_exit_after_a_failure"])
    told = outputs_of(store, run, of="root.tidy-up")["Output"]
    assert {key: told[key] for key in ("state", "task", "run")} == {
        "state": "FAILED",
        "task": "exit-handler-1",
        "run": True,
    }
    assert 'task "exit-handler-1.fail" failed' in told["message"] or "exit code 1" in told["message"]


def test_who_ignores_a_failure_runs_with_its_defaults(started: dict[str, str], rest: Rest, store: Artifacts) -> None:
    run = rest.finished(started["failures_that_do_not_matter"])
    assert outputs_of(store, run, of="root.hear") == {"Output": "heard nothing"}


def test_skipped_and_omitted_tasks_are_told_apart(started: dict[str, str], rest: Rest) -> None:
    run = rest.finished(started["skipped_tasks"])
    states = {each["display_name"]: each.get("state", "") for each in run["run_details"]["task_details"]}
    assert states["condition-1"] == "SKIPPED"
    assert "say-2" not in states
    assert run["state"] == "SUCCEEDED"


@pytest.mark.parametrize(
    ("value", "expected"), [(0.95, "high"), (0.9, "middle"), (0.51, "middle"), (0.5, "low"), (-1, "low")]
)
def test_reals_decide_as_given(start: Start, rest: Rest, store: Artifacts, value: float, expected: str) -> None:
    run = rest.finished(start("reals_decide", value=value))
    assert outputs_of(store, run) == {"Output": expected}
