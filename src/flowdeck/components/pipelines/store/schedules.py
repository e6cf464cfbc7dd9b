"""Recurring runs and their backfills. Functions of a connection."""

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from flowdeck.components.pipelines.ir.document import Document
from flowdeck.components.pipelines.store import runs
from flowdeck.components.pipelines.store.experiments import ARCHIVED, NEVER
from flowdeck.components.pipelines.store.runs import Run
from flowdeck.components.pipelines.store.tables import BACKFILLS, EXPERIMENTS, RECURRING_RUNS, RUNS
from flowdeck.kube.errors import Conflict, NotFound
from flowdeck.kube.objects import ObjectKey, Tree
from flowdeck.sql.listing import Listed, Row, page
from flowdeck.web.listing import ListQuery, Page
from flowdeck.web.rpc_errors import FailedPrecondition

_RUN_IDS = uuid.UUID("6f0f5d1e-3c86-5f0a-9d56-0c2f6c1f7b0e")
"""The space of ids that are made of a recurring run and a point of its schedule."""


@dataclass(frozen=True, kw_only=True)
class RecurringRun:
    """One row."""

    id: str
    experiment_id: str
    namespace: str
    name: str
    resource_name: str
    """Its runs are named after it."""
    description: str = ""
    pipeline_id: str = ""
    pipeline_version_id: str = ""
    document: str = ""
    """Hash of the document that all its runs run; empty: the newest version of the pipeline at that time."""
    parameters: dict[str, Any] = field(default_factory=dict)
    """As they were given, macros and all."""
    pipeline_root: str = ""
    service_account: str
    plugins_input: Tree = field(default_factory=dict)
    trigger: Tree = field(default_factory=dict)
    """`trigger` of the API, in `snake_case`."""
    max_concurrency: int
    no_catchup: bool = False
    is_enabled: bool
    created_at: datetime
    updated_at: datetime
    """Of its status."""
    error: str = ""
    """Why its next run cannot be started."""
    last_at: datetime = NEVER
    """The last point of its trigger that was run."""
    made: int = 0
    """How many runs it has made."""


@dataclass(frozen=True, kw_only=True)
class Backfill:
    """A range of time for which a recurring run shall still be run."""

    number: int
    begin: datetime
    end: datetime
    """Included."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A recurring run as it is now."""

    recurring: RecurringRun
    unfinished: int
    """How many of its runs."""
    backfill: Backfill | None
    """The oldest one."""


_C = RECURRING_RUNS.c
LISTED = Listed(
    _C.id,
    {
        "id": _C.id,
        "recurring_run_id": _C.id,
        "name": _C.name,
        "display_name": _C.name,
        "created_at": _C.created_at,
        "updated_at": _C.updated_at,
        "description": _C.description,
    },
)


def run_id(recurring_run_id: str, at: datetime) -> str:
    """The id of the run for a point of the schedule: always the same one."""
    return str(uuid.uuid5(_RUN_IDS, f"{recurring_run_id}/{int(at.timestamp())}"))


def create(connection: Connection, recurring: RecurringRun) -> None:
    connection.execute(insert(RECURRING_RUNS).values(vars(recurring)))


def get(connection: Connection, id: str) -> RecurringRun:
    """Raises `NotFound`."""
    row = connection.execute(select(RECURRING_RUNS).where(_C.id == id)).mappings().first()
    if row is None:
        raise NotFound(f"ResourceNotFoundError: RecurringRun {id} not found.")
    return _made(row)


def listed(connection: Connection, query: ListQuery, *, namespace: str, experiment_id: str = "") -> Page[RecurringRun]:
    """Those of a namespace, or of one experiment of it."""
    rows = select(RECURRING_RUNS).where(_C.namespace == namespace)
    if experiment_id:
        rows = rows.where(_C.experiment_id == experiment_id)
    return page(connection, rows, LISTED, query, _made)


def progress(connection: Connection, id: str) -> Progress:
    """Raises `NotFound`."""
    recurring = get(connection, id)
    active = select(func.count()).select_from(RUNS).where(RUNS.c.recurring_run_id == id, RUNS.c.is_active)
    unfinished = connection.execute(active).scalar_one()
    return Progress(recurring=recurring, unfinished=unfinished, backfill=next(iter(backfills(connection, id)), None))


