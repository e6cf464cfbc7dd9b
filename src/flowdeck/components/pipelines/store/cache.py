"""The cache: tasks whose outputs others may take. Functions of a connection.

A task is in it from its good end on, until it runs anew, its run is removed, or somebody clears it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, delete, insert, select

from flowdeck.components.pipelines.engine.records import TaskRecord
from flowdeck.components.pipelines.engine.states import State
from flowdeck.components.pipelines.store.tables import CACHE, TASKS
from flowdeck.kube.errors import NotFound
from flowdeck.sql.listing import Listed, Row, page
from flowdeck.web.listing import ListQuery, Page

TRIED = 5
"""How many of the same fingerprint are looked at, from the newest: what an older one made may still be there."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row."""

    task_id: str
    run_id: str
    namespace: str
    pipeline: str
    scope_path: str
    fingerprint: str
    parts: dict[str, str]
    """What the fingerprint is made of."""
    ended_at: datetime


_C, _T = CACHE.c, TASKS.c
LISTED = Listed(
    _C.task_id,
    {
        "task_id": _C.task_id,
        "run_id": _C.run_id,
        "pipeline_name": _C.pipeline,
        "scope_path": _C.scope_path,
        "cache_fingerprint": _C.fingerprint,
        "end_time": _C.ended_at,
    },
)


def keep(connection: Connection, namespace: str, pipeline: str, records: Sequence[TaskRecord]) -> None:
    """Takes up tasks of a run that ended well."""
    if not records:
        return
    connection.execute(delete(CACHE).where(_C.task_id.in_([record.id for record in records])))
    entries = [
        Entry(
            task_id=record.id,
            run_id=record.run,
            namespace=namespace,
            pipeline=pipeline,
            scope_path=record.scope_path,
            fingerprint=record.fingerprint,
            parts=record.fingerprint_parts,
            ended_at=datetime.fromtimestamp(record.ended_at or 0, UTC),
        )
        for record in records
    ]
    connection.execute(insert(CACHE), [vars(entry) for entry in entries])


def candidates(
    connection: Connection, namespace: str, fingerprint: str, pipeline: str | None = None
) -> list[TaskRecord]:
    """Tasks of that fingerprint, from the one that ended last; of one pipeline, or of all."""
    here = and_(_C.namespace == namespace, _C.fingerprint == fingerprint)
    if pipeline is not None:
        here = and_(here, _C.pipeline == pipeline)
    same = and_(_T.run_id == _C.run_id, _T.id == _C.task_id, _T.state == State.SUCCEEDED, _T.fingerprint == fingerprint)
    rows = select(_T.record).join_from(CACHE, TASKS, same).where(here).order_by(_C.ended_at.desc()).limit(TRIED)
    return [msgspec.convert(record, TaskRecord) for record in connection.execute(rows).scalars()]


def similar(connection: Connection, namespace: str, pipeline: str, record: TaskRecord) -> Entry | None:
    """The newest one of the same place in the same pipeline, of another run."""
    here = and_(_C.namespace == namespace, _C.pipeline == pipeline, _C.scope_path == record.scope_path)
    rows = select(CACHE).where(here, _C.run_id != record.run).order_by(_C.ended_at.desc()).limit(1)
    row = connection.execute(rows).mappings().first()
    return None if row is None else _made(row)


def get(connection: Connection, task_id: str) -> Entry:
    """Raises `NotFound`."""
    row = connection.execute(select(CACHE).where(_C.task_id == task_id)).mappings().first()
    if row is None:
        raise NotFound(f"ResourceNotFoundError: cache entry of task {task_id} not found.")
    return _made(row)


def listed(connection: Connection, namespace: str, query: ListQuery) -> Page[Entry]:
    """Those of a namespace."""
    return page(connection, select(CACHE).where(_C.namespace == namespace), LISTED, query, _made)


def clear(connection: Connection, namespace: str, *, pipeline: str = "", fingerprint: str = "") -> int:
    """All of a namespace, or those of a pipeline or of a fingerprint; gives how many there were."""
    here: list[ColumnElement[bool]] = [_C.namespace == namespace]
    if pipeline:
        here.append(_C.pipeline == pipeline)
    if fingerprint:
        here.append(_C.fingerprint == fingerprint)
    return connection.execute(delete(CACHE).where(*here)).rowcount


def forget(connection: Connection, run_id: str, task_ids: Collection[str] | None = None) -> None:
    """Tasks of a run, None for all."""
    here = delete(CACHE).where(_C.run_id == run_id)
    connection.execute(here if task_ids is None else here.where(_C.task_id.in_(task_ids)))


def _made(row: Row) -> Entry:
    return Entry(**row)
