"""Keeps the Jobs, the headless Service and the claims of each JobSet in step with it.

Reads   JobSet, Job (owned), Service, PersistentVolumeClaim
Writes  Job, Service, PersistentVolumeClaim, JobSet.status, Events
States  README.md; the choice between them is in decide.py
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.components.job_set.children import claims_of, has_host_names, service_of
from flowdeck.components.job_set.decide import Step, decide
from flowdeck.controller.acts import carry_out
from flowdeck.controller.contract import DONE, Maps, Owns, Result, Terminal, look_again_in
from flowdeck.controller.events import Events, tell
from flowdeck.controller.status import write_status
from flowdeck.kube.errors import AlreadyExists, ApiError, NotFound
from flowdeck.kube.job_set.admission import claim_conflict
from flowdeck.kube.job_set.names import CONTROLLER
from flowdeck.kube.kinds import JOB, JOB_SET, PERSISTENT_VOLUME_CLAIM, SERVICE
from flowdeck.kube.objects import Kind, ObjectKey, Tree, get_in, is_being_deleted, is_controlled_by, key_of, uid_of


@dataclass(frozen=True, kw_only=True)
class JobSetController:
    client: Client
    clock: Clock
    events: Events
    name: str = "jobset"
    kind: Kind = JOB_SET
    watches: Sequence[Maps] = (Owns(JOB, owner=JOB_SET), Owns(SERVICE, owner=JOB_SET))

    async def reconcile(self, key: ObjectKey) -> Result:
        job_set = await self.client.find(JOB_SET, key)
        if job_set is None or is_being_deleted(job_set):
            return DONE
        if get_in(job_set, "spec", "managedBy", default=CONTROLLER) != CONTROLLER:
            return DONE
        step = decide(job_set, await self.client.owned(JOB, job_set), now=self.clock.now())
        try:
            await self._act(job_set, step)
        finally:
            await self._report(job_set, step)
        return DONE if step.look_again_in_s is None else look_again_in(step.look_again_in_s)

    async def _report(self, job_set: Tree, step: Step) -> None:
        await write_status(self.client, JOB_SET, job_set, step.status)
        await tell(self.events, job_set, step.happened)

    async def _act(self, job_set: Tree, step: Step) -> None:
        if step.deletes_itself:
            uid = uid_of(job_set)
            await self.client.delete(JOB_SET, key_of(job_set), propagation="Foreground", uid=uid, missing_ok=True)
            return
        await carry_out(self._delete(job) for job in step.delete)
        if step.has_network:
            await self._ensure_network(job_set)
        await self._create_jobs(job_set, step)
        await carry_out(
            (self.client.patch(JOB, key_of(job), {"spec": {"suspend": True}}) for job in step.suspend), but=(NotFound,)
        )
        await carry_out((self._resume(job, patch) for job, patch in step.resume), but=(NotFound,))

    async def _delete(self, job: Tree) -> None:
        await self.client.delete(JOB, key_of(job), propagation="Foreground", uid=uid_of(job), missing_ok=True)

    async def _ensure_network(self, job_set: Tree) -> None:
        if has_host_names(job_set):
            service = service_of(job_set)
            if await self.client.find(SERVICE, key_of(service)) is None:
                await self._create(job_set, SERVICE, service, "HeadlessServiceCreationFailed")
        for claim, retention in claims_of(job_set):
            await self._ensure_claim(job_set, claim, retention)

    async def _ensure_claim(self, job_set: Tree, claim: Tree, retention: str) -> None:
        existing = await self.client.find(PERSISTENT_VOLUME_CLAIM, key_of(claim))
        if existing is None:
            await self._create(job_set, PERSISTENT_VOLUME_CLAIM, claim, "PVCCreationFailed")
        elif not is_controlled_by(existing, job_set) and (why := claim_conflict(claim, retention, existing)):
            await self.events.event(job_set, type="Warning", reason="PVCCreationFailed", message=why)
            raise Terminal(why)

    async def _create_jobs(self, job_set: Tree, step: Step) -> None:
        await carry_out(self._create(job_set, JOB, job, "JobCreationFailed") for job in step.create)

    async def _create(self, job_set: Tree, kind: Kind, obj: Tree, reason: str) -> None:
        """Creates a child; that it is there already, as ours, is as good."""
        try:
            await self.client.create(kind, obj)
        except AlreadyExists as error:
            existing = await self.client.find(kind, key_of(obj))
            if existing is not None and not is_controlled_by(existing, job_set):
                await self.events.event(job_set, type="Warning", reason=reason, message=error.message)
                raise
        except ApiError as error:
            await self.events.event(job_set, type="Warning", reason=reason, message=error.message)
            raise

    async def _resume(self, job: Tree, patch: Tree) -> None:
        """The start time goes first: only a Job that never started may change its template."""
        if get_in(job, "status", "startTime"):
            await self.client.patch_status(JOB, key_of(job), {"status": {"startTime": None}})
        await self.client.patch(JOB, key_of(job), patch)
