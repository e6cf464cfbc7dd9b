"""The implementations that the suites run on."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from flowdeck.sql.database import Database
from tests.sql.postgresql import PostgreSql, postgresql


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSql]:
    with postgresql() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/test.db"
    server: PostgreSql = request.getfixturevalue("postgresql_server")
    return server.new_database(tmp_path.name)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()
