"""A task's inputs, once its upstream has ended.

First what comes from tasks and from the dag, then constants (they may mention the others), then defaults. Wherever
there is no value - a producer that failed or was skipped, an optional input of the pipeline - the component's default
counts, then absence if the input is optional; else the task fails, in words.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET

from flowdeck.components.pipelines.engine.states import GOOD, State
from flowdeck.components.pipelines.engine.task_run import TaskRun
from flowdeck.components.pipelines.plan.types import (
    ArtifactSource,
    Component,
    Constant,
    FinalStatus,
    FromTask,
    ParameterInput,
    ParameterSource,
    Task,
)
from flowdeck.components.pipelines.values.artifacts import Artifact
from flowdeck.components.pipelines.values.parameter_types import ParameterType, TypeMismatch, coerced
from flowdeck.components.pipelines.values.placeholders import Constants, resolved
from flowdeck.components.pipelines.values.selectors import SelectorError, selected
from flowdeck.components.pipelines.values.texts import canonical, json_text
from flowdeck.kube.objects import Tree

FAILED_CODE: Final = 2
"""`error.code` in the final status of a task that failed (google.rpc.Code UNKNOWN)."""


class InputError(ValueError):
    """A task cannot have its inputs; the text says which, and what to do."""


class Reader:
    """Follows sources in one dag of a run."""

    def __init__(self, dag: TaskRun, success_word: str, resource_name: str) -> None:
        self._dag = dag
        self._success_word = success_word
        self._resource_name = resource_name

    def parameter(self, source: ParameterSource) -> Any:
        """The value; `UNSET` when there is none. Raises `SelectorError`."""
        if isinstance(source, FinalStatus):
            return self._final_status(source.producer)
        if isinstance(source, FromTask):
            value = self._dag.children[source.producer].output_parameters.get(source.key, UNSET)
        elif isinstance(source, Constant):
            value = source.value
        else:
            value = self._dag.parameters.get(source.name, UNSET)
        return selected(value, source.selector) if source.selector and value not in (UNSET, None) else value

    def artifact(self, source: ArtifactSource) -> list[Artifact] | None:
        """The artifacts; None when there are none."""
        if isinstance(source, FromTask):
            return self._dag.children[source.producer].output_artifacts.get(source.key)
        return self._dag.artifacts.get(source.name)

    def _final_status(self, producer: str) -> Tree:
        """PipelineTaskFinalStatus of a task that has ended."""
        task = self._dag.children[producer]
        good = task.state in GOOD
        word = self._success_word if good else "SKIPPED" if task.state in (State.SKIPPED, State.OMITTED) else "FAILED"
        return {
            "state": word,
            "error": {"code": FAILED_CODE if word == "FAILED" else 0, "message": "" if good else task.message},
            "pipelineTaskName": producer,
            "pipelineJobResourceName": self._resource_name,
        }


def task_parameters(task: Task, reader: Reader, constants: Constants) -> dict[str, Any]:
    """The parameters of a task; raises `InputError`."""
    declared = task.component.parameters
    found: dict[str, Any] = {}
    for name, source in task.wired.items():
        try:
            _put(found, name, reader.parameter(source), declared.get(name))
        except SelectorError as error:
            raise InputError(f'input parameter "{name}": {error}') from error
    wired = dict(found)
    for name, constant in task.constants.items():
        value = resolved(constant.value, constants, wired)
        _put(found, name, _picked(name, value, constant.selector), declared.get(name))
    _add_defaults(found, task, declared)
    return found


def task_artifacts(task: Task, reader: Reader) -> dict[str, list[Artifact]]:
    """The artifacts of a task; raises `InputError`."""
    found: dict[str, list[Artifact]] = {}
    for name, source in task.artifacts.items():
        artifacts = reader.artifact(source)
        declared = task.component.artifacts.get(name)
        if artifacts is not None and (artifacts or declared is None or declared.is_list):
            found[name] = artifacts
        elif declared is not None and not declared.optional:
            raise InputError(f'input artifact "{name}": {_nothing_from(source)}; make the input optional')
    return found


def with_item(parameters: Mapping[str, Any], component: Component, name: str, item: Any) -> dict[str, Any]:
    """The parameters of one iteration; raises `InputError`."""
    found = {**parameters}
    found.pop(name, None)
    declared = component.parameters[name]
    _put(found, name, item, declared)
    if name not in found and declared.default is not UNSET:
        found[name] = declared.default
    if name not in found and not declared.optional:
        raise InputError(f'input parameter "{name}": the item of this iteration is null; give it a default')
    return found


def loop_items(task: Task, parameters: Mapping[str, Any], artifacts: Mapping[str, list[Artifact]]) -> list[Any]:
    """What a loop runs over; raises `InputError`."""
    iterator = task.iterator
    assert iterator is not None
    if iterator.over_artifacts:
        return list(artifacts.get(iterator.input, ()))
    value = parameters.get(iterator.input) if iterator.raw is None else _raw_items(iterator.raw, parameters)
    what = f'"{iterator.input}"' if iterator.input else "the raw items"
    if isinstance(value, str):
        try:
            value = canonical(msgspec.json.decode(value))
        except msgspec.DecodeError as error:
            raise InputError(f"{what} should hold the items of the loop, and is no JSON: {error}") from error
    if not isinstance(value, list):
        raise InputError(f"{what} should hold a list, the items of the loop; it holds {_shown(value)}")
    return value


def _raw_items(raw: str, parameters: Mapping[str, Any]) -> Any:
    """The items in a document; placeholders are filled into their texts, or into the JSON where they stand bare."""
    try:
        return resolved(canonical(msgspec.json.decode(raw)), {}, parameters)
    except msgspec.DecodeError:
        return resolved(raw, {}, parameters)


def _picked(name: str, value: Any, selector: str) -> Any:
    try:
        return selected(value, selector) if selector else value
    except SelectorError as error:
        raise InputError(f'input parameter "{name}": {error}') from error


def _put(found: dict[str, Any], name: str, value: Any, declared: ParameterInput | None) -> None:
    """Takes a value as its declaration wants it; absence and null are left to the defaults."""
    if value is UNSET or value is None:
        return
    if declared is None:
        found[name] = value
        return
    try:
        value = coerced(value, declared.type)
    except TypeMismatch as error:
        raise InputError(f'input parameter "{name}" type mismatch: {error}') from error
    if declared.literals and value not in declared.literals:
        allowed = json_text(list(declared.literals))
        raise InputError(f'input parameter "{name}" is {json_text(value)}; it must be one of {allowed}')
    found[name] = value


def _add_defaults(found: dict[str, Any], task: Task, declared: Mapping[str, ParameterInput]) -> None:
    item = task.iterator.item_input if task.iterator is not None else None
    for name, parameter in declared.items():
        if name in found or name == item:
            continue
        if parameter.default is not UNSET:
            found[name] = parameter.default
        elif not parameter.optional and parameter.type is not ParameterType.TASK_CONFIG:
            raise InputError(f'input parameter "{name}": {_nothing_from(task.parameters[name])}; give it a default')


def _nothing_from(source: ParameterSource | ArtifactSource) -> str:
    match source:
        case FromTask(producer, key):
            return f'no output found: task "{producer}" gave no "{key}"'
        case FinalStatus(producer):
            return f'task "{producer}" has no status'
        case Constant():
            return "its value is null"
    return f'the input "{source.name}" of the pipeline around it has no value'


def _shown(value: Any) -> str:
    text = json_text(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
