"""Watches over nodes: one that does not renew its Lease becomes Unknown, tainted, and loses its pods after a while.

Reads   Node, Lease, Pod
Writes  Node (conditions, taints), Pod (condition Ready, DisruptionTarget, deletion), Events

Time counts from when a renewal was seen here, not from what the Lease says: after a restart of the platform, or when
the machine slept, a node has its full grace again. Pods stay for as long as they tolerate the taint (300 s, unless they
say otherwise), so a node process that is started again loses nothing.

Source: Kubernetes (pkg/controller/nodelifecycle, pkg/controller/tainteviction).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from flowdeck.client.base import Client, PatchType
from flowdeck.clock import Clock
from flowdeck.controller.contract import DONE, Maps, Result, look_again_in
from flowdeck.controller.events import Events
from flowdeck.embedded.workloads.node_fit import tolerates
from flowdeck.embedded.workloads.pod_conditions import write_condition
from flowdeck.embedded.workloads.pod_garbage_collection import node_of
from flowdeck.embedded.workloads.pods import is_finished, is_ready
from flowdeck.kube.conditions import Condition, find_condition
from flowdeck.kube.kinds import LEASE, NODE, POD
from flowdeck.kube.objects import Kind, ObjectKey, Tree, copy_of, get_in, is_being_deleted, key_of, uid_of
from flowdeck.kube.times import format_time, parse_time

GRACE_S = 40.0
"""How long a node may be silent."""
LEASES = "kube-node-lease"
_PREFIX = "node.kubernetes.io/"
_CONDITIONS = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
_BY_CONDITION = (
    ("MemoryPressure", "True", "memory-pressure", ("NoSchedule",)),
    ("DiskPressure", "True", "disk-pressure", ("NoSchedule",)),
    ("PIDPressure", "True", "pid-pressure", ("NoSchedule",)),
    ("NetworkUnavailable", "True", "network-unavailable", ("NoSchedule",)),
    ("Ready", "False", "not-ready", ("NoSchedule", "NoExecute")),
    ("Ready", "Unknown", "unreachable", ("NoSchedule", "NoExecute")),
)
_NOT_READY = Condition(type="Ready", status="False", reason="NodeNotReady")
_TAINTED = Condition(
    type="DisruptionTarget",
    status="True",
    reason="DeletionByTaintManager",
    message="Taint manager: deleting due to NoExecute taint",
)
_OURS = frozenset(_PREFIX + name for _, _, name, _ in _BY_CONDITION) | {_PREFIX + "unschedulable"}


def _node_of_lease(lease: Tree) -> Iterable[ObjectKey]:
    if lease["metadata"]["namespace"] == LEASES:
        yield ObjectKey("", lease["metadata"]["name"])


@dataclass(frozen=True, kw_only=True)
class NodeLifeCycleController:
    client: Client
    clock: Clock
    events: Events
    name: str = "node-lifecycle"
    kind: Kind = NODE
    watches: Sequence[Maps] = (Maps(LEASE, _node_of_lease), Maps(POD, node_of))
    _heard: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Node -> the last sign of life, and when it was seen (monotonic)."""

    async def reconcile(self, key: ObjectKey) -> Result:
        node = await self.client.find(NODE, key)
        if node is None or is_being_deleted(node):
            self._heard.pop(key.name, None)
            return DONE
        waits = [self._silent_in_s(node, await self.client.find(LEASE, ObjectKey(LEASES, key.name)))]
        if waits[0] <= 0:
            node = await self._declare_unknown(node)
            waits = []
        node = await self._taint(node)
        if _lethal(node):
            waits += await self._evict(node)
        return look_again_in(min(waits)) if waits else DONE

    # ---- signs of life ----------------------------------------------------------------------------------------------

    def _silent_in_s(self, node: Tree, lease: Tree | None) -> float:
        """Seconds until the node has been silent for too long."""
        ready = find_condition(node, "Ready") or {}
        sign = f"{get_in(lease, 'spec', 'renewTime', default='')} {ready.get('lastHeartbeatTime', '')}"
        last, seen = self._heard.get(key_of(node).name, ("", 0.0))
        if sign != last:
            seen = self.clock.monotonic()
            self._heard[key_of(node).name] = (sign, seen)
        return seen + GRACE_S - self.clock.monotonic()

    async def _declare_unknown(self, node: Tree) -> Tree:
        now = format_time(self.clock.now())
        changed = []
        for type_ in _CONDITIONS:
            old = find_condition(node, type_)
            if old is None or old["status"] != "Unknown":
                changed.append(_unknown(type_, old, now))
        if not changed:
            return node
        status = {"status": {"conditions": changed}}
        key = key_of(node)
        node = await self.client.patch(NODE, key, status, type=PatchType.STRATEGIC, subresource="status")
        await self.events.event(node, reason="NodeNotReady", message=f"Node {key.name} status is now: NodeNotReady")
        await self._mark_pods_not_ready(key.name)
        return node

    async def _mark_pods_not_ready(self, node: str) -> None:
        for pod in await self._pods_on(node):
            if is_ready(pod):
                await write_condition(self.client, pod, _NOT_READY, now=self.clock.now())

    async def _pods_on(self, node: str) -> Sequence[Tree]:
        return (await self.client.list(POD, fields=f"spec.nodeName={node}")).items

    # ---- taints -----------------------------------------------------------------------------------------------------

    async def _taint(self, node: Tree) -> Tree:
        old = get_in(node, "spec", "taints", default=[])
        new = wanted_taints(node, self.clock.now())
        if new == old:
            return node
        metadata = {"resourceVersion": node["metadata"]["resourceVersion"]}
        return await self.client.patch(NODE, key_of(node), {"metadata": metadata, "spec": {"taints": new or None}})

    async def _evict(self, node: Tree) -> list[float]:
        """Deletes the pods that bear the node's taints no longer; gives when the next ones are due."""
        waits = []
        for pod in await self._pods_on(key_of(node).name):
            if is_being_deleted(pod) or is_finished(pod):
                continue
            left_s = eviction_in_s(pod, _lethal(node), self.clock.now())
            if left_s is None:
                continue
            if left_s > 0:
                waits.append(left_s)
            else:
                await self._delete(pod)
        return waits

    async def _delete(self, pod: Tree) -> None:
        await write_condition(self.client, pod, _TAINTED, now=self.clock.now())
        await self.client.delete(POD, key_of(pod), uid=uid_of(pod), missing_ok=True)
        message = f"Marking for deletion Pod {key_of(pod)}"
        await self.events.event(pod, reason="TaintManagerEviction", message=message)


