"""Artifacts that tasks made or imported, and which tasks have them as inputs and outputs. Functions of a connection.

Each scalar of a `system.Metrics` artifact is an artifact of its own: `type` Metric, with a number.
"""

import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Table, delete, func, or_, select, update

from flowdeck.components.pipelines.engine.records import Artifacts, TaskRecord
from flowdeck.components.pipelines.plan.types import TaskType
from flowdeck.components.pipelines.store.tables import ARTIFACTS, LINKS, RUNS
from flowdeck.components.pipelines.values.artifacts import Artifact as Handed
from flowdeck.kube.errors import AlreadyExists, NotFound
from flowdeck.sql.inserts import insert_all_new, insert_new
from flowdeck.sql.listing import Listed, Row, page
from flowdeck.web.listing import ListQuery, Page

METRICS: Final = "system.Metrics"
METRIC: Final = "Metric"
LOWEST: Final = -1.7e308
TYPES: Final = {
    "system.Artifact": "Artifact",
    "system.Model": "Model",
    "system.Dataset": "Dataset",
    "system.HTML": "HTML",
    "system.Markdown": "Markdown",
    METRICS: METRIC,
    "system.ClassificationMetrics": "ClassificationMetric",
    "system.SlicedClassificationMetrics": "SlicedClassificationMetric",
}
"""`type` on the wire, of the titles of schemas; others are an Artifact."""
_IDS = uuid.UUID("0b8b6a52-6f0f-5b0e-8e3a-5f3c2f8f9f6d")
_MAKERS = (TaskType.RUNTIME, TaskType.IMPORTER)
"""Tasks that make artifacts; others hand on what is made inside."""
_BATCH = 500
"""How many keys one statement names."""


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """One row."""

    id: str
    namespace: str
    run_id: str = ""
    """Of the run that made it; likewise `task_id`."""
    task_id: str = ""
    name: str
    description: str = ""
    type: str = "Artifact"
    uri: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    number_value: float | None = None
    """Of a scalar metric."""
    is_ours: bool = False
    """Whether a task made its content, in the run's own folder, so that it may be removed with it.

    What was imported is somebody else's, and so may be what a program says of other places.
    """
    size_bytes: int | None = None
    """Of its content; None when nobody has looked."""
    created_at: datetime
    last_update: datetime


@dataclass(frozen=True, kw_only=True)
class Link:
    """One row: an artifact as an input or output of a task."""

    id: str
    namespace: str
    artifact_id: str
    run_id: str
    task_id: str
    type: str
    key: str
    producer: str = ""
    iteration: int | None = None


_A, _L = ARTIFACTS.c, LINKS.c
LISTED = Listed(
    _A.id,
    {
        "id": _A.id,
        "artifact_id": _A.id,
        "namespace": _A.namespace,
        "type": _A.type,
        "uri": _A.uri,
        "name": _A.name,
        "description": _A.description,
        "created_at": _A.created_at,
        "last_update": _A.last_update,
        "metadata": _A.metadata,
        "number_value": func.coalesce(_A.number_value, 0.0),
    },
)
LINKS_LISTED = Listed(
    _L.id,
    {
        "id": _L.id,
        "artifact_id": _L.artifact_id,
        "run_id": _L.run_id,
        "task_id": _L.task_id,
        "type": _L.type,
        "key": _L.key,
    },
)


# ---- what tasks make and take ------------------------------------------------------------------------------------


def keep_artifacts(connection: Connection, namespace: str, records: Sequence[TaskRecord]) -> None:
    """Writes down the artifacts of tasks of a run as they are now.

    What is there stays; what a task has no more is unlinked.
    """
    if not records:
        return
    _add(connection, ARTIFACTS, [_row(made) for record in records for made in _made_by(namespace, record)])
    wanted = [vars(link) for record in records for link in _links_of(namespace, record)]
    _add(connection, LINKS, wanted)
    kept = {link["id"] for link in wanted}
    for ids in _batches([record.id for record in records]):
        here = select(_L.id).where(_L.run_id == records[0].run, _L.task_id.in_(ids))
        for gone in _batches([id for id in connection.execute(here).scalars() if id not in kept]):
            connection.execute(delete(LINKS).where(_L.id.in_(gone)))


def unlink(connection: Connection, run_id: str, task_ids: Collection[str] | None = None) -> None:
    """Tasks of a run that are no more, None for all: their artifacts stay."""
    here = delete(LINKS).where(_L.run_id == run_id)
    connection.execute(here if task_ids is None else here.where(_L.task_id.in_(task_ids)))


