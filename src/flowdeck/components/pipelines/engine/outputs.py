"""The outputs of a task at its end: of an attempt as reported, of a dag and a loop from those inside."""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from flowdeck.components.pipelines.engine.events import Outputs
from flowdeck.components.pipelines.engine.states import GOOD
from flowdeck.components.pipelines.engine.task_run import TaskRun, stable_id
from flowdeck.components.pipelines.plan.types import Component, Dag, OutputOf
from flowdeck.components.pipelines.values.artifacts import Artifact
from flowdeck.components.pipelines.values.parameter_types import TypeMismatch, coerced
from flowdeck.components.pipelines.values.texts import canonical


class OutputError(ValueError):
    """A task did not make what it declares; the text says what."""


def declared_outputs(
    component: Component, reported: Outputs, announced: Mapping[str, list[Artifact]]
) -> tuple[dict[str, Any], dict[str, list[Artifact]]]:
    """The parameters and artifacts of a successful attempt; raises `OutputError`."""
    parameters: dict[str, Any] = {}
    for name, kind in component.output_parameters.items():
        if reported.parameters.get(name) is None:
            raise OutputError(f'failed to read output parameter "{name}": the task did not write it')
        try:
            parameters[name] = canonical(coerced(reported.parameters[name], kind))
        except TypeMismatch as error:
            raise OutputError(f'output parameter "{name}" type mismatch: {error}') from error
    return parameters, {name: reported.artifacts.get(name, announced[name]) for name in announced}


def announced_outputs(run: str, task: TaskRun, root: str) -> dict[str, list[Artifact]]:
    """The artifacts that an attempt is told to make, below this root."""
    return {
        name: [
            Artifact(
                id=stable_id(run, f"{task.label}#{task.attempt}/{name}"),
                uri=f"{root}/{name}",
                type=output.type,
                metadata=dict(output.metadata),
            )
        ]
        for name, output in task.task.component.output_artifacts.items()
    }


def with_ids(run: str, task: TaskRun, artifacts: Mapping[str, list[Artifact]]) -> dict[str, list[Artifact]]:
    """Artifacts that a task made of its own accord get ids as well."""

    def known(artifact: Artifact, place: str) -> Artifact:
        return artifact if artifact.id else replace(artifact, id=stable_id(run, f"{task.label}#{task.attempt}/{place}"))

    return {
        name: [known(artifact, f"{name}/{at}") for at, artifact in enumerate(found)]
        for name, found in artifacts.items()
    }


def dag_outputs(dag: TaskRun) -> tuple[dict[str, Any], dict[str, list[Artifact]]]:
    """What its successful tasks made of the dag's outputs."""
    body = dag.task.component.body
    assert isinstance(body, Dag)
    parameters: dict[str, Any] = {}
    for name, candidates in body.parameters.items():
        for task, key in _good(dag, candidates):
            if key in task.output_parameters:
                parameters[name] = task.output_parameters[key]
            break
    artifacts: dict[str, list[Artifact]] = {}
    for name, candidates in body.artifacts.items():
        for task, key in _good(dag, candidates):
            if key in task.output_artifacts:
                artifacts[name] = task.output_artifacts[key]
            break
    return parameters, artifacts


def loop_outputs(loop: TaskRun) -> tuple[dict[str, Any], dict[str, list[Artifact]]]:
    """The outputs of the iterations in their order; iterations that have none contribute nothing."""
    component = loop.task.component
    iterations = [loop.children[at] for at in range(len(loop.items or ()))]
    parameters = {
        name: [each.output_parameters[name] for each in iterations if name in each.output_parameters]
        for name in component.output_parameters
    }
    artifacts = {
        name: [artifact for each in iterations for artifact in each.output_artifacts.get(name, ())]
        for name in component.output_artifacts
    }
    return parameters, artifacts


def _good(dag: TaskRun, candidates: tuple[OutputOf, ...]) -> Iterator[tuple[TaskRun, str]]:
    for candidate in candidates:
        task = dag.children[candidate.producer]
        if task.state in GOOD:
            yield task, candidate.key
