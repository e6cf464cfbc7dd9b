"""Rows that are added unless they are there, or put in the place of what is there; the same in both databases.

All wait for units of work that add or remove the same keys just now. A row that was there already may be removed at
once: who relies on it locks it afterwards.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_new(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Whether it was added: nobody has any of its keys."""
    statement = _insert(table, connection.dialect.name).on_conflict_do_nothing()
    return connection.execute(statement.returning(*table.primary_key), row).first() is not None


def insert_all_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Adds those whose keys nobody has."""
    if rows:
        connection.execute(_insert(table, connection.dialect.name).on_conflict_do_nothing(), list(rows))


def put(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes whole rows, each with another primary key; what was there under that key is replaced."""
    if rows:
        connection.execute(_put(table, connection.dialect.name), [dict(row) for row in rows])


def _insert(table: Table, dialect: str) -> sqlite.Insert | postgresql.Insert:
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


@cache
def _put(table: Table, dialect: str) -> sqlite.Insert | postgresql.Insert:
    """Made once: what a statement costs is its making."""
    statement = _insert(table, dialect)
    keys = [column.name for column in table.primary_key]
    rest = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=rest)
