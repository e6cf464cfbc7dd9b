"""`run_details.task_details` of a run: its tasks as release 2.17 tells them (wire A). Pure.

There is one entry for each task, dag, loop and iteration, and one for each attempt of a task that had a pod; an
attempt's parent is its task.

Source: kubeflow/pipelines (backend/api/v2beta1/run.proto, PipelineTaskDetail)
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from flowdeck.components.pipelines.api.messages import without_zeros
from flowdeck.components.pipelines.engine.records import Artifacts, TaskRecord
from flowdeck.components.pipelines.engine.states import WIRE_A, State
from flowdeck.components.pipelines.engine.task_run import Attempt, stable_id
from flowdeck.kube.objects import Tree
from flowdeck.kube.times import format_time

FAILURE_CODE = 2
"""google.rpc.Code's UNKNOWN: a program failed, and nobody knows why."""
_TELLS_WHY = (State.FAILED, State.CANCELED, State.OMITTED)


def task_details(records: Sequence[TaskRecord]) -> list[Tree]:
    """The entries of one run."""
    children: defaultdict[str, list[Tree]] = defaultdict(list)
    for record in records:
        children[record.parent].append({"task_id": record.id})
        children[record.id] += [{"pod_name": attempt.pod} for attempt in record.attempts if attempt.pod]
    return [entry for record in records for entry in _entries(record, children[record.id])]


def attempt_id(record: TaskRecord, attempt: Attempt) -> str:
    """The `task_id` of an attempt's entry."""
    return stable_id(record.run, f"{record.label}/{attempt.number}")


def _entries(record: TaskRecord, children: Sequence[Tree]) -> Iterator[Tree]:
    yield without_zeros(
        {
            "run_id": record.run,
            "task_id": record.id,
            "display_name": record.display_name or record.name,
            "create_time": _time(record.began_at),
            "start_time": _time(record.began_at),
            "end_time": _time(record.ended_at),
            "executor_detail": _executor(record),
            "state": record.wire_a,
            "execution_id": number_of(record.id),
            "error": failure(why) if (why := _why(record)) else None,
            "inputs": _artifacts(record.artifacts),
            "outputs": _artifacts(record.output_artifacts),
            "parent_task_id": record.parent,
            "state_history": list(_history(record.history)),
            "pod_name": record.attempts[-1].pod if record.attempts else "",
            "child_tasks": list(children),
        }
    )
    for attempt in record.attempts:
        if attempt.pod:
            yield _attempt(record, attempt)


def _attempt(record: TaskRecord, attempt: Attempt) -> Tree:
    id = attempt_id(record, attempt)
    state = WIRE_A[attempt.state] if attempt.state is not None else record.wire_a
    return without_zeros(
        {
            "run_id": record.run,
            "task_id": id,
            "display_name": f"{record.display_name or record.name} (attempt {attempt.number})",
            "create_time": _time(attempt.began_at),
            "start_time": _time(attempt.began_at),
            "end_time": _time(attempt.ended_at),
            "state": state,
            "execution_id": number_of(id),
            "error": failure(attempt.message) if attempt.message else None,
            "parent_task_id": record.id,
            "pod_name": attempt.pod,
        }
    )


def _why(record: TaskRecord) -> str:
    """Why it ended as it did, or why its pod does not start."""
    if record.state is State.STARTING and record.attempts:
        return record.attempts[-1].message
    return record.message if record.state in _TELLS_WHY else ""


def _executor(record: TaskRecord) -> Tree | None:
    """Which attempts there were."""
    pods = [attempt for attempt in record.attempts if attempt.pod]
    if not pods:
        return None
    failed = [attempt_id(record, attempt) for attempt in pods[:-1]]
    return without_zeros({"main_job": attempt_id(record, pods[-1]), "failed_main_jobs": failed})


def failure(message: str) -> Tree:
    """A google.rpc.Status."""
    return {"code": FAILURE_CODE, "message": message}


def number_of(id: str) -> str:
    """An int64 that stands for an id, as text."""
    return str(int(hashlib.sha256(id.encode()).hexdigest()[:15], 16))


def _artifacts(found: Iterable[Artifacts]) -> Tree:
    return {each.key: {"artifact_ids": [number_of(one.id) for one in each.artifacts]} for each in found}


def _history(history: Iterable[tuple[float, State]]) -> Iterator[Tree]:
    """Each change that wire A can tell."""
    last = ""
    for at, state in history:
        word = WIRE_A.get(state, "")
        if word and word != last:
            yield {"update_time": _time(at), "state": word}
        last = word or last


def _time(seconds: float | None) -> str:
    return format_time(datetime.fromtimestamp(seconds or 0.0, UTC))
