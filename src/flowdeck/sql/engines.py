"""SQLAlchemy engines as we want them: what differs between SQLite and PostgreSQL stands here."""

import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from flowdeck.kube.errors import ServiceUnavailable

BUSY_S = 10
"""How long SQLite waits for another process that writes."""
CONNECT_S = 5
"""How long a connection to PostgreSQL may take."""
FORMS = "sqlite:////folder/file.db or postgresql://user:password@host/name"


def parse_url(text: str) -> URL:
    """Raises `ValueError`, which does not tell the password."""
    try:
        url = make_url(text)
    except ArgumentError:
        raise ValueError(f"this is no URL of a database: use {FORMS}") from None
    if url.drivername in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    if url.drivername == "sqlite" and url.database and url.database != ":memory:":
        return url
    raise ValueError(f"{url.render_as_string(hide_password=True)} is no database that we know: use {FORMS}")


def is_sqlite(url: URL) -> bool:
    return url.drivername == "sqlite"


def make_engine(url: URL, connections: int) -> Engine:
    """Opens nothing yet. Raises `ServiceUnavailable` where the driver is not installed."""
    if is_sqlite(url):
        return _sqlite(url, connections)
    try:
        return create_engine(
            url,
            pool_size=connections,
            max_overflow=0,
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": CONNECT_S,
                "application_name": "flowdeck",
                "client_encoding": "utf8",  # else a database without an encoding gives bytes
            },
        )
    except ModuleNotFoundError as error:
        raise ServiceUnavailable("PostgreSQL needs a driver: pip install flowdeck[postgresql]") from error


def _sqlite(url: URL, connections: int) -> Engine:
    Path(str(url.database)).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    engine = create_engine(url, pool_size=connections + 1, max_overflow=0, connect_args={"timeout": BUSY_S})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: sqlite3.Connection, record: Any) -> None:
    """Durable commits, readers beside a writer, and transactions that we begin ourselves."""
    connection.isolation_level = None
    _into_wal(connection)
    for pragma in ("synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _into_wal(connection: sqlite3.Connection) -> None:
    """Two who open a new file at once both want to change its mode, and SQLite's own waiting leaves that out."""
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _begin(connection: Connection) -> None:
    """Who will write takes the lock at once: taking it later may fail, and nothing waits for it then."""
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
