"""Runs that ended, until all that follows is done. Functions of a connection."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, select, update

from flowdeck.components.pipelines.store.tables import ENDS, RUNS


@dataclass(frozen=True, kw_only=True)
class End:
    """One row; a run that is retried ends more than once."""

    number: int
    run_id: str
    ended_at: datetime
    told: Sequence[str]
    """The web hooks that know."""


def of_run(connection: Connection, run_id: str) -> list[End]:
    """From the first."""
    rows = select(ENDS).where(ENDS.c.run_id == run_id).order_by(ENDS.c.number)
    return [End(**row) for row in connection.execute(rows).mappings()]


def waiting(connection: Connection) -> list[tuple[str, str]]:
    """`(namespace, id)` of the runs about whose end there is something to do."""
    rows = select(RUNS.c.namespace, RUNS.c.id).where(RUNS.c.id.in_(select(ENDS.c.run_id)))
    return [(namespace, id) for namespace, id in connection.execute(rows)]


def note(connection: Connection, number: int, told: Sequence[str]) -> None:
    """Who knows by now."""
    connection.execute(update(ENDS).where(ENDS.c.number == number).values(told=list(told)))


def remove(connection: Connection, number: int) -> None:
    """All is done."""
    connection.execute(delete(ENDS).where(ENDS.c.number == number))
