"""Runs one pod of a DaemonSet on every node that it fits.

Reads   DaemonSet, Node, Pod and ControllerRevision (owned, and orphans that match)
Writes  Pod (create, delete), ControllerRevision, the set's status, Events
A pod is bound to its node by node affinity on `metadata.name`; the scheduler does the rest.
Source: kubernetes (pkg/controller/daemon)
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.controller.contract import DONE, Maps, Owns, Result, look_again_in
from flowdeck.controller.events import Events
from flowdeck.controller.status import write_status
from flowdeck.embedded.workloads import node_fit, pods
from flowdeck.embedded.workloads.claims import SelectorIndex, claim
from flowdeck.embedded.workloads.pod_control import create_pods, delete_pods
from flowdeck.embedded.workloads.revisions import REVISION_LABEL, hash_of, keep_history, truncate_history
from flowdeck.embedded.workloads.templates import pod_of
from flowdeck.kube.int_or_string import scaled_value
from flowdeck.kube.kinds import DAEMON_SET, NODE, POD
from flowdeck.kube.objects import (
    Kind,
    ObjectKey,
    Tree,
    get_in,
    is_being_deleted,
    key_of,
    labels_of,
)
from flowdeck.kube.selectors import label_selector_of
from flowdeck.kube.times import parse_time

TOLERATED = (
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
)
"""What each daemon pod tolerates beside what its template says."""

NODE_NAME = "metadata.name"

FAILED_PAUSE_S = 10.0
"""A failed pod is replaced when it is that old, so that a node which refuses it is not asked without end."""


def daemon_pod(daemon_set: Tree, node_name: str, digest: str) -> Tree:
    """The pod for one node."""
    pod = pod_of(daemon_set["spec"]["template"], daemon_set)
    spec = pod["spec"]
    pod["metadata"]["labels"][REVISION_LABEL] = digest
    spec["tolerations"] = _tolerations(spec)
    affinity = spec.setdefault("affinity", {})
    required = affinity.setdefault("nodeAffinity", {}).setdefault("requiredDuringSchedulingIgnoredDuringExecution", {})
    here = [{"key": NODE_NAME, "operator": "In", "values": [node_name]}]
    terms = required.get("nodeSelectorTerms") or [{}]
    required["nodeSelectorTerms"] = [{**term, "matchFields": here} for term in terms]
    return pod


def _tolerations(spec: Tree) -> list[Tree]:
    tolerated = list(TOLERATED)
    if spec.get("hostNetwork"):
        tolerated.append(("node.kubernetes.io/network-unavailable", "NoSchedule"))
    added = [{"key": key, "operator": "Exists", "effect": effect} for key, effect in tolerated]
    return list(spec.get("tolerations") or []) + [item for item in added if item not in (spec.get("tolerations") or [])]


def node_of(pod: Tree) -> str:
    """The node that a daemon pod is on, or was made for."""
    if name := get_in(pod, "spec", "nodeName"):
        return str(name)
    path = ("spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    for term in get_in(pod, *path, "nodeSelectorTerms", default=[]):
        for item in term.get("matchFields") or ():
            if item["key"] == NODE_NAME and item["operator"] == "In" and len(item["values"]) == 1:
                return str(item["values"][0])
    return ""


def should_run(daemon_set: Tree, node: Tree) -> tuple[bool, bool]:
    """Whether the set wants a pod on the node, and whether one that is there may stay."""
    pod = {"spec": dict(daemon_set["spec"]["template"].get("spec") or {})}
    pod["spec"]["tolerations"] = _tolerations(pod["spec"])
    if get_in(pod, "spec", "nodeName", default=node["metadata"]["name"]) != node["metadata"]["name"]:
        return False, False
    if not node_fit.fits_node_selector(pod, node):
        return False, False
    if node_fit.untolerated_taint(pod, node):
        return False, node_fit.untolerated_taint(pod, node, ("NoExecute",)) is None
    return True, True


@dataclass(frozen=True)
class Seen:
    """A set, the nodes, and its pods by node."""

    daemon_set: Tree
    nodes: Sequence[Tree]
    pods: Mapping[str, Sequence[Tree]]
    digest: str
    now: datetime

    @property
    def min_ready_s(self) -> int:
        return int(self.daemon_set["spec"].get("minReadySeconds") or 0)

    def pause_s(self, pod: Tree) -> float:
        """How long a failed pod has to wait for its replacement."""
        return FAILED_PAUSE_S - (self.now - parse_time(pod["metadata"]["creationTimestamp"])).total_seconds()

    def is_old(self, pod: Tree) -> bool:
        return labels_of(pod).get(REVISION_LABEL) != self.digest

    def is_available(self, pod: Tree) -> bool:
        return not is_being_deleted(pod) and pods.is_available(pod, self.min_ready_s, self.now)


@dataclass
class Step:
    """Nodes that get a pod, pods to delete, finished pods to delete because they failed."""

    create: list[str] = field(default_factory=list)
    delete: list[Tree] = field(default_factory=list)
    failed: list[Tree] = field(default_factory=list)


def decide(seen: Seen) -> Step:
    """First each node's number of pods, then, when that is right, the next pods to update."""
    step = Step()
    names = {node["metadata"]["name"] for node in seen.nodes}
    for node in seen.nodes:
        _decide_on(seen, node, step)
    for name, there in seen.pods.items():
        if name and name not in names:
            step.delete += [pod for pod in there if not is_being_deleted(pod)]
    if _is_rolling(seen.daemon_set) and not step.create and not step.delete and not step.failed:
        _roll(seen, step)
    return step


