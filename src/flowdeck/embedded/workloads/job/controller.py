"""Keeps the pods of each Job in step with it.

Reads   Job, Pod (owned)
Writes  Pod, Job.status, Events
States  README.md; the choice between them is in decide.py and verdict.py, the protocol of counting in counting.py
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flowdeck.client.base import Client, PatchType
from flowdeck.clock import Clock
from flowdeck.controller.acts import carry_out
from flowdeck.controller.contract import DONE, Maps, Owns, Result, look_again_in
from flowdeck.controller.events import Events, tell
from flowdeck.controller.status import write_status
from flowdeck.embedded.workloads.job.back_off import BackOff
from flowdeck.embedded.workloads.job.decide import Step, decide
from flowdeck.embedded.workloads.job.pods import TRACKING, is_tracked
from flowdeck.embedded.workloads.job.spec import is_ours, read_job
from flowdeck.embedded.workloads.pod_control import create_pods, delete_pods
from flowdeck.kube.conditions import finished_type
from flowdeck.kube.errors import ApiError, NotFound
from flowdeck.kube.kinds import JOB, POD
from flowdeck.kube.objects import Kind, ObjectKey, Tree, controller_of, finalizers_of, key_of, uid_of


@dataclass(frozen=True, kw_only=True)
class JobController:
    client: Client
    clock: Clock
    events: Events
    back_off: BackOff
    name: str = "job"
    kind: Kind = JOB
    watches: Sequence[Maps] = (Owns(POD, owner=JOB),)

    async def reconcile(self, key: ObjectKey) -> Result:
        tree = await self.client.find(JOB, key)
        if tree is None or not is_ours(tree):
            return DONE
        pods = await self.client.owned(POD, tree)
        if finished_type(tree):
            await release(self.client, [pod for pod in pods if is_tracked(pod)])
            return DONE
        step = decide(read_job(tree), pods, back_off=self.back_off, now=self.clock.now())
        error = await self._act(tree, step)
        if error is not None:
            raise error
        return DONE if step.look_again_in_s is None else look_again_in(step.look_again_in_s)

    async def _act(self, tree: Tree, step: Step) -> ApiError | None:
        await release(self.client, [pod for pod in step.forget if is_tracked(pod)])
        error = await delete_pods(self.client, self.events, tree, [*step.forget, *step.stop])
        made, create_error = await create_pods(self.client, self.events, tree, step.create)
        if missing := len(step.create) - len(made):
            step.status["active"] = (step.status["active"] - missing) or None
        await write_status(self.client, JOB, tree, step.status)
        await release(self.client, step.release)
        await tell(self.events, tree, step.happened)
        return error or create_error


@dataclass(frozen=True, kw_only=True)
class OrphanPodController:
    """Lets go of pods that still wait to be counted by a Job that is gone, or that is not their owner any more."""

    client: Client
    name: str = "job-orphan-pods"
    kind: Kind = POD
    watches: Sequence[Maps] = ()

    async def reconcile(self, key: ObjectKey) -> Result:
        pod = await self.client.find(POD, key)
        if pod is None or not is_tracked(pod):
            return DONE
        owner = controller_of(pod)
        if owner and owner["kind"] == JOB.kind:
            job = await self.client.find(JOB, ObjectKey(key.namespace, owner["name"]))
            if job and uid_of(job) == owner["uid"]:
                return DONE
        await release(self.client, [pod])
        return DONE


async def release(client: Client, pods: Sequence[Tree]) -> None:
    """Takes the tracking finalizer off these pods, all at once."""
    await carry_out(_release(client, pod) for pod in pods)


async def _release(client: Client, pod: Tree) -> None:
    """Only if the finalizer still stands where it was seen, in this very pod; other changes do not matter."""
    path = f"/metadata/finalizers/{finalizers_of(pod).index(TRACKING)}"
    patch = [
        {"op": "test", "path": "/metadata/uid", "value": uid_of(pod)},
        {"op": "test", "path": path, "value": TRACKING},
        {"op": "remove", "path": path},
    ]
    try:
        await client.patch(POD, key_of(pod), patch, type=PatchType.JSON)
    except NotFound:
        return
