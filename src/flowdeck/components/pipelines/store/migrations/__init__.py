"""The steps by which the tables came to be."""

from pathlib import Path

from flowdeck.sql.migrations import Migrations

MIGRATIONS = Migrations("pipelines", Path(__file__).parent)
