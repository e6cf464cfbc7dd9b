"""Keeps the pods of a StatefulSet: their names, their volumes, their order.

Reads   StatefulSet, Pod and ControllerRevision (owned, and orphans that match), PersistentVolumeClaim
Writes  Pod, PersistentVolumeClaim (create, owners), ControllerRevision, the set's status, Events
Source: kubernetes (pkg/controller/statefulset)
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.controller.contract import DONE, Maps, Owns, Result, look_again_in
from flowdeck.controller.events import Events
from flowdeck.controller.status import write_status
from flowdeck.embedded.workloads import pods
from flowdeck.embedded.workloads.adoption import adopt
from flowdeck.embedded.workloads.revisions import REVISION_LABEL, History, keep_history, truncate_history
from flowdeck.embedded.workloads.selector_index import SelectorIndex
from flowdeck.embedded.workloads.stateful_set.decide import Seen, Step, decide, status_of
from flowdeck.embedded.workloads.stateful_set.identity import (
    build_pod,
    missing_identity,
    ordinal_of,
    pod_name,
    wanted_ordinals,
)
from flowdeck.embedded.workloads.stateful_set.volume_claims import make_claims, own_claims
from flowdeck.kube.errors import ApiError, NotFound
from flowdeck.kube.kinds import POD, STATEFUL_SET
from flowdeck.kube.objects import (
    Kind,
    ObjectKey,
    Tree,
    get_in,
    is_being_deleted,
    key_of,
    labels_of,
    uid_of,
)
from flowdeck.kube.selectors import label_selector_of

HASH_LABEL = "controller.kubernetes.io/hash"


@dataclass(frozen=True, kw_only=True)
class StatefulSetController:
    """Keeps StatefulSets and their pods in step."""

    client: Client
    clock: Clock
    events: Events
    name: str = "statefulset"
    kind: Kind = STATEFUL_SET
    _selectors: SelectorIndex = field(default_factory=SelectorIndex)

    @property
    def watches(self) -> Sequence[Maps]:
        return Owns(POD, owner=STATEFUL_SET), Maps(POD, self._selectors.keys_for_orphan)

    async def reconcile(self, key: ObjectKey) -> Result:
        stateful_set = await self.client.find(STATEFUL_SET, key)
        if stateful_set is None:
            self._selectors.remember(key, None)
            return DONE
        selector = label_selector_of(stateful_set["spec"]["selector"])
        self._selectors.remember(key, selector)
        owned = await adopt(self.client, POD, stateful_set, selector)
        if is_being_deleted(stateful_set):
            return DONE
        history = await keep_history(self.client, STATEFUL_SET, stateful_set, HASH_LABEL)
        seen = self._seen(stateful_set, history, owned)
        try:
            await self._act(seen, history, decide(seen))
        finally:
            await self._write_status(seen, history)
        live = {seen.current_revision, seen.update_revision}
        live |= {labels_of(pod).get(REVISION_LABEL, "") for pod in owned}
        await truncate_history(self.client, stateful_set, history, live)
        wait = pods.next_availability_s(owned, int(stateful_set["spec"].get("minReadySeconds") or 0), seen.now)
        return DONE if wait is None else look_again_in(wait)

    def _seen(self, stateful_set: Tree, history: History, owned: list[Tree]) -> Seen:
        update = history.update["metadata"]["name"]
        current = get_in(stateful_set, "status", "currentRevision", default="")
        known = {revision["metadata"]["name"] for revision in history.revisions}
        return Seen(stateful_set, current if current in known else update, update, owned, self.clock.now())

    async def _act(self, seen: Seen, history: History, step: Step) -> None:
        stateful_set = seen.stateful_set
        for pod in seen.pods:
            await self._keep_identity(stateful_set, pod)
        by_name = {revision["metadata"]["name"]: revision for revision in history.revisions}
        for ordinal, revision in step.create:
            await make_claims(self.client, self.events, stateful_set, ordinal)
            await self._create(stateful_set, by_name[revision], ordinal)
        for pod in step.delete:
            await self._delete(stateful_set, pod)

    async def _keep_identity(self, stateful_set: Tree, pod: Tree) -> None:
        ordinal = ordinal_of(stateful_set, pod)
        if ordinal is None:
            return
        await own_claims(self.client, stateful_set, pod)
        if pods.phase_of(pod) == "Pending" and ordinal in wanted_ordinals(stateful_set) and not is_being_deleted(pod):
            await make_claims(self.client, self.events, stateful_set, ordinal)
        if missing := missing_identity(stateful_set, pod, ordinal):
            await self.client.patch(POD, key_of(pod), {"metadata": {"uid": uid_of(pod), "labels": missing}})

    async def _create(self, stateful_set: Tree, revision: Tree, ordinal: int) -> None:
        subject = f"Create Pod {pod_name(stateful_set, ordinal)} in StatefulSet {key_of(stateful_set).name}"
        try:
            pod = await self.client.create(POD, build_pod(stateful_set, revision, ordinal))
        except ApiError as error:
            message = f"{subject} failed error: {error.message}"
            await self.events.event(stateful_set, type="Warning", reason="FailedCreate", message=message)
            raise
        await self.events.event(stateful_set, reason="SuccessfulCreate", message=f"{subject} successful")
        await own_claims(self.client, stateful_set, pod)

    async def _delete(self, stateful_set: Tree, pod: Tree) -> None:
        subject = f"Delete Pod {key_of(pod).name} in StatefulSet {key_of(stateful_set).name}"
        try:
            await self.client.delete(POD, key_of(pod), uid=uid_of(pod))
        except NotFound:
            return
        except ApiError as error:
            message = f"{subject} failed error: {error.message}"
            await self.events.event(stateful_set, type="Warning", reason="FailedDelete", message=message)
            raise
        await self.events.event(stateful_set, reason="SuccessfulDelete", message=f"{subject} successful")

    async def _write_status(self, seen: Seen, history: History) -> None:
        """The status of the pods as they are now, after what this reconcile did."""
        present = await self.client.owned(POD, seen.stateful_set)
        now_seen = Seen(seen.stateful_set, seen.current_revision, seen.update_revision, present, seen.now)
        status = status_of(now_seen, collision_count=history.collision_count)
        await write_status(self.client, STATEFUL_SET, seen.stateful_set, status)