def _decide_on(seen: Seen, node: Tree, step: Step) -> None:
    name = node["metadata"]["name"]
    there = seen.pods.get(name, ())
    wanted, may_stay = should_run(seen.daemon_set, node)
    failed = [pod for pod in there if pods.is_finished(pod) and not is_being_deleted(pod)]
    alive = [pod for pod in there if pods.is_active(pod)]
    if not may_stay:
        step.delete += [pod for pod in there if not is_being_deleted(pod)]
        return
    step.failed += [pod for pod in failed if seen.pause_s(pod) <= 0]
    if wanted and not there:
        step.create.append(name)
    if len(alive) > 1:
        step.delete += _extra(seen, alive)


def _extra(seen: Seen, alive: Sequence[Tree]) -> list[Tree]:
    """All pods of a node but the one to keep; during a surge the old one stays until the new one is available."""
    if _surge(seen):
        old = [pod for pod in alive if seen.is_old(pod)]
        new = [pod for pod in alive if not seen.is_old(pod)]
        if old and new:
            keep_old = not any(map(seen.is_available, new)) and any(map(seen.is_available, old))
            return [*_but_oldest(old), *_but_oldest(new)] if keep_old else [*old, *_but_oldest(new)]
    return _but_oldest(alive)


def _but_oldest(alive: Sequence[Tree]) -> list[Tree]:
    return sorted(alive, key=lambda pod: (not pods.is_ready(pod), pods.created_at(pod)))[1:]


def _is_rolling(daemon_set: Tree) -> bool:
    return bool(get_in(daemon_set, "spec", "updateStrategy", "type", default="RollingUpdate") == "RollingUpdate")


def _limit(seen: Seen, name: str, default: int) -> int:
    wanted = sum(should_run(seen.daemon_set, node)[0] for node in seen.nodes)
    value = get_in(seen.daemon_set, "spec", "updateStrategy", "rollingUpdate", name, default=default)
    return scaled_value(value, wanted, round_up=True)


def _surge(seen: Seen) -> int:
    return _limit(seen, "maxSurge", 0) if _is_rolling(seen.daemon_set) else 0


def _roll(seen: Seen, step: Step) -> None:
    wanted = [node["metadata"]["name"] for node in seen.nodes if should_run(seen.daemon_set, node)[0]]
    if surge := _surge(seen):
        step.create += _surging(seen, wanted, surge)
    else:
        step.delete += _updated(seen, wanted, _limit(seen, "maxUnavailable", 1))


def _updated(seen: Seen, wanted: Sequence[str], may_miss: int) -> list[Tree]:
    """Old pods to delete: those that are of no use anyway, and available ones as far as allowed."""
    missing = sum(not any(map(seen.is_available, seen.pods.get(name, ()))) for name in wanted)
    useless: list[Tree] = []
    candidates: list[Tree] = []
    for name in wanted:
        for pod in seen.pods.get(name, ()):
            if seen.is_old(pod) and not is_being_deleted(pod):
                (candidates if seen.is_available(pod) else useless).append(pod)
    return useless + candidates[: max(0, may_miss - missing)]


def _surging(seen: Seen, wanted: Sequence[str], surge: int) -> list[str]:
    """Nodes that get a pod of the new revision beside the old one."""
    pairs = {name: [pod for pod in seen.pods.get(name, ()) if pods.is_active(pod)] for name in wanted}
    under_way = sum(len(alive) > 1 for alive in pairs.values())
    candidates = [name for name, alive in pairs.items() if len(alive) == 1 and seen.is_old(alive[0])]
    urgent = [name for name in candidates if not seen.is_available(pairs[name][0])]
    rest = [name for name in candidates if name not in urgent]
    return urgent + rest[: max(0, surge - under_way)]


