"""Random pipelines end as the specification says, in whatever order things happen, also with lost pods and replays.

By default a slice; `FLOWDECK_RANDOM_DAGS=2000` for as many.
"""

import json
import os
import random
from typing import Any

import pytest

from flowdeck.components.pipelines.engine.events import RetryRequested, TerminateRequested, decode
from flowdeck.components.pipelines.engine.instructions import StartPod
from flowdeck.components.pipelines.engine.run_state import RunState
from flowdeck.components.pipelines.engine.states import RunStatus, State
from flowdeck.components.pipelines.engine.task_run import TaskRun
from flowdeck.components.pipelines.ir.document import from_wire
from flowdeck.components.pipelines.plan.compiler import compile_plan
from flowdeck.components.pipelines.plan.types import Container
from flowdeck.kube.objects import Tree
from tests.components.pipelines.executor import Executor
from tests.components.pipelines.generator import Generator
from tests.components.pipelines.makers import a_run
from tests.components.pipelines.reference import Reference

COUNT = int(os.environ.get("FLOWDECK_RANDOM_DAGS", "80"))
BATCHES = 4


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


@pytest.mark.parametrize("batch", range(BATCHES))
def test_a_run_that_is_retried_ends_as_if_nothing_had_failed(batch: int) -> None:
    for seed in range(batch, COUNT // 2, BATCHES):
        generator = Generator(seed)
        document, parameters = generator.document(), generator.parameters()
        rng = random.Random(seed)
        state = RunState(a_run(parameters), compile_plan(from_wire(document)))
        executor = Executor(state, generator.program, rng).start()
        for _ in range(rng.randint(0, 80)):
            if not state.is_finished:
                executor.step()
        executor.send(TerminateRequested(at=executor.now))
        executor.run()
        generator.failure_rate = 0.0
        while state.status is not RunStatus.SUCCEEDED and rng.random() < 0.8:
            edited = some_edited(document, rng) if rng.random() < 0.3 else None
            executor.send(RetryRequested(at=executor.now, document=edited))
            for _ in range(rng.randint(0, 80)):
                if not state.is_finished:
                    executor.step()
            executor.send(TerminateRequested(at=executor.now))
            executor.run()
        if state.status is not RunStatus.SUCCEEDED:
            executor.send(RetryRequested(at=executor.now))
            executor.run()
        reference = Reference(document, generator.program)
        assert state.status == reference.run(parameters).state, seed
        assert executor.states() == reference.states, seed
        wanted = {label: inputs for label, inputs in last_inputs(executor).items() if label in reference.inputs}
        assert json.dumps(wanted, sort_keys=True) == json.dumps(reference.inputs, sort_keys=True), seed
        if state.status is RunStatus.SUCCEEDED:
            for task in list(state.tasks.values())[:: max(1, len(state.tasks) // 3)]:
                runs_again(executor, task.id)


def some_edited(document: Tree, rng: random.Random) -> Tree:
    """The document with other commands in some of its executors."""
    executors = {
        name: {"container": {**spec["container"], "command": [str(rng.random())]}} if rng.random() < 0.2 else spec
        for name, spec in document["deploymentSpec"]["executors"].items()
    }
    return {**document, "deploymentSpec": {"executors": executors}}


@pytest.mark.parametrize("batch", range(BATCHES))
def test_a_crash_at_any_moment_costs_nothing_and_no_pod_runs_twice(batch: int) -> None:
    for seed in range(batch, COUNT // 2, BATCHES):
        generator = Generator(seed)
        document, parameters = generator.document(), generator.parameters()
        reference = Reference(document, generator.program)
        expected = reference.run(parameters).state
        rng = random.Random(seed)
        executor = Executor(RunState(a_run(parameters), compile_plan(from_wire(document))), generator.program, rng)
        executor.start()
        while not executor.state.is_finished:
            executor.step()
            if rng.random() < 0.15:
                executor.crash()
        assert executor.state.status == expected, seed
        assert executor.states() == reference.states, seed
        assert executor.executions == reference.executions, seed


def runs_again(executor: Executor, task: str) -> None:
    """A task that somebody picks runs again, and all is as before."""
    before = {each.label: (each.state, each.output_parameters) for each in executor.state.tasks.values()}
    picked = executor.state.tasks[task]
    attempts = len(executor.state.attempts(task))
    executor.send(RetryRequested(at=executor.now, task=task))
    executor.run()
    after = {each.label: (each.state, each.output_parameters) for each in executor.state.tasks.values()}
    assert after == before
    if picked.state is State.SUCCEEDED and not picked.is_loop and isinstance(picked.task.component.body, Container):
        assert len(executor.state.attempts(task)) == attempts + 1


@pytest.mark.parametrize("batch", range(BATCHES))
def test_a_run_that_was_cached_starts_no_pods(batch: int) -> None:
    for seed in range(batch, COUNT // 4, BATCHES):
        generator = Generator(seed, caching=True)
        generator.failure_rate = 0.0
        document, parameters = generator.document(), generator.parameters()
        plan = compile_plan(from_wire(document))
        first = Executor(RunState(a_run(parameters), plan), generator.program, random.Random(seed)).start().run()
        for at in range(8):  # iterations that were equal raced for their entry: the last one's artifacts count
            state = RunState(a_run(parameters, run_id=f"run-{at}"), plan)
            again = Executor(state, generator.program, random.Random(seed), cache=first.cache).start().run()
            if not again.started():
                break
        assert again.started() == [], seed
        assert again.state.status == first.state.status
        assert as_if_run(again) == as_if_run(first), seed


def as_if_run(executor: Executor) -> dict[str, str]:
    return {label: state.replace("CACHED", "SUCCEEDED") for label, state in executor.states().items()}


@pytest.mark.parametrize("policy", ["fail_fast", "fail_fast_and_stop"])
def test_a_run_that_fails_fast_starts_nothing_after_the_first_failure_but_what_runs_whatever_happened(
    policy: str,
) -> None:
    for seed in range(COUNT // 4):
        generator = Generator(seed)
        generator.failure_rate = 0.2
        run = a_run(generator.parameters(), failure_policy=policy)
        state = RunState(run, compile_plan(from_wire(generator.document())))
        executor = Executor(state, generator.program, random.Random(seed)).start()
        while not state.is_finished:
            failed_before = state.root is not None and state.root.closed
            pods = len(executor.started())
            executor.step()
            if failed_before:
                new = [state.tasks[pod.task] for pod in executor.of(StartPod)[pods:]]
                assert all(is_exempt(task) for task in new), seed
        assert (state.status is RunStatus.FAILED) == bool(state.error)


def is_exempt(task: TaskRun | None) -> bool:
    """Whether it, or a dag around it, runs however its upstream ended; losses do not count as starts."""
    while task is not None:
        if task.task.on_any_end or task.losses:
            return True
        task = task.parent
    return False
