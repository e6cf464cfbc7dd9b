"""Keeps a claim that is being deleted until no pod uses it, and makes the claims of ephemeral volumes.

Reads   PersistentVolumeClaim, Pod
Writes  PersistentVolumeClaim (finalizer; create, for ephemeral volumes), Events
Source: kubernetes (pkg/controller/volume/pvcprotection, pkg/controller/volume/ephemeral)
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flowdeck.client.base import Client
from flowdeck.controller.contract import DONE, Maps, Result
from flowdeck.controller.events import Events
from flowdeck.embedded.workloads import pods
from flowdeck.embedded.workloads.persistent_volumes.usage import claims_of_pod
from flowdeck.kube.errors import AlreadyExists, ApiError
from flowdeck.kube.kinds import PERSISTENT_VOLUME_CLAIM, POD
from flowdeck.kube.objects import (
    Kind,
    ObjectKey,
    Tree,
    annotations_of,
    copy_of,
    finalizers_of,
    is_being_deleted,
    is_controlled_by,
    key_of,
    labels_of,
    owner_reference,
)

PROTECTION = "kubernetes.io/pvc-protection"


@dataclass(frozen=True, kw_only=True)
class ClaimProtectionController:
    """The finalizer of claims."""

    client: Client
    name: str = "persistentvolumeclaim-protection"
    kind: Kind = PERSISTENT_VOLUME_CLAIM

    @property
    def watches(self) -> Sequence[Maps]:
        return (Maps(POD, claims_of_pod),)

    async def reconcile(self, key: ObjectKey) -> Result:
        claim = await self.client.find(PERSISTENT_VOLUME_CLAIM, key)
        if claim is None:
            return DONE
        has = PROTECTION in finalizers_of(claim)
        if not is_being_deleted(claim) and not has:
            await self._set(claim, [*finalizers_of(claim), PROTECTION])
        elif is_being_deleted(claim) and has and not await self._is_used(key):
            await self._set(claim, [name for name in finalizers_of(claim) if name != PROTECTION])
        return DONE

    async def _is_used(self, key: ObjectKey) -> bool:
        found = await self.client.list(POD, namespace=key.namespace)
        return any(pod["spec"].get("nodeName") and key in claims_of_pod(pod) for pod in found.items)

    async def _set(self, claim: Tree, finalizers: list[str]) -> None:
        metadata = {"finalizers": finalizers, "resourceVersion": claim["metadata"]["resourceVersion"]}
        await self.client.patch(self.kind, key_of(claim), {"metadata": metadata})


@dataclass(frozen=True, kw_only=True)
class EphemeralVolumeController:
    """The claims of pods' ephemeral volumes: they are the pod's, and go with it."""

    client: Client
    events: Events
    name: str = "ephemeral-volume"
    kind: Kind = POD
    watches: Sequence[Maps] = ()

    async def reconcile(self, key: ObjectKey) -> Result:
        pod = await self.client.find(POD, key)
        if pod is None or not pods.is_active(pod):
            return DONE
        for volume in pod["spec"].get("volumes") or ():
            if volume.get("ephemeral"):
                await self._make_claim(pod, volume)
        return DONE

    async def _make_claim(self, pod: Tree, volume: Tree) -> None:
        template = volume["ephemeral"]["volumeClaimTemplate"]
        namespace, name = key_of(pod)
        key = ObjectKey(namespace, f"{name}-{volume['name']}")
        found = await self.client.find(PERSISTENT_VOLUME_CLAIM, key)
        if found is None:
            given = {"metadata": template.get("metadata") or {}}
            claim: Tree = {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {
                    "name": key.name,
                    "namespace": namespace,
                    "labels": dict(labels_of(given)),
                    "annotations": dict(annotations_of(given)),
                    "ownerReferences": [owner_reference(pod)],
                },
                "spec": copy_of(template["spec"]),
            }
            try:
                await self.client.create(PERSISTENT_VOLUME_CLAIM, claim)
            except AlreadyExists:
                return
            except ApiError as error:
                message = f"ephemeral volume controller: {error.message}"
                await self.events.event(pod, type="Warning", reason="EphemeralVolumeError", message=message)
                raise
        elif not is_controlled_by(found, pod):
            message = f'PVC "{key}" was not created for pod "{key_of(pod)}" (pod is not owner)'
            await self.events.event(pod, type="Warning", reason="EphemeralVolumeError", message=message)
