"""One database of the platform: SQLite in a file, or PostgreSQL.

A unit of work is a function of a connection. It runs in a thread, in a transaction of its own, which is committed when
it returns and rolled back when it raises:

    def add(connection: Connection) -> None:
        connection.execute(insert(runs).values(id="a"))

    await database.write(add)

It may run again after a deadlock or a serialization failure, so it changes nothing but the database. Cancelling the
call does not stop it.
"""

import asyncio
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DataError, DBAPIError, OperationalError

from flowdeck.kube.errors import BadRequest, ServiceUnavailable
from flowdeck.sql.engines import is_sqlite, make_engine, parse_url

T = TypeVar("T")
Work = Callable[[Connection], T]

CONNECTIONS = 8
"""How many units of work run at the same time; writes to SQLite one after the other."""
TRIES = 5
RETRY_S = 0.02
"""Longest first pause after a deadlock; doubled each time."""
_AGAIN = ("40001", "40P01")
"""SQLSTATE of serialization failures and deadlocks."""


class Database:
    """See the module's text. Belongs to one event loop."""

    def __init__(self, url: str) -> None:
        """`sqlite:////folder/file.db`, or `postgresql://user:password@host/name`. Raises `ValueError` for others.

        Nothing is opened before the first unit of work.
        """
        self.url: URL = parse_url(url)
        self._engine = make_engine(self.url, CONNECTIONS)
        self._readers = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="sql")
        self._writers = ThreadPoolExecutor(1, "sql-write") if self.is_sqlite else self._readers

    def __str__(self) -> str:
        """The URL without its password."""
        return self.url.render_as_string(hide_password=True)

    @property
    def is_sqlite(self) -> bool:
        return is_sqlite(self.url)

    async def read(self, work: Work[T]) -> T:
        """Runs a unit of work that changes nothing. Raises what `write` does."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._run, work, False)

    async def write(self, work: Work[T]) -> T:
        """Runs a unit of work. Once this returns, it is on disk.

        Raises what the work raises (`IntegrityError` for a key that is there already), `ServiceUnavailable` when the
        database cannot be had, and `BadRequest` for a value that it cannot keep (PostgreSQL: a text with NUL).
        """
        return await asyncio.get_running_loop().run_in_executor(self._writers, self._run, work, True)

    async def ping(self) -> None:
        """For readiness. Raises `ServiceUnavailable`."""
        await self.read(lambda connection: connection.execute(text("SELECT 1")))

    async def close(self) -> None:
        """Returns when what was running has ended."""
        for executor in {self._readers, self._writers}:
            await asyncio.to_thread(executor.shutdown)
        self._engine.dispose()

    def _run(self, work: Work[T], writes: bool) -> T:
        for attempt in range(TRIES):
            try:
                with self._engine.connect() as connection:
                    connection.execution_options(writes=writes)
                    with connection.begin():
                        return work(connection)
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) not in _AGAIN or attempt == TRIES - 1:
                    raise _told(error, str(self)) from error
            time.sleep(random.random() * RETRY_S * 2.0**attempt)
        raise AssertionError("unreachable")


def _told(error: DBAPIError, database: str) -> Exception:
    """What the caller gets to see: a database that cannot be had is told in words, all else as it is."""
    if isinstance(error, OperationalError) or error.connection_invalidated:
        return ServiceUnavailable(f"the database {database} does not answer: {str(error.orig).strip()}")
    if isinstance(error, DataError):
        return BadRequest(f"Invalid input error: a value cannot be kept: {str(error.orig).strip()}")
    return error
