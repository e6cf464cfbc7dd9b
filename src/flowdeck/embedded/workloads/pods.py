"""Questions that every controller of pods asks of a pod, and which pods to delete first."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from flowdeck.kube.conditions import find_condition, is_true
from flowdeck.kube.objects import Tree, annotations_of, get_in, is_being_deleted, uid_of
from flowdeck.kube.times import parse_time

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


def phase_of(pod: Mapping[str, Any]) -> str:
    return str(get_in(pod, "status", "phase", default="Pending"))


def is_finished(pod: Mapping[str, Any]) -> bool:
    return phase_of(pod) in ("Succeeded", "Failed")


def is_active(pod: Mapping[str, Any]) -> bool:
    """Neither finished nor being deleted."""
    return not is_finished(pod) and not is_being_deleted(pod)


def is_terminating(pod: Mapping[str, Any]) -> bool:
    """Being deleted, and its containers may still run."""
    return is_being_deleted(pod) and not is_finished(pod)


def is_ready(pod: Mapping[str, Any]) -> bool:
    return is_true(pod, "Ready")


def ready_since(pod: Mapping[str, Any]) -> datetime | None:
    """When the pod became ready; None when it is not, or when nobody wrote down the time."""
    condition = find_condition(pod, "Ready")
    if condition is None or condition.get("status") != "True" or not condition.get("lastTransitionTime"):
        return None
    return parse_time(condition["lastTransitionTime"])


def available_in_s(pod: Mapping[str, Any], min_ready_s: int, now: datetime) -> float | None:
    """Seconds until the pod has been ready long enough: 0 when it has, None when it is not ready."""
    if not is_ready(pod):
        return None
    if min_ready_s == 0:
        return 0.0
    since = ready_since(pod)
    return None if since is None else max(0.0, min_ready_s - (now - since).total_seconds())


def is_available(pod: Mapping[str, Any], min_ready_s: int, now: datetime) -> bool:
    return available_in_s(pod, min_ready_s, now) == 0.0


def next_availability_s(pods: Iterable[Mapping[str, Any]], min_ready_s: int, now: datetime) -> float | None:
    """When the next ready pod becomes available, in seconds; None when none is on its way."""
    waits = [wait for pod in pods if (wait := available_in_s(pod, min_ready_s, now))]
    return min(waits, default=None)


def created_at(obj: Mapping[str, Any]) -> str:
    """The creation time as text: RFC 3339 in UTC sorts as it is."""
    return str(obj["metadata"].get("creationTimestamp") or "9999")


def restarts_of(pod: Mapping[str, Any]) -> int:
    """The highest restart count of the pod's containers."""
    statuses = get_in(pod, "status", "containerStatuses", default=[])
    return max((int(status.get("restartCount") or 0) for status in statuses), default=0)


def deletion_order(pods: Sequence[Tree], related: Iterable[Tree], now: datetime) -> list[Tree]:
    """The pods, those that are missed least first.

    `related` are all pods that share the work (of all ReplicaSets of a Deployment): where more of them sit on one
    node, that node gives up first. Source: kubernetes (pkg/controller/controller_utils.go, ActivePodsWithRanks).
    """
    crowd = Counter(node for pod in related if is_active(pod) and (node := get_in(pod, "spec", "nodeName")))
    return sorted(pods, key=lambda pod: _deletion_rank(pod, crowd, now))


def _deletion_rank(pod: Tree, crowd: Counter[str], now: datetime) -> tuple[Any, ...]:
    node = get_in(pod, "spec", "nodeName", default="")
    since = ready_since(pod)
    return (
        bool(node),
        {"Pending": 0, "Unknown": 1, "Running": 2}.get(phase_of(pod), 0),
        is_ready(pod),
        deletion_cost(pod),
        -crowd[node],
        _age_bucket(since, now),
        -restarts_of(pod),
        _age_bucket(_moment(pod), now),
        uid_of(pod),
    )


def _moment(pod: Tree) -> datetime | None:
    text = pod["metadata"].get("creationTimestamp")
    return parse_time(text) if text else None


def _age_bucket(since: datetime | None, now: datetime) -> int:
    """Ages on a logarithmic scale, so that among pods of about one age the choice is by chance (the uid)."""
    age_s = (now - since).total_seconds() if since else 0.0
    return 0 if age_s < 1 else int(math.log2(age_s)) + 1


def deletion_cost(pod: Mapping[str, Any]) -> int:
    """What the user says that losing this pod costs; 0 when not said or not a number."""
    try:
        return int(annotations_of(pod).get(DELETION_COST, "0"))
    except ValueError:
        return 0
