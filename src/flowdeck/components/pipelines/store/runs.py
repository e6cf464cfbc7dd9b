"""Runs, their documents, their events and tasks. Functions of a connection."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from flowdeck.components.pipelines.engine.events import Event, RetryRequested, TerminateRequested, decode, encode
from flowdeck.components.pipelines.engine.records import TaskRecord
from flowdeck.components.pipelines.engine.run import Run as EngineRun
from flowdeck.components.pipelines.engine.states import RUN_FINISHED, RunStatus, State
from flowdeck.components.pipelines.ir.document import Document, from_wire
from flowdeck.components.pipelines.store import artifacts, cache
from flowdeck.components.pipelines.store.experiments import ARCHIVED, AVAILABLE, NEVER
from flowdeck.components.pipelines.store.tables import (
    DOCUMENTS,
    ENDS,
    EVENTS,
    EXPERIMENTS,
    LEFTOVERS,
    RECURRING_RUNS,
    RUNS,
    TASKS,
    WISHES,
)
from flowdeck.components.pipelines.values.paths import run_root
from flowdeck.kube.errors import Conflict, NotFound
from flowdeck.kube.objects import ObjectKey, Tree
from flowdeck.sql.inserts import insert_new, put
from flowdeck.sql.listing import Listed, Row, page
from flowdeck.web.listing import ListQuery, Page
from flowdeck.web.rpc_errors import FailedPrecondition


@dataclass(frozen=True, kw_only=True)
class Run:
    """One row."""

    id: str
    experiment_id: str
    namespace: str
    name: str
    description: str = ""
    storage_state: str = AVAILABLE
    state: str = RunStatus.PENDING
    error: str = ""
    history: Sequence[Tree] = ()
    """`{update_time, state}`, each state as often as it was entered."""
    is_active: bool = True
    """Whether somebody must still work on it."""
    created_at: datetime
    scheduled_at: datetime
    finished_at: datetime = NEVER
    service_account: str
    pipeline_id: str = ""
    pipeline_version_id: str = ""
    pipeline_name: str = ""
    """Of its document: `pipelineInfo.name`."""
    document: str
    """Hash of the document that it runs."""
    parameters: dict[str, Any] = field(default_factory=dict)
    """As they were given."""
    pipeline_root: str = ""
    recurring_run_id: str = ""
    plugins_input: Tree = field(default_factory=dict)
    engine: Tree
    """The engine's `Run`."""

    @property
    def folder(self) -> str:
        """Below which URI its tasks put what they make, and their logs are."""
        return run_root(str(self.engine.get("pipeline_root", "")), self.pipeline_name, self.id)

    @property
    def for_engine(self) -> EngineRun:
        return msgspec.convert(self.engine, EngineRun)


_C = RUNS.c
LISTED = Listed(
    _C.id,
    {
        "id": _C.id,
        "run_id": _C.id,
        "name": _C.name,
        "display_name": _C.name,
        "created_at": _C.created_at,
        "finished_at": _C.finished_at,
        "description": _C.description,
        "scheduled_at": _C.scheduled_at,
        "storage_state": _C.storage_state,
        "status": _C.state,
        "state": _C.state,
        "namespace": _C.namespace,
        "experiment_id": _C.experiment_id,
        "recurring_run_id": _C.recurring_run_id,
    },
)


METRIC = "metric:"
"""How sort keys begin that name a metric."""


# ---- documents ---------------------------------------------------------------------------------------------------


def hash_of(document: Document) -> str:
    """Equal documents have equal ones."""
    return hashlib.sha256(msgspec.json.encode(document.wire, order="sorted")).hexdigest()


def keep_document(connection: Connection, document: Document) -> str:
    """Keeps it unless it is there; gives its hash. Nobody removes it until this unit of work is over."""
    digest = hash_of(document)
    here = select(DOCUMENTS.c.hash).where(DOCUMENTS.c.hash == digest).with_for_update(read=True, key_share=True)
    is_there = False
    while not is_there:  # somebody may remove it between the two
        insert_new(connection, DOCUMENTS, {"hash": digest, "wire": document.wire})
        is_there = connection.execute(here).first() is not None
    return digest


