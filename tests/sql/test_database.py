"""Which databases are taken, and what is told of those that are not there."""

import asyncio
import socket
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, text

from flowdeck.kube.errors import ServiceUnavailable
from flowdeck.sql.database import Database
from tests.sql.postgresql import postgresql

SECRET = "correct-horse"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "runs.db",
        "sqlite://",
        "sqlite:///:memory:",
        f"mysql://u:{SECRET}@h/d",
        f"postgresql+asyncpg://u:{SECRET}@h/d",
    ],
)
def test_what_is_no_database_of_ours_is_refused_with_the_forms_that_are(url: str) -> None:
    with pytest.raises(ValueError, match=r"use sqlite:////folder/file\.db or postgresql://") as refused:
        Database(url)
    assert SECRET not in str(refused.value)


async def test_a_server_that_is_not_there_is_told_in_words_and_without_its_password() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    database = Database(f"postgresql://flowdeck:{SECRET}@127.0.0.1:{port}/flowdeck")
    with pytest.raises(ServiceUnavailable) as refused:
        await database.ping()
    told = f"the database postgresql+psycopg://flowdeck:***@127.0.0.1:{port}/flowdeck does not answer"
    assert told in str(refused.value)
    assert SECRET not in str(refused.value) + str(database) + repr(database.url)
    await database.close()


async def test_sqlite_makes_its_folder_and_keeps_it_to_itself(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/deep/runs.db")
    await database.ping()
    assert (tmp_path / "deep").stat().st_mode & 0o777 == 0o700
    await database.close()


async def test_sqlite_commits_to_the_disk(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/runs.db")

    def pragma(connection: Connection, name: str) -> object:
        return connection.execute(text(f"PRAGMA {name}")).scalar_one()

    assert await database.read(lambda connection: pragma(connection, "journal_mode")) == "wal"
    assert await database.read(lambda connection: pragma(connection, "synchronous")) == 2
    await database.close()


async def test_closing_waits_for_what_runs(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/runs.db")
    await database.write(lambda connection: connection.execute(text("CREATE TABLE t (x INTEGER)")))
    writing = asyncio.ensure_future(database.write(lambda c: c.execute(text("INSERT INTO t VALUES (1)"))))
    await asyncio.sleep(0)
    await database.close()
    await writing
    again = Database(f"sqlite:///{tmp_path}/runs.db")
    assert await again.read(lambda c: c.execute(text("SELECT count(*) FROM t")).scalar_one()) == 1
    await again.close()


async def test_connections_that_the_server_has_ended_are_made_anew() -> None:
    with postgresql() as server:
        database = Database(server.url("postgres"))
        await database.ping()
        with psycopg.connect(server.url("postgres"), autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'flowdeck'")
        await database.ping()
        await database.close()


async def test_a_database_without_an_encoding_gives_texts() -> None:
    with postgresql() as server:
        with psycopg.connect(server.url("postgres"), autocommit=True) as other:
            other.execute("CREATE DATABASE bare TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'")
        database = Database(server.url("bare"))
        assert await database.read(lambda connection: connection.execute(text("SELECT 'ä'")).scalar_one()) == "ä"
        await database.close()


async def test_many_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    for number in range(60):  # one such race in some dozens was lost
        databases = [Database(f"sqlite:///{tmp_path}/{number}.db") for _ in range(6)]
        try:
            await asyncio.gather(*(database.write(_make_table) for database in databases))
        finally:
            for database in databases:
                await database.close()


def _make_table(connection: Connection) -> None:
    connection.execute(text("CREATE TABLE IF NOT EXISTS t (a)"))
