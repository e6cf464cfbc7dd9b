"""Tasks as the next release's REST wire tells them (wire B). Pure.

Source: kubeflow/pipelines (backend/api/v2beta1/run.proto, PipelineTaskDetail of the branch without ML Metadata)
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from flowdeck.components.pipelines.api.artifact_messages import producer_message
from flowdeck.components.pipelines.api.messages import without_zeros
from flowdeck.components.pipelines.engine.records import Artifacts, Parameter, TaskRecord
from flowdeck.components.pipelines.engine.states import WIRE_B
from flowdeck.components.pipelines.store.artifacts import TYPES
from flowdeck.components.pipelines.values.artifacts import Artifact
from flowdeck.kube.objects import Tree
from flowdeck.kube.times import format_time


def task_messages(records: Sequence[TaskRecord]) -> list[Tree]:
    """The tasks of a run whose turn has come."""
    inside: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for record in records:
        inside[record.parent].append((record.id, record.name))
    return [task_message(record, inside[record.id]) for record in records if record.wire_b]


def task_message(record: TaskRecord, children: Sequence[tuple[str, str]]) -> Tree:
    """`children` are `(id, name)` of the tasks inside.

    `status_metadata.custom_properties` has what the cache said: `cache`, and `cache_parts` that count.
    """
    return without_zeros(
        {
            "name": record.name,
            "display_name": record.display_name,
            "task_id": record.id,
            "run_id": record.run,
            "pods": [{"name": each.pod, "uid": each.uid, "type": "EXECUTOR"} for each in record.attempts if each.pod],
            "cache_fingerprint": record.fingerprint,
            "create_time": _time(record.began_at),
            "end_time": _time(record.ended_at),
            "state": record.wire_b,
            "status_metadata": _status(record),
            "state_history": list(_history(record)),
            "type": str(record.type),
            "type_attributes": _attributes(record),
            "parent_task_id": record.parent,
            "child_tasks": [{"task_id": id, "name": name} for id, name in children],
            "inputs": _io(record.parameters, record.artifacts),
            "outputs": _io(record.output_parameters, record.output_artifacts),
            "scope_path": record.scope_path,
        }
    )


def _status(record: TaskRecord) -> Tree:
    cache = {"cache": record.cache_note, "cache_parts": record.fingerprint_parts}
    return without_zeros({"message": record.message, "custom_properties": without_zeros(cache)})


def _history(record: TaskRecord) -> Iterator[Tree]:
    """Each state of this wire when it was entered."""
    last = ""
    for at, state in record.history:
        told = WIRE_B.get(state, "")
        if told and told != last:
            yield {"update_time": _time(at), "state": told}
            last = told


def _attributes(record: TaskRecord) -> Tree:
    """Numbers of iterations are told although they are 0."""
    counts = {"iteration_index": record.iteration_index, "iteration_count": record.iteration_count}
    told: Tree = {name: str(value) for name, value in counts.items() if value is not None}
    return {**told, "download_to_workspace": True} if record.download_to_workspace else told


def _io(parameters: Sequence[Parameter], artifacts: Sequence[Artifacts]) -> Tree:
    return without_zeros(
        {
            "parameters": [
                {"value": each.value, "type": str(each.type), "parameter_key": each.key, **_from(each.producer)}
                for each in parameters
            ],
            "artifacts": [
                {
                    "artifacts": [_artifact(one, each.key) for one in each.artifacts],
                    "type": str(each.type),
                    "artifact_key": each.key,
                    **_from(each.producer),
                }
                for each in artifacts
            ],
        }
    )


def _from(producer: str) -> Tree:
    return {"producer": producer_message(producer, None)} if producer else {}


def _artifact(artifact: Artifact, key: str) -> Tree:
    return without_zeros(
        {
            "artifact_id": artifact.id,
            "name": artifact.name or key,
            "type": TYPES.get(artifact.type.schema_title, "Artifact"),
            "uri": artifact.uri,
            "metadata": artifact.metadata,
        }
    )


def _time(at: float | None) -> str:
    return "" if at is None else format_time(datetime.fromtimestamp(at, UTC))
