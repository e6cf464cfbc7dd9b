"""Brings the tables of a component to the newest version, each step once, whoever asks first.

A component keeps its steps as an Alembic folder: `versions/0001_runs.py` with `upgrade()`. Its history is counted in a
table of its own, so components come and go by themselves. Nothing is ever undone: there is no `downgrade()`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text

from flowdeck.kube.errors import ServiceUnavailable
from flowdeck.sql.database import Database

_LOCK = 7_210_036
"""Key of PostgreSQL's advisory lock: of replicas that start together, one migrates and the others wait."""


class NewerDatabase(ServiceUnavailable):
    """The database was used by a newer version of the platform."""


@dataclass(frozen=True)
class Migrations:
    """One component's."""

    name: str
    """The component's: `pipelines`."""
    folder: Path
    """Holds the folder `versions`."""

    @property
    def version_table(self) -> str:
        return f"{self.name}_version"

    async def run(self, database: Database) -> None:
        """Raises `NewerDatabase`, `ServiceUnavailable`. All steps are one transaction."""
        await database.write(self._upgrade)

    def _upgrade(self, connection: Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        config = Config()
        config.set_main_option("script_location", str(self.folder).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        script = ScriptDirectory.from_config(config)

        def steps(revision: Any, context: Any) -> Any:
            return script._upgrade_revs("head", revision)

        with EnvironmentContext(config, script, fn=steps) as environment:
            environment.configure(connection=connection, version_table=self.version_table, render_as_batch=True)
            try:
                environment.run_migrations()
            except CommandError as error:
                raise NewerDatabase(
                    f"the tables of {self.name} are of a newer version than this one knows ({error}): "
                    "use that version again, or another database"
                ) from error
