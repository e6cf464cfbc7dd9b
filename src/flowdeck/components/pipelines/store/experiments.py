"""Experiments: what runs are grouped by. Functions of a connection."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, select, update

from flowdeck.components.pipelines.store.tables import EXPERIMENTS, RECURRING_RUNS, RUNS
from flowdeck.kube.errors import AlreadyExists, NotFound
from flowdeck.sql.inserts import insert_new
from flowdeck.sql.listing import Listed, Row, page
from flowdeck.web.listing import ListQuery, Page
from flowdeck.web.rpc_errors import Aborted

NEVER = datetime(1970, 1, 1, tzinfo=UTC)
AVAILABLE, ARCHIVED = "AVAILABLE", "ARCHIVED"
DEFAULT = "Default"
DEFAULT_DESCRIPTION = "All runs created without specifying an experiment will be grouped here."


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One row."""

    id: str
    namespace: str
    name: str
    description: str
    created_at: datetime
    last_run_created_at: datetime
    storage_state: str


_C = EXPERIMENTS.c
LISTED = Listed(
    _C.id,
    {
        "id": _C.id,
        "experiment_id": _C.id,
        "name": _C.name,
        "display_name": _C.name,
        "created_at": _C.created_at,
        "last_run_created_at": _C.last_run_created_at,
        "description": _C.description,
        "namespace": _C.namespace,
        "storage_state": _C.storage_state,
    },
)


def create(connection: Connection, *, name: str, namespace: str, description: str, now: datetime) -> Experiment:
    """A new one. Raises `AlreadyExists`."""
    made = Experiment(
        id=str(uuid.uuid4()),
        namespace=namespace,
        name=name,
        description=description,
        created_at=now,
        last_run_created_at=NEVER,
        storage_state=AVAILABLE,
    )
    if not insert_new(connection, EXPERIMENTS, vars(made)):
        raise AlreadyExists(
            f"Already exist error: Failed to create a new experiment: the name {name} already exist. "
            "Please specify a new name."
        )
    return made


def get(connection: Connection, id: str) -> Experiment:
    """Raises `NotFound`."""
    row = connection.execute(select(EXPERIMENTS).where(_C.id == id)).mappings().first()
    if row is None:
        raise NotFound(f"ResourceNotFoundError: Experiment {id} not found.")
    return _made(row)


def default(connection: Connection, namespace: str, now: datetime) -> Experiment:
    """The experiment of runs that name none, made when it is not there."""
    wanted = select(EXPERIMENTS).where(_C.namespace == namespace, _C.name == DEFAULT)
    row = connection.execute(wanted).mappings().first()
    if row is not None:
        return _made(row)
    try:
        return create(connection, name=DEFAULT, namespace=namespace, description=DEFAULT_DESCRIPTION, now=now)
    except AlreadyExists:  # somebody else has just made it; it is never removed
        return _made(connection.execute(wanted).mappings().one())


def listed(connection: Connection, namespace: str, query: ListQuery) -> Page[Experiment]:
    """Those of a namespace."""
    return page(connection, select(EXPERIMENTS).where(_C.namespace == namespace), LISTED, query, _made)


def archive(connection: Connection, id: str, now: datetime) -> None:
    """The experiment and all its runs; its recurring runs are disabled. Raises `NotFound`."""
    get(connection, id)
    connection.execute(update(EXPERIMENTS).where(_C.id == id).values(storage_state=ARCHIVED))
    connection.execute(update(RUNS).where(RUNS.c.experiment_id == id).values(storage_state=ARCHIVED))
    recurring = update(RECURRING_RUNS).where(RECURRING_RUNS.c.experiment_id == id, RECURRING_RUNS.c.is_enabled)
    connection.execute(recurring.values(is_enabled=False, updated_at=now))


def unarchive(connection: Connection, id: str) -> None:
    """The experiment alone: its runs stay archived. Raises `NotFound`."""
    get(connection, id)
    connection.execute(update(EXPERIMENTS).where(_C.id == id).values(storage_state=AVAILABLE))


def remove(connection: Connection, id: str) -> None:
    """The experiment alone: its runs keep its id. Raises `NotFound`, `Aborted` for the default one."""
    if get(connection, id).name == DEFAULT:
        raise Aborted(f"BadRequestError: Failed to delete experiment {id}: the default experiment stays")
    connection.execute(delete(EXPERIMENTS).where(_C.id == id))


def _made(row: Row) -> Experiment:
    return Experiment(**row)
