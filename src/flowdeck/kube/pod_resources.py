"""What a pod asks for: the sum over its containers, as the scheduler, quotas and limits count it.

Source: k8s.io/component-helpers (resource/helpers.go): containers and sidecars (init containers with
`restartPolicy: Always`) run together; other init containers run one after another, beside the sidecars started before
them. Pod-level `spec.resources` take the place of the sum; `spec.overhead` comes on top.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from flowdeck.kube.quantity import ZERO, Quantity, parse_quantity

Amounts = dict[str, Quantity]
"""By resource name: `cpu`, `memory`, `nvidia.com/gpu`."""


def pod_requests(pod: Mapping[str, Any]) -> Amounts:
    """What the pod requests; a container's request that is missing counts as its limit."""
    return _pod_total(pod, "requests")


def pod_limits(pod: Mapping[str, Any]) -> Amounts:
    """The pod's limits; a container without a limit adds nothing."""
    return _pod_total(pod, "limits")


def amounts_of(tree: Mapping[str, Any] | None) -> Amounts:
    """A `ResourceList` of the wire, parsed."""
    return {name: parse_quantity(value) for name, value in (tree or {}).items()}


def add(left: Amounts, right: Mapping[str, Quantity]) -> Amounts:
    """Both together."""
    total = dict(left)
    for name, amount in right.items():
        total[name] = total[name] + amount if name in total else amount
    return total


def subtract(left: Mapping[str, Quantity], right: Mapping[str, Quantity]) -> Amounts:
    """`left` less `right`; what `left` does not name becomes negative."""
    return {name: left.get(name, ZERO) - right.get(name, ZERO) for name in {**left, **right}}


def largest(left: Amounts, right: Mapping[str, Quantity]) -> Amounts:
    """The larger amount of each resource."""
    most = dict(left)
    for name, amount in right.items():
        if name not in most or most[name] < amount:
            most[name] = amount
    return most


def is_sidecar(init_container: Mapping[str, Any]) -> bool:
    return init_container.get("restartPolicy") == "Always"


def _pod_total(pod: Mapping[str, Any], word: Literal["requests", "limits"]) -> Amounts:
    spec = pod["spec"]
    total = _sum(_amounts(container, word) for container in spec.get("containers") or ())
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in spec.get("initContainers") or ():
        own = _amounts(container, word)
        if is_sidecar(container):
            sidecars = add(sidecars, own)
            own = {}
        peak = largest(peak, add(sidecars, own))
    total = largest(add(total, sidecars), peak)
    total |= _amounts(spec, word)
    if spec.get("overhead"):
        overhead = amounts_of(spec["overhead"])
        total = add(total, overhead if word == "requests" else {k: v for k, v in overhead.items() if k in total})
    return total


def _amounts(holder: Mapping[str, Any], word: Literal["requests", "limits"]) -> Amounts:
    """The resources of a container, or of a pod's spec."""
    resources = holder.get("resources") or {}
    found = amounts_of(resources.get(word))
    if word == "requests":
        return amounts_of(resources.get("limits")) | found
    return found


def _sum(parts: Iterable[Amounts]) -> Amounts:
    total: Amounts = {}
    for part in parts:
        total = add(total, part)
    return total
