"""Keeps the status of PodDisruptionBudgets in step with their pods.

Reads   PodDisruptionBudget, Pod (selected), and what controls the pods (ReplicaSet, Deployment, StatefulSet, ...)
Writes  PodDisruptionBudget status, Events
States  README.md; the numbers are in status.py
Source: kubernetes (pkg/controller/disruption)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.controller.contract import DONE, Maps, Result, look_again_in
from flowdeck.controller.events import Events
from flowdeck.controller.status import write_status
from flowdeck.embedded.workloads.pod_disruption_budget.status import (
    DISRUPTION_TIMEOUT_S,
    Seen,
    failed_status,
    needs_scale,
    status_of,
    still_disrupted,
)
from flowdeck.embedded.workloads.selector_index import SelectorIndex
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

SCALED = {kind.kind: kind for kind in (REPLICA_SET, REPLICATION_CONTROLLER, STATEFUL_SET)}


class NoScale(Exception):
    """The wanted number of pods cannot be found out."""


@dataclass(frozen=True, kw_only=True)
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
