"""Rows that are written whether they are there or not; the same in both databases."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import Insert


def put(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes whole rows, each with another primary key; what was there under that key is replaced."""
    if rows:
        connection.execute(_upsert(table, connection.dialect.name), [dict(row) for row in rows])


@cache
def _upsert(table: Table, dialect: str) -> Insert:
    """Made once: what a statement costs is its making."""
    statement = sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)
    keys = [column.name for column in table.primary_key]
    rest = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=rest)
