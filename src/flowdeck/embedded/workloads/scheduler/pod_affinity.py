"""Pods that want to be near other pods, or far from them.

Source: kubernetes (pkg/scheduler/framework/plugins/interpodaffinity).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from flowdeck.embedded.workloads.scheduler.snapshot import Place, Snapshot, topology_value
from flowdeck.kube.objects import Tree, get_in, labels_of
from flowdeck.kube.selectors import Requirement, label_selector_of

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
NamespaceLabels = Callable[[str], Mapping[str, str]]
"""The labels of a namespace."""


def terms_of(pod: Tree, kind: str, strength: str = REQUIRED) -> Iterator[Tree]:
    """The terms of `podAffinity` or `podAntiAffinity`; preferred ones come as `{weight, podAffinityTerm}`."""
    yield from get_in(pod, "spec", "affinity", kind, strength, default=())


def matches(term: Tree, owner: Tree, pod: Tree, namespaces: NamespaceLabels) -> bool:
    """Whether `pod` is one that a term of `owner` speaks of."""
    space = pod["metadata"].get("namespace", "")
    named, selector = term.get("namespaces") or (), term.get("namespaceSelector")
    if space not in (named or ((owner["metadata"].get("namespace", ""),) if selector is None else ())) and (
        selector is None or not label_selector_of(selector).matches(namespaces(space))
    ):
        return False
    if term.get("labelSelector") is None:
        return False
    return label_selector_of(term["labelSelector"]).matches(labels_of(pod)) and _same_keys(term, owner, pod)


def _same_keys(term: Tree, owner: Tree, pod: Tree) -> bool:
    """`matchLabelKeys`: the same value as the owner; `mismatchLabelKeys`: another one."""
    own, other = labels_of(owner), labels_of(pod)
    for field, operator in (("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")):
        for key in term.get(field) or ():
            if key in own and not Requirement(key, operator, (own[key],)).matches(other):
                return False
    return True


def affinity_problem(pod: Tree, place: Place, snapshot: Snapshot, namespaces: NamespaceLabels) -> str:
    """Why a node is out because of other pods, or `""`."""
    terms = list(terms_of(pod, "podAffinity"))
    if terms and not _has_company(pod, terms, place, snapshot, namespaces):
        return "node(s) didn't match pod affinity rules"
    for term in terms_of(pod, "podAntiAffinity"):
        if any(matches(term, pod, other, namespaces) for other in _near(place, term, snapshot)):
            return "node(s) didn't match pod anti-affinity rules"
    for other_place in snapshot.all:
        for other in other_place.keeping_away:
            if any(
                _is_near(place, other_place, term) and matches(term, other, pod, namespaces)
                for term in terms_of(other, "podAntiAffinity")
            ):
                return "node(s) didn't satisfy existing pods anti-affinity rules"
    return ""


def _has_company(pod: Tree, terms: list[Tree], place: Place, snapshot: Snapshot, namespaces: NamespaceLabels) -> bool:
    if any(topology_value(place, term["topologyKey"]) is None for term in terms):
        return False
    if all(any(matches(t, pod, other, namespaces) for other in _near(place, t, snapshot)) for t in terms):
        return True
    anybody = [other for other_place in snapshot.all for other in other_place.pods]
    is_first = not any(matches(term, pod, other, namespaces) for term in terms for other in anybody)
    return is_first and all(matches(term, pod, pod, namespaces) for term in terms)


def _near(place: Place, term: Tree, snapshot: Snapshot) -> Iterator[Tree]:
    for other in snapshot.all:
        if _is_near(place, other, term):
            yield from other.pods


def _is_near(place: Place, other: Place, term: Tree) -> bool:
    value = topology_value(place, term["topologyKey"])
    return value is not None and value == topology_value(other, term["topologyKey"])


def affinity_score(pod: Tree, place: Place, snapshot: Snapshot, namespaces: NamespaceLabels) -> int:
    """The weights of preferred terms that hold on a node, less those of anti-affinity."""
    return sum(
        sign * weighted["weight"] * _count(weighted["podAffinityTerm"], pod, place, snapshot, namespaces)
        for kind, sign in (("podAffinity", 1), ("podAntiAffinity", -1))
        for weighted in terms_of(pod, kind, PREFERRED)
    )


def _count(term: Tree, pod: Tree, place: Place, snapshot: Snapshot, namespaces: NamespaceLabels) -> int:
    near: Iterable[Tree] = _near(place, term, snapshot)
    return sum(matches(term, pod, other, namespaces) for other in near)