def document(connection: Connection, hash: str) -> Document:
    """The document of a hash that a run names."""
    return from_wire(connection.execute(select(DOCUMENTS.c.wire).where(DOCUMENTS.c.hash == hash)).scalar_one())


def documents(connection: Connection, hashes: Collection[str]) -> dict[str, Tree]:
    """As they are on the wire, by their hashes."""
    rows = select(DOCUMENTS).where(DOCUMENTS.c.hash.in_(hashes))
    return {row.hash: row.wire for row in connection.execute(rows)}


def forget_document(connection: Connection, hash: str) -> None:
    """Removes it unless a run or a recurring run has it, or just gets it."""
    connection.execute(select(DOCUMENTS.c.hash).where(DOCUMENTS.c.hash == hash).with_for_update())
    for table in (RUNS, RECURRING_RUNS):
        if connection.execute(select(table.c.id).where(table.c.document == hash).limit(1)).first() is not None:
            return
    connection.execute(delete(DOCUMENTS).where(DOCUMENTS.c.hash == hash))


# ---- runs --------------------------------------------------------------------------------------------------------


def create(connection: Connection, run: Run) -> None:
    """A new run; its experiment knows of it. Raises `IntegrityError` when the id is taken."""
    connection.execute(insert(RUNS).values({**vars(run), "history": [_entered(run.state, run.created_at)]}))
    touched = update(EXPERIMENTS).where(EXPERIMENTS.c.id == run.experiment_id)
    connection.execute(touched.values(last_run_created_at=run.created_at))


def get(connection: Connection, id: str) -> Run:
    """Raises `NotFound`."""
    return _one(connection, select(RUNS).where(_C.id == id), id)


def held(connection: Connection, id: str) -> Run:
    """As `get`, for who decides on what he reads: nobody else changes it until this unit of work is over."""
    return _one(connection, select(RUNS).where(_C.id == id).with_for_update(key_share=True), id)


def listed(connection: Connection, query: ListQuery, *, namespace: str, experiment_id: str = "") -> Page[Run]:
    """Those of a namespace, or of one experiment of it."""
    rows = select(RUNS).where(_C.namespace == namespace)
    if experiment_id:
        rows = rows.where(_C.experiment_id == experiment_id)
    return page(connection, rows, _listed_by(query.sort), query, made)


def _listed_by(sort: str) -> Listed:
    """`metric:accuracy` as well."""
    if not sort.startswith(METRIC):
        return LISTED
    return Listed(_C.id, {**LISTED.columns, sort: artifacts.metric_of_runs(sort.removeprefix(METRIC))})


def at_work(connection: Connection) -> dict[ObjectKey, bool]:
    """The runs that somebody must work on, by namespace and id, and whether a user wants something of them."""
    wished = select(WISHES.c.run_id).where(WISHES.c.run_id == _C.id).exists()
    rows = select(_C.namespace, _C.id, wished).where(_C.is_active).order_by(_C.created_at, _C.id)
    return {ObjectKey(namespace, id): bool(wants) for namespace, id, wants in connection.execute(rows)}


def archive(connection: Connection, id: str) -> None:
    """Raises `NotFound`."""
    get(connection, id)
    connection.execute(update(RUNS).where(_C.id == id).values(storage_state=ARCHIVED))


def unarchive(connection: Connection, id: str) -> None:
    """Raises `NotFound`, `FailedPrecondition` while the experiment is archived."""
    run = get(connection, id)
    wanted = select(EXPERIMENTS.c.storage_state).where(EXPERIMENTS.c.id == run.experiment_id)
    if connection.execute(wanted).scalar_one_or_none() == ARCHIVED:
        raise FailedPrecondition(
            f"Invalid input error: Failed to unarchive run {id}: its experiment {run.experiment_id} is archived; "
            "unarchive that first"
        )
    connection.execute(update(RUNS).where(_C.id == id).values(storage_state=AVAILABLE))


