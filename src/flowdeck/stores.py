"""Where components keep what is no API object: the database and the artifacts of the platform.

Each is opened when it is first asked for, so a platform whose components keep nothing loads neither.
"""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from flowdeck.artifacts.settings import ArtifactSettings
from flowdeck.kube.errors import ApiError, ServiceUnavailable

if TYPE_CHECKING:
    from flowdeck.artifacts.artifacts import Artifacts
    from flowdeck.sql.database import Database


@dataclass(frozen=True)
class Stores:
    """One platform's."""

    database_url: str = field(default="", repr=False)
    """Empty: SQLite in the folder."""
    artifact_settings: ArtifactSettings = field(default_factory=ArtifactSettings)
    folder: Path | None = None
    """The data folder; None on a cluster, where nothing is kept in files."""

    @cached_property
    def database(self) -> "Database":
        """Raises `ValueError` for a URL that is none, `ServiceUnavailable` where nothing is set."""
        from flowdeck.sql.database import Database

        if not self.database_url and self.folder is None:
            raise ServiceUnavailable("no database is set: components that need one have to wait for it")
        return Database(self.database_url or f"sqlite:///{self.folder}/flowdeck.db")

    @cached_property
    def artifacts(self) -> "Artifacts":
        """Raises `ValueError` for a URL that is none, `ServiceUnavailable` where nothing is set."""
        from flowdeck.artifacts.artifacts import Artifacts

        if not self.artifact_settings.url and self.folder is None:
            raise ServiceUnavailable("no artifact store is set: components that need one have to wait for it")
        return Artifacts(self.artifact_settings, (self.folder or Path()) / "artifacts")

    def open(self) -> None:
        """Opens what was set, so that wrong settings are told at the start. Raises `ValueError`."""
        if self.database_url:
            _ = self.database
        if self.artifact_settings.url:
            _ = self.artifacts

    async def check(self) -> dict[str, str]:
        """What is open and does not answer, with why: for readiness."""
        failures: dict[str, str] = {}
        for name in ("database", "artifacts"):
            if name in self.__dict__:
                try:
                    await self.__dict__[name].ping()
                except ApiError as error:
                    failures[name] = str(error)
        return failures

    async def close(self) -> None:
        if "database" in self.__dict__:
            await self.database.close()