def _unknown(type_: str, old: Tree | None, now: str) -> Tree:
    never = old is None
    return {
        "type": type_,
        "status": "Unknown",
        "reason": "NodeStatusNeverUpdated" if never else "NodeStatusUnknown",
        "message": "Kubelet never posted node status." if never else "Kubelet stopped posting node status.",
        "lastHeartbeatTime": (old or {}).get("lastHeartbeatTime") or now,
        "lastTransitionTime": now,
    }


def wanted_taints(node: Tree, now: datetime) -> list[Tree]:
    """The node's taints, with ours as its conditions ask for; what is there already keeps its place and time."""
    wanted = {
        (_PREFIX + name, effect)
        for type_, status, name, effects in _BY_CONDITION
        for effect in effects
        if (find_condition(node, type_) or {}).get("status") == status
    }
    if get_in(node, "spec", "unschedulable"):
        wanted.add((_PREFIX + "unschedulable", "NoSchedule"))
    old = get_in(node, "spec", "taints", default=[])
    kept = [copy_of(taint) for taint in old if taint["key"] not in _OURS or (taint["key"], taint["effect"]) in wanted]
    there = {(taint["key"], taint["effect"]) for taint in kept}
    return kept + [_taint(key, effect, now) for key, effect in sorted(wanted - there)]


def _taint(key: str, effect: str, now: datetime) -> Tree:
    return {"key": key, "effect": effect, "timeAdded": format_time(now)}


def _lethal(node: Tree) -> list[Tree]:
    return [taint for taint in get_in(node, "spec", "taints", default=()) if taint["effect"] == "NoExecute"]


def eviction_in_s(pod: Tree, taints: Sequence[Tree], now: datetime) -> float | None:
    """Seconds until a pod must leave because of `NoExecute` taints; None: it tolerates them for ever."""
    waits = []
    for taint in taints:
        bearing = [item for item in get_in(pod, "spec", "tolerations", default=()) if tolerates(item, taint)]
        if not bearing:
            return 0.0
        limits = [item["tolerationSeconds"] for item in bearing if item.get("tolerationSeconds") is not None]
        if limits:
            since = parse_time(taint["timeAdded"]) if taint.get("timeAdded") else now
            waits.append((since + timedelta(seconds=max(0, min(limits))) - now).total_seconds())
    return min(waits) if waits else None