def remove(connection: Connection, id: str, *, leaves_at: datetime | None = None) -> None:
    """With its tasks, its events and, if nothing else has it, its document; its artifacts stay. Raises `NotFound`.

    `leaves_at`: its folder is to be emptied, and this is now.
    """
    run = held(connection, id)
    if leaves_at is not None:
        left = {"run_id": id, "namespace": run.namespace, "prefix": run.folder, "removed_at": leaves_at}
        connection.execute(insert(LEFTOVERS).values(left))
    artifacts.unlink(connection, id)
    cache.forget(connection, id)
    for table in (ENDS, EVENTS, TASKS, WISHES):
        connection.execute(delete(table).where(table.c.run_id == id))
    connection.execute(delete(RUNS).where(_C.id == id))
    forget_document(connection, run.document)


def record_state(connection: Connection, id: str, state: RunStatus, error: str, at: datetime) -> None:
    """Where the run is from now on; nothing, when it has ended like that already. Raises `NotFound`."""
    run = held(connection, id)
    if not run.is_active and (run.state, run.error) == (state, error):
        return
    history = [*run.history, _entered(state, at)] if run.state != state else list(run.history)
    is_finished = state in RUN_FINISHED
    values = {"state": state, "error": error, "history": history, "is_active": not is_finished}
    values["finished_at"] = at if is_finished else NEVER
    connection.execute(update(RUNS).where(_C.id == id).values(values))


def note_end(connection: Connection, id: str, at: datetime) -> None:
    """It has ended, and what follows from that is to be done (`ends`)."""
    connection.execute(insert(ENDS).values(run_id=id, ended_at=at, told=[]))


# ---- events and tasks --------------------------------------------------------------------------------------------


def events(connection: Connection, run_id: str) -> list[Event]:
    """All that happened to a run, in order."""
    rows = select(EVENTS.c.event).where(EVENTS.c.run_id == run_id).order_by(EVENTS.c.number)
    return [decode(line) for line in connection.execute(rows).scalars()]


def append(connection: Connection, run_id: str, first: int, happened: Sequence[Event]) -> None:
    """Adds to a run's events; `first` is the number of the first one, which is how many there were.

    Raises `Conflict` when somebody else has written that number: he works on this run, too. `NotFound` when the run
    was removed.
    """
    there = select(_C.id).where(_C.id == run_id)
    _check(connection, there.with_for_update(key_share=True), run_id)  # and it stays there
    rows = [{"run_id": run_id, "number": first + at, "event": encode(event)} for at, event in enumerate(happened)]
    try:
        connection.execute(insert(EVENTS), rows)
    except IntegrityError as error:
        raise Conflict(f"run {run_id} has more than {first} events: another process works on it") from error


def wish(connection: Connection, run_id: str, event: TerminateRequested | RetryRequested, at: datetime) -> Run:
    """Leaves what a user wants for whoever works on the run, and shows it in the run's state already.

    Gives the run as it was. The end of one that is over, or ends already, is nothing to wish for. Raises `NotFound`.
    """
    run = held(connection, run_id)
    ends = isinstance(event, TerminateRequested)
    if not ends or run.state not in (*RUN_FINISHED, RunStatus.CANCELING):
        connection.execute(insert(WISHES).values(run_id=run_id, event=encode(event)))
        record_state(connection, run_id, RunStatus.CANCELING if ends else RunStatus.PENDING, "", at)
    return run


def wishes(connection: Connection, run_id: str) -> list[tuple[int, Event]]:
    """Those of a run, with their numbers, in order. Raises `NotFound` when it was removed."""
    _check(connection, select(_C.id).where(_C.id == run_id), run_id)
    rows = select(WISHES.c.number, WISHES.c.event).where(WISHES.c.run_id == run_id).order_by(WISHES.c.number)
    return [(number, decode(event)) for number, event in connection.execute(rows)]