def _made_by(namespace: str, record: TaskRecord) -> Iterator[Artifact]:
    if record.type not in _MAKERS:
        return
    at = datetime.fromtimestamp(record.ended_at or record.began_at or 0, UTC)
    for output in record.output_artifacts:
        for handed in output.artifacts:
            whole = Artifact(
                id=handed.id,
                namespace=namespace,
                run_id=record.run,
                task_id=record.id,
                name=handed.name or output.key,
                type=TYPES.get(handed.type.schema_title, "Artifact"),
                uri=handed.uri,
                metadata=handed.metadata,
                is_ours=is_made_by(record, handed.uri),
                created_at=at,
                last_update=at,
            )
            yield whole
            yield from _scalars(whole, handed)


def is_made_by(record: TaskRecord, uri: str) -> bool:
    """Whether a task wrote what is behind the URI of its output: it lies in a folder of its run."""
    return record.type is TaskType.RUNTIME and record.run in uri.split("/")


def _scalars(whole: Artifact, handed: Handed) -> Iterator[Artifact]:
    alone = replace(whole, uri="", metadata={}, is_ours=False)
    for name, value in scalars_of(handed).items():
        yield replace(alone, id=_scalar_id(whole.id, name), name=name, number_value=value)


def scalars_of(handed: Handed) -> dict[str, float]:
    """The numbers in a `system.Metrics` artifact; none in others."""
    if handed.type.schema_title != METRICS:
        return {}
    numbers = {key: value for key, value in handed.metadata.items() if type(value) in (int, float)}
    return {name: float(value) for name, value in numbers.items()}


def _scalar_id(metrics: str, name: str) -> str:
    return str(uuid.uuid5(_IDS, f"{metrics}/{name}"))


def _links_of(namespace: str, record: TaskRecord) -> Iterator[Link]:
    for io in (*record.artifacts, *record.output_artifacts):
        for at, handed in enumerate(io.artifacts):
            yield _link(namespace, record, io, handed.id, at)
    for io in record.output_artifacts if record.type in _MAKERS else ():
        for at, handed in enumerate(io.artifacts):
            for name in scalars_of(handed):
                yield _link(namespace, record, io, _scalar_id(handed.id, name), at)


def _link(namespace: str, record: TaskRecord, io: Artifacts, artifact_id: str, at: int) -> Link:
    place = f"{record.run}/{record.id}/{io.type}/{io.key}/{at}/{artifact_id}"
    return Link(
        id=str(uuid.uuid5(_IDS, place)),
        namespace=namespace,
        artifact_id=artifact_id,
        run_id=record.run,
        task_id=record.id,
        type=io.type,
        key=io.key,
        producer=io.producer,
        iteration=record.iteration_index,
    )


