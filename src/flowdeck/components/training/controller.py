"""Keeps one JobSet, and what it needs, in step with each TrainJob.

Reads   TrainJob, its runtime (once, then the snapshot of it), JobSet and the other children
Writes  children (server-side apply), TrainJob.status, the annotation of the last error, Events
States  README.md, "States"; the choice between them is in decide.py
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.components.training.children import Children
from flowdeck.components.training.decide import Step, decide, failed, is_finished, is_permanent
from flowdeck.components.training.metrics import Phases
from flowdeck.components.training.types import (
    LAST_ERROR_ANNOTATION,
    OLD_RUNTIME_FINALIZER,
    TRAIN_JOB,
    Reason,
    train_job_of,
)
from flowdeck.controller.contract import DONE, Maps, Owns, Result, look_again_in
from flowdeck.controller.events import Events
from flowdeck.controller.status import write_status
from flowdeck.kube.errors import ApiError
from flowdeck.kube.kinds import CONFIG_MAP, JOB_SET
from flowdeck.kube.objects import (
    Kind,
    ObjectKey,
    Tree,
    annotations_of,
    finalizers_of,
    is_being_deleted,
    is_controlled_by,
)

_MAX_EVENT = 950
"""Characters of an error that fit into an event's message."""


@dataclass(frozen=True, kw_only=True)
class TrainJobController:
    """Reconciles TrainJobs."""

    client: Client
    clock: Clock
    events: Events
    children: Children
    phases: Phases

    name: ClassVar[str] = "trainjob"
    kind: ClassVar[Kind] = TRAIN_JOB
    watches: ClassVar[Sequence[Maps]] = (
        Owns(JOB_SET, owner=TRAIN_JOB),
        Owns(CONFIG_MAP, owner=TRAIN_JOB),
    )

    async def reconcile(self, key: ObjectKey) -> Result:
        tree = await self.client.find(TRAIN_JOB, key)
        self.phases.note(key, tree, now=self.clock.now())
        if tree is None or is_being_deleted(tree) or is_finished(tree):
            return DONE
        job = train_job_of(tree)
        if not job.is_ours:
            return DONE
        step = decide(tree, job, await self._job_set(tree, key), now=self.clock.now())
        error = await self._act(tree, step)
        if error is not None and is_permanent(error):
            message = f"TrainJob resources reconciliation failed: {error}"
            step = Step(status=failed({"status": step.status}, Reason.CREATION_FAILED, message, now=self.clock.now()))
        await self._tell(tree, step, error)
        if error is not None and not is_permanent(error):
            raise error
        if step.deadline is None:
            return DONE
        return look_again_in((step.deadline - self.clock.now()).total_seconds())

    async def _job_set(self, tree: Tree, key: ObjectKey) -> Tree | None:
        """Its own JobSet; one of the same name that belongs to somebody else says nothing about this job."""
        found = await self.client.find(JOB_SET, key)
        return found if found is not None and is_controlled_by(found, tree) else None

    async def _act(self, tree: Tree, step: Step) -> ApiError | None:
        """Does what the step says of the children; gives back what went wrong, so that status is written first."""
        job = train_job_of(tree)
        try:
            if step.build:
                await self.children.bring_about(tree, job)
            if step.delete_job_set:
                await self.client.delete(JOB_SET, job.key, propagation="Background", missing_ok=True)
        except ApiError as error:
            return error
        return None

    async def _tell(self, tree: Tree, step: Step, error: ApiError | None) -> None:
        """Writes status and the last error where they differ, then the event."""
        key = train_job_of(tree).key
        await write_status(self.client, TRAIN_JOB, tree, step.status)
        text = None if error is None or is_permanent(error) else str(error)
        if text != annotations_of(tree).get(LAST_ERROR_ANNOTATION):
            annotations = {LAST_ERROR_ANNOTATION: text}
            await self.client.patch(TRAIN_JOB, key, {"metadata": {"annotations": annotations}})
        if error is not None:
            await self.events.event(
                tree, type="Warning", reason=str(Reason.CREATION_FAILED), message=_event_text(error)
            )


@dataclass(frozen=True, kw_only=True)
class RuntimeController:
    """Takes a finalizer off runtimes that Trainer before v2.3 has put on and nobody would ever remove."""

    client: Client
    kind: Kind

    watches: ClassVar[Sequence[Maps]] = ()

    @property
    def name(self) -> str:
        return self.kind.kind.lower()

    async def reconcile(self, key: ObjectKey) -> Result:
        runtime = await self.client.find(self.kind, key)
        if runtime is None or OLD_RUNTIME_FINALIZER not in finalizers_of(runtime):
            return DONE
        kept = [item for item in finalizers_of(runtime) if item != OLD_RUNTIME_FINALIZER]
        metadata = {"finalizers": kept, "resourceVersion": runtime["metadata"]["resourceVersion"]}
        await self.client.patch(self.kind, key, {"metadata": metadata})
        return DONE


def _event_text(error: ApiError) -> str:
    text = f"TrainJob resources reconciliation failed: {error}"
    return text if len(text) <= _MAX_EVENT else text[:_MAX_EVENT] + " ..."
