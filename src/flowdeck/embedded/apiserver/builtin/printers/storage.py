"""How volumes, claims and storage classes are shown.

Source: k8s.io/kubernetes (pkg/printers/internalversion/printers.go).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from flowdeck.embedded.apiserver.builtin.printers.cells import UNSET, age_of, name_of
from flowdeck.embedded.apiserver.builtin.printers.printer import AGE, NAME, Column, Printer, wide
from flowdeck.kube.objects import Tree, annotations_of, get_in

_MODES = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}
_OLD_CLASS = "volume.beta.kubernetes.io/storage-class"
_DEFAULT_CLASS = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")


def _modes(modes: Sequence[str] | None) -> str:
    return ",".join(short for mode, short in _MODES.items() if mode in (modes or ()))


def _class_of(obj: Tree) -> str:
    return annotations_of(obj).get(_OLD_CLASS) or get_in(obj, "spec", "storageClassName", default="")


def _phase(obj: Tree) -> str:
    return "Terminating" if obj["metadata"].get("deletionTimestamp") else get_in(obj, "status", "phase", default="")


def _volume(obj: Tree, now: datetime) -> Sequence[Any]:
    spec = obj.get("spec") or {}
    claim = spec.get("claimRef")
    return (
        name_of(obj),
        get_in(spec, "capacity", "storage", default=""),
        _modes(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy", ""),
        _phase(obj),
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
        _class_of(obj),
        spec.get("volumeAttributesClassName") or UNSET,
        get_in(obj, "status", "reason", default=""),
        age_of(obj, now),
        spec.get("volumeMode") or UNSET,
    )


def _claim(obj: Tree, now: datetime) -> Sequence[Any]:
    spec = obj.get("spec") or {}
    is_bound = bool(spec.get("volumeName"))
    return (
        name_of(obj),
        _phase(obj),
        spec.get("volumeName", ""),
        get_in(obj, "status", "capacity", "storage", default="") if is_bound else "",
        _modes(get_in(obj, "status", "accessModes")) if is_bound else "",
        _class_of(obj),
        spec.get("volumeAttributesClassName") or UNSET,
        age_of(obj, now),
        spec.get("volumeMode") or UNSET,
    )


def _storage_class(obj: Tree, now: datetime) -> Sequence[Any]:
    is_default = any(annotations_of(obj).get(key) == "true" for key in _DEFAULT_CLASS)
    return (
        f"{name_of(obj)} (default)" if is_default else name_of(obj),
        obj.get("provisioner", ""),
        obj.get("reclaimPolicy", "Delete"),
        obj.get("volumeBindingMode", "Immediate"),
        bool(obj.get("allowVolumeExpansion")),
        age_of(obj, now),
    )


def _attachment(obj: Tree, now: datetime) -> Sequence[Any]:
    spec = obj.get("spec") or {}
    return (
        name_of(obj),
        spec.get("attacher", ""),
        get_in(spec, "source", "persistentVolumeName", default=""),
        spec.get("nodeName", ""),
        bool(get_in(obj, "status", "attached")),
        age_of(obj, now),
    )


def _csi_driver(obj: Tree, now: datetime) -> Sequence[Any]:
    spec = obj.get("spec") or {}
    audiences = ",".join(request.get("audience", "") for request in spec.get("tokenRequests") or ())
    return (
        name_of(obj),
        bool(spec.get("attachRequired", True)),
        bool(spec.get("podInfoOnMount")),
        bool(spec.get("storageCapacity")),
        audiences or UNSET,
        bool(spec.get("requiresRepublish")),
        ",".join(spec.get("volumeLifecycleModes") or ()),
        age_of(obj, now),
    )


def _csi_node(obj: Tree, now: datetime) -> Sequence[Any]:
    return name_of(obj), len(get_in(obj, "spec", "drivers", default=())), age_of(obj, now)


def _csi_capacity(obj: Tree, now: datetime) -> Sequence[Any]:
    return name_of(obj), obj.get("storageClassName", ""), obj.get("capacity") or UNSET


def _attributes_class(obj: Tree, now: datetime) -> Sequence[Any]:
    return name_of(obj), obj.get("driverName", ""), age_of(obj, now)


PRINTERS: dict[str, Printer] = {
    "persistentvolumes": Printer(
        (
            NAME,
            Column("Capacity"),
            Column("Access Modes"),
            Column("Reclaim Policy"),
            Column("Status"),
            Column("Claim"),
            Column("StorageClass"),
            Column("VolumeAttributesClass"),
            Column("Reason"),
            AGE,
            wide("VolumeMode"),
        ),
        _volume,
    ),
    "persistentvolumeclaims": Printer(
        (
            NAME,
            Column("Status"),
            Column("Volume"),
            Column("Capacity"),
            Column("Access Modes"),
            Column("StorageClass"),
            Column("VolumeAttributesClass"),
            AGE,
            wide("VolumeMode"),
        ),
        _claim,
    ),
    "storageclasses.storage.k8s.io": Printer(
        (
            NAME,
            Column("Provisioner"),
            Column("ReclaimPolicy"),
            Column("VolumeBindingMode"),
            Column("AllowVolumeExpansion"),
            AGE,
        ),
        _storage_class,
    ),
    "volumeattachments.storage.k8s.io": Printer(
        (NAME, Column("Attacher"), Column("PV"), Column("Node"), Column("Attached", "boolean"), AGE), _attachment
    ),
    "csidrivers.storage.k8s.io": Printer(
        (
            NAME,
            Column("AttachRequired", "boolean"),
            Column("PodInfoOnMount", "boolean"),
            Column("StorageCapacity", "boolean"),
            Column("TokenRequests"),
            Column("RequiresRepublish", "boolean"),
            Column("Modes"),
            AGE,
        ),
        _csi_driver,
    ),
    "csinodes.storage.k8s.io": Printer((NAME, Column("Drivers", "integer"), AGE), _csi_node),
    "csistoragecapacities.storage.k8s.io": Printer(
        (NAME, Column("StorageClassName"), Column("Capacity")), _csi_capacity
    ),
    "volumeattributesclasses.storage.k8s.io": Printer((NAME, Column("DriverName"), AGE), _attributes_class),
}
