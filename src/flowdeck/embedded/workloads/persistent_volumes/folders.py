"""The provisioner `flowdeck.dev/local-path`: each volume is a folder on this machine.

Volumes are hostPath volumes with affinity to the node whose disk they are on. The class `standard` binds at once:
there is one disk, so waiting for a pod would tell us nothing new, and a claim that is Bound right away is what users of
a laptop expect. Classes of users may wait (`WaitForFirstConsumer`).
"""

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path

from flowdeck.embedded.workloads.persistent_volumes.matching import class_of
from flowdeck.kube.objects import Tree, annotations_of, get_in, key_of, labels_of, uid_of

PROVISIONER = "flowdeck.dev/local-path"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
HOSTNAME = "kubernetes.io/hostname"
CLEAN_UP_FINALIZER = "external-provisioner.volume.kubernetes.io/finalizer"
"""Upstream's name: keeps a volume that should be deleted with its data until the data is gone."""

STANDARD_CLASS: Tree = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {
        "name": "standard",
        "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
    },
    "provisioner": PROVISIONER,
    "reclaimPolicy": "Delete",
    "volumeBindingMode": "Immediate",
    "allowVolumeExpansion": True,
}


class CannotProvision(Exception):
    """A claim asks for something that a folder can't be."""


def volume_name(claim: Tree) -> str:
    """Made of the claim's uid, so that provisioning twice makes one volume."""
    return f"pvc-{uid_of(claim)}"


def is_ours(volume: Tree) -> bool:
    return annotations_of(volume).get(PROVISIONED_BY) == PROVISIONER


@dataclass(frozen=True)
class Folders:
    """Makes and removes the folders below `root`."""

    root: Path

    def volume_for(self, claim: Tree, storage_class: Tree, node: Tree) -> Tree:
        """The PersistentVolume for a claim; raises `CannotProvision`."""
        spec = claim["spec"]
        if spec.get("volumeMode") == "Block":
            raise CannotProvision("block volumes are not supported: the volume is a folder")
        if spec.get("selector"):
            raise CannotProvision("claim.Spec.Selector is not supported")
        namespace, name = key_of(claim)
        volume = volume_name(claim)
        reclaim = storage_class.get("reclaimPolicy") or "Delete"
        hostname = labels_of(node).get(HOSTNAME, key_of(node).name)
        terms = [{"matchExpressions": [{"key": HOSTNAME, "operator": "In", "values": [hostname]}]}]
        made: Tree = {
            "capacity": {"storage": get_in(spec, "resources", "requests", "storage", default="0")},
            "accessModes": list(spec.get("accessModes") or ()),
            "persistentVolumeReclaimPolicy": reclaim,
            "storageClassName": class_of(claim),
            "volumeMode": "Filesystem",
            "hostPath": {"path": str(self.root / f"{volume}_{namespace}_{name}"), "type": "DirectoryOrCreate"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": terms}},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": namespace,
                "name": name,
                "uid": uid_of(claim),
            },
        }
        if storage_class.get("mountOptions"):
            made["mountOptions"] = list(storage_class["mountOptions"])
        metadata: Tree = {"name": volume, "annotations": {PROVISIONED_BY: PROVISIONER}}
        metadata["finalizers"] = ["kubernetes.io/pv-protection"]
        if reclaim == "Delete":
            metadata["finalizers"].append(CLEAN_UP_FINALIZER)
        return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": made}

    async def make(self, volume: Tree) -> None:
        """Creates the folder, for everyone: the pod's user is not known yet."""
        path = self._path(volume)

        def make() -> None:
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o777)

        await asyncio.to_thread(make)

    async def remove(self, volume: Tree) -> None:
        """Removes the folder with everything in it; raises `OSError`, and `ValueError` for one that is not ours."""
        path = self._path(volume)
        if path.exists():
            await asyncio.to_thread(shutil.rmtree, path)

    def _path(self, volume: Tree) -> Path:
        path = Path(str(get_in(volume, "spec", "hostPath", "path", default="")))
        if path.parent != self.root or path.is_symlink():
            raise ValueError(f"{path} is no folder of a volume below {self.root}")
        return path
