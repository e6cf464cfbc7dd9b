"""Binds PersistentVolumeClaims to volumes, provisions volumes for them, and follows their growth.

Reads   PersistentVolumeClaim, PersistentVolume, StorageClass, Pod and Node (for classes that wait for a consumer)
Writes  PersistentVolume (create, claimRef, capacity), the claim's volumeName, annotations and status, Events
Source: kubernetes (pkg/controller/volume/persistentvolume)
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from flowdeck.client.base import Client
from flowdeck.controller.contract import DONE, Maps, Result
from flowdeck.controller.events import Events
from flowdeck.controller.status import write_status
from flowdeck.embedded.workloads.persistent_volumes import matching
from flowdeck.embedded.workloads.persistent_volumes.folders import PROVISIONER, CannotProvision, Folders, is_ours
from flowdeck.embedded.workloads.persistent_volumes.usage import SELECTED_NODE, claims_of_pod
from flowdeck.kube.errors import AlreadyExists
from flowdeck.kube.kinds import NODE, PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, POD, STORAGE_CLASS
from flowdeck.kube.objects import (
    Kind,
    ObjectKey,
    Tree,
    annotations_of,
    get_in,
    is_being_deleted,
    key_of,
    uid_of,
)

BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
STORAGE_PROVISIONER = "volume.kubernetes.io/storage-provisioner"
BETA_STORAGE_PROVISIONER = "volume.beta.kubernetes.io/storage-provisioner"
IS_DEFAULT = "storageclass.kubernetes.io/is-default-class"
NO_PROVISIONER = "kubernetes.io/no-provisioner"


@dataclass(frozen=True, kw_only=True)
class ClaimController:
    """Keeps claims in step with volumes."""

    client: Client
    events: Events
    folders: Folders
    name: str = "persistentvolumeclaim-binder"
    kind: Kind = PERSISTENT_VOLUME_CLAIM
    _unbound: dict[ObjectKey, str] = field(default_factory=dict)
    """Claims that wait, with what was told of it last: new volumes, classes and nodes concern them all."""

    @property
    def watches(self) -> Sequence[Maps]:
        return (
            Maps(PERSISTENT_VOLUME, self._of_volume),
            Maps(STORAGE_CLASS, lambda _: tuple(self._unbound)),
            Maps(NODE, lambda _: tuple(self._unbound)),
            Maps(POD, self._of_pod),
        )

    def _of_volume(self, volume: Tree) -> Iterable[ObjectKey]:
        ref = volume["spec"].get("claimRef")
        return [ObjectKey(ref["namespace"], ref["name"])] if ref else tuple(self._unbound)

    def _of_pod(self, pod: Tree) -> Iterable[ObjectKey]:
        return [key for key in claims_of_pod(pod) if key in self._unbound]

    async def reconcile(self, key: ObjectKey) -> Result:
        claim = await self.client.find(PERSISTENT_VOLUME_CLAIM, key)
        if claim is None or (is_being_deleted(claim) and not claim["spec"].get("volumeName")):
            self._unbound.pop(key, None)
            return DONE
        if BIND_COMPLETED in annotations_of(claim):
            self._unbound.pop(key, None)
            await self._keep_bound(claim)
        else:
            self._unbound.setdefault(key, "")
            if await self._bind_new(claim):
                self._unbound.pop(key, None)
        return DONE

    # ---- bound claims ---------------------------------------------------------------------------------------------

    async def _keep_bound(self, claim: Tree) -> None:
        name = claim["spec"].get("volumeName")
        if not name:
            await self._lose(claim, "ClaimLost", "Bound claim has lost reference to PersistentVolume. " + _DATA_LOST)
            return
        volume = await self.client.find(PERSISTENT_VOLUME, ObjectKey("", name))
        if volume is None:
            await self._lose(claim, "ClaimLost", "Bound claim has lost its PersistentVolume. " + _DATA_LOST)
        elif (ref := volume["spec"].get("claimRef")) and ref.get("uid") not in ("", None, uid_of(claim)):
            message = "Two claims are bound to the same volume, this one is bound incorrectly"
            await self._lose(claim, "ClaimMisbound", message)
        else:
            await self._bind(claim, volume)

    async def _lose(self, claim: Tree, reason: str, message: str) -> None:
        if get_in(claim, "status", "phase") != "Lost":
            await write_status(self.client, self.kind, claim, {"phase": "Lost"})
            await self.events.event(claim, type="Warning", reason=reason, message=message)

    # ---- unbound claims -------------------------------------------------------------------------------------------

    async def _bind_new(self, claim: Tree) -> bool:
        """Finds or makes a volume; False: nothing to do before something changes."""
        if name := claim["spec"].get("volumeName"):
            return await self._bind_named(claim, name)
        if matching.has_no_class_word(claim):
            claim = await self._with_default_class(claim)
        class_name = matching.class_of(claim)
        storage_class = await self.client.find(STORAGE_CLASS, ObjectKey("", class_name)) if class_name else None
        waits = storage_class is not None and storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"
        volumes = (await self.client.list(PERSISTENT_VOLUME)).items
        reserved = [volume for volume in volumes if matching.is_reserved_for(volume, claim)]
        node = await self._node_for(claim, waits)
        if waits and node is None and not reserved:
            message = "waiting for first consumer to be created before binding"
            await self._stay_pending(claim, "Normal", "WaitForFirstConsumer", message)
            return False
        volume = matching.best_volume(claim, volumes, node if waits else None)
        if volume is None and not class_name:
            message = "no persistent volumes available for this claim and no storage class is set"
            await self._stay_pending(claim, "Normal", "FailedBinding", message)
            return False
        if volume is None:
            volume = await self._provision(claim, class_name, storage_class, node)
        if volume is None:
            return False
        await self._bind(claim, volume)
        return True

    async def _bind_named(self, claim: Tree, name: str) -> bool:
        volume = await self.client.find(PERSISTENT_VOLUME, ObjectKey("", name))
        if volume is None:
            await self._stay_pending(claim, "Warning", "FailedBinding", f'volume "{name}" not found')
            return False
        if volume["spec"].get("claimRef") and not matching.is_reserved_for(volume, claim):
            message = f'volume "{name}" already bound to a different claim.'
            await self._stay_pending(claim, "Warning", "FailedBinding", message)
            return False
        if not volume["spec"].get("claimRef") and (why := matching.mismatch(volume, claim)):
            message = f'Cannot bind to requested volume "{name}": {why}'
            await self._stay_pending(claim, "Warning", "VolumeMismatch", message)
            return False
        await self._bind(claim, volume)
        return True

    async def _with_default_class(self, claim: Tree) -> Tree:
        """A claim that was there before the default class gets it now."""
        classes = (await self.client.list(STORAGE_CLASS)).items
        defaults = [found for found in classes if annotations_of(found).get(IS_DEFAULT) == "true"]
        if not defaults:
            return claim
        newest = max(defaults, key=lambda found: (found["metadata"]["creationTimestamp"], key_of(found).name))
        patch: Tree = {"spec": {"storageClassName": key_of(newest).name}}
        return await self.client.patch(self.kind, key_of(claim), patch)

    async def _node_for(self, claim: Tree, waits: bool) -> Tree | None:
        """The node whose disk the volume goes to: where the consumer runs or will run; else any, if we may choose."""
        if selected := annotations_of(claim).get(SELECTED_NODE):
            return await self.client.find(NODE, ObjectKey("", selected))
        nodes = sorted(
            (await self.client.list(NODE)).items, key=lambda node: str(node["metadata"]["creationTimestamp"])
        )
        if not waits:
            return nodes[0] if nodes else None
        found = await self.client.list(POD, namespace=key_of(claim).namespace)
        consumers = [pod for pod in found.items if key_of(claim) in claims_of_pod(pod)]
        for pod in consumers:
            if name := pod["spec"].get("nodeName"):
                return await self.client.find(NODE, ObjectKey("", name))
        return nodes[0] if consumers and len(nodes) == 1 else None

    async def _provision(
        self, claim: Tree, class_name: str, storage_class: Tree | None, node: Tree | None
    ) -> Tree | None:
        if storage_class is None:
            message = f'storageclass.storage.k8s.io "{class_name}" not found'
            await self._stay_pending(claim, "Warning", "ProvisioningFailed", message)
            return None
        provisioner = storage_class["provisioner"]
        if provisioner == NO_PROVISIONER:
            message = "no persistent volumes available for this claim and no storage class is set"
            await self._stay_pending(claim, "Normal", "FailedBinding", message)
            return None
        claim = await self._note_provisioner(claim, provisioner)
        if provisioner != PROVISIONER:
            message = (
                f"Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually "
                "by the system administrator. If volume creation is delayed, please verify that the provisioner is "
                "running and correctly registered."
            )
            await self._stay_pending(claim, "Normal", "ExternalProvisioning", message)
            return None
        if node is None:
            await self._stay_pending(claim, "Normal", "Provisioning", "waiting for a node to keep the volume")
            return None
        return await self._make_volume(claim, storage_class, node)

    async def _note_provisioner(self, claim: Tree, provisioner: str) -> Tree:
        marks = {STORAGE_PROVISIONER: provisioner, BETA_STORAGE_PROVISIONER: provisioner}
        if marks.items() <= annotations_of(claim).items():
            return claim
        return await self.client.patch(self.kind, key_of(claim), {"metadata": {"annotations": marks}})

    async def _make_volume(self, claim: Tree, storage_class: Tree, node: Tree) -> Tree | None:
        try:
            wanted = self.folders.volume_for(claim, storage_class, node)
            await self.folders.make(wanted)
        except (CannotProvision, OSError) as error:
            message = f'failed to provision volume with StorageClass "{key_of(storage_class).name}": {error}'
            await self._stay_pending(claim, "Warning", "ProvisioningFailed", message)
            return None
        try:
            volume = await self.client.create(PERSISTENT_VOLUME, wanted)
        except AlreadyExists:
            return await self.client.get(PERSISTENT_VOLUME, key_of(wanted))
        message = f"Successfully provisioned volume {key_of(volume).name}"
        await self.events.event(claim, reason="ProvisioningSucceeded", message=message)
        return volume

    async def _stay_pending(self, claim: Tree, type_: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        await write_status(self.client, self.kind, claim, {**(claim.get("status") or {}), "phase": "Pending"})
        if self._unbound.get(key_of(claim)) != message:
            self._unbound[key_of(claim)] = message
            await self.events.event(claim, type=type_, reason=reason, message=message)

    # ---- both sides -----------------------------------------------------------------------------------------------

    async def _bind(self, claim: Tree, volume: Tree) -> None:
        """Makes claim and volume point at each other; done twice it changes nothing."""
        volume = await self._reserve(volume, claim)
        volume = await self._grow(volume, claim)
        marks = {BIND_COMPLETED: "yes"}
        if not claim["spec"].get("volumeName"):
            marks[BOUND_BY_CONTROLLER] = "yes"
        name = key_of(volume).name
        if claim["spec"].get("volumeName") != name or BIND_COMPLETED not in annotations_of(claim):
            patch: Tree = {"metadata": {"annotations": marks}, "spec": {"volumeName": name}}
            claim = await self.client.patch(self.kind, key_of(claim), patch)
        status = {
            **(claim.get("status") or {}),
            "phase": "Bound",
            "accessModes": list(volume["spec"].get("accessModes") or ()),
            "capacity": {"storage": get_in(volume, "spec", "capacity", "storage")},
        }
        await write_status(self.client, self.kind, claim, status)

    async def _reserve(self, volume: Tree, claim: Tree) -> Tree:
        ref = volume["spec"].get("claimRef") or {}
        if ref.get("uid") == uid_of(claim):
            return volume
        namespace, name = key_of(claim)
        wanted: Tree = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "namespace": namespace,
            "name": name,
            "uid": uid_of(claim),
            "resourceVersion": claim["metadata"]["resourceVersion"],
        }
        metadata: Tree = {"resourceVersion": volume["metadata"]["resourceVersion"]}
        if not ref:
            metadata["annotations"] = {BOUND_BY_CONTROLLER: "yes"}
        patch: Tree = {"metadata": metadata, "spec": {"claimRef": wanted}}
        return await self.client.patch(PERSISTENT_VOLUME, key_of(volume), patch)

    async def _grow(self, volume: Tree, claim: Tree) -> Tree:
        """A folder grows by writing down its new size. Whether the class allows it was checked at admission."""
        if not is_ours(volume) or matching.requested(claim) <= matching.capacity_of(volume):
            return volume
        size = claim["spec"]["resources"]["requests"]["storage"]
        patch: Tree = {"spec": {"capacity": {"storage": size}}}
        grown = await self.client.patch(PERSISTENT_VOLUME, key_of(volume), patch)
        await self.events.event(claim, reason="VolumeResizeSuccessful", message="Resize volume succeeded")
        return grown


_DATA_LOST = "Data on the volume is lost!"
