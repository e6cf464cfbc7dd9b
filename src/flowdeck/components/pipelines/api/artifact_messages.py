"""Artifacts and their links on the REST wire: what requests bring, how answers are written.

Source: kubeflow/pipelines (backend/api/v2beta1/artifact.proto of the branch without ML Metadata)
"""

import math
from enum import IntEnum

from flowdeck.components.pipelines.api.messages import without_zeros
from flowdeck.components.pipelines.ir.proto_json import JsonObject, Message, Value
from flowdeck.components.pipelines.store import artifacts
from flowdeck.kube.errors import BadRequest
from flowdeck.kube.objects import Tree
from flowdeck.kube.times import format_time


class ArtifactType(IntEnum):
    TYPE_UNSPECIFIED = 0
    Artifact = 1
    Model = 2
    Dataset = 3
    HTML = 4
    Markdown = 5
    Metric = 6
    ClassificationMetric = 7
    SlicedClassificationMetric = 8


class IoType(IntEnum):
    """What an input or output of a task is."""

    UNSPECIFIED = 0
    COMPONENT_DEFAULT_INPUT = 1
    TASK_OUTPUT_INPUT = 2
    COMPONENT_INPUT = 3
    RUNTIME_VALUE_INPUT = 4
    COLLECTED_INPUTS = 5
    ITERATOR_INPUT = 6
    ITERATOR_INPUT_RAW = 7
    ITERATOR_OUTPUT = 8
    OUTPUT = 9
    ONE_OF_OUTPUT = 10
    TASK_FINAL_STATUS_OUTPUT = 11


class Artifact(Message):
    artifact_id: str = ""
    name: str = ""
    description: str = ""
    type: ArtifactType = ArtifactType.TYPE_UNSPECIFIED
    uri: str = ""
    metadata: JsonObject | None = None
    number_value: float | None = None
    created_at: Value = None
    namespace: str = ""


class CreateArtifact(Message):
    artifact: Artifact | None = None
    run_id: str = ""
    task_id: str = ""
    producer_key: str = ""
    iteration_index: int | None = None
    reuse_if_exists: bool = False


class CreateArtifacts(Message):
    artifacts: list[CreateArtifact] | None = None


class Producer(Message):
    task_name: str = ""
    iteration: int | None = None


class ArtifactTask(Message):
    id: str = ""
    artifact_id: str = ""
    run_id: str = ""
    task_id: str = ""
    type: IoType = IoType.UNSPECIFIED
    producer: Producer | None = None
    key: str = ""


class ArtifactTasks(Message):
    artifact_tasks: list[ArtifactTask] | None = None


def artifact_message(artifact: artifacts.Artifact, *, shows_namespace: bool) -> Tree:
    """Ours are `run_id`, `task_id` and `size_bytes`."""
    return without_zeros(
        {
            "artifact_id": artifact.id,
            "name": artifact.name,
            "description": artifact.description,
            "type": artifact.type,
            "uri": artifact.uri,
            "metadata": artifact.metadata,
            "created_at": format_time(artifact.created_at),
            "namespace": artifact.namespace if shows_namespace else "",
            "run_id": artifact.run_id,
            "task_id": artifact.task_id,
            "size_bytes": "" if artifact.size_bytes is None else str(artifact.size_bytes),
        }
    ) | ({} if artifact.number_value is None else {"number_value": artifact.number_value})


def link_message(link: artifacts.Link) -> Tree:
    return without_zeros(
        {
            "id": link.id,
            "artifact_id": link.artifact_id,
            "run_id": link.run_id,
            "task_id": link.task_id,
            "type": link.type,
            "producer": producer_message(link.producer, link.iteration),
            "key": link.key,
        }
    )


def small(number: int | None, name: str) -> int | None:
    """A number that the store can keep. Raises `BadRequest`."""
    if number is not None and number not in range(2**31):
        raise BadRequest(f"Invalid input error: {name} must be between 0 and 2147483647, got {str(number)[:30]}")
    return number


def finite(number: float | None, name: str) -> float | None:
    """Raises `BadRequest`."""
    if number is not None and not math.isfinite(number):
        raise BadRequest(f"Invalid input error: {name} must be a finite number")
    return number


def producer_message(task_name: str, iteration: int | None) -> Tree:
    """Where an input or output comes from; empty when there is nothing to tell."""
    told = {"task_name": task_name} if task_name else {}
    return told if iteration is None else {**told, "iteration": str(iteration)}
