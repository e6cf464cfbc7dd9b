"""What objects use of a ResourceQuota, and which of them a quota counts.

Source: kubernetes (pkg/quota/v1/evaluator/core, staging/src/k8s.io/apiserver/pkg/quota).
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from flowdeck.kube.kinds import PERSISTENT_VOLUME_CLAIM, POD, SERVICE
from flowdeck.kube.objects import Kind, Tree, get_in
from flowdeck.kube.pod_resources import Amounts, pod_limits, pod_requests
from flowdeck.kube.quantity import Quantity, parse_quantity

_ONE = Quantity(Decimal(1))
_LEGACY_COUNTS = ("configmaps", "secrets", "replicationcontrollers", "resourcequotas")
"""Core resources that can be counted by their bare name, too."""
_CLASS_SUFFIX = ".storageclass.storage.k8s.io/"
_STORAGE_CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"


def usage_of(kind: Kind, obj: Tree) -> Amounts:
    """What one object uses, under every name by which a quota may limit it."""
    used = {f"count/{kind.resource}": _ONE}
    match kind.group, kind.plural:
        case POD.group, POD.plural:
            return used if is_terminal(obj) else used | _pod_usage(obj)
        case SERVICE.group, SERVICE.plural:
            return used | _service_usage(obj)
        case PERSISTENT_VOLUME_CLAIM.group, PERSISTENT_VOLUME_CLAIM.plural:
            return used | _claim_usage(obj)
        case "", plural if plural in _LEGACY_COUNTS:
            return used | {plural: _ONE}
    return used


def limits_kind(quota: Tree, kind: Kind) -> bool:
    """Whether a quota limits anything that objects of this kind use."""
    return any(_is_used_by(name, kind) for name in get_in(quota, "spec", "hard", default={}))


def selects(quota: Tree, kind: Kind, obj: Tree) -> bool:
    """Whether the object is in all scopes of the quota; only pods are in any."""
    scopes = [(scope, "Exists", ()) for scope in get_in(quota, "spec", "scopes", default=())]
    for term in get_in(quota, "spec", "scopeSelector", "matchExpressions", default=()):
        scopes.append((term["scopeName"], term["operator"], tuple(term.get("values") or ())))
    if not scopes:
        return True
    if (kind.group, kind.plural) != ("", "pods"):
        return False
    return all(_is_in_scope(obj, *scope) for scope in scopes)


def is_terminal(pod: Mapping[str, Any]) -> bool:
    """A pod that has run its course uses nothing but its place in `count/pods`."""
    return get_in(pod, "status", "phase") in ("Succeeded", "Failed")


def missing_requirements(quota: Tree, pod: Tree) -> str:
    """What a pod's containers must say because the quota limits it: `must specify cpu for: a,b; ...`, or `""`."""
    missing: dict[str, list[str]] = {}
    for name in sorted(get_in(quota, "spec", "hard", default={})):
        word, _, resource = name.rpartition(".")
        if name in _COMPUTE:
            word, resource = "requests", name
        if word not in ("requests", "limits") or resource not in _COMPUTE:
            continue
        if resource in (get_in(pod, "spec", "resources", word, default={})):
            continue
        names = sorted(
            container["name"]
            for list_name in ("containers", "initContainers")
            for container in pod["spec"].get(list_name) or ()
            if resource not in _told(container, word)
        )
        if names:
            missing[name] = names
    told = "; ".join(f"{name} for: {','.join(names)}" for name, names in missing.items())
    return f"must specify {told}" if told else ""


_COMPUTE = ("cpu", "memory")


def _told(container: Tree, word: str) -> Mapping[str, Any]:
    resources = container.get("resources") or {}
    limits: Mapping[str, Any] = resources.get("limits") or {}
    return {**limits, **(resources.get("requests") or {})} if word == "requests" else limits


