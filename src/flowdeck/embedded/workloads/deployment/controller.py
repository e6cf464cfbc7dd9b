"""Brings a Deployment's pods from one revision of its template to the next.

Reads   Deployment, ReplicaSet (owned), Pod (of the ReplicaSets; for Recreate)
Writes  ReplicaSet (create, resize, annotate, delete), the Deployment's revision annotation and status, Events
States  README.md
Source: kubernetes (pkg/controller/deployment)
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.controller.contract import DONE, Maps, Owns, Result, look_again_in
from flowdeck.controller.events import Events
from flowdeck.controller.status import write_status
from flowdeck.embedded.workloads import pods
from flowdeck.embedded.workloads.adoption import adopt
from flowdeck.embedded.workloads.deployment import progress, revisions, sizes
from flowdeck.embedded.workloads.deployment.sizes import Sizes, replicas_of
from flowdeck.embedded.workloads.selector_index import SelectorIndex
from flowdeck.kube.conditions import Condition
from flowdeck.kube.errors import AlreadyExists, ApiError
from flowdeck.kube.kinds import DEPLOYMENT, POD, REPLICA_SET
from flowdeck.kube.objects import (
    Kind,
    ObjectKey,
    Tree,
    annotations_of,
    controller_of,
    get_in,
    is_being_deleted,
    is_controlled_by,
    key_of,
    labels_of,
    uid_of,
)
from flowdeck.kube.selectors import label_selector_of


def deployment_of_dying_pod(pod: Tree) -> Iterable[ObjectKey]:
    """Recreate waits until the old pods are gone: their end is news to the Deployment, not only to its ReplicaSet."""
    ref, digest = controller_of(pod), labels_of(pod).get(revisions.TEMPLATE_HASH)
    if is_being_deleted(pod) and ref and digest and ref["kind"] == "ReplicaSet":
        yield ObjectKey(key_of(pod).namespace, ref["name"].removesuffix(f"-{digest}"))


@dataclass
class Rollout:
    """One look at a Deployment and its ReplicaSets; what is written is kept in step here."""

    deployment: Tree
    new: Tree | None
    old: list[Tree]
    conditions: progress.Conditions

    @property
    def all(self) -> list[Tree]:
        return [*self.old, *([self.new] if self.new else [])]

    def replace(self, changed: Tree) -> None:
        name = changed["metadata"]["name"]
        if self.new and self.new["metadata"]["name"] == name:
            self.new = changed
        self.old = [changed if rs["metadata"]["name"] == name else rs for rs in self.old]


@dataclass(frozen=True, kw_only=True)
class DeploymentController:
    """Keeps Deployments and their ReplicaSets in step."""

    client: Client
    clock: Clock
    events: Events
    name: str = "deployment"
    kind: Kind = DEPLOYMENT
    _selectors: SelectorIndex = field(default_factory=SelectorIndex)

    @property
    def watches(self) -> Sequence[Maps]:
        return (
            Owns(REPLICA_SET, owner=DEPLOYMENT),
            Maps(REPLICA_SET, self._selectors.keys_for_orphan),
            Maps(POD, deployment_of_dying_pod),
        )

    async def reconcile(self, key: ObjectKey) -> Result:
        deployment = await self.client.find(DEPLOYMENT, key)
        if deployment is None:
            self._selectors.remember(key, None)
            return DONE
        selector = label_selector_of(deployment["spec"]["selector"])
        if selector.is_everything:
            message = "This deployment is selecting all pods. A non-empty selector is required."
            await self.events.event(deployment, type="Warning", reason="SelectingAll", message=message)
            return DONE
        self._selectors.remember(key, selector)
        owned = await adopt(self.client, REPLICA_SET, deployment, selector)
        new, old = revisions.new_and_old(deployment, owned)
        rollout = Rollout(deployment, new, old, progress.conditions_of(deployment, self.clock.now()))
        try:
            if not is_being_deleted(deployment):
                await self._roll(rollout)
        finally:
            wait = await self._write_status(rollout)
        return DONE if wait is None else look_again_in(wait)

    async def _roll(self, rollout: Rollout) -> None:
        deployment = rollout.deployment
        progress.note_pause(deployment, rollout.conditions)
        await self._keep_revision(rollout)
        if deployment["spec"].get("paused") or _was_scaled(rollout):
            await self._resize(rollout, sizes.sizes_after_scaling(deployment, rollout.new, rollout.old))
            if deployment["spec"].get("paused"):
                await self._clean_up(rollout)
        elif sizes.is_rolling(deployment):
            await self._rolling_update(rollout)
        else:
            await self._recreate(rollout)

    async def _rolling_update(self, rollout: Rollout) -> None:
        deployment = rollout.deployment
        new = rollout.new or await self._create_new(rollout)
        size = sizes.size_of_new(deployment, new, rollout.old)
        if size != replicas_of(new):
            await self._resize(rollout, {new["metadata"]["name"]: size})
        elif smaller := sizes.sizes_of_old(deployment, new, rollout.old):
            await self._resize(rollout, smaller)
        await self._clean_up_when_complete(rollout)

    async def _recreate(self, rollout: Rollout) -> None:
        if unwanted := {rs["metadata"]["name"]: 0 for rs in rollout.old if replicas_of(rs)}:
            await self._resize(rollout, unwanted)
            return
        if await self._has_old_pods(rollout):
            return
        new = rollout.new or await self._create_new(rollout)
        await self._resize(rollout, {new["metadata"]["name"]: replicas_of(rollout.deployment)})
        await self._clean_up_when_complete(rollout)

    async def _has_old_pods(self, rollout: Rollout) -> bool:
        for rs in rollout.old:
            if any(not pods.is_finished(pod) for pod in await self.client.owned(POD, rs)):
                return True
        return False

    async def _keep_revision(self, rollout: Rollout) -> None:
        """Keeps the new set's annotations and revision; a rollout back makes an old set the latest revision."""
        deployment, new = rollout.deployment, rollout.new
        if new is None:
            return
        annotations = revisions.annotations_for_new(deployment, new, revisions.next_revision(rollout.old))
        min_ready_s = int(deployment["spec"].get("minReadySeconds") or 0)
        patch: Tree = {}
        if annotations != annotations_of(new):
            patch["metadata"] = {"annotations": annotations}
        if min_ready_s != int(new["spec"].get("minReadySeconds") or 0):
            patch["spec"] = {"minReadySeconds": min_ready_s}
        if patch:
            new = await self.client.patch(REPLICA_SET, key_of(new), patch)
            rollout.replace(new)
        await self._annotate(rollout, annotations[revisions.REVISION])
        if progress.deadline_s(deployment) is not None and not rollout.conditions.find("Progressing"):
            message = f'Found new replica set "{new["metadata"]["name"]}"'
            rollout.conditions.set(_progressing(progress.FOUND_NEW_REPLICA_SET, message))

    async def _annotate(self, rollout: Rollout, revision: str) -> None:
        deployment = rollout.deployment
        if annotations_of(deployment).get(revisions.REVISION) != revision:
            patch: Tree = {"metadata": {"annotations": {revisions.REVISION: revision}}}
            # through its status, which counts as no new generation
            changed = await self.client.patch_status(DEPLOYMENT, key_of(deployment), patch)
            rollout.deployment = {**deployment, "metadata": changed["metadata"]}

    async def _create_new(self, rollout: Rollout) -> Tree:
        deployment = rollout.deployment
        revision = revisions.next_revision(rollout.old)
        size = sizes.size_of_new(deployment, None, rollout.old)
        wanted = revisions.build_new(deployment, revision, size)
        name = wanted["metadata"]["name"]
        try:
            new = await self.client.create(REPLICA_SET, wanted)
        except AlreadyExists:
            new = await self._found_instead(rollout, wanted)
        except ApiError as error:
            message = f'Failed to create new replica set "{name}": {error.message}'
            if progress.deadline_s(deployment) is not None:
                rollout.conditions.set(_progressing(progress.FAILED_CREATE, message, status="False"))
            await self.events.event(deployment, type="Warning", reason="ReplicaSetCreateError", message=message)
            raise
        rollout.new = new
        if size:
            message = f"Scaled up replica set {name} from 0 to {size}"
            await self.events.event(deployment, reason="ScalingReplicaSet", message=message)
        await self._annotate(rollout, str(revision))
        if progress.deadline_s(deployment) is not None:
            message = f'Created new replica set "{name}"'
            rollout.conditions.set(_progressing(progress.NEW_REPLICA_SET_CREATED, message))
        return new

    async def _found_instead(self, rollout: Rollout, wanted: Tree) -> Tree:
        """The set of that name, when it is the one we wanted; otherwise the hash collided: count, and try again."""
        found = await self.client.get(REPLICA_SET, key_of(wanted))
        deployment = rollout.deployment
        if is_controlled_by(found, deployment) and revisions.same_template(
            found["spec"].get("template") or {}, deployment["spec"]["template"]
        ):
            return found
        collisions = int(get_in(deployment, "status", "collisionCount", default=0)) + 1
        patch: Tree = {"status": {"collisionCount": collisions}}
        rollout.deployment = await self.client.patch_status(DEPLOYMENT, key_of(deployment), patch)
        raise AlreadyExists(f'replica set "{key_of(wanted).name}" belongs to something else; trying another name')

    async def _resize(self, rollout: Rollout, wanted: Sizes) -> None:
        """Gives the named sets their sizes, and all active sets the annotations that tell of the Deployment's."""
        marks = revisions.size_annotations(rollout.deployment)
        for rs in rollout.all:
            before = replicas_of(rs)
            size = wanted.get(rs["metadata"]["name"], before)
            stale = size > 0 and not marks.items() <= annotations_of(rs).items()
            if size != before or stale:
                patch: Tree = {"spec": {"replicas": size}, "metadata": {"annotations": marks}}
                rollout.replace(await self.client.patch(REPLICA_SET, key_of(rs), patch))
            if size != before:
                direction = "up" if size > before else "down"
                message = f"Scaled {direction} replica set {key_of(rs).name} from {before} to {size}"
                await self.events.event(rollout.deployment, reason="ScalingReplicaSet", message=message)

    async def _clean_up_when_complete(self, rollout: Rollout) -> None:
        status = progress.counts(rollout.deployment, rollout.new, rollout.old)
        if progress.is_complete(rollout.deployment, status):
            await self._clean_up(rollout)

    async def _clean_up(self, rollout: Rollout) -> None:
        for rs in revisions.outdated(rollout.deployment, rollout.old):
            await self.client.delete(REPLICA_SET, key_of(rs), uid=uid_of(rs), missing_ok=True)
            rollout.old.remove(rs)

    async def _write_status(self, rollout: Rollout) -> float | None:
        """Writes the status; gives when the progress deadline needs another look."""
        deployment, new, old = rollout.deployment, rollout.new, rollout.old
        status = progress.counts(deployment, new, old)
        progress.note_availability(deployment, status, rollout.conditions)
        if not deployment["spec"].get("paused"):
            progress.note_progress(deployment, status, new, rollout.conditions)
        progress.note_failures(new, old, rollout.conditions)
        status["conditions"] = rollout.conditions.items
        await write_status(self.client, DEPLOYMENT, rollout.deployment, status)
        return progress.time_to_deadline_s(deployment, status, rollout.conditions)


def _was_scaled(rollout: Rollout) -> bool:
    wanted = str(replicas_of(rollout.deployment))
    return any(
        replicas_of(rs) and annotations_of(rs).get(sizes.DESIRED_REPLICAS, wanted) != wanted for rs in rollout.all
    )


def _progressing(reason: str, message: str, *, status: Literal["True", "False"] = "True") -> Condition:
    return Condition(type="Progressing", status=status, reason=reason, message=message)
