"""Keeps as many pods running as a ReplicaSet, or a ReplicationController, asks for.

Reads   ReplicaSet (or ReplicationController), Pod (owned, and orphans that match)
Writes  Pod (create, delete, adopt, release), the set's status, Events
Source: kubernetes (pkg/controller/replicaset)
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.controller.contract import DONE, Maps, Owns, Result, look_again_in
from flowdeck.controller.events import Events
from flowdeck.controller.status import write_status
from flowdeck.embedded.workloads import pods
from flowdeck.embedded.workloads.adoption import adopt
from flowdeck.embedded.workloads.pod_control import create_pods, delete_pods
from flowdeck.embedded.workloads.selector_index import SelectorIndex
from flowdeck.embedded.workloads.templates import pod_of
from flowdeck.kube.errors import ApiError
from flowdeck.kube.kinds import POD, REPLICA_SET
from flowdeck.kube.objects import (
    Kind,
    ObjectKey,
    Tree,
    controller_of,
    get_in,
    is_being_deleted,
    key_of,
    labels_of,
    uid_of,
)
from flowdeck.kube.selectors import LabelSelector, label_selector_of
from flowdeck.kube.times import format_time

BURST = 500
"""Pods that one reconcile creates or deletes at most; the rest follows in the next one."""


def selector_of(replica_set: Tree) -> LabelSelector:
    """A ReplicaSet's selector; a ReplicationController's is a plain map of labels."""
    selector = replica_set["spec"].get("selector") or {}
    is_map = replica_set["kind"] == "ReplicationController"
    return label_selector_of({"matchLabels": selector} if is_map else selector)


def wanted_replicas(obj: Tree) -> int:
    return int(get_in(obj, "spec", "replicas", default=1))


@dataclass(frozen=True, kw_only=True)
class ReplicaSetController:
    """One controller for both kinds; `kind` says which."""

    client: Client
    clock: Clock
    events: Events
    kind: Kind = REPLICA_SET
    _selectors: SelectorIndex = field(default_factory=SelectorIndex)

    @property
    def name(self) -> str:
        return self.kind.kind.lower()

    @property
    def watches(self) -> Sequence[Maps]:
        return Owns(POD, owner=self.kind), Maps(POD, self._selectors.keys_for_orphan)

    async def reconcile(self, key: ObjectKey) -> Result:
        replica_set = await self.client.find(self.kind, key)
        if replica_set is None:
            self._selectors.remember(key, None)
            return DONE
        selector = selector_of(replica_set)
        self._selectors.remember(key, selector)
        owned = await adopt(self.client, POD, replica_set, selector)
        active = [pod for pod in owned if pods.is_active(pod)]
        error = None
        if not is_being_deleted(replica_set):
            active, error = await self._scale(replica_set, active)
        now = self.clock.now()
        await write_status(self.client, self.kind, replica_set, status_of(replica_set, active, owned, error, now))
        if error is not None:
            raise error
        wait = pods.next_availability_s(active, _min_ready_s(replica_set), now)
        return DONE if wait is None else look_again_in(wait)

    async def _scale(self, replica_set: Tree, active: list[Tree]) -> tuple[list[Tree], ApiError | None]:
        missing = wanted_replicas(replica_set) - len(active)
        if missing > 0:
            made, error = await create_pods(
                self.client, self.events, replica_set, [pod_of_set(replica_set) for _ in range(min(missing, BURST))]
            )
            return active + made, error
        if missing < 0:
            related = await self._related(replica_set, active)
            extra = pods.deletion_order(active, related, self.clock.now())[: min(-missing, BURST)]
            error = await delete_pods(self.client, self.events, replica_set, extra)
            gone = {uid_of(pod) for pod in extra} if error is None else set()
            return [pod for pod in active if uid_of(pod) not in gone], error
        return active, None

    async def _related(self, replica_set: Tree, active: list[Tree]) -> Sequence[Tree]:
        """The pods of all ReplicaSets of the same Deployment."""
        owner = controller_of(replica_set)
        if owner is None:
            return active
        stand_in: Tree = {"metadata": {"namespace": key_of(replica_set).namespace, "uid": owner["uid"]}}
        siblings = await self.client.owned(self.kind, stand_in)
        return [pod for sibling in siblings for pod in await self.client.owned(POD, sibling)]


def pod_of_set(replica_set: Tree) -> Tree:
    return pod_of(replica_set["spec"].get("template") or {}, replica_set)


def _min_ready_s(replica_set: Tree) -> int:
    return int(replica_set["spec"].get("minReadySeconds") or 0)


def status_of(
    replica_set: Tree, active: Sequence[Tree], owned: Sequence[Tree], error: ApiError | None, now: datetime
) -> Tree:
    """The status that these pods mean; `error` is what kept the set from its size."""
    min_ready_s = _min_ready_s(replica_set)
    template_labels = get_in(replica_set, "spec", "template", "metadata", "labels", default={})
    status: Tree = {
        "replicas": len(active),
        "fullyLabeledReplicas": sum(template_labels.items() <= labels_of(pod).items() for pod in active),
        "readyReplicas": sum(map(pods.is_ready, active)),
        "availableReplicas": sum(pods.is_available(pod, min_ready_s, now) for pod in active),
        "observedGeneration": replica_set["metadata"].get("generation", 0),
    }
    status = {name: count for name, count in status.items() if count or name == "replicas"}
    if replica_set["kind"] == "ReplicaSet":
        status["terminatingReplicas"] = sum(map(pods.is_terminating, owned))
    conditions = _conditions(replica_set, len(active), error, now)
    if conditions:
        status["conditions"] = conditions
    return status


def _conditions(replica_set: Tree, size: int, error: ApiError | None, now: datetime) -> list[Tree]:
    conditions = list(get_in(replica_set, "status", "conditions", default=[]))
    others = [condition for condition in conditions if condition["type"] != "ReplicaFailure"]
    if error is None:
        return others
    if len(others) < len(conditions):
        return conditions
    failure = {
        "type": "ReplicaFailure",
        "status": "True",
        "lastTransitionTime": format_time(now),
        "reason": "FailedCreate" if size < wanted_replicas(replica_set) else "FailedDelete",
        "message": error.message,
    }
    return [*others, failure]
