"""Runs side by side: where they were asked for, went or ended differently. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from flowdeck.components.pipelines.engine.records import TaskRecord
from flowdeck.components.pipelines.engine.states import State
from flowdeck.components.pipelines.plan.types import TaskType
from flowdeck.components.pipelines.store.artifacts import scalars_of
from flowdeck.components.pipelines.store.experiments import NEVER
from flowdeck.components.pipelines.store.runs import Run
from flowdeck.kube.objects import Tree
from flowdeck.kube.times import format_time

MAX_DIFFERENCES: Final = 200
"""Between documents, that are told."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One run, and all that is compared of it."""

    run: Run
    document: Tree
    tasks: Sequence[TaskRecord]


def compare(found: Sequence[Compared]) -> Tree:
    """In the answer, `values` are those of the runs in their order, null where a run has none."""
    documents = _rows([dict(_leaves(each.document, "")) for each in found], "path")
    changed = [row for row in documents if row["differs"]]
    return {
        "runs": [_summary(each.run) for each in found],
        "parameters": _rows([each.run.for_engine.parameters for each in found], "name"),
        "metrics": _rows([_metrics(each.tasks) for each in found], "name"),
        "tasks": _tasks(found),
        "documents": {
            "equal": not changed,
            "differences": [{"path": row["path"], "values": row["values"]} for row in changed[:MAX_DIFFERENCES]],
            "more": max(0, len(changed) - MAX_DIFFERENCES),
        },
    }


def _summary(run: Run) -> Tree:
    has_ended = run.finished_at > NEVER
    return {
        "run_id": run.id,
        "display_name": run.name,
        "state": run.state,
        "error": run.error,
        "pipeline_name": run.pipeline_name,
        "pipeline_version_id": run.pipeline_version_id,
        "created_at": format_time(run.created_at),
        "duration_s": (run.finished_at - run.created_at).total_seconds() if has_ended else None,
    }


def _rows(found: Sequence[Mapping[str, Any]], key: str) -> list[Tree]:
    """A row for each name that there is, in the order in which they appear."""
    names = dict.fromkeys(name for each in found for name in each)
    return [_row(key, name, [each.get(name) for each in found]) for name in names]


def _row(key: str, name: str, values: list[Any]) -> Tree:
    return {key: name, "values": values, "differs": any(value != values[0] for value in values[1:])}


def _metrics(tasks: Sequence[TaskRecord]) -> dict[str, float]:
    """By the place of the task, and the metric's name: `root.train/accuracy`; of cached tasks, too."""
    return {
        f"{record.label}/{name}": value
        for record in tasks
        if record.type is TaskType.RUNTIME
        for output in record.output_artifacts
        for artifact in output.artifacts
        for name, value in scalars_of(artifact).items()
    }


def _tasks(found: Sequence[Compared]) -> list[Tree]:
    """By their places."""
    by_label = [{record.label: record for record in each.tasks if record.wire_b} for each in found]
    labels = dict.fromkeys(label for each in by_label for label in each)
    return [_task(label, [each.get(label) for each in by_label]) for label in labels]


def _task(label: str, records: Sequence[TaskRecord | None]) -> Tree:
    def of_each(tell: Callable[[TaskRecord], Any]) -> list[Any]:
        return [None if record is None else tell(record) for record in records]

    return {
        "place": label,
        "states": of_each(lambda record: record.wire_b),
        "durations_s": of_each(_duration),
        "cached": of_each(lambda record: record.state is State.CACHED),
    }


def _duration(record: TaskRecord) -> float | None:
    if record.began_at is None or record.ended_at is None:
        return None
    return round(record.ended_at - record.began_at, 3)


def _leaves(tree: Any, path: str) -> Iterator[tuple[str, Any]]:
    """What a tree is made of, by paths such as `root.dag.tasks.train` and `items[0]`."""
    match tree:
        case dict() if tree:
            for key in sorted(tree):
                yield from _leaves(tree[key], f"{path}.{key}" if path else key)
        case list() if tree:
            for at, inner in enumerate(tree):
                yield from _leaves(inner, f"{path}[{at}]")
        case _:
            yield path, tree
