"""Tells on a TrainJob what keeps its pods from running: images that cannot be had, crash loops, no place to run.

Upstream leaves that to whoever looks at the pods.

Reads   Pod, TrainJob
Writes  Events on the TrainJob
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from flowdeck.client.base import Client
from flowdeck.components.training.types import TRAIN_JOB
from flowdeck.controller.contract import DONE, Maps, Result
from flowdeck.controller.events import Events
from flowdeck.kube.conditions import find_condition
from flowdeck.kube.job_set import names
from flowdeck.kube.kinds import POD
from flowdeck.kube.objects import Kind, ObjectKey, Tree, get_in, is_being_deleted, labels_of

_TROUBLE = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
        "ImageInspectError",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "CrashLoopBackOff",
    }
)
"""Reasons of waiting containers that will not go away by waiting alone."""


@dataclass(frozen=True, kw_only=True)
class PodTroubleController:
    """Reconciles the pods of TrainJobs: pods in trouble become Warning events, each told once while it lasts."""

    client: Client
    events: Events
    told: dict[ObjectKey, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    """What was last told of each pod in trouble, so that a pod that changes otherwise is not told of again."""

    name: ClassVar[str] = "trainjob-pods"
    kind: ClassVar[Kind] = POD
    watches: ClassVar[Sequence[Maps]] = ()

    async def reconcile(self, key: ObjectKey) -> Result:
        pod = await self.client.find(POD, key)
        troubles = () if pod is None else tuple(troubles_of(pod))
        if not troubles or pod is None:
            self.told.pop(key, None)
            return DONE
        if self.told.get(key) == troubles:
            return DONE
        job = await self.client.find(TRAIN_JOB, ObjectKey(key.namespace, labels_of(pod)[names.NAME]))
        if job is None:
            return DONE
        self.told[key] = troubles
        for reason, message in troubles:
            await self.events.event(job, type="Warning", reason=reason, message=message)
        return DONE


def troubles_of(pod: Tree) -> Iterator[tuple[str, str]]:
    """`(reason, message)` of everything that keeps a JobSet's pod from running."""
    if names.NAME not in labels_of(pod) or is_being_deleted(pod):
        return
    name = pod["metadata"]["name"]
    placed = find_condition(pod, "PodScheduled")
    if placed and placed["status"] == "False" and placed.get("reason") == "Unschedulable":
        yield "Unschedulable", f"Pod {name}: {placed.get('message', '')}"
    for held in ("initContainerStatuses", "containerStatuses"):
        for status in get_in(pod, "status", held, default=[]):
            waiting = get_in(status, "state", "waiting", default={})
            if waiting.get("reason") in _TROUBLE:
                told = _crash(pod, status) or waiting.get("message") or waiting["reason"]
                yield waiting["reason"], f"Pod {name}, container {status['name']}: {told}"


def _crash(pod: Tree, status: Tree) -> str:
    """How a container ended that is started again and again; the same words each time, so that they are one event."""
    ended = get_in(status, "lastState", "terminated")
    if get_in(status, "state", "waiting", "reason") != "CrashLoopBackOff" or not ended:
        return ""
    look = f"kubectl logs -n {pod['metadata']['namespace']} {pod['metadata']['name']} -c {status['name']} --previous"
    return (
        f"ended with exit code {ended['exitCode']} ({ended.get('reason', 'Error')}) and is started again; see `{look}`"
    )
