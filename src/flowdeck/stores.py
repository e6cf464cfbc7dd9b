"""Where components keep what is no API object: the database and the artifacts of the platform.

Each is opened when it is first asked for, so a platform whose components keep nothing loads neither.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from flowdeck.artifacts.settings import ArtifactSettings
from flowdeck.kube.errors import ApiError, ServiceUnavailable
from flowdeck.kube.objects import ObjectKey
from flowdeck.loading import load

if TYPE_CHECKING:
    from flowdeck.artifacts.artifacts import Artifacts
    from flowdeck.sql.database import Database

DATABASE_FILE = "flowdeck.db"
"""In the data folder."""


class News:
    """Who changes the database tells those who act on it in the same process: servers tell controllers.

    Of what other processes change nobody hears: who acts on it looks there himself, now and then.
    """

    def __init__(self) -> None:
        self._listeners: dict[str, Callable[[ObjectKey], None]] = {}

    def listen(self, topic: str, act: Callable[[ObjectKey], None]) -> Callable[[], None]:
        """There is one listener of a topic: the latest. Gives what takes it away."""
        self._listeners[topic] = act

        def leave() -> None:
            if self._listeners.get(topic) is act:
                del self._listeners[topic]

        return leave

    def tell(self, topic: str, key: ObjectKey) -> None:
        """From the event loop."""
        if topic in self._listeners:
            self._listeners[topic](key)


@dataclass(frozen=True)
class Stores:
    """One platform's."""

    database_url: str = field(default="", repr=False)
    """Empty: SQLite in the folder."""
    artifact_settings: ArtifactSettings = field(default_factory=ArtifactSettings)
    folder: Path | None = None
    """The data folder; None on a cluster, where nothing is kept in files."""
    news: News = field(default_factory=News)
    _locks: "defaultdict[str, asyncio.Lock]" = field(default_factory=lambda: defaultdict(asyncio.Lock), repr=False)
    _newest: set[str] = field(default_factory=set, repr=False)

    @property
    def is_shared(self) -> bool:
        """Whether other processes may use the same database."""
        return bool(self.database_url)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever kept: then there is nothing to take up."""
        return not self.database_url and (self.folder is None or not (self.folder / DATABASE_FILE).exists())

    async def tables(self, migrations: str) -> "Database":
        """The database, once the tables of the module `migrations` are of the newest version.

        Loads what is heavy in a thread. Raises what `database` does, `NewerDatabase`.
        """
        async with self._locks[migrations]:
            if migrations not in self._newest:
                module = await load(migrations)
                await module.MIGRATIONS.run(self.database)
                self._newest.add(migrations)
        return self.database

    @cached_property
    def database(self) -> "Database":
        """Raises `ValueError` for a URL that is none, `ServiceUnavailable` where nothing is set."""
        from flowdeck.sql.database import Database

        if not self.database_url and self.folder is None:
            raise ServiceUnavailable("no database is set: components that need one have to wait for it")
        return Database(self.database_url or f"sqlite:///{self.folder}/{DATABASE_FILE}")

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
