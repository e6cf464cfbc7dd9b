"""Archives and removes what is old, and empties the folders of removed runs; as it is set.

Reads   runs, artifacts, leftovers, sweeps (SQL); the artifact store
Writes  runs, artifacts, leftovers, sweeps (SQL); removes from the artifact store

What cannot be removed from a store just now holds up nothing else, and is tried again by the next sweep.

A key is a run that was removed, or `SWEEP`. All of it may be done twice: content goes first, what tells of it last.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import ClassVar, Final

import structlog
from sqlalchemy import Connection

from flowdeck.clock import Clock
from flowdeck.components.pipelines.contents import remove_content
from flowdeck.components.pipelines.runner.homes import Homes
from flowdeck.components.pipelines.runner.task_pods import LOG
from flowdeck.components.pipelines.settings import RetentionSettings
from flowdeck.components.pipelines.store import artifacts, retention, runs
from flowdeck.components.pipelines.store.retention import Leftover
from flowdeck.components.pipelines.store.runs import Run
from flowdeck.controller.contract import DONE, Feeds, Result, look_again_in
from flowdeck.kube.errors import ApiError, BadRequest, NotFound
from flowdeck.kube.objects import Kind, ObjectKey
from flowdeck.sql.database import Database

SWEEP: Final = ObjectKey("", "sweep")
"""The key that asks to look what is old."""
BATCH: Final = 100
"""Of each kind that are dealt with before others have their turn (upstream: `RUNS_GC_BATCH_SIZE`)."""
GRACE_S: Final = 60.0
"""After a run was removed, until its folder is emptied: its pods may still be stopping, and writing."""

log = structlog.get_logger()


@dataclass
class Way:
    """How far a sweep has come through what is old, from the oldest, in several turns."""

    after: tuple[datetime, str] | None = None
    """Where the next turn begins; None: a new sweep."""
    is_clean: bool = True
    """Nothing was left for the next sweep."""

    def went(self, places: Sequence[tuple[datetime, str]]) -> int:
        """To the last of these; gives how many there are. Less than a batch is the end of a sweep."""
        is_over = len(places) < BATCH
        self.after = None if is_over else places[-1]
        self.is_clean = self.is_clean or is_over
        return len(places)


@dataclass(frozen=True, kw_only=True)
class RetentionController:
    """See the module's text."""

    database: Database
    clock: Clock
    homes: Homes
    settings: RetentionSettings
    pokes: list[Callable[[ObjectKey], None]] = field(default_factory=list)
    """Called with a key that shall be looked at."""
    _taken_up: set[ObjectKey] = field(default_factory=set)
    """Those that were asked to be looked at and are not done."""
    _logs: Way = field(default_factory=Way)
    _artifacts: Way = field(default_factory=Way)

    name: ClassVar[str] = "pipeline-retention"
    kind: ClassVar[Kind | None] = None

    @property
    def watches(self) -> Sequence[Feeds]:
        return (Feeds(self.pokes.append),)

    async def open_all(self) -> None:
        """Takes up what was not done and is new here."""
        left = {ObjectKey("", id) for id in await self.database.read(retention.leftovers)}
        for key in {SWEEP, *left} - self._taken_up:
            self._taken_up.add(key)
            for poke in self.pokes:
                poke(key)

    async def reconcile(self, key: ObjectKey) -> Result:
        if key == SWEEP:
            return await self._sweep()
        left = await self.database.read(partial(retention.leftover, run_id=key.name))
        if left is not None:
            wait_s = GRACE_S - (self.clock.now() - left.removed_at).total_seconds()
            if wait_s > 0:
                return look_again_in(wait_s)
            await self._empty(key.name, left)
        self._taken_up.discard(key)
        return DONE

    async def _sweep(self) -> Result:
        steps = (self._archive, self._remove, self._forget_logs, self._forget_artifacts)
        counts = [await step() for step in steps]
        return look_again_in(0 if max(counts) == BATCH else self.settings.every_s)

    # ---- runs --------------------------------------------------------------------------------------------------

    async def _archive(self) -> int:
        if not self.settings.archive_runs_s:
            return 0
        before = self._before(self.settings.archive_runs_s)
        return await self.database.write(partial(retention.archive_finished, before=before, limit=BATCH))

    async def _remove(self) -> int:
        if not self.settings.remove_archived_runs_s:
            return 0
        before = self._before(self.settings.remove_archived_runs_s)
        old = await self.database.read(partial(retention.archived, before=before, limit=BATCH))
        leaves_at = self.clock.now() if self.settings.with_runs else None
        for id in old:
            await self.database.write(partial(runs.remove, id=id, leaves_at=leaves_at))
            log.info("removed an archived run", run=id)
        if self.settings.with_runs:
            await self.open_all()
        return len(old)

    async def _empty(self, run_id: str, left: Leftover) -> None:
        """Removes what a removed run's tasks made and left, but for what other runs have from the cache."""
        gone, kept = await self.database.read(partial(artifacts.unlinked_of, run_id=run_id))
        try:
            for artifact in gone:
                await remove_content(self.homes, artifact)
            await self._clear(left, [artifact.uri for artifact in kept if artifact.uri])
        except (BadRequest, NotFound) as error:
            log.warning("the folder of a removed run cannot be emptied", run=run_id, error=str(error))

        def forget(connection: Connection) -> None:
            artifacts.discard(connection, [artifact.id for artifact in gone])
            retention.forget_leftover(connection, run_id)

        await self.database.write(forget)

    async def _clear(self, left: Leftover, kept: Sequence[str]) -> None:
        store, prefix = await self.homes.contents(left.namespace, left.prefix)
        places = [uri.replace(left.prefix, prefix, 1) for uri in kept]
        async for info in store.list(prefix):
            if not any(info.uri == uri or info.uri.startswith(f"{uri}/") for uri in places):
                await store.delete(info.uri)

    # ---- logs and artifacts ------------------------------------------------------------------------------------

    async def _forget_logs(self) -> int:
        if not self.settings.remove_logs_s:
            return 0
        before = self._before(self.settings.remove_logs_s)
        way = self._logs
        find = partial(retention.finished_since, sweep=LOG, before=before, limit=BATCH, after=way.after)
        old = await self.database.read(find)
        for run in old:
            if not await _tried(self._remove_logs(run), "the logs of a run cannot be removed", run=run.id):
                way.is_clean = False
            if way.is_clean:
                await self.database.write(partial(retention.note, sweep=LOG, run=run))
        return way.went([(run.finished_at, run.id) for run in old])

    async def _remove_logs(self, run: Run) -> None:
        store, folder = await self.homes.contents(run.namespace, run.folder)
        async for info in store.list(folder):
            if info.uri.rpartition("/")[2].startswith(LOG):
                await store.delete(info.uri)

    async def _forget_artifacts(self) -> int:
        if not self.settings.remove_artifacts_s:
            return 0
        before = self._before(self.settings.remove_artifacts_s)
        way = self._artifacts
        old = await self.database.read(partial(artifacts.aged, before=before, limit=BATCH, after=way.after))
        for artifact in old:
            removal, told = remove_content(self.homes, artifact), "the content of an artifact cannot be removed"
            if await _tried(removal, told, artifact=artifact.id):
                await self.database.write(partial(artifacts.discard, ids=[artifact.id]))
        return way.went([(artifact.created_at, artifact.id) for artifact in old])

    def _before(self, age_s: int) -> datetime:
        return self.clock.now() - timedelta(seconds=age_s)


async def _tried(removal: Awaitable[None], told: str, **of: str) -> bool:
    """Whether it is done, or never can be; False: it is to be tried again."""
    try:
        await removal
    except (BadRequest, NotFound) as error:
        log.warning(told, error=str(error), **of)
    except ApiError as error:
        log.warning(f"{told} just now", error=str(error), **of)
        return False
    return True