def at_work(connection: Connection) -> dict[ObjectKey, tuple[datetime, int]]:
    """Those that may want to start runs, and what changes when somebody changes what they want."""
    newest = select(func.coalesce(func.max(BACKFILLS.c.number), 0)).where(BACKFILLS.c.recurring_run_id == _C.id)
    backfill = newest.correlate(RECURRING_RUNS).scalar_subquery()
    rows = select(_C.namespace, _C.id, _C.updated_at, backfill).where(or_(_C.is_enabled, backfill > 0))
    found = connection.execute(rows)
    return {ObjectKey(namespace, id): (updated_at, number) for namespace, id, updated_at, number in found}


def enable(connection: Connection, id: str, *, enabled: bool, now: datetime) -> RecurringRun:
    """Or disable; the row as it is then. Raises `NotFound`, `FailedPrecondition` in an archived experiment."""
    recurring = get(connection, id)
    experiment = select(EXPERIMENTS.c.storage_state).where(EXPERIMENTS.c.id == recurring.experiment_id)
    if enabled and connection.execute(experiment).scalar_one_or_none() == ARCHIVED:
        raise FailedPrecondition(
            f"Invalid input error: Failed to enable recurring run {id}: its experiment {recurring.experiment_id} is "
            "archived; unarchive that first"
        )
    if recurring.is_enabled != enabled:
        values = {"is_enabled": enabled, "updated_at": now}
        connection.execute(update(RECURRING_RUNS).where(_C.id == id).values(values))
    return get(connection, id)


def remove(connection: Connection, id: str) -> None:
    """With its backfills; the runs that it made stay. Raises `NotFound`."""
    recurring = get(connection, id)
    connection.execute(delete(BACKFILLS).where(BACKFILLS.c.recurring_run_id == id))
    connection.execute(delete(RECURRING_RUNS).where(_C.id == id))
    runs.forget_document(connection, recurring.document)


# ---- starting runs -----------------------------------------------------------------------------------------------


def start(connection: Connection, seen: Progress, run: Run, document: Document, *, is_backfill: bool) -> bool:
    """Makes the run for a point of the schedule and notes it, both or none; False when that point was run before.

    Raises `Conflict` when somebody else has moved the recurring run on, disabled or deleted it since it was `seen`.
    """
    recurring = seen.recurring
    is_new = connection.execute(select(RUNS.c.id).where(RUNS.c.id == run.id)).first() is None
    values: dict[str, Any] = {"error": "", "made": recurring.made + is_new}
    if not is_backfill:
        values["last_at"] = run.scheduled_at
    _move(connection, recurring, values)
    if is_backfill:
        _move_backfill(connection, seen.backfill, run.scheduled_at)
    if is_new:
        runs.keep_document(connection, document)
        runs.create(connection, run)
    return is_new


def fail(connection: Connection, id: str, error: str) -> None:
    """Why its next run cannot be started."""
    connection.execute(update(RECURRING_RUNS).where(_C.id == id, _C.error != error).values(error=error))


def backfill(connection: Connection, id: str, begin: datetime, end: datetime) -> None:
    """Wants every point of a range of time to be run that was not yet."""
    connection.execute(insert(BACKFILLS).values(recurring_run_id=id, begin=begin, end=end))


def backfills(connection: Connection, id: str) -> list[Backfill]:
    """What is left of those of a recurring run, from the oldest."""
    rows = select(BACKFILLS).where(BACKFILLS.c.recurring_run_id == id).order_by(BACKFILLS.c.number)
    return [_backfill(row) for row in connection.execute(rows).mappings()]


def end_backfill(connection: Connection, number: int) -> None:
    connection.execute(delete(BACKFILLS).where(BACKFILLS.c.number == number))


def _move(connection: Connection, seen: RecurringRun, values: dict[str, Any]) -> None:
    here = (_C.id == seen.id, _C.made == seen.made, _C.last_at == seen.last_at, _C.is_enabled == seen.is_enabled)
    if connection.execute(update(RECURRING_RUNS).where(*here).values(values)).rowcount != 1:
        raise Conflict(f"recurring run {seen.id} is not any more what it was")


def _move_backfill(connection: Connection, seen: Backfill | None, at: datetime) -> None:
    assert seen is not None, "a point of a backfill comes from one"
    here = (BACKFILLS.c.number == seen.number, BACKFILLS.c.begin == seen.begin)
    if connection.execute(update(BACKFILLS).where(*here).values(begin=at + timedelta(seconds=1))).rowcount != 1:
        raise Conflict(f"backfill {seen.number} is not any more what it was")


def _made(row: Row) -> RecurringRun:
    return RecurringRun(**row)


def _backfill(row: Row) -> Backfill:
    return Backfill(number=row["number"], begin=row["begin"], end=row["end"])
