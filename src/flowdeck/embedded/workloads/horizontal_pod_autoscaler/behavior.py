"""How fast replicas may change: stabilization windows and rate policies. Pure.

Source: kubernetes (pkg/controller/podautoscaler/horizontal.go)
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from flowdeck.embedded.workloads.horizontal_pod_autoscaler.replicas import Tolerance
from flowdeck.kube.objects import Tree, get_in
from flowdeck.kube.quantity import parse_quantity

DEFAULT_UP: Tree = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
}
DEFAULT_DOWN: Tree = {
    "stabilizationWindowSeconds": 300,
    "selectPolicy": "Max",
    "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
}
DEFAULT_TOLERANCE = 0.1


def rules_of(autoscaler: Tree, direction: str) -> Tree:
    """`scaleUp` or `scaleDown` of the behavior, with defaults for what it leaves open."""
    default = DEFAULT_UP if direction == "scaleUp" else DEFAULT_DOWN
    given = get_in(autoscaler, "spec", "behavior", direction, default={})
    return default | {name: value for name, value in given.items() if value is not None and value != []}


def tolerance_of(autoscaler: Tree) -> Tolerance:
    def of(direction: str) -> float:
        given = get_in(autoscaler, "spec", "behavior", direction, "tolerance")
        return DEFAULT_TOLERANCE if given is None else float(parse_quantity(given).value)

    return Tolerance(up=of("scaleUp"), down=of("scaleDown"))


@dataclass(frozen=True)
class Moment:
    """A number at a time: a recommendation, or a change of size."""

    at: datetime
    amount: int


@dataclass
class Memory:
    """What was recommended and done lately, of one autoscaler. Lost on a restart, as upstream's is."""

    recommendations: list[Moment] = field(default_factory=list)
    ups: list[Moment] = field(default_factory=list)
    downs: list[Moment] = field(default_factory=list)
    looked_at: tuple[datetime, Tree] | None = None
    """When it was looked at last, and the spec of then (autoscalers have no generation)."""

    def begin(self, current: int, now: datetime) -> None:
        """The size at first sight counts as a recommendation: nothing shrinks before a whole window was seen."""
        if not self.recommendations:
            self.recommendations.append(Moment(now, current))

    def note_change(self, before: int, after: int, now: datetime) -> None:
        (self.ups if after > before else self.downs).append(Moment(now, abs(after - before)))

    def forget_before(self, moment: datetime) -> None:
        for moments in (self.recommendations, self.ups, self.downs):
            moments[:] = [kept for kept in moments if kept.at >= moment]


@dataclass(frozen=True)
class Limited:
    """The size after all limits, and why it is that."""

    replicas: int
    able_reason: str
    able_message: str
    is_limited: bool
    limited_reason: str
    limited_message: str


def limit(autoscaler: Tree, memory: Memory, current: int, desired: int, now: datetime) -> Limited:
    """Applies windows, then rates and bounds; notes the recommendation."""
    up, down = rules_of(autoscaler, "scaleUp"), rules_of(autoscaler, "scaleDown")
    longest_s = max([up["stabilizationWindowSeconds"], down["stabilizationWindowSeconds"], *_periods(up, down)])
    memory.forget_before(now - timedelta(seconds=longest_s))
    stable = _stabilized(memory, up, down, current, desired, now)
    memory.recommendations.append(Moment(now, desired))
    able = ("ReadyForNewScale", "recommended size matches current size")
    if stable != desired and desired >= current:
        text = "recent recommendations were lower than current one, applying the lowest recent recommendation"
        able = ("ScaleUpStabilized", text)
    elif stable != desired:
        text = "recent recommendations were higher than current one, applying the highest recent recommendation"
        able = ("ScaleDownStabilized", text)
    replicas, reason, message = _within_rates(autoscaler, memory, current, stable, now)
    return Limited(replicas, *able, replicas != stable, reason, message)


def _periods(*rules: Tree) -> list[int]:
    return [policy["periodSeconds"] for rule in rules for policy in rule["policies"]]


def _stabilized(memory: Memory, up: Tree, down: Tree, current: int, desired: int, now: datetime) -> int:
    def recent(rules: Tree) -> list[int]:
        cutoff = now - timedelta(seconds=rules["stabilizationWindowSeconds"])
        return [moment.amount for moment in memory.recommendations if moment.at > cutoff]

    at_least = min([desired, *recent(up)])
    at_most = max([desired, *recent(down)])
    return min(max(current, at_least), at_most)


def bounds(autoscaler: Tree) -> tuple[int, int]:
    minimum = autoscaler["spec"].get("minReplicas")
    return 1 if minimum is None else int(minimum), int(autoscaler["spec"]["maxReplicas"])


def _within_rates(autoscaler: Tree, memory: Memory, current: int, desired: int, now: datetime) -> tuple[int, str, str]:
    minimum, maximum = bounds(autoscaler)
    if desired > current:
        fastest = max(current, rate_limit(rules_of(autoscaler, "scaleUp"), memory, current, now, up=True))
        if desired > min(fastest, maximum):
            if fastest < maximum:
                text = "the desired replica count is increasing faster than the maximum scale rate"
                return fastest, "ScaleUpLimit", text
            text = "the desired replica count is more than the maximum replica count"
            return maximum, "TooManyReplicas", text
    elif desired < current:
        fastest = min(current, rate_limit(rules_of(autoscaler, "scaleDown"), memory, current, now, up=False))
        if desired < max(fastest, minimum):
            if fastest > minimum:
                text = "the desired replica count is decreasing faster than the maximum scale rate"
                return fastest, "ScaleDownLimit", text
            text = "the desired replica count is less than the minimum replica count"
            return minimum, "TooFewReplicas", text
    return desired, "DesiredWithinRange", "the desired count is within the acceptable range"


def rate_limit(rules: Mapping[str, Any], memory: Memory, current: int, now: datetime, *, up: bool) -> int:
    """The furthest size that the policies allow; `selectPolicy: Disabled` allows none."""
    if rules["selectPolicy"] == "Disabled":
        return current
    proposals = [_proposal(policy, memory, current, now, up=up) for policy in rules["policies"]]
    largest_change = rules["selectPolicy"] != "Min"
    return max(proposals) if up == largest_change else min(proposals)


def _proposal(policy: Tree, memory: Memory, current: int, now: datetime, *, up: bool) -> int:
    cutoff = now - timedelta(seconds=policy["periodSeconds"])
    start = current - _sum_since(memory.ups, cutoff) + _sum_since(memory.downs, cutoff)
    change = policy["value"] if up else -policy["value"]
    if policy["type"] == "Pods":
        return int(start + change)
    exact = start * (100 + change) / 100
    return math.ceil(exact) if up else int(exact)


def _sum_since(moments: Sequence[Moment], cutoff: datetime) -> int:
    return sum(moment.amount for moment in moments if moment.at > cutoff)
