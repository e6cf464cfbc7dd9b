"""All pipelines of upstream's tests are read, given back as they came, and compiled; the broken ones are refused."""

from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET

from flowdeck.components.pipelines.engine.instructions import StartPod
from flowdeck.components.pipelines.engine.run_state import RunState
from flowdeck.components.pipelines.errors import InvalidPipeline
from flowdeck.components.pipelines.ir.document import Document, from_wire, parse
from flowdeck.components.pipelines.ir.package import text_of
from flowdeck.components.pipelines.plan.compiler import compile_plan
from flowdeck.components.pipelines.plan.parameters import run_parameters
from flowdeck.components.pipelines.values.parameter_types import ParameterType
from flowdeck.components.pipelines.values.paths import local_path
from flowdeck.components.pipelines.values.placeholders import Execution
from flowdeck.kube.objects import Tree
from flowdeck.kube.yaml_text import load_all
from tests.components.pipelines.executor import Executor
from tests.components.pipelines.golden import INVALID, VALID, WHY
from tests.components.pipelines.makers import a_run

pytestmark = pytest.mark.skipif(not VALID, reason=WHY)


def read(path: Path) -> Document:
    return parse(text_of(path.read_bytes(), path.name))


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.name)
def test_a_pipeline_comes_back_as_it_was_and_has_a_plan(path: Path) -> None:
    document = read(path)
    uploaded = [part for part in load_all(path.read_text()) if part]
    assert [document.spec_tree, *([document.platform_tree] if document.platform_tree else [])] == uploaded
    assert from_wire(document.wire) == document
    plan = compile_plan(document)
    assert plan.dag.tasks.keys() == document.spec_tree["root"]["dag"]["tasks"].keys()


ITEM = {"A_a": "heads", "B_b": ["x"], "a": 1}
SAMPLES: dict[ParameterType, Any] = {
    ParameterType.STRING: "heads",
    ParameterType.NUMBER_INTEGER: 1,
    ParameterType.NUMBER_DOUBLE: 0.5,
    ParameterType.BOOLEAN: True,
    ParameterType.LIST: [ITEM, ITEM],
    ParameterType.STRUCT: ITEM,
}


@pytest.mark.parametrize("path", [path for path in VALID if "_GH-" not in path.name], ids=lambda path: path.name)
def test_a_pipeline_runs_to_its_end_in_memory(path: Path) -> None:
    """With a sample for each output. Artifacts that a pipeline requires cannot be given to a run; names with
    `GH-` are known to fail upstream."""
    plan = compile_plan(read(path))
    needed = {name: SAMPLES[each.type] for name, each in plan.inputs.items() if each.default is UNSET}
    state = RunState(a_run(run_parameters(plan, needed)), plan)

    def program(label: str, execution: int, inputs: Tree) -> Tree:
        component = executor.by_label(label).task.component
        return {name: SAMPLES[kind] for name, kind in component.output_parameters.items()}

    executor = Executor(state, program)
    executor.start().run()
    lacks_artifacts = any(not each.optional for each in plan.root.component.artifacts.values())
    assert state.status == ("FAILED" if lacks_artifacts else "SUCCEEDED"), state.error
    for pod in executor.of(StartPod):
        Execution(pod.executor_input, pod.constants, local_path).resolved_command([*pod.command, *pod.args])


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.name)
def test_a_broken_file_is_refused_in_words(path: Path) -> None:
    with pytest.raises(InvalidPipeline, match="Invalid input error"):
        compile_plan(read(path))
