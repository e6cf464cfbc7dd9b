"""Ends pods that nobody will end: of nodes that are gone, deleted before they had a node, and old finished ones.

Reads   Pod, Node
Writes  Pod (status, deletion)
Source: Kubernetes (pkg/controller/podgc).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.controller.contract import DONE, Maps, Result, look_again_in
from flowdeck.embedded.workloads.pod_conditions import write_condition
from flowdeck.embedded.workloads.pods import created_at, is_finished
from flowdeck.kube.conditions import Condition
from flowdeck.kube.kinds import NODE, POD
from flowdeck.kube.objects import Kind, ObjectKey, Tree, get_in, is_being_deleted, key_of, uid_of
from flowdeck.kube.times import parse_time

QUARANTINE_S = 40.0
"""How long a node must be missing before its pods are given up."""
FINISHED_LIMIT = 12_500
"""How many finished pods are kept, the newest ones."""
UNSCHEDULED_S = 20.0
"""How long a deleted pod without a node is left to whoever holds it: upstream looks as often."""
TRIM_S = 20.0
"""How often finished pods are counted: that costs as much as there are."""
_NODE_IS_GONE = Condition(
    type="DisruptionTarget", status="True", reason="DeletionByPodGC", message="PodGC: node no longer exists"
)
_FINISHED = ObjectKey("", "*")
"""Stands for all finished pods: no pod is without a namespace."""


def _when_finished(pod: Tree) -> Iterable[ObjectKey]:
    if is_finished(pod):
        yield _FINISHED


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
            await write_condition(self.client, pod, _NODE_IS_GONE, now=self.clock.now(), phase="Failed")
        await self.client.delete(POD, key_of(pod), uid=uid_of(pod), grace_period_s=0, missing_ok=True)


@dataclass(frozen=True, kw_only=True)
class EndedPodController:
    """Pods that were deleted before they had a node, and finished ones beyond the limit."""

    client: Client
    clock: Clock
    finished_limit: int = FINISHED_LIMIT
    name: str = "pod-gc"
    kind: Kind = POD
    watches: Sequence[Maps] = (Maps(POD, _when_finished),)
    _trimmed_at: list[float] = field(default_factory=list)
    """When finished pods were last counted (monotonic); empty: never."""

    async def reconcile(self, key: ObjectKey) -> Result:
        if key == _FINISHED:
            return await self._trim()
        pod = await self.client.find(POD, key)
        if pod is None:
            return DONE
        if is_being_deleted(pod) and not get_in(pod, "spec", "nodeName") and not is_finished(pod):
            age_s = (self.clock.now() - parse_time(pod["metadata"]["deletionTimestamp"])).total_seconds()
            if age_s < UNSCHEDULED_S:
                return look_again_in(UNSCHEDULED_S - age_s)
            await self.client.patch_status(POD, key, {"status": {"phase": "Failed"}})
        return DONE

    async def _trim(self) -> Result:
        now = self.clock.monotonic()
        if self._trimmed_at and (left_s := self._trimmed_at[-1] + TRIM_S - now) > 0:
            return look_again_in(left_s)
        self._trimmed_at[:] = [now]
        phases = ("Succeeded", "Failed")
        finished = [p for phase in phases for p in (await self.client.list(POD, fields=f"status.phase={phase}")).items]
        for pod in sorted(finished, key=created_at)[: max(0, len(finished) - self.finished_limit)]:
            await self.client.delete(POD, key_of(pod), uid=uid_of(pod), grace_period_s=0, missing_ok=True)
        return DONE
