"""Which of the nodes that a pod may go to is best: an order, not a number to compare across pods.

Source of the parts and their weight: kubernetes (pkg/scheduler/apis/config/v1/default_plugins.go).
"""

from flowdeck.embedded.workloads.node_fit import matches_term, tolerates
from flowdeck.embedded.workloads.scheduler.pod_affinity import PREFERRED, NamespaceLabels, affinity_score
from flowdeck.embedded.workloads.scheduler.snapshot import Place, Snapshot
from flowdeck.embedded.workloads.scheduler.topology_spread import spread_score
from flowdeck.kube.objects import Tree, get_in
from flowdeck.kube.pod_resources import pod_requests


def best(pod: Tree, places: list[Place], snapshot: Snapshot, namespaces: NamespaceLabels) -> Place:
    """The best of at least one node; between equals the first by name."""
    if len(places) == 1:
        return places[0]
    parts: list[tuple[int, list[float]]] = [
        (3, [-_untolerated_preferences(pod, place) for place in places]),
        (2, [_node_affinity(pod, place) for place in places]),
        (2, [affinity_score(pod, place, snapshot, namespaces) for place in places]),
        (2, [spread_score(pod, place, snapshot) for place in places]),
        (1, [_room_left(pod, place) for place in places]),
    ]
    totals = [0.0] * len(places)
    for weight, scores in parts:
        for position, score in enumerate(_from_0_to_100(scores)):
            totals[position] += weight * score
    ranked = sorted(zip(totals, places, strict=True), key=lambda pair: (-pair[0], pair[1].name))
    return ranked[0][1]


def _from_0_to_100(scores: list[float]) -> list[float]:
    low, high = min(scores), max(scores)
    return [100.0 * (score - low) / (high - low) if high > low else 0.0 for score in scores]


def _untolerated_preferences(pod: Tree, place: Place) -> float:
    tolerations = get_in(pod, "spec", "tolerations", default=())
    taints = get_in(place.node, "spec", "taints", default=())
    found = sum(
        taint["effect"] == "PreferNoSchedule" and not any(tolerates(item, taint) for item in tolerations)
        for taint in taints
    )
    return float(found)


def _node_affinity(pod: Tree, place: Place) -> float:
    preferred = get_in(pod, "spec", "affinity", "nodeAffinity", PREFERRED, default=())
    return float(sum(item["weight"] for item in preferred if matches_term(item["preference"], place.node)))


def _room_left(pod: Tree, place: Place) -> float:
    """The mean share of CPU and memory that would stay free."""
    wanted, has = pod_requests(pod), place.allocatable
    shares = []
    for name in ("cpu", "memory"):
        if name in has and has[name].value:
            asked = wanted[name].value if name in wanted else 0
            shares.append(float((place.free(name).value - asked) / has[name].value))
    return sum(shares) / len(shares) if shares else 0.0