def _is_used_by(name: str, kind: Kind) -> bool:
    if name.startswith("count/"):
        return name == f"count/{kind.resource}"
    is_storage = name in ("requests.storage", "persistentvolumeclaims") or _CLASS_SUFFIX in name
    match kind.group, kind.plural:
        case "", "pods":
            is_compute = name in ("pods", "cpu", "memory", "ephemeral-storage") or name.startswith("hugepages-")
            return is_compute or (name.startswith(("requests.", "limits.")) and not is_storage)
        case "", "services":
            return name == "services" or name.startswith("services.")
        case "", "persistentvolumeclaims":
            return is_storage
        case "", plural if plural in _LEGACY_COUNTS:
            return name == plural
    return False


def _pod_usage(pod: Tree) -> Amounts:
    used: Amounts = {"pods": _ONE}
    for name, amount in pod_requests(pod).items():
        used[f"requests.{name}"] = amount
        if name in ("cpu", "memory", "ephemeral-storage") or name.startswith("hugepages-"):
            used[name] = amount
    for name, amount in pod_limits(pod).items():
        used[f"limits.{name}"] = amount
    return used


def _service_usage(service: Tree) -> Amounts:
    spec = service.get("spec") or {}
    used: Amounts = {"services": _ONE}
    ports = [port for port in spec.get("ports") or () if port.get("nodePort")]
    match spec.get("type"):
        case "NodePort":
            used["services.nodeports"] = Quantity(Decimal(len(spec.get("ports") or ())))
        case "LoadBalancer":
            used["services.loadbalancers"] = _ONE
            count = len(ports) if spec.get("allocateLoadBalancerNodePorts") is False else len(spec.get("ports") or ())
            used["services.nodeports"] = Quantity(Decimal(count))
    return used


def _claim_usage(claim: Tree) -> Amounts:
    storage = parse_quantity(get_in(claim, "spec", "resources", "requests", "storage", default=0))
    used = {"persistentvolumeclaims": _ONE, "requests.storage": storage}
    annotations = claim["metadata"].get("annotations") or {}
    name = annotations.get(_STORAGE_CLASS_ANNOTATION) or get_in(claim, "spec", "storageClassName", default="")
    if name:
        used[f"{name}{_CLASS_SUFFIX}persistentvolumeclaims"] = _ONE
        used[f"{name}{_CLASS_SUFFIX}requests.storage"] = storage
    return used


def _is_in_scope(pod: Tree, scope: str, operator: str, values: tuple[str, ...]) -> bool:
    if scope == "PriorityClass":
        name = pod["spec"].get("priorityClassName") or ""
        match operator:
            case "In":
                return name in values
            case "NotIn":
                return name not in values
            case "DoesNotExist":
                return not name
        return bool(name)
    return _SCOPES[scope](pod) if scope in _SCOPES else False


def _has_deadline(pod: Tree) -> bool:
    return pod["spec"].get("activeDeadlineSeconds") is not None


def _is_best_effort(pod: Tree) -> bool:
    containers: Iterable[Tree] = [*(pod["spec"].get("containers") or ()), *(pod["spec"].get("initContainers") or ())]
    holders = [*containers, pod["spec"]]
    return not any(
        name in _COMPUTE and parse_quantity(value).value
        for holder in holders
        for word in ("requests", "limits")
        for name, value in get_in(holder, "resources", word, default={}).items()
    )


def _crosses_namespaces(pod: Tree) -> bool:
    for word in ("podAffinity", "podAntiAffinity"):
        affinity = get_in(pod, "spec", "affinity", word, default={})
        terms = list(affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or ())
        terms += [
            item.get("podAffinityTerm") or {}
            for item in affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        ]
        if any(term.get("namespaces") or term.get("namespaceSelector") is not None for term in terms):
            return True
    return False


_SCOPES: Mapping[str, Callable[[Tree], bool]] = {
    "Terminating": _has_deadline,
    "NotTerminating": lambda pod: not _has_deadline(pod),
    "BestEffort": _is_best_effort,
    "NotBestEffort": lambda pod: not _is_best_effort(pod),
    "CrossNamespacePodAffinity": _crosses_namespaces,
}