def _add(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Those that are not there yet; in one order, so that nobody waits for who waits for him."""
    by_id = {row["id"]: row for row in rows}
    for ids in _batches(sorted(by_id)):
        there = set(connection.execute(select(table.c.id).where(table.c.id.in_(ids))).scalars())
        insert_all_new(connection, table, [by_id[id] for id in ids if id not in there])


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[at : at + _BATCH] for at in range(0, len(ids), _BATCH))


# ---- artifacts ---------------------------------------------------------------------------------------------------


def create(connection: Connection, artifact: Artifact) -> None:
    """Raises `AlreadyExists`."""
    if not insert_new(connection, ARTIFACTS, _row(artifact)):
        raise AlreadyExists(f"Already exist error: artifact {artifact.id} already exist.")


def get(connection: Connection, id: str) -> Artifact:
    """Raises `NotFound`."""
    found = _find(connection, id)
    if found is None:
        raise NotFound(f"ResourceNotFoundError: Artifact {id} not found.")
    return found


def metric_of_runs(name: str) -> ColumnElement[float]:
    """For statements about runs: the largest number that each has for a metric, the lowest of all where it has none."""
    numbers = select(func.coalesce(func.max(_A.number_value), LOWEST))
    here = (_L.run_id == RUNS.c.id, _A.name == name, _A.number_value.is_not(None))
    linked = numbers.join_from(LINKS, ARTIFACTS, _A.id == _L.artifact_id)
    return linked.where(*here).correlate(RUNS).scalar_subquery()


def with_uri(connection: Connection, namespace: str, uri: str, type: str) -> Artifact | None:
    """The oldest one of that place and type."""
    here = select(ARTIFACTS).where(_A.namespace == namespace, _A.uri == uri, _A.type == type)
    row = connection.execute(here.order_by(_A.created_at, _A.id).limit(1)).mappings().first()
    return None if row is None else _artifact(row)


def listed(connection: Connection, namespace: str, query: ListQuery) -> Page[Artifact]:
    """Those of a namespace."""
    return page(connection, select(ARTIFACTS).where(_A.namespace == namespace), LISTED, query, _artifact)


def of_run(connection: Connection, run_id: str) -> list[Artifact]:
    """Those that a run made, from the first."""
    rows = select(ARTIFACTS).where(_A.run_id == run_id).order_by(_A.created_at, _A.id)
    return [_artifact(row) for row in connection.execute(rows).mappings()]


def with_ids(connection: Connection, ids: Sequence[str]) -> list[Artifact]:
    """Those of these that are there."""
    rows = [select(ARTIFACTS).where(_A.id.in_(some)) for some in _batches(ids)]
    return [_artifact(row) for each in rows for row in connection.execute(each).mappings()]


def unmeasured(connection: Connection, run_id: str) -> list[Artifact]:
    """Those that a run made of whose content nobody knows the size."""
    here = (_A.run_id == run_id, _A.is_ours, _A.size_bytes.is_(None))
    return [_artifact(row) for row in connection.execute(select(ARTIFACTS).where(*here)).mappings()]


def note_sizes(connection: Connection, sizes: Mapping[str, int]) -> None:
    """How large the contents are, in bytes, by the artifacts' ids; 0: there is none."""
    for id, size in sizes.items():
        connection.execute(update(ARTIFACTS).where(_A.id == id).values(size_bytes=size))


def aged(
    connection: Connection, before: datetime, limit: int, after: tuple[datetime, str] | None = None
) -> list[Artifact]:
    """The oldest of those that tasks made before that, at most so many.

    `after`: when the one was made that was looked at last, and its id.
    """
    rows = select(ARTIFACTS).where(_A.is_ours, _A.created_at < before)
    if after is not None:
        at, id = after
        rows = rows.where(_A.created_at >= at, or_(_A.created_at > at, _A.id > id))
    rows = rows.order_by(_A.created_at, _A.id).limit(limit)
    return [_artifact(row) for row in connection.execute(rows).mappings()]


def unlinked_of(connection: Connection, run_id: str) -> tuple[list[Artifact], list[Artifact]]:
    """Those that a run made: which no task of any run has, and which some task has."""
    made = of_run(connection, run_id)
    linked: set[str] = set()
    for ids in _batches([each.id for each in made]):
        linked |= set(connection.execute(select(_L.artifact_id).where(_L.artifact_id.in_(ids))).scalars())
    return [each for each in made if each.id not in linked], [each for each in made if each.id in linked]


def discard(connection: Connection, ids: Sequence[str]) -> None:
    """Those that are there, as `remove` does."""
    for id in ids:
        if _find(connection, id) is not None:
            remove(connection, id)


def remove(connection: Connection, id: str) -> None:
    """With its links, and the scalars of its metrics; its content is for others to remove. Raises `NotFound`."""
    scalars = [_scalar_id(id, name) for name in get(connection, id).metadata]
    for gone in _batches([id, *scalars]):
        connection.execute(delete(LINKS).where(_L.artifact_id.in_(gone)))
        connection.execute(delete(ARTIFACTS).where(_A.id.in_(gone)))


def _find(connection: Connection, id: str) -> Artifact | None:
    row = connection.execute(select(ARTIFACTS).where(_A.id == id)).mappings().first()
    return None if row is None else _artifact(row)


# ---- links -------------------------------------------------------------------------------------------------------


def create_link(connection: Connection, link: Link) -> None:
    """Raises `AlreadyExists`, `NotFound` when there is no such artifact."""
    get(connection, link.artifact_id)
    if not insert_new(connection, LINKS, vars(link)):
        raise AlreadyExists(f"Already exist error: artifact task {link.id} already exist.")


@dataclass(frozen=True, kw_only=True)
class LinkFilter:
    """Which links are asked for; empty: no matter."""

    task_ids: Sequence[str] = ()
    run_ids: Sequence[str] = ()
    artifact_ids: Sequence[str] = ()
    type: str = ""


def links(connection: Connection, namespace: str, wanted: LinkFilter, query: ListQuery) -> Page[Link]:
    """Those of a namespace."""
    rows = select(LINKS).where(_L.namespace == namespace)
    given = ((_L.task_id, wanted.task_ids), (_L.run_id, wanted.run_ids), (_L.artifact_id, wanted.artifact_ids))
    for column, ids in given:
        if ids:
            rows = rows.where(column.in_(ids))
    if wanted.type:
        rows = rows.where(_L.type == wanted.type)
    return page(connection, rows, LINKS_LISTED, query, _made_link)


def _row(artifact: Artifact) -> dict[str, Any]:
    return {**vars(artifact), "metadata": msgspec.json.encode(artifact.metadata).decode()}


def _artifact(row: Row) -> Artifact:
    return Artifact(**{**row, "metadata": msgspec.json.decode(row["metadata"])})


def _made_link(row: Row) -> Link:
    return Link(**row)
