"""The tables of a small store: runs, and the history of each. `steps/` makes them."""

from sqlalchemy import Column, ForeignKey, Index, Integer, Table, Text

from flowdeck.sql.types import Json, Moment, new_metadata

METADATA = new_metadata()
RUNS = Table(
    "runs",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("labels", Json, nullable=False),
    Index(None, "created_at", "id"),
)
EVENTS = Table(
    "events",
    METADATA,
    Column("run", Text, ForeignKey("runs.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("what", Json, nullable=False),
)
