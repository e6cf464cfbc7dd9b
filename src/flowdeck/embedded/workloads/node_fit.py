"""Whether a pod may run on a node: node selector, required node affinity, taints. Pure.

Source: kubernetes (staging/src/k8s.io/component-helpers/scheduling/corev1)
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flowdeck.kube.objects import Tree, get_in, labels_of
from flowdeck.kube.selectors import Requirement

NO_SCHEDULE = ("NoSchedule", "NoExecute")


def fits_node_selector(pod: Mapping[str, Any], node: Mapping[str, Any]) -> bool:
    """`spec.nodeSelector` and the required terms of `spec.affinity.nodeAffinity` both hold."""
    labels = labels_of(node)
    selector = get_in(pod, "spec", "nodeSelector", default={})
    if any(labels.get(name) != value for name, value in selector.items()):
        return False
    required = get_in(pod, "spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or matches_any_term(required.get("nodeSelectorTerms") or (), node)


def matches_any_term(terms: Iterable[Tree], node: Mapping[str, Any]) -> bool:
    """One of the `nodeSelectorTerms` holds; an empty term never does."""
    return any(matches_term(term, node) for term in terms)


def matches_term(term: Tree, node: Mapping[str, Any]) -> bool:
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    names = {"metadata.name": node["metadata"]["name"]}
    return _all_match(expressions, labels_of(node)) and _all_match(fields, names)


def _all_match(expressions: Iterable[Tree], values: Mapping[str, str]) -> bool:
    return all(
        Requirement(item["key"], item["operator"], tuple(item.get("values") or ())).matches(values)
        for item in expressions
    )


def untolerated_taint(
    pod: Mapping[str, Any], node: Mapping[str, Any], effects: Sequence[str] = NO_SCHEDULE
) -> Tree | None:
    """The first taint of the node with one of these effects that the pod does not tolerate."""
    tolerations = get_in(pod, "spec", "tolerations", default=[])
    for taint in get_in(node, "spec", "taints", default=[]):
        if taint["effect"] in effects and not any(tolerates(item, taint) for item in tolerations):
            return dict(taint)
    return None


def tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    """An empty effect means all effects; an empty key with `Exists` means all taints."""
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    value, asked = taint.get("value") or "", toleration.get("value") or ""
    match toleration.get("operator") or "Equal":
        case "Exists":
            return True
        case "Equal":
            return bool(toleration.get("key")) and asked == value
        case "Lt" | "Gt" as operator if value.lstrip("-").isdigit() and asked.lstrip("-").isdigit():
            return int(value) < int(asked) if operator == "Lt" else int(value) > int(asked)
    return False
