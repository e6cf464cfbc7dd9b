"""Making room for a pod by ending less important ones.

Source: kubernetes (pkg/scheduler/framework/preemption, plugins/defaultpreemption).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flowdeck.embedded.workloads.scheduler.filters import is_hopeless, problems
from flowdeck.embedded.workloads.scheduler.pod_affinity import NamespaceLabels
from flowdeck.embedded.workloads.scheduler.snapshot import Place, Snapshot
from flowdeck.kube.objects import Tree, get_in, is_being_deleted, labels_of, uid_of
from flowdeck.kube.selectors import label_selector_of

NO_VICTIMS = "No preemption victims found for incoming pod"
NOT_HELPFUL = "Preemption is not helpful for scheduling"


def priority_of(pod: Tree) -> int:
    return int(get_in(pod, "spec", "priority", default=0))


@dataclass(frozen=True)
class Eviction:
    """Room on one node, and whom it costs."""

    place: Place
    victims: Sequence[Tree]
    broken_budgets: int
    """How many victims their disruption budgets would have protected."""

    @property
    def rank(self) -> tuple[int, int, int, int, str]:
        """Lower is better: budgets, then the most important victim, then all of them, then their number."""
        priorities = [priority_of(pod) for pod in self.victims]
        return (
            self.broken_budgets,
            max(priorities),
            sum(p + 2**31 for p in priorities),
            len(priorities),
            self.place.name,
        )


def find_room(
    pod: Tree, snapshot: Snapshot, budgets: Sequence[Tree], namespaces: NamespaceLabels
) -> tuple[Eviction | None, str]:
    """The cheapest way to make room, or why there is none (as the end of the pod's message)."""
    if get_in(pod, "spec", "preemptionPolicy") == "Never":
        return None, _told(len(snapshot.all), {NOT_HELPFUL: len(snapshot.all)})
    found, reasons = [], {NOT_HELPFUL: 0, NO_VICTIMS: 0}
    for place in snapshot.all:
        if is_hopeless(pod, place.node):
            reasons[NOT_HELPFUL] += 1
        elif eviction := _evict_from(pod, place, snapshot, budgets, namespaces):
            found.append(eviction)
        else:
            reasons[NO_VICTIMS] += 1
    if found:
        return min(found, key=lambda eviction: eviction.rank), ""
    return None, _told(len(snapshot.all), reasons)


def _told(nodes: int, reasons: dict[str, int]) -> str:
    listed = ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items() if count))
    return f"preemption: 0/{nodes} nodes are available: {listed}."


def _evict_from(
    pod: Tree, place: Place, snapshot: Snapshot, budgets: Sequence[Tree], namespaces: NamespaceLabels
) -> Eviction | None:
    """Takes all less important pods away, then lets as many come back as can, the important ones first."""
    lower = [other for other in place.pods if priority_of(other) < priority_of(pod)]
    if not lower:
        return None
    world = snapshot.copy()
    here = world.places[place.name]
    for other in lower:
        here.take(other)
    if problems(pod, here, world, namespaces):
        return None
    protected = _protected(lower, budgets)
    victims = []
    for other in sorted(lower, key=lambda p: (uid_of(p) not in protected, -priority_of(p), _started(p))):
        here.put(other)
        if problems(pod, here, world, namespaces):
            here.take(other)
            victims.append(other)
    broken = sum(uid_of(victim) in protected for victim in victims)
    return Eviction(place, victims, broken) if victims else None


def _started(pod: Tree) -> str:
    return str(get_in(pod, "status", "startTime", default="9999"))


def _protected(pods: Sequence[Tree], budgets: Sequence[Tree]) -> set[str]:
    """The pods whose disruption budget has nothing left to give."""
    left = {uid_of(budget): get_in(budget, "status", "disruptionsAllowed", default=0) for budget in budgets}
    protected = set()
    for pod in sorted(pods, key=lambda pod: -priority_of(pod)):
        if is_being_deleted(pod):
            continue
        for budget in budgets:
            if _covers(budget, pod):
                left[uid_of(budget)] -= 1
                if left[uid_of(budget)] < 0:
                    protected.add(uid_of(pod))
    return protected


def _covers(budget: Tree, pod: Tree) -> bool:
    if budget["metadata"].get("namespace") != pod["metadata"].get("namespace"):
        return False
    selector = get_in(budget, "spec", "selector")
    return selector is not None and label_selector_of(selector).matches(labels_of(pod))
