"""The status of a budget: how many of its pods may go. Pure. Source: kubernetes (pkg/controller/disruption)"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from flowdeck.embedded.workloads import pods
from flowdeck.kube.conditions import Condition, set_condition
from flowdeck.kube.int_or_string import scaled_value
from flowdeck.kube.objects import Tree, get_in, is_being_deleted, key_of
from flowdeck.kube.times import parse_time

DISRUPTION_TIMEOUT_S = 120
"""How long an evicted pod counts as disrupted before its deletion begins."""


@dataclass(frozen=True)
class Seen:
    """A budget and its pods."""

    budget: Tree
    pods: Sequence[Tree]
    scale: int
    """Replicas wanted by all controllers of the pods."""
    now: datetime


def needs_scale(budget: Tree) -> bool:
    """Whether the budget is a share of the wanted replicas, not a fixed minimum of pods."""
    spec = budget["spec"]
    return spec.get("maxUnavailable") is not None or isinstance(spec.get("minAvailable"), str)


def still_disrupted(budget: Tree, found: Sequence[Tree], now: datetime) -> dict[str, str]:
    """Pods that were evicted a moment ago and whose deletion has not begun: name -> when."""
    recorded = get_in(budget, "status", "disruptedPods", default={})
    names = {key_of(pod).name for pod in found if not is_being_deleted(pod)}
    return {name: when for name, when in recorded.items() if name in names and not _is_over(when, now)}


def _is_over(when: str, now: datetime) -> bool:
    return parse_time(when) + timedelta(seconds=DISRUPTION_TIMEOUT_S) < now


def expected_and_desired(seen: Seen) -> tuple[int, int]:
    """How many pods there should be, and how many of them must stay healthy."""
    spec = seen.budget["spec"]
    if spec.get("maxUnavailable") is not None:
        allowed = scaled_value(spec["maxUnavailable"], seen.scale, round_up=True)
        return seen.scale, max(0, seen.scale - allowed)
    minimum = spec.get("minAvailable", 1)
    if isinstance(minimum, str):
        return seen.scale, scaled_value(minimum, seen.scale, round_up=True)
    return len(seen.pods), int(minimum)


def status_of(seen: Seen) -> Tree:
    """The status that these pods mean."""
    disrupted = still_disrupted(seen.budget, seen.pods, seen.now)
    expected, desired = expected_and_desired(seen)
    healthy = sum(
        pods.is_ready(pod) and not is_being_deleted(pod) and key_of(pod).name not in disrupted for pod in seen.pods
    )
    allowed = max(0, healthy - desired) if expected > 0 else 0
    enough: Condition = (
        Condition(type="DisruptionAllowed", status="True", reason="SufficientPods")
        if allowed > 0
        else Condition(type="DisruptionAllowed", status="False", reason="InsufficientPods")
    )
    status = {
        "observedGeneration": seen.budget["metadata"].get("generation", 0),
        "disruptionsAllowed": allowed,
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "expectedPods": expected,
        "conditions": _conditions(seen.budget, enough, seen.now),
    }
    return status | ({"disruptedPods": disrupted} if disrupted else {})


def failed_status(budget: Tree, message: str, now: datetime) -> Tree:
    """Nothing may be evicted while we do not know what is there."""
    failure = Condition(type="DisruptionAllowed", status="False", reason="SyncFailed", message=message)
    status = {**(budget.get("status") or {}), "disruptionsAllowed": 0}
    status["conditions"] = _conditions(budget, failure, now)
    for count in ("currentHealthy", "desiredHealthy", "expectedPods"):
        status.setdefault(count, 0)
    return status


def _conditions(budget: Tree, wanted: Condition, now: datetime) -> list[Tree]:
    conditions = list(get_in(budget, "status", "conditions", default=[]))
    set_condition(conditions, wanted, now=now, observed_generation=budget["metadata"].get("generation", 0))
    return conditions
