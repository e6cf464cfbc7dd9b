"""Keeps the status of PodDisruptionBudgets: how many healthy pods may be evicted right now.

Reads   PodDisruptionBudget, Pod (selected), and what controls the pods (ReplicaSet, Deployment, StatefulSet, ...)
Writes  PodDisruptionBudget status, Events
Source: kubernetes (pkg/controller/disruption)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.controller.contract import DONE, Maps, Result, look_again_in
from flowdeck.controller.events import Events
from flowdeck.controller.status import write_status
from flowdeck.embedded.workloads import pods
from flowdeck.embedded.workloads.claims import SelectorIndex
from flowdeck.kube.conditions import Condition, set_condition
from flowdeck.kube.int_or_string import scaled_value
from flowdeck.kube.kinds import (
    DEPLOYMENT,
    POD,
    POD_DISRUPTION_BUDGET,
    REPLICA_SET,
    REPLICATION_CONTROLLER,
    STATEFUL_SET,
)
from flowdeck.kube.objects import Kind, ObjectKey, Tree, controller_of, get_in, is_being_deleted, key_of, uid_of
from flowdeck.kube.selectors import format_label_selector, label_selector_of
from flowdeck.kube.times import parse_time

DISRUPTION_TIMEOUT_S = 120
"""How long an evicted pod counts as disrupted before its deletion begins."""

SCALED = {kind.kind: kind for kind in (REPLICA_SET, REPLICATION_CONTROLLER, STATEFUL_SET)}


class NoScale(Exception):
    """The wanted number of pods cannot be found out."""


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


@dataclass(frozen=True)
class PodDisruptionBudgetController:
    """Keeps budgets in step with their pods."""

    client: Client
    clock: Clock
    events: Events
    name: str = "disruption"
    kind: Kind = POD_DISRUPTION_BUDGET
    _selectors: SelectorIndex = field(default_factory=SelectorIndex)

    @property
    def watches(self) -> Sequence[Maps]:
        return (Maps(POD, self._selectors.keys_for),)

    async def reconcile(self, key: ObjectKey) -> Result:
        budget = await self.client.find(POD_DISRUPTION_BUDGET, key)
        if budget is None or is_being_deleted(budget):
            self._selectors.remember(key, None)
            return DONE
        selected = await self._selected(budget)
        now = self.clock.now()
        try:
            scale = await self._scale(selected) if needs_scale(budget) else 0
        except NoScale as error:
            message = f"Failed to calculate the number of expected pods: {error}"
            written = await write_status(self.client, self.kind, budget, failed_status(budget, str(error), now))
            if written is not budget:
                reason = "CalculateExpectedPodCountFailed"
                await self.events.event(budget, type="Warning", reason=reason, message=message)
            return DONE
        written = await write_status(self.client, self.kind, budget, status_of(Seen(budget, selected, scale, now)))
        if not selected and written is not budget:
            await self.events.event(budget, reason="NoPods", message="No matching pods found")
        disrupted = still_disrupted(budget, selected, now)
        return look_again_in(DISRUPTION_TIMEOUT_S) if disrupted else DONE

    async def _selected(self, budget: Tree) -> Sequence[Tree]:
        key, tree = key_of(budget), budget["spec"].get("selector")
        if tree is None:
            self._selectors.remember(key, None)
            return ()
        selector = label_selector_of(tree)
        self._selectors.remember(key, selector)
        found = await self.client.list(POD, namespace=key.namespace, labels=format_label_selector(selector))
        return found.items

    async def _scale(self, selected: Sequence[Tree]) -> int:
        """The replicas of all controllers of the pods, each counted once. Pods without a controller do not count."""
        sizes: dict[str, int] = {}
        for pod in selected:
            ref = controller_of(pod)
            if ref is not None and ref["uid"] not in sizes:
                uid, size = await self._size_of(key_of(pod), ref)
                sizes[ref["uid"]] = 0
                sizes[uid] = size
        return sum(sizes.values())

    async def _size_of(self, pod: ObjectKey, ref: Mapping[str, str]) -> tuple[str, int]:
        """Uid and replicas of the topmost controller."""
        kind = SCALED.get(ref["kind"])
        if kind is None or kind.api_version != ref["apiVersion"]:
            raise NoScale(f"{ref['kind']} {ref['name']} does not implement the scale subresource")
        found = await self.client.find(kind, ObjectKey(pod.namespace, ref["name"]))
        if found is None or uid_of(found) != ref["uid"]:
            raise NoScale(f'found no controllers for pod "{pod.name}"')
        above = controller_of(found)
        if above is not None and above["kind"] == DEPLOYMENT.kind:
            deployment = await self.client.find(DEPLOYMENT, ObjectKey(pod.namespace, above["name"]))
            if deployment is not None and uid_of(deployment) == above["uid"]:
                found = deployment
        return uid_of(found), int(get_in(found, "spec", "replicas", default=1))
