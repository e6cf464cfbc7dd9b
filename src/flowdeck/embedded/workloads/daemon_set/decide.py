"""Which pods of a DaemonSet to make and to delete, and the status that they mean. Pure.

Source: kubernetes (pkg/controller/daemon/daemon_controller.go, update.go)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from flowdeck.embedded.workloads import pods
from flowdeck.embedded.workloads.daemon_set.placement import should_run
from flowdeck.embedded.workloads.revisions import REVISION_LABEL
from flowdeck.kube.int_or_string import scaled_value
from flowdeck.kube.objects import Tree, get_in, is_being_deleted, labels_of
from flowdeck.kube.times import parse_time

FAILED_PAUSE_S = 10.0
"""A failed pod is replaced when it is that old, so that a node which refuses it is not asked without end."""


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
