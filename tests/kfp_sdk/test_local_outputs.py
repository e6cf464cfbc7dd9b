"""Small pipelines give the same outputs on Flowdeck as with the SDK's own `kfp.local`."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from flowdeck.artifacts.artifacts import Artifacts
from flowdeck.kube.objects import Tree
from tests.kfp_sdk.conftest import HERE
from tests.kfp_sdk.outputs import outputs_of, same
from tests.kfp_sdk.rest import Rest, document_in

pytestmark = [pytest.mark.xdist_group("kfp"), pytest.mark.timeout(900)]

PIPELINES = {
    "parameters": [
        "every_type",
        "empty_values",
        "numbers",
        "structures",
        "defaults_of_a_component",
        "outputs_as_files",
    ],
    "placeholders": ["texts_of_values", "values_in_structures", "names_of_a_run", "environment"],
    "conditions": [
        "texts_decide",
        "a_ladder_of_branches",
        "truth_decides",
        "conditions_in_conditions",
        "both_sides_of_a_comparison",
    ],
    "loops": [
        "loop_over_constants",
        "loop_over_an_input",
        "loop_over_an_output",
        "loop_over_structures",
        "loops_in_loops",
        "tasks_of_one_iteration",
        "artifacts_of_a_loop",
        "conditions_in_a_loop",
    ],
    "artifacts": [
        "data_model_metrics",
        "folders",
        "reports",
        "an_artifact_without_a_file",
        "artifacts_as_values",
        "lists_of_artifacts",
    ],
    "flows": [
        "a_second_attempt",
        "order_without_data",
        "an_exit_after_success",
        "pipelines_in_pipelines",
        "artifacts_of_pipelines",
        "pipelines_in_loops",
    ],
}
"""Module of `pipelines/` -> its pipelines."""

Both = Callable[[str], tuple[Tree, dict[str, str]]]
"""`both(module)` -> what `kfp.local` gave for each pipeline of the module, and the runs that were started of each."""


@pytest.fixture(scope="session")
def both(kfp_python: Path, rest: Rest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    """A module is run once, when the first of its tests wants it."""
    known: dict[str, tuple[Tree, dict[str, str]]] = {}

    def run(module: str) -> tuple[Tree, dict[str, str]]:
        folder = tmp_path_factory.mktemp(module)
        given: dict[str, Tree] = {f"{module}.{name}": {} for name in PIPELINES[module]}
        if module == "flows":
            given["flows.a_second_attempt"] = {"mark": str(folder / "mark")}
        command = [str(kfp_python), "-W", "ignore", str(HERE / "local_run.py"), str(folder), json.dumps(given)]
        path = f"{kfp_python.parent}:/usr/local/bin:/usr/bin:/bin"  # a component's shell looks for pip
        done = subprocess.run(command, env={"PATH": path, "HOME": str(folder)}, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        started = {
            name: rest.start(document_in(folder / f"{name}.yaml"), arguments) for name, arguments in given.items()
        }
        return json.loads((folder / "outputs.json").read_text()), started

    def once(module: str) -> tuple[Tree, dict[str, str]]:
        if module not in known:
            known[module] = run(module)
        return known[module]

    return once


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in PIPELINES.items() for name in names])
def test_the_outputs_are_those_of_the_local_runner(
    both: Both, rest: Rest, store: Artifacts, module: str, name: str
) -> None:
    local, started = both(module)
    run = rest.finished(started[f"{module}.{name}"])
    assert run["state"] == "SUCCEEDED", run.get("error")
    expected, found = local[f"{module}.{name}"], outputs_of(store, run)
    assert isinstance(expected, dict), expected
    assert expected.keys() == found.keys()
    assert [key for key in expected if not same(expected[key], found[key])] == [], (expected, found)
