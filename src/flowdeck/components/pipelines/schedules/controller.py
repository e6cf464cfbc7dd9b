"""Starts the runs of recurring runs: on time, each point of a schedule once.

Reads   recurring runs, backfills, unfinished runs (SQL); PipelineVersions
Writes  runs, recurring runs, backfills (SQL)

A key is a recurring run. A run and the note that it was made are one transaction, and its id is made of the recurring
run and the point of time, so neither a crash nor a second leader makes two.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import ClassVar
from zlib import crc32

from flowdeck.clock import Clock
from flowdeck.components.pipelines.admission import document_in
from flowdeck.components.pipelines.catalog import Catalog
from flowdeck.components.pipelines.engine.run import Options
from flowdeck.components.pipelines.ir.document import Document
from flowdeck.components.pipelines.plan.compiler import compile_plan
from flowdeck.components.pipelines.runner.homes import Homes
from flowdeck.components.pipelines.schedules.decide import Seen, Step, decide
from flowdeck.components.pipelines.schedules.triggers import read_trigger
from flowdeck.components.pipelines.store import runs, schedules
from flowdeck.components.pipelines.store.experiments import NEVER
from flowdeck.components.pipelines.store.runs import Run
from flowdeck.components.pipelines.store.schedules import Progress, RecurringRun
from flowdeck.components.pipelines.submission import Submission, run_of
from flowdeck.controller.contract import DONE, Feeds, Result, look_again_in
from flowdeck.kube.errors import BadRequest, NotFound
from flowdeck.kube.objects import Kind, ObjectKey, uid_of
from flowdeck.sql.database import Database

FULL_S = 1.0
"""How often it is looked whether a run has ended, while as many are unfinished as may be."""
LONGEST_S = 60.0
"""Longest sleep: clocks are set, and machines sleep."""


@dataclass(frozen=True, kw_only=True)
class RecurringRunController:
    """See the module's text."""

    database: Database
    clock: Clock
    catalog: Catalog
    homes: Homes
    zone: str
    """Where lines of cron are read; empty: UTC."""
    options: Options
    """How runs are run that say nothing themselves."""
    begin: Callable[[Run], None]
    """Told of each new run."""
    pokes: list[Callable[[ObjectKey], None]] = field(default_factory=list)
    """Called with a recurring run that shall be looked at."""
    _taken_up: dict[ObjectKey, object] = field(default_factory=dict)
    """How each was when it was last asked to be looked at: from then on it has a time of its own for that."""

    name: ClassVar[str] = "recurring-run"
    kind: ClassVar[Kind | None] = None

    @property
    def watches(self) -> Sequence[Feeds]:
        return (Feeds(self.pokes.append),)

    def look_at(self, namespace: str, id: str) -> None:
        """It is new, or was changed."""
        for poke in self.pokes:
            poke(ObjectKey(namespace, id))

    async def open_all(self) -> None:
        """Takes up what may want to start runs, and is new here or was changed by others."""
        at_work = await self.database.read(schedules.at_work)
        for key, state in at_work.items():
            if self._taken_up.get(key) != state:
                self.look_at(key.namespace, key.name)
        self._taken_up.clear()
        self._taken_up.update(at_work)

    async def reconcile(self, key: ObjectKey) -> Result:
        try:
            seen = await self.database.read(partial(schedules.progress, id=key.name))
        except NotFound:
            return DONE
        now = self.clock.now()
        step = decide(_seen(seen, self.zone), now=now)
        if step.due is not None:
            await self._start(seen, step, step.due, now)
            return look_again_in(0)
        if step.backfill_is_done and seen.backfill is not None:
            await self.database.write(partial(schedules.end_backfill, number=seen.backfill.number))
            return look_again_in(0)
        if step.has_to_wait:
            return look_again_in(FULL_S)
        return DONE if step.next_at is None else look_again_in(min((step.next_at - now).total_seconds(), LONGEST_S))

    async def _start(self, seen: Progress, step: Step, due: datetime, now: datetime) -> None:
        recurring = seen.recurring
        try:
            document, version_id = await self._document(recurring)
            root = await self.homes.default_root(recurring.namespace)
            run = await asyncio.to_thread(self._run, recurring, document, version_id, root, due, now)
        except (BadRequest, NotFound) as error:
            why = f"the run of {due:%Y-%m-%dT%H:%M:%SZ} cannot be started: {error.message}"
            await self.database.write(partial(schedules.fail, id=recurring.id, error=why))
            raise
        start = partial(schedules.start, seen=seen, run=run, document=document, is_backfill=step.is_backfill)
        if await self.database.write(start):
            self.begin(run)

    async def _document(self, recurring: RecurringRun) -> tuple[Document, str]:
        """What its next run runs, and the id of the version that it is from. Raises `NotFound`."""
        if recurring.document:
            found = await self.database.read(partial(runs.document, hash=recurring.document))
            return found, recurring.pipeline_version_id
        version = await self.catalog.latest_version(recurring.pipeline_id)
        return document_in(version), uid_of(version)

    def _run(
        self, recurring: RecurringRun, document: Document, version_id: str, root: str, due: datetime, now: datetime
    ) -> Run:
        """Raises `InvalidPipeline`, `InvalidParameters`."""
        index = recurring.made + 1
        name = f"{recurring.resource_name}-{index}"
        wanted = Submission(
            id=schedules.run_id(recurring.id, due),
            name=f"{name}-{crc32(name.encode())}",
            description=recurring.description,
            experiment_id=recurring.experiment_id,
            namespace=recurring.namespace,
            plan=compile_plan(document),
            document=runs.hash_of(document),
            pipeline_id=recurring.pipeline_id,
            pipeline_version_id=version_id,
            parameters=recurring.parameters,
            pipeline_root=recurring.pipeline_root,
            default_root=root,
            service_account=recurring.service_account,
            plugins_input=recurring.plugins_input,
            recurring_run_id=recurring.id,
            scheduled_at=due,
            index=index,
            options=self.options,
        )
        return run_of(wanted, now)


def _seen(seen: Progress, zone: str) -> Seen:
    recurring, backfill = seen.recurring, seen.backfill
    return Seen(
        trigger=read_trigger(recurring.trigger, zone),
        created_at=recurring.created_at,
        last_at=None if recurring.last_at == NEVER else recurring.last_at,
        is_enabled=recurring.is_enabled,
        catches_up=not recurring.no_catchup,
        slots=recurring.max_concurrency - seen.unfinished,
        backfill=None if backfill is None else (backfill.begin, backfill.end),
    )
