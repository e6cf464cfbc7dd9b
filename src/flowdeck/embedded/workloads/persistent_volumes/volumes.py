"""The life of a PersistentVolume: Available, Bound, Released, and its end by the reclaim policy.

Reads   PersistentVolume, PersistentVolumeClaim
Writes  PersistentVolume (status, finalizers, deletion), folders, Events
Source: kubernetes (pkg/controller/volume/persistentvolume, pkg/controller/volume/pvprotection)
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.controller.contract import DONE, Maps, Result
from flowdeck.controller.events import Events
from flowdeck.controller.status import write_status
from flowdeck.embedded.workloads.persistent_volumes.claims import BOUND_BY_CONTROLLER
from flowdeck.embedded.workloads.persistent_volumes.folders import CLEAN_UP_FINALIZER, Folders, is_ours, volume_name
from flowdeck.kube.kinds import PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM
from flowdeck.kube.objects import (
    Kind,
    ObjectKey,
    Tree,
    annotations_of,
    finalizers_of,
    get_in,
    is_being_deleted,
    key_of,
    uid_of,
)
from flowdeck.kube.times import format_time

PROTECTION = "kubernetes.io/pv-protection"


def volumes_of_claim(claim: Tree) -> Iterable[ObjectKey]:
    yield ObjectKey("", volume_name(claim))
    if name := claim["spec"].get("volumeName"):
        yield ObjectKey("", name)


@dataclass(frozen=True, kw_only=True)
class VolumeController:
    """Keeps volumes in step with their claims."""

    client: Client
    clock: Clock
    events: Events
    folders: Folders
    name: str = "persistentvolume"
    kind: Kind = PERSISTENT_VOLUME

    @property
    def watches(self) -> Sequence[Maps]:
        return (Maps(PERSISTENT_VOLUME_CLAIM, volumes_of_claim),)

    async def reconcile(self, key: ObjectKey) -> Result:
        volume = await self.client.find(PERSISTENT_VOLUME, key)
        if volume is None:
            return DONE
        if not is_being_deleted(volume) and PROTECTION not in finalizers_of(volume):
            volume = await self._set_finalizers(volume, [*finalizers_of(volume), PROTECTION])
        phase = await self._phase(volume)
        if phase is None:
            return DONE
        if phase == "Released" and get_in(volume, "status", "phase") == "Failed":
            return DONE
        volume = await self._set_phase(volume, phase)
        if phase == "Released" or (phase != "Bound" and is_being_deleted(volume)):
            await self._reclaim(volume)
        return DONE

    async def _phase(self, volume: Tree) -> str | None:
        """The phase that the claim gives the volume; None when the volume was given free just now."""
        ref = volume["spec"].get("claimRef")
        if not ref or not ref.get("uid"):
            return "Available"
        claim = await self.client.find(PERSISTENT_VOLUME_CLAIM, ObjectKey(ref["namespace"], ref["name"]))
        if claim is None or uid_of(claim) != ref["uid"]:
            return "Released"
        bound_to = claim["spec"].get("volumeName")
        if not bound_to:
            return str(get_in(volume, "status", "phase", default="Available"))
        if bound_to == key_of(volume).name:
            return "Bound"
        if is_ours(volume):
            return "Released"
        if BOUND_BY_CONTROLLER in annotations_of(volume):
            free: Tree = {"metadata": {"annotations": {BOUND_BY_CONTROLLER: None}}, "spec": {"claimRef": None}}
            await self.client.patch(self.kind, key_of(volume), free)
            return None
        return "Available"

    async def _set_phase(self, volume: Tree, phase: str, message: str = "", reason: str = "") -> Tree:
        before = volume.get("status") or {}
        if before.get("phase") == phase and before.get("message", "") == message:
            return volume
        now = format_time(self.clock.now())
        status = {
            **before,
            "phase": phase,
            "lastPhaseTransitionTime": now if before.get("phase") != phase else before.get("lastPhaseTransitionTime"),
            "message": message or None,
            "reason": reason or None,
        }
        return await write_status(self.client, self.kind, volume, status)

    async def _reclaim(self, volume: Tree) -> None:
        policy = volume["spec"].get("persistentVolumeReclaimPolicy") or "Retain"
        if policy == "Delete" and is_ours(volume):
            try:
                await self.folders.remove(volume)
            except (OSError, ValueError) as error:
                await self._set_phase(volume, "Failed", str(error))
                await self.events.event(volume, type="Warning", reason="VolumeFailedDelete", message=str(error))
                return
            if CLEAN_UP_FINALIZER in finalizers_of(volume):
                left = [name for name in finalizers_of(volume) if name != CLEAN_UP_FINALIZER]
                volume = await self._set_finalizers(volume, left)
            if not is_being_deleted(volume):
                await self.client.delete(self.kind, key_of(volume), uid=uid_of(volume), missing_ok=True)
        if policy == "Recycle" and not is_being_deleted(volume):
            message = "No recycler plugin found for the volume!"
            await self._set_phase(volume, "Failed", message)
            await self.events.event(volume, type="Warning", reason="VolumeRecycleFailed", message=message)
        if is_being_deleted(volume) and PROTECTION in finalizers_of(volume):
            await self._set_finalizers(volume, [name for name in finalizers_of(volume) if name != PROTECTION])

    async def _set_finalizers(self, volume: Tree, finalizers: list[str]) -> Tree:
        metadata = {"finalizers": finalizers, "resourceVersion": volume["metadata"]["resourceVersion"]}
        return await self.client.patch(self.kind, key_of(volume), {"metadata": metadata})
