"""Runs one pod of a DaemonSet on every node that it fits.

Reads   DaemonSet, Node, Pod and ControllerRevision (owned, and orphans that match)
Writes  Pod (create, delete), ControllerRevision, the set's status, Events
States  README.md; the choice between them is in decide.py
Source: kubernetes (pkg/controller/daemon)
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.controller.contract import DONE, Maps, Owns, Result, look_again_in
from flowdeck.controller.events import Events
from flowdeck.controller.status import write_status
from flowdeck.embedded.workloads import pods
from flowdeck.embedded.workloads.adoption import adopt
from flowdeck.embedded.workloads.daemon_set.decide import Seen, Step, decide, status_of
from flowdeck.embedded.workloads.daemon_set.placement import daemon_pod, node_of
from flowdeck.embedded.workloads.pod_control import create_pods, delete_pods
from flowdeck.embedded.workloads.revisions import REVISION_LABEL, hash_of, keep_history, truncate_history
from flowdeck.embedded.workloads.selector_index import SelectorIndex
from flowdeck.kube.kinds import DAEMON_SET, NODE, POD
from flowdeck.kube.objects import Kind, ObjectKey, Tree, is_being_deleted, key_of, labels_of
from flowdeck.kube.selectors import label_selector_of


@dataclass(frozen=True, kw_only=True)
class DaemonSetController:
    """Keeps DaemonSets, nodes and pods in step."""

    client: Client
    clock: Clock
    events: Events
    name: str = "daemonset"
    kind: Kind = DAEMON_SET
    _selectors: SelectorIndex = field(default_factory=SelectorIndex)
    _known: set[ObjectKey] = field(default_factory=set)
    """The sets there are: a changed node concerns them all."""

    @property
    def watches(self) -> Sequence[Maps]:
        return (
            Owns(POD, owner=DAEMON_SET),
            Maps(POD, self._selectors.keys_for_orphan),
            Maps(NODE, lambda _: tuple(self._known)),
        )

    async def reconcile(self, key: ObjectKey) -> Result:
        daemon_set = await self.client.find(DAEMON_SET, key)
        if daemon_set is None:
            self._selectors.remember(key, None)
            self._known.discard(key)
            return DONE
        self._known.add(key)
        selector = label_selector_of(daemon_set["spec"]["selector"])
        self._selectors.remember(key, selector)
        owned = await adopt(self.client, POD, daemon_set, selector)
        if is_being_deleted(daemon_set):
            return DONE
        history = await keep_history(self.client, DAEMON_SET, daemon_set, REVISION_LABEL)
        digest = hash_of(history.update, REVISION_LABEL)
        try:
            await self._act(daemon_set, decide(await self._look(daemon_set, owned, digest)), digest)
        finally:
            present = await self.client.owned(POD, daemon_set)
            seen = await self._look(daemon_set, present, digest)
            status = status_of(seen, collision_count=history.collision_count)
            await write_status(self.client, DAEMON_SET, daemon_set, status)
        used = {labels_of(pod).get(REVISION_LABEL, "") for pod in present} | {digest}
        live = {key_of(r).name for r in history.revisions if hash_of(r, REVISION_LABEL) in used}
        await truncate_history(self.client, daemon_set, history, live)
        waits = [seen.pause_s(pod) for pod in present if pods.is_finished(pod)]
        waits += [wait] if (wait := pods.next_availability_s(present, seen.min_ready_s, seen.now)) else []
        return look_again_in(min(waits)) if waits else DONE

    async def _look(self, daemon_set: Tree, owned: Sequence[Tree], digest: str) -> Seen:
        by_node: dict[str, list[Tree]] = defaultdict(list)
        for pod in owned:
            by_node[node_of(pod)].append(pod)
        nodes = (await self.client.list(NODE)).items
        return Seen(daemon_set, nodes, by_node, digest, self.clock.now())

    async def _act(self, daemon_set: Tree, step: Step, digest: str) -> None:
        for pod in step.failed:
            message = f"Found failed daemon pod {key_of(pod)} on node {node_of(pod)}, will try to kill it"
            await self.events.event(daemon_set, type="Warning", reason="FailedDaemonPod", message=message)
        wanted = [daemon_pod(daemon_set, node, digest) for node in step.create]
        _, error = await create_pods(self.client, self.events, daemon_set, wanted)
        error = await delete_pods(self.client, self.events, daemon_set, [*step.delete, *step.failed]) or error
        if error is not None:
            raise error
