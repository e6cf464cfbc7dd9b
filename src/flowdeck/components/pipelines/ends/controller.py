"""Does what follows from the end of a run: notes how large its artifacts are, tells the web hooks.

Reads   ends, runs, artifacts (SQL); the artifact store
Writes  sizes of artifacts, ends (SQL); messages to web hooks

A key is a run. An end is in the same transaction as the run's last state, and goes when all is done: a web hook hears
of it at least once, with the same id each time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import ClassVar

import msgspec
import structlog
from sqlalchemy import Connection

from flowdeck.clock import Clock
from flowdeck.components.pipelines.api.run_message import run_message
from flowdeck.components.pipelines.contents import size_of
from flowdeck.components.pipelines.runner.homes import Homes
from flowdeck.components.pipelines.store import artifacts, ends, runs
from flowdeck.components.pipelines.store.ends import End
from flowdeck.components.pipelines.store.runs import Run
from flowdeck.controller.contract import DONE, Feeds, Result
from flowdeck.kube.errors import ApiError, BadRequest, NotFound, ServiceUnavailable
from flowdeck.kube.objects import Kind, ObjectKey
from flowdeck.kube.times import format_micro_time
from flowdeck.sql.database import Database
from flowdeck.web.webhooks import Webhooks

GIVE_UP = timedelta(days=1)
"""For how long a web hook is tried."""
BATCH = 500
"""Sizes that are written at once."""

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class RunEndController:
    """See the module's text."""

    database: Database
    clock: Clock
    homes: Homes
    urls: Sequence[str] = field(repr=False)
    webhooks: Webhooks
    pokes: list[Callable[[ObjectKey], None]] = field(default_factory=list)
    """Called with a run that shall be looked at."""
    _taken_up: set[ObjectKey] = field(default_factory=set)
    """Those that were asked to be looked at and are not done: who is tried again has a time for that."""

    name: ClassVar[str] = "pipeline-run-end"
    kind: ClassVar[Kind | None] = None

    @property
    def watches(self) -> Sequence[Feeds]:
        return (Feeds(self.pokes.append),)

    async def open_all(self) -> None:
        """Takes up what was not done and is new here."""
        waiting = {ObjectKey(namespace, id) for namespace, id in await self.database.read(ends.waiting)}
        for key in waiting - self._taken_up:
            self._taken_up.add(key)
            for poke in self.pokes:
                poke(key)

    async def reconcile(self, key: ObjectKey) -> Result:
        def read(connection: Connection) -> tuple[Run, list[End]]:
            return runs.get(connection, key.name), ends.of_run(connection, key.name)

        try:
            run, found = await self.database.read(read)
        except NotFound:
            self._taken_up.discard(key)
            return DONE
        if found:
            await self._measure(run)
        for end in found:
            await self._tell(run, end)
            await self.database.write(partial(ends.remove, number=end.number))
        self._taken_up.discard(key)
        return DONE

    # ---- sizes -------------------------------------------------------------------------------------------------

    async def _measure(self, run: Run) -> None:
        """What is in a store that cannot be reached stays unknown."""
        made = await self.database.read(partial(artifacts.unmeasured, run_id=run.id))
        if not made:
            return
        try:
            store, folder = await self.homes.contents(run.namespace, run.folder)
        except ApiError as error:
            log.debug("nobody knows how large artifacts are", run=run.id, error=str(error))
            return
        for at in range(0, len(made), BATCH):
            sizes: dict[str, int] = {}
            for artifact in made[at : at + BATCH]:
                try:
                    uri = artifact.uri.replace(run.folder, folder, 1)
                    sizes[artifact.id] = await size_of(store, uri) or 0
                except ApiError as error:
                    log.debug("nobody knows how large an artifact is", artifact=artifact.id, error=str(error))
            await self.database.write(partial(artifacts.note_sizes, sizes=sizes))

    # ---- web hooks ---------------------------------------------------------------------------------------------

    async def _tell(self, run: Run, end: End) -> None:
        """Raises `ServiceUnavailable` when somebody has not heard it yet, after the others have."""
        told, failures = list(end.told), []
        for url in self.urls:
            if url in told:
                continue
            try:
                await self.webhooks.post(url, _message(run), f"{run.id}-{format_micro_time(end.ended_at)}")
            except BadRequest as error:
                log.warning("a web hook refuses to hear of a run", run=run.id, error=str(error))
            except ServiceUnavailable as error:
                failures.append(error)
                continue
            told.append(url)
            await self.database.write(partial(ends.note, number=end.number, told=told))
        if failures and self.clock.now() - end.ended_at < GIVE_UP:
            raise failures[0]
        for failure in failures:
            log.warning("a web hook never heard of a run", run=run.id, error=str(failure))


def _message(run: Run) -> bytes:
    """The run as the REST wire tells it, without its document and tasks."""
    told = {"event": "RUN_FINISHED", "namespace": run.namespace, "run": run_message(run, None)}
    return msgspec.json.encode(told)
