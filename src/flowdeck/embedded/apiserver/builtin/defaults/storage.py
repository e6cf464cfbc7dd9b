"""Defaults of storage classes, CSI drivers and priority classes.

Source: k8s.io/kubernetes (pkg/apis/storage/v1/defaults.go, pkg/apis/scheduling/v1/defaults.go).
"""

from collections.abc import Callable

from flowdeck.kube.objects import Tree


def protect(finalizer: str) -> Callable[[Tree], None]:
    """Gives new objects a finalizer that somebody takes away when nobody uses them any more."""

    def add(obj: Tree) -> None:
        finalizers = obj["metadata"].get("finalizers") or []
        if finalizer not in finalizers:
            obj["metadata"]["finalizers"] = [*finalizers, finalizer]

    return add


def default_storage_class(storage_class: Tree) -> None:
    storage_class.setdefault("reclaimPolicy", "Delete")
    storage_class.setdefault("volumeBindingMode", "Immediate")


def default_csi_driver(driver: Tree) -> None:
    spec = driver.setdefault("spec", {})
    for name, value in (
        ("attachRequired", True),
        ("podInfoOnMount", False),
        ("storageCapacity", False),
        ("fsGroupPolicy", "ReadWriteOnceWithFSType"),
        ("requiresRepublish", False),
        ("seLinuxMount", False),
    ):
        spec.setdefault(name, value)
    if not spec.get("volumeLifecycleModes"):
        spec["volumeLifecycleModes"] = ["Persistent"]


def default_priority_class(priority_class: Tree) -> None:
    priority_class.setdefault("preemptionPolicy", "PreemptLowerPriority")
    priority_class.setdefault("value", 0)
