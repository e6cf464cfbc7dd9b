"""Whose outputs a task takes instead of being run, and why it takes nobody's."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.components.pipelines.contents import is_there
from flowdeck.components.pipelines.engine.events import CacheAnswered, Outputs
from flowdeck.components.pipelines.engine.fingerprint import differences
from flowdeck.components.pipelines.engine.instructions import LookUpCache
from flowdeck.components.pipelines.engine.records import TaskRecord, task_record
from flowdeck.components.pipelines.engine.run_state import RunState
from flowdeck.components.pipelines.plan.types import CreatePvc
from flowdeck.components.pipelines.runner.homes import Homes
from flowdeck.components.pipelines.store import artifacts, cache
from flowdeck.components.pipelines.store.artifacts import Artifact
from flowdeck.components.pipelines.store.cache import Entry
from flowdeck.components.pipelines.store.runs import Run
from flowdeck.kube.errors import BadRequest, NotFound
from flowdeck.kube.kinds import PERSISTENT_VOLUME_CLAIM
from flowdeck.kube.objects import ObjectKey, is_being_deleted
from flowdeck.kube.times import format_time
from flowdeck.sql.database import Database


@dataclass(frozen=True, kw_only=True)
class Cache:
    """See the module's text."""

    client: Client
    clock: Clock
    database: Database
    homes: Homes
    ttl_s: float
    """For how long after its end a task may serve others; 0: for ever."""
    across_pipelines: bool

    async def answer(self, run: Run, state: RunState, asked: LookUpCache) -> CacheAnswered:
        """A hit has outputs that are all still there."""
        pipeline = None if self.across_pipelines else state.plan.name

        def read(connection: Connection) -> Sequence[TaskRecord]:
            return cache.candidates(connection, run.namespace, asked.fingerprint, pipeline)

        trouble = ""
        for found in await self.database.read(read):
            why_not = await self._why_not(run, state, asked, found)
            if not why_not:
                return self._answered(asked, f"outputs of task {found.name} of run {found.run}", _outputs(found))
            trouble = trouble or f"task {found.name} of run {found.run} was the same, but {why_not}"
        return self._answered(asked, trouble or await self._difference(run, state, asked))

    async def _why_not(self, run: Run, state: RunState, asked: LookUpCache, found: TaskRecord) -> str:
        """Why outputs cannot be taken; empty when they can."""
        ended_at = found.ended_at or 0
        if self.ttl_s and ended_at + self.ttl_s < self._now():
            told = format_time(datetime.fromtimestamp(ended_at, UTC))
            return f"it ended at {told}, and outputs are taken for {self.ttl_s:g} seconds"
        if isinstance(state.tasks[asked.task].task.component.body, CreatePvc):
            return await self._claim_gone(run, found)
        return await self._artifact_gone(found)

    async def _claim_gone(self, run: Run, found: TaskRecord) -> str:
        for output in found.output_parameters:
            key = ObjectKey(run.namespace, str(output.value))
            claim = await self.client.find(PERSISTENT_VOLUME_CLAIM, key)
            if claim is None or is_being_deleted(claim):
                return f"its claim {key.name} is gone"
        return ""

    async def _artifact_gone(self, found: TaskRecord) -> str:
        ids = {artifact.id: output.key for output in found.output_artifacts for artifact in output.artifacts}
        if not ids:
            return ""
        known = {each.id: each for each in await self.database.read(lambda c: artifacts.with_ids(c, list(ids)))}
        for id, key in ids.items():
            if id not in known:
                return f"its artifact {key} was removed"
            if await self._is_dead(known[id]):
                return f"the content of its artifact {key} is gone from {known[id].uri}"
        return ""

    async def _is_dead(self, artifact: Artifact) -> bool:
        """Whether it had a content, as far as is known, and has none now."""
        if not artifact.size_bytes:
            return False
        try:
            store, uri = await self.homes.contents(artifact.namespace, artifact.uri)
        except (BadRequest, NotFound):  # nobody can reach it as the namespace is set up now
            return True
        return not await is_there(store, uri)

    async def _difference(self, run: Run, state: RunState, asked: LookUpCache) -> str:
        """What sets it apart from the last one of its place."""
        record = task_record(state, asked.task)
        similar = await self.database.read(
            lambda connection: cache.similar(connection, run.namespace, state.plan.name, record)
        )
        if similar is None:
            return "no earlier task of this pipeline was in its place"
        told = ", ".join(told_differences(asked.parts, similar))
        return f"task {record.name} of run {similar.run_id} differed in {told}"

    def _answered(self, asked: LookUpCache, why: str, outputs: Outputs | None = None) -> CacheAnswered:
        return CacheAnswered(
            at=self._now(), cause="cache", task=asked.task, attempt=asked.attempt, outputs=outputs, why=why
        )

    def _now(self) -> float:
        return self.clock.now().timestamp()


def told_differences(parts: dict[str, str], other: Entry) -> list[str]:
    """In what two tasks of the same place differ; never empty."""
    return differences(parts, other.parts) or ["nothing: it was cleared, or is of another pipeline"]


def _outputs(found: TaskRecord) -> Outputs:
    return Outputs(
        {each.key: each.value for each in found.output_parameters},
        {each.key: each.artifacts for each in found.output_artifacts},
    )
