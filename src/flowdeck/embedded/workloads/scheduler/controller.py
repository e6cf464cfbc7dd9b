"""Gives each pod that has no node one.

Reads   Pod, Node, PersistentVolumeClaim, PodDisruptionBudget, Namespace, PodGroup
Writes  Pod (binding, condition PodScheduled, nominatedNodeName; deletion of victims), a claim's selected node, Events

There is one pass for everything that waits, not one for each pod: whoever is important comes first, and a burst of
changes ends in one pass. decide.py is that pass.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.controller.acts import carry_out
from flowdeck.controller.contract import DONE, Maps, Result
from flowdeck.controller.events import Events
from flowdeck.embedded.workloads.persistent_volumes.usage import SELECTED_NODE, claims_of_pod
from flowdeck.embedded.workloads.pod_conditions import write_condition
from flowdeck.embedded.workloads.pods import is_finished
from flowdeck.embedded.workloads.scheduler.decide import Plan, Scene, marks_of, schedule
from flowdeck.embedded.workloads.scheduler.preemption import Eviction
from flowdeck.embedded.workloads.scheduler.volumes import PodVolumes, volumes_of
from flowdeck.kube.conditions import Condition
from flowdeck.kube.errors import Conflict, NotFound
from flowdeck.kube.kinds import NAMESPACE, NODE, PERSISTENT_VOLUME_CLAIM, POD, POD_DISRUPTION_BUDGET
from flowdeck.kube.objects import (
    ObjectKey,
    Tree,
    annotations_of,
    get_in,
    is_being_deleted,
    key_of,
    labels_of,
    uid_of,
)

NAMES = frozenset({"default-scheduler", "volcano", "scheduler-plugins-scheduler"})
"""Values of `schedulerName` that mean us; pods of other schedulers are left to these."""
GATED = "Scheduling is blocked due to non-empty scheduling gates"
_PREEMPTED = Condition(
    type="DisruptionTarget",
    status="True",
    reason="PreemptionByScheduler",
    message="default-scheduler: preempting to accommodate a higher priority pod",
)
_PASS = ObjectKey("", "*")
"""Stands for "whatever waits"."""


def _wake(obj: Tree) -> Iterable[ObjectKey]:
    return (_PASS,)


@dataclass(frozen=True, kw_only=True)
class SchedulerController:
    client: Client
    clock: Clock
    events: Events
    name: str = "scheduler"
    kind: None = None
    watches: Sequence[Maps] = (Maps(POD, _wake), Maps(NODE, _wake), Maps(PERSISTENT_VOLUME_CLAIM, _wake))

    async def reconcile(self, key: ObjectKey) -> Result:
        """One pass over all that waits; there is one key, so passes never overlap."""
        without_node = (await self.client.list(POD, fields="spec.nodeName=")).items
        waiting = [pod for pod in without_node if _is_waiting(pod)]
        pending = [pod for pod in waiting if not get_in(pod, "spec", "schedulingGates")]
        for pod in waiting:
            if get_in(pod, "spec", "schedulingGates"):
                await self._say(pod, "SchedulingGated", GATED)
        if pending:
            scene = await self._look(pending)
            await self._carry_out(schedule(scene), scene)
        return DONE

    async def _look(self, pending: Sequence[Tree]) -> Scene:
        marks = marks_of(pending)
        groups = {mark: group for mark in marks if (group := await self.client.find(*mark)) is not None}
        pods = (await self.client.list(POD)).items if groups else await self._living()
        volumes = {uid_of(pod): await volumes_of(pod, self.client) for pod in pending if any(claims_of_pod(pod))}
        spaces: Mapping[str, Tree] = {}
        if any("affinity" in pod["spec"] for pod in pods):
            found = (await self.client.list(NAMESPACE)).items
            spaces = {space["metadata"]["name"]: space for space in found}
        return Scene(
            nodes=(await self.client.list(NODE)).items,
            pods=pods,
            pending=pending,
            groups=groups,
            budgets=(await self.client.list(POD_DISRUPTION_BUDGET)).items,
            volumes=volumes,
            namespaces=lambda name: labels_of(spaces[name]) if name in spaces else {},
        )

    async def _living(self) -> Sequence[Tree]:
        """The pods that have not ended: however many have, a pass costs what these cost."""
        phases = ("Pending", "Running", "Unknown")
        return [pod for phase in phases for pod in (await self.client.list(POD, fields=f"status.phase={phase}")).items]

    async def _carry_out(self, plan: Plan, scene: Scene) -> None:
        """Binds first: a pod that starts late costs more than a message that comes late."""
        acts = [self._bind(pod, node, scene.volumes.get(uid_of(pod))) for pod, node in plan.bind]
        acts += [self._make_room(pod, eviction) for pod, eviction in plan.evict]
        acts += [self._fail(pod, message) for pod, message in plan.fail if not _is_told(pod, message)]
        await carry_out(acts, but=(NotFound, Conflict))

    async def _bind(self, pod: Tree, node: str, volumes: PodVolumes | None) -> None:
        if volumes is not None and volumes.unbound:
            await self._choose_for_claims(volumes.unbound, node)
            return
        target = {"apiVersion": "v1", "kind": "Node", "name": node}
        metadata = {"name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"], "uid": uid_of(pod)}
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target}
        await self.client.create_sub(POD, key_of(pod), "binding", binding)
        message = f"Successfully assigned {key_of(pod)} to {node}"
        await self.events.event(pod, reason="Scheduled", message=message)

    async def _choose_for_claims(self, claims: Sequence[Tree], node: str) -> None:
        """The binder of claims takes over; the pod is bound when they are."""
        for claim in claims:
            if annotations_of(claim).get(SELECTED_NODE) != node:
                patch = {"metadata": {"annotations": {SELECTED_NODE: node}}}
                await self.client.patch(PERSISTENT_VOLUME_CLAIM, key_of(claim), patch)

    async def _make_room(self, pod: Tree, eviction: Eviction) -> None:
        node = eviction.place.name
        await self.client.patch_status(POD, key_of(pod), {"status": {"nominatedNodeName": node}})
        for victim in eviction.victims:
            if is_being_deleted(victim):
                continue
            await write_condition(self.client, victim, _PREEMPTED, now=self.clock.now())
            await self.client.delete(POD, key_of(victim), uid=uid_of(victim), missing_ok=True)
            told = f"Preempted by pod {uid_of(pod)} on node {node}"
            await self.events.event(victim, reason="Preempted", message=told)

    async def _fail(self, pod: Tree, message: str) -> None:
        if await self._say(pod, "Unschedulable", message):
            await self.events.event(pod, type="Warning", reason="FailedScheduling", message=message)

    async def _say(self, pod: Tree, reason: str, message: str) -> bool:
        """Writes why a pod has no node; False where it says so already."""
        condition = Condition(type="PodScheduled", status="False", reason=reason, message=message)
        return await write_condition(self.client, pod, condition, now=self.clock.now())


def _is_waiting(pod: Tree) -> bool:
    spec = pod["spec"]
    if spec.get("nodeName") or is_being_deleted(pod) or is_finished(pod):
        return False
    return spec.get("schedulerName", "default-scheduler") in NAMES


def _is_told(pod: Tree, message: str) -> bool:
    """Whether a pod says already why it has no node: of a thousand that wait, a pass writes about none."""
    return any(
        each["type"] == "PodScheduled" and each.get("message") == message and each.get("reason") == "Unschedulable"
        for each in get_in(pod, "status", "conditions", default=())
    )