def take_wishes(connection: Connection, numbers: Sequence[int]) -> None:
    """They are events of the run now, or could not be."""
    connection.execute(delete(WISHES).where(WISHES.c.number.in_(numbers)))


def keep_tasks(connection: Connection, records: Sequence[TaskRecord]) -> None:
    """Writes tasks of a run down as they are now, with their artifacts."""
    put(connection, TASKS, [_row(record) for record in records])
    having = [record for record in records if record.artifacts or record.output_artifacts]
    reusable = [record for record in records if record.fingerprint and record.state is State.SUCCEEDED]
    if having or reusable:
        owner = select(_C.namespace, _C.pipeline_name).where(_C.id == records[0].run)
        namespace, pipeline = connection.execute(owner).one()
        artifacts.keep_artifacts(connection, namespace, having)
        cache.keep(connection, namespace, pipeline, reusable)


def _row(record: TaskRecord) -> dict[str, Any]:
    return {
        "run_id": record.run,
        "id": record.id,
        "parent_id": record.parent,
        "name": record.name,
        "display_name": record.display_name,
        "state": record.state,
        "fingerprint": record.fingerprint,
        "began_at": _moment(record.began_at),
        "ended_at": _moment(record.ended_at),
        "record": record,
    }


def forget_tasks(connection: Connection, run_id: str, ids: Sequence[str]) -> None:
    """Tasks that are no more."""
    artifacts.unlink(connection, run_id, ids)
    cache.forget(connection, run_id, ids)
    connection.execute(delete(TASKS).where(TASKS.c.run_id == run_id, TASKS.c.id.in_(ids)))


def tasks(connection: Connection, run_id: str) -> list[TaskRecord]:
    """The tasks of a run, from the first that began."""
    rows = select(TASKS.c.record).where(TASKS.c.run_id == run_id).order_by(TASKS.c.began_at, TASKS.c.id)
    return [msgspec.convert(record, TaskRecord) for record in connection.execute(rows).scalars()]


def task(connection: Connection, run_id: str, id: str) -> TaskRecord:
    """One of a run. Raises `NotFound`."""
    here = select(TASKS.c.record).where(TASKS.c.run_id == run_id, TASKS.c.id == id)
    record = connection.execute(here).scalar_one_or_none()
    if record is None:
        raise NotFound(f"ResourceNotFoundError: Task {id} of run {run_id} not found.")
    return msgspec.convert(record, TaskRecord)


def tasks_of(connection: Connection, run_ids: Collection[str]) -> list[TaskRecord]:
    """The tasks of several runs, each run's from the first that began."""
    rows = select(TASKS.c.record).where(TASKS.c.run_id.in_(run_ids)).order_by(TASKS.c.began_at, TASKS.c.id)
    return [msgspec.convert(record, TaskRecord) for record in connection.execute(rows).scalars()]


def _one(connection: Connection, there: Select[Any], id: str) -> Run:
    row = connection.execute(there).mappings().first()
    if row is None:
        raise NotFound(f"ResourceNotFoundError: Run {id} not found.")
    return made(row)


def _check(connection: Connection, there: Select[Any], run_id: str) -> None:
    """Raises `NotFound` when that finds nothing."""
    if connection.execute(there).first() is None:
        raise NotFound(f"ResourceNotFoundError: Run {run_id} not found.")


def _entered(state: str, at: datetime) -> Tree:
    return {"update_time": at.isoformat(timespec="seconds").replace("+00:00", "Z"), "state": str(state)}


def _moment(seconds: float | None) -> datetime:
    return NEVER if seconds is None else datetime.fromtimestamp(seconds, UTC)


def made(row: Row) -> Run:
    """The run of a row."""
    return Run(**row)
