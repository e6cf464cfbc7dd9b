"""A task as it is written down and shown: the model of the next release's API (wire B), from which wire A is derived.

`task_record` is called for each `RecordTask`; the store keeps what it gives.

Source: kubeflow/pipelines (backend/api/v2beta1/run.proto, PipelineTaskDetail of the branch without ML Metadata).
"""

import re
from enum import StrEnum
from typing import Any

import msgspec

from flowdeck.components.pipelines.engine.run_state import RunState
from flowdeck.components.pipelines.engine.states import GOOD, WIRE_A, WIRE_B, State
from flowdeck.components.pipelines.engine.task_run import Attempt, TaskRun
from flowdeck.components.pipelines.plan.types import (
    ArtifactSource,
    Constant,
    Dag,
    FinalStatus,
    FromTask,
    Importer,
    OutputOf,
    ParameterSource,
    TaskType,
)
from flowdeck.components.pipelines.values.artifacts import Artifact

_ITERATION = re.compile(r"\[\d+\]")


class IoType(StrEnum):
    """`type` of an input or output."""

    COMPONENT_DEFAULT_INPUT = "COMPONENT_DEFAULT_INPUT"
    TASK_OUTPUT_INPUT = "TASK_OUTPUT_INPUT"
    COMPONENT_INPUT = "COMPONENT_INPUT"
    RUNTIME_VALUE_INPUT = "RUNTIME_VALUE_INPUT"
    COLLECTED_INPUTS = "COLLECTED_INPUTS"
    ITERATOR_INPUT = "ITERATOR_INPUT"
    ITERATOR_INPUT_RAW = "ITERATOR_INPUT_RAW"
    ITERATOR_OUTPUT = "ITERATOR_OUTPUT"
    OUTPUT = "OUTPUT"
    ONE_OF_OUTPUT = "ONE_OF_OUTPUT"
    TASK_FINAL_STATUS_OUTPUT = "TASK_FINAL_STATUS_OUTPUT"


class Parameter(msgspec.Struct, frozen=True, omit_defaults=True):
    """One parameter that went in or came out."""

    key: str
    value: Any
    type: IoType
    producer: str = ""
    """The task that it came from, in the same dag."""


class Artifacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """The artifacts of one input or output."""

    key: str
    artifacts: list[Artifact]
    type: IoType
    producer: str = ""


class TaskRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task. Times are seconds since 1970."""

    id: str
    run: str
    name: str
    display_name: str
    label: str
    """With iterations: `root.for-loop-1[3].train`."""
    scope_path: str
    """Without: `root.for-loop-1.train`."""
    type: TaskType
    state: State
    """Ours; `wire_a` and `wire_b` say what the APIs show, and are empty where they show nothing."""
    wire_a: str
    wire_b: str
    message: str = ""
    """Why it failed, was skipped, omitted or canceled."""
    parent: str = ""
    iteration_index: int | None = None
    iteration_count: int | None = None
    download_to_workspace: bool = False
    fingerprint: str = ""
    fingerprint_parts: dict[str, str] = {}
    cache_note: str = ""
    began_at: float | None = None
    ended_at: float | None = None
    history: list[tuple[float, State]] = []
    attempts: list[Attempt] = []
    parameters: list[Parameter] = []
    """Inputs. An iteration has its item alone, the rest is its loop's."""
    artifacts: list[Artifacts] = []
    output_parameters: list[Parameter] = []
    output_artifacts: list[Artifacts] = []


def task_record(state: RunState, task_id: str) -> TaskRecord:
    """The record of a task that is there."""
    task = state.tasks[task_id]
    body = task.task.component.body
    return TaskRecord(
        id=task.id,
        run=state.run.id,
        name=task.task.name,
        display_name=task.task.display_name,
        label=task.label,
        scope_path=_ITERATION.sub("", task.label),
        type=_type(task),
        state=task.state,
        wire_a=WIRE_A.get(task.state, ""),
        wire_b=WIRE_B.get(task.state, ""),
        message=task.message,
        parent=task.parent.id if task.parent is not None else "",
        iteration_index=task.iteration,
        iteration_count=len(task.items) if task.items is not None else None,
        download_to_workspace=isinstance(body, Importer) and body.download_to_workspace,
        fingerprint=task.fingerprint,
        fingerprint_parts=dict(task.fingerprint_parts),
        cache_note=task.cache_note,
        began_at=task.began_at,
        ended_at=task.ended_at,
        history=list(task.history),
        attempts=list(state.attempts(task.id)),
        parameters=[
            Parameter(key, value, _input_type(task, key, task.task.parameters.get(key)), _producer(task, key))
            for key, value in task.parameters.items()
            if _is_own(task, key)
        ],
        artifacts=[
            Artifacts(key, found, _input_type(task, key, task.task.artifacts.get(key)), _producer(task, key))
            for key, found in task.artifacts.items()
            if _is_own(task, key)
        ],
        output_parameters=[Parameter(key, value, *_output(task, key)) for key, value in task.output_parameters.items()],
        output_artifacts=[Artifacts(key, found, *_output(task, key)) for key, found in task.output_artifacts.items()],
    )


def _type(task: TaskRun) -> TaskType:
    if task.iteration is None:
        return task.task.type
    if task.is_dag:
        return TaskType.DAG
    return TaskType.IMPORTER if isinstance(task.task.component.body, Importer) else TaskType.RUNTIME


def _is_own(task: TaskRun, key: str) -> bool:
    return task.iteration is None or (task.task.iterator is not None and key == task.task.iterator.item_input)


def _input_type(task: TaskRun, key: str, source: ParameterSource | ArtifactSource | None) -> IoType:
    iterator = task.task.iterator
    if iterator is not None and task.iteration is not None and key == iterator.item_input:
        return IoType.ITERATOR_INPUT if iterator.raw is None else IoType.ITERATOR_INPUT_RAW
    match source:
        case None:
            return IoType.COMPONENT_INPUT if task.parent is None else IoType.COMPONENT_DEFAULT_INPUT
        case FromTask(producer):
            made_by = task.parent.children.get(producer) if task.parent is not None else None
            is_loop = made_by is not None and made_by.is_loop
            return IoType.COLLECTED_INPUTS if is_loop else IoType.TASK_OUTPUT_INPUT
        case FinalStatus():
            return IoType.TASK_FINAL_STATUS_OUTPUT
        case Constant():
            return IoType.RUNTIME_VALUE_INPUT
    return IoType.COMPONENT_INPUT


def _producer(task: TaskRun, key: str) -> str:
    source = task.task.parameters.get(key) or task.task.artifacts.get(key)
    return source.producer if isinstance(source, FromTask | FinalStatus) else ""


def _output(task: TaskRun, key: str) -> tuple[IoType, str]:
    """Type and producer of an output."""
    if task.is_loop:
        return IoType.ITERATOR_OUTPUT, ""
    body = task.task.component.body
    if not isinstance(body, Dag):
        return IoType.OUTPUT, ""
    candidates: tuple[OutputOf, ...] = body.parameters.get(key) or body.artifacts.get(key) or ()
    kind = IoType.ONE_OF_OUTPUT if len(candidates) > 1 else IoType.OUTPUT
    return kind, next((each.producer for each in candidates if task.children[each.producer].state in GOOD), "")
