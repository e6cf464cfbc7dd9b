"""Rows that are added unless they are there, whoever adds them at the same time.

Both wait for units of work that add or remove the same keys just now. A row that was there already may be removed at
once: who relies on it locks it afterwards.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import Insert


def insert_new(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Whether it was added: nobody has any of its keys."""
    added = connection.execute(_insert(connection, table).returning(*table.primary_key), row)
    return added.first() is not None


def insert_all_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Adds those whose keys nobody has."""
    if rows:
        connection.execute(_insert(connection, table), list(rows))


def _insert(connection: Connection, table: Table) -> Insert:
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    return insert(table).on_conflict_do_nothing()
