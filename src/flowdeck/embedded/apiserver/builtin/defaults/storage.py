"""Defaults of storage classes, CSI drivers and priority classes.

Source: k8s.io/kubernetes (pkg/apis/storage/v1/defaults.go, pkg/apis/scheduling/v1/defaults.go).
"""

from collections.abc import Callable
from dataclasses import dataclass

from flowdeck.clock import Clock
from flowdeck.kube.objects import Tree
from flowdeck.kube.times import format_time


def protect(finalizer: str) -> Callable[[Tree], None]:
    """Gives new objects a finalizer that somebody takes away when nobody uses them any more."""

    def add(obj: Tree) -> None:
        finalizers = obj["metadata"].get("finalizers") or []
        if finalizer not in finalizers:
            obj["metadata"]["finalizers"] = [*finalizers, finalizer]

    return add


@dataclass(frozen=True)
class Phases:
    """When a volume came into its phase."""

    clock: Clock

    def first(self, volume: Tree) -> None:
        protect("kubernetes.io/pv-protection")(volume)
        volume["status"]["lastPhaseTransitionTime"] = format_time(self.clock.now())

    def changed(self, volume: Tree, old: Tree) -> None:
        status, was = volume.get("status") or {}, old.get("status") or {}
        if status.get("phase") != was.get("phase"):
            if status.get("lastPhaseTransitionTime") == was.get("lastPhaseTransitionTime"):
                volume["status"] = {**status, "lastPhaseTransitionTime": format_time(self.clock.now())}
        elif "lastPhaseTransitionTime" in was:
            volume["status"] = {**status, "lastPhaseTransitionTime": was["lastPhaseTransitionTime"]}


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