def status_of(seen: Seen, *, collision_count: int) -> Tree:
    """The counts, node by node."""
    status = dict.fromkeys(("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady"), 0)
    available = updated = 0
    for node in seen.nodes:
        there = sorted(
            (pod for pod in seen.pods.get(node["metadata"]["name"], ()) if not pods.is_finished(pod)),
            key=lambda pod: (not pods.is_ready(pod), pods.created_at(pod)),
        )
        if not should_run(seen.daemon_set, node)[0]:
            status["numberMisscheduled"] += bool(there)
            continue
        status["desiredNumberScheduled"] += 1
        if there:
            status["currentNumberScheduled"] += 1
            status["numberReady"] += any(map(pods.is_ready, there))
            available += any(map(seen.is_available, there))
            updated += any(not seen.is_old(pod) for pod in there)
    optional = {
        "updatedNumberScheduled": updated,
        "numberAvailable": available,
        "numberUnavailable": status["desiredNumberScheduled"] - available,
        "collisionCount": collision_count,
    }
    generation = {"observedGeneration": seen.daemon_set["metadata"].get("generation", 0)}
    return status | generation | {name: count for name, count in optional.items() if count}


@dataclass(frozen=True)
class DaemonSetController:
    """Keeps DaemonSets, nodes and pods in step."""

    client: Client
    clock: Clock
    events: Events
    name: str = "daemonset"
    kind: Kind = DAEMON_SET
    _selectors: SelectorIndex = field(default_factory=SelectorIndex)
    _known: set[ObjectKey] = field(default_factory=set)
    """The sets there are: a changed node concerns them all."""

    @property
    def watches(self) -> Sequence[Maps]:
        return (
            Owns(POD, owner=DAEMON_SET),
            Maps(POD, self._selectors.keys_for_orphan),
            Maps(NODE, lambda _: tuple(self._known)),
        )

    async def reconcile(self, key: ObjectKey) -> Result:
        daemon_set = await self.client.find(DAEMON_SET, key)
        if daemon_set is None:
            self._selectors.remember(key, None)
            self._known.discard(key)
            return DONE
        self._known.add(key)
        selector = label_selector_of(daemon_set["spec"]["selector"])
        self._selectors.remember(key, selector)
        owned = await claim(self.client, POD, daemon_set, selector)
        if is_being_deleted(daemon_set):
            return DONE
        history = await keep_history(self.client, DAEMON_SET, daemon_set, REVISION_LABEL)
        digest = hash_of(history.update, REVISION_LABEL)
        try:
            await self._act(daemon_set, decide(await self._look(daemon_set, owned, digest)), digest)
        finally:
            present = await self.client.owned(POD, daemon_set)
            seen = await self._look(daemon_set, present, digest)
            status = status_of(seen, collision_count=history.collision_count)
            await write_status(self.client, DAEMON_SET, daemon_set, status)
        used = {labels_of(pod).get(REVISION_LABEL, "") for pod in present} | {digest}
        live = {key_of(r).name for r in history.revisions if hash_of(r, REVISION_LABEL) in used}
        await truncate_history(self.client, daemon_set, history, live)
        waits = [seen.pause_s(pod) for pod in present if pods.is_finished(pod)]
        waits += [wait] if (wait := pods.next_availability_s(present, seen.min_ready_s, seen.now)) else []
        return look_again_in(min(waits)) if waits else DONE

    async def _look(self, daemon_set: Tree, owned: Sequence[Tree], digest: str) -> Seen:
        by_node: dict[str, list[Tree]] = defaultdict(list)
        for pod in owned:
            by_node[node_of(pod)].append(pod)
        nodes = (await self.client.list(NODE)).items
        return Seen(daemon_set, nodes, by_node, digest, self.clock.now())

    async def _act(self, daemon_set: Tree, step: Step, digest: str) -> None:
        for pod in step.failed:
            message = f"Found failed daemon pod {key_of(pod)} on node {node_of(pod)}, will try to kill it"
            await self.events.event(daemon_set, type="Warning", reason="FailedDaemonPod", message=message)
        wanted = [daemon_pod(daemon_set, node, digest) for node in step.create]
        _, error = await create_pods(self.client, self.events, daemon_set, wanted)
        error = await delete_pods(self.client, self.events, daemon_set, [*step.delete, *step.failed]) or error
        if error is not None:
            raise error
