"""Pods that are to be spread over nodes, zones and the like.

Source: kubernetes (pkg/scheduler/framework/plugins/podtopologyspread).
"""

from collections import Counter
from collections.abc import Iterator

from flowdeck.embedded.workloads.node_fit import fits_node_selector, untolerated_taint
from flowdeck.embedded.workloads.scheduler.snapshot import Place, Snapshot, topology_value
from flowdeck.kube.objects import Tree, get_in, is_being_deleted, labels_of
from flowdeck.kube.selectors import Requirement, label_selector_of

_PROBLEM = "node(s) didn't match pod topology spread constraints"


def constraints_of(pod: Tree, when: str) -> Iterator[Tree]:
    """The constraints with that `whenUnsatisfiable`: `DoNotSchedule`, `ScheduleAnyway`."""
    for constraint in get_in(pod, "spec", "topologySpreadConstraints", default=()):
        if constraint.get("whenUnsatisfiable", "DoNotSchedule") == when:
            yield constraint


def spread_problem(pod: Tree, place: Place, snapshot: Snapshot) -> str:
    """Why a node is out because too many alike are there already, or `""`."""
    for constraint in constraints_of(pod, "DoNotSchedule"):
        value = topology_value(place, constraint["topologyKey"])
        if value is None:
            return f"{_PROBLEM} (missing required label)"
        counts = _counts(constraint, pod, snapshot)
        fewest = min(counts.values(), default=0)
        if len(counts) < constraint.get("minDomains", 1):
            fewest = 0
        itself = _matches(constraint, pod, pod)
        if counts.get(value, 0) + itself - fewest > constraint["maxSkew"]:
            return _PROBLEM
    return ""


def spread_score(pod: Tree, place: Place, snapshot: Snapshot) -> int:
    """Fewer pods alike in the node's domain are better."""
    return -sum(
        _counts(constraint, pod, snapshot).get(topology_value(place, constraint["topologyKey"]) or "", 0)
        for constraint in constraints_of(pod, "ScheduleAnyway")
    )


def _counts(constraint: Tree, pod: Tree, snapshot: Snapshot) -> Counter[str]:
    """How many pods alike there are in each domain that the pod could go to."""
    counts: Counter[str] = Counter()
    for place in snapshot.all:
        value = topology_value(place, constraint["topologyKey"])
        if value is None or not _is_counted(constraint, pod, place):
            continue
        counts[value] += sum(_matches(constraint, pod, other) for other in place.pods)
    return counts


def _is_counted(constraint: Tree, pod: Tree, place: Place) -> bool:
    if constraint.get("nodeAffinityPolicy", "Honor") == "Honor" and not fits_node_selector(pod, place.node):
        return False
    return constraint.get("nodeTaintsPolicy", "Ignore") == "Ignore" or untolerated_taint(pod, place.node) is None


def _matches(constraint: Tree, pod: Tree, other: Tree) -> bool:
    if other["metadata"].get("namespace") != pod["metadata"].get("namespace") or is_being_deleted(other):
        return False
    if constraint.get("labelSelector") is None:
        return False
    own = labels_of(pod)
    keys = [key for key in constraint.get("matchLabelKeys") or () if key in own]
    return label_selector_of(constraint["labelSelector"]).matches(labels_of(other)) and all(
        Requirement(key, "In", (own[key],)).matches(labels_of(other)) for key in keys
    )
