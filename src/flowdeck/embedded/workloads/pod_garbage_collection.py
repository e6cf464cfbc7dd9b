"""Ends pods that nobody will end: of nodes that are gone, deleted before they had a node, and old finished ones.

Reads   Pod, Node
Writes  Pod (status, deletion)
Source: Kubernetes (pkg/controller/podgc).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from flowdeck.client.base import Client, PatchType
from flowdeck.clock import Clock
from flowdeck.controller.contract import DONE, Maps, Result, look_again_in
from flowdeck.embedded.workloads.pods import created_at, is_finished
from flowdeck.kube.kinds import NODE, POD
from flowdeck.kube.objects import Kind, ObjectKey, Tree, get_in, is_being_deleted, key_of, uid_of
from flowdeck.kube.times import format_time

QUARANTINE_S = 40.0
"""How long a node must be missing before its pods are given up."""
FINISHED_LIMIT = 12_500
"""How many finished pods are kept, the newest ones."""


def node_of(pod: Tree) -> Iterable[ObjectKey]:
    """The node that a pod is on."""
    if name := get_in(pod, "spec", "nodeName"):
        yield ObjectKey("", name)


@dataclass(frozen=True, kw_only=True)
class LostNodeController:
    """Pods of nodes that are gone."""

    client: Client
    clock: Clock
    name: str = "pod-gc-lost-nodes"
    kind: Kind = NODE
    watches: Sequence[Maps] = (Maps(POD, node_of),)
    _missing_since: dict[str, float] = field(default_factory=dict)
    """Node name -> when it was first missed (monotonic)."""

    async def reconcile(self, key: ObjectKey) -> Result:
        if await self.client.find(NODE, key) is not None:
            self._missing_since.pop(key.name, None)
            return DONE
        pods = (await self.client.list(POD, fields=f"spec.nodeName={key.name}")).items
        if not pods:
            self._missing_since.pop(key.name, None)
            return DONE
        now = self.clock.monotonic()
        left_s = self._missing_since.setdefault(key.name, now) + QUARANTINE_S - now
        if left_s > 0:
            return look_again_in(left_s)
        for pod in pods:
            await self._end(pod)
        return DONE

    async def _end(self, pod: Tree) -> None:
        if not is_finished(pod):
            condition = {
                "type": "DisruptionTarget",
                "status": "True",
                "reason": "DeletionByPodGC",
                "message": "PodGC: node no longer exists",
                "lastTransitionTime": format_time(self.clock.now()),
            }
            status = {"phase": "Failed", "conditions": [condition]}
            await self.client.patch(
                POD, key_of(pod), {"status": status}, type=PatchType.STRATEGIC, subresource="status"
            )
        await self.client.delete(POD, key_of(pod), uid=uid_of(pod), grace_period_s=0, missing_ok=True)


@dataclass(frozen=True, kw_only=True)
class EndedPodController:
    """Pods that were deleted before they had a node, and finished ones beyond the limit."""

    client: Client
    finished_limit: int = FINISHED_LIMIT
    name: str = "pod-gc"
    kind: Kind = POD
    watches: Sequence[Maps] = ()

    async def reconcile(self, key: ObjectKey) -> Result:
        pod = await self.client.find(POD, key)
        if pod is None:
            return DONE
        if is_being_deleted(pod) and not get_in(pod, "spec", "nodeName") and not is_finished(pod):
            await self.client.patch_status(POD, key, {"status": {"phase": "Failed"}})
        elif is_finished(pod):
            await self._trim()
        return DONE

    async def _trim(self) -> None:
        everything = (await self.client.list(POD)).items
        if len(everything) <= self.finished_limit:
            return
        finished = sorted((pod for pod in everything if is_finished(pod)), key=created_at)
        for pod in finished[: max(0, len(finished) - self.finished_limit)]:
            await self.client.delete(POD, key_of(pod), uid=uid_of(pod), grace_period_s=0, missing_ok=True)
