"""Two units of work at the same time."""

import asyncio
import threading
from typing import TypeVar

from sqlalchemy import Connection, text

from flowdeck.sql.database import Database, Work

F = TypeVar("F")
S = TypeVar("S")
PATIENCE_S = 60
_WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")


async def overlap(database: Database, first: Work[F], second: Work[S]) -> tuple[F, S]:
    """The second begins when the first has done all but its commit; that comes when the second waits or is done.

    SQLite has one writer after the other, whatever they do.
    """
    done, may_commit = threading.Event(), threading.Event()

    def held(connection: Connection) -> F:
        try:
            result = first(connection)
        finally:
            done.set()
        assert may_commit.wait(PATIENCE_S), "the second unit of work neither waits nor ends"
        return result

    if database.is_sqlite:
        may_commit.set()
    one = asyncio.create_task(database.write(held))
    assert await asyncio.to_thread(done.wait, PATIENCE_S)
    other = asyncio.create_task(database.write(second))
    while not database.is_sqlite and not other.done():
        if await database.read(lambda connection: connection.execute(_WAITING).scalar_one()):
            break
    may_commit.set()
    return await one, await other
