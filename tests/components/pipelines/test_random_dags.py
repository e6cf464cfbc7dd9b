"""Random pipelines end as the specification says, in whatever order things happen, also with lost pods and replays.

By default a slice; `FLOWDECK_RANDOM_DAGS=2000` for as many.
"""

import json
import os
import random
from typing import Any

import pytest

from flowdeck.components.pipelines.engine.events import decode
from flowdeck.components.pipelines.engine.instructions import StartPod
from flowdeck.components.pipelines.engine.run_state import RunState
from flowdeck.components.pipelines.ir.document import from_wire
from flowdeck.components.pipelines.plan.compiler import compile_plan
from tests.components.pipelines.executor import Executor
from tests.components.pipelines.generator import Generator
from tests.components.pipelines.makers import a_run
from tests.components.pipelines.reference import Reference

COUNT = int(os.environ.get("FLOWDECK_RANDOM_DAGS", "200"))
BATCHES = 8


def run_both(seed: int) -> tuple[Executor, Reference, str]:
    generator = Generator(seed)
    document = generator.document()
    parameters = generator.parameters()
    reference = Reference(document, generator.program)
    expected = reference.run(parameters)
    state = RunState(a_run(parameters), compile_plan(from_wire(document)))
    loses = random.Random(seed).choice([0.0, 0.0, 0.2])
    executor = Executor(state, generator.program, random.Random(seed), loses=loses)
    executor.start().run()
    return executor, reference, expected.state


def uris(executor: Executor) -> dict[str, str]:
    """URI -> label and output of who made it."""
    found = {}
    for pod in executor.of(StartPod):
        for key, made in pod.executor_input["outputs"].get("artifacts", {}).items():
            found[made["artifacts"][0]["uri"]] = f"{executor.labels[pod.task]}/{key}"
    return found


def last_inputs(executor: Executor) -> dict[str, Any]:
    """Label -> parameters and artifacts of the last pod."""
    made_by = uris(executor)
    found = {}
    for pod in executor.of(StartPod):
        inputs = pod.executor_input["inputs"]
        artifacts = {
            key: [made_by[each["uri"]] for each in value["artifacts"]]
            for key, value in inputs.get("artifacts", {}).items()
        }
        rest = {"parameterValues": inputs["parameterValues"]} if "parameterValues" in inputs else {}
        if status := rest.get("parameterValues", {}).get("status"):
            rest["parameterValues"] = {"status": {**status, "error": {"code": status["error"]["code"]}}}
        found[executor.labels[pod.task]] = {**rest, "artifactUris": artifacts}
    return found


@pytest.mark.parametrize("batch", range(BATCHES))
def test_the_engine_agrees_with_the_reference(batch: int) -> None:
    for seed in range(batch, COUNT, BATCHES):
        executor, reference, expected = run_both(seed)
        assert executor.state.status == expected, seed
        assert executor.states() == reference.states, seed
        assert executor.executions == reference.executions, seed
        assert json.dumps(last_inputs(executor), sort_keys=True) == json.dumps(reference.inputs, sort_keys=True), seed
        if seed % 5 == 0:
            replayed = RunState(executor.state.run, executor.state.plan)
            for line in executor.log:
                replayed.apply(decode(line))
            again = {task.label: (task.state, task.attempt, task.output_parameters) for task in replayed.tasks.values()}
            assert again == {
                task.label: (task.state, task.attempt, task.output_parameters) for task in executor.state.tasks.values()
            }, seed
