"""What is old, and what removed runs left. Functions of a connection."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, delete, insert, or_, select, update

from flowdeck.components.pipelines.store import runs
from flowdeck.components.pipelines.store.experiments import ARCHIVED, AVAILABLE, NEVER
from flowdeck.components.pipelines.store.runs import Run
from flowdeck.components.pipelines.store.tables import LEFTOVERS, RUNS, SWEEPS

_C = RUNS.c
_FINISHED = and_(_C.is_active.is_(False), _C.finished_at > NEVER)


def archive_finished(connection: Connection, before: datetime, limit: int) -> int:
    """Archives runs that ended before that, the oldest first, at most so many; gives how many."""
    old = select(_C.id).where(_FINISHED, _C.storage_state == AVAILABLE, _C.finished_at < before)
    ids = connection.execute(old.order_by(_C.finished_at, _C.id).limit(limit)).scalars().all()
    connection.execute(update(RUNS).where(_C.id.in_(ids)).values(storage_state=ARCHIVED))
    return len(ids)


def archived(connection: Connection, before: datetime, limit: int) -> Sequence[str]:
    """The ids of archived runs that ended before that, the oldest first, at most so many."""
    old = select(_C.id).where(_FINISHED, _C.storage_state == ARCHIVED, _C.finished_at < before)
    return connection.execute(old.order_by(_C.finished_at, _C.id).limit(limit)).scalars().all()


def finished_since(
    connection: Connection, sweep: str, before: datetime, limit: int, after: tuple[datetime, str] | None = None
) -> list[Run]:
    """Runs that ended before that and for which this sweep was not done, in the order in which they ended.

    `after`: when the run ended that was looked at last, and its id.
    """
    rows = select(RUNS).where(_FINISHED, _C.finished_at < before)
    if after is None:
        last = connection.execute(select(SWEEPS).where(SWEEPS.c.name == sweep)).mappings().first()
        after = None if last is None else (last["finished_at"], last["run_id"])
    if after is not None:
        at, id = after
        rows = rows.where(_C.finished_at >= at, or_(_C.finished_at > at, _C.id > id))
    found = connection.execute(rows.order_by(_C.finished_at, _C.id).limit(limit)).mappings()
    return [runs.made(row) for row in found]


def note(connection: Connection, sweep: str, run: Run) -> None:
    """This sweep is done for that run and all before it."""
    connection.execute(delete(SWEEPS).where(SWEEPS.c.name == sweep))
    connection.execute(insert(SWEEPS).values(name=sweep, finished_at=run.finished_at, run_id=run.id))


def leftovers(connection: Connection) -> Sequence[str]:
    """The ids of removed runs whose folders are not emptied."""
    return connection.execute(select(LEFTOVERS.c.run_id)).scalars().all()


@dataclass(frozen=True)
class Leftover:
    """Of a removed run."""

    namespace: str
    prefix: str
    """What is below this URI."""
    removed_at: datetime


def leftover(connection: Connection, run_id: str) -> Leftover | None:
    """None when there is nothing."""
    columns = (LEFTOVERS.c.namespace, LEFTOVERS.c.prefix, LEFTOVERS.c.removed_at)
    here = select(*columns).where(LEFTOVERS.c.run_id == run_id)
    row = connection.execute(here).first()
    return None if row is None else Leftover(row.namespace, row.prefix, row.removed_at)


def forget_leftover(connection: Connection, run_id: str) -> None:
    """It is empty."""
    connection.execute(delete(LEFTOVERS).where(LEFTOVERS.c.run_id == run_id))
