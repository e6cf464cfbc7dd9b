"""Starts a Job whenever a CronJob is due, and keeps only so many finished ones.

Reads   CronJob, Job (owned)
Writes  Job, CronJob.status, Events
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.controller.contract import DONE, Maps, Owns, Result, look_again_in
from flowdeck.controller.events import Events, Happening, tell
from flowdeck.controller.status import write_status
from flowdeck.embedded.workloads.cron_job.decide import Step, decide, note_start
from flowdeck.kube.errors import AlreadyExists, ApiError
from flowdeck.kube.kinds import CRON_JOB, JOB
from flowdeck.kube.objects import Kind, ObjectKey, Tree, is_being_deleted, is_controlled_by, key_of


@dataclass(frozen=True, kw_only=True)
class CronJobController:
    client: Client
    clock: Clock
    events: Events
    name: str = "cronjob"
    kind: Kind = CRON_JOB
    watches: Sequence[Maps] = (Owns(JOB, owner=CRON_JOB),)
    _told: dict[ObjectKey, tuple[datetime | None, set[Happening]]] = field(default_factory=dict)
    """CronJob -> which time was due, and what was told of it: once is enough."""

    async def reconcile(self, key: ObjectKey) -> Result:
        cron_job = await self.client.find(CRON_JOB, key)
        if cron_job is None or is_being_deleted(cron_job):
            self._told.pop(key, None)
            return DONE
        jobs = await self.client.owned(JOB, cron_job)
        step = decide(cron_job, jobs, now=self.clock.now())
        await self._act(cron_job, step)
        return DONE if step.look_again_in_s is None else look_again_in(step.look_again_in_s)

    async def _act(self, cron_job: Tree, step: Step) -> None:
        try:
            for job in [*step.replace, *(_reference(job) for job in step.clean_up)]:
                await self._delete(cron_job, job)
            if step.create is not None:
                created = await self._create(cron_job, step.create)
                note_start(step, created)
        finally:
            await write_status(self.client, CRON_JOB, cron_job, step.status)
        due, told = self._told.get(key_of(cron_job), (None, set()))
        await tell(self.events, cron_job, (news for news in step.happened if news not in told or due != step.due))
        self._told[key_of(cron_job)] = step.due, set(step.happened)

    async def _delete(self, cron_job: Tree, job: Tree) -> None:
        key = ObjectKey(job["namespace"], job["name"])
        await self.client.delete(JOB, key, propagation="Background", uid=job["uid"], missing_ok=True)
        await self.events.event(cron_job, reason="SuccessfulDelete", message=f"Deleted job {job['name']}")

    async def _create(self, cron_job: Tree, job: Tree) -> Tree:
        """Creates the Job; one that a crashed run has created before is as good."""
        try:
            created = await self.client.create(JOB, job)
        except AlreadyExists:
            existing = await self.client.get(JOB, key_of(job))
            if not is_controlled_by(existing, cron_job):
                raise
            return existing
        except ApiError as error:
            message = f"Error creating job: {error.message}"
            await self.events.event(cron_job, type="Warning", reason="FailedCreate", message=message)
            raise
        name = created["metadata"]["name"]
        await self.events.event(cron_job, reason="SuccessfulCreate", message=f"Created job {name}")
        return created


def _reference(job: Tree) -> Tree:
    meta = job["metadata"]
    return {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]}
