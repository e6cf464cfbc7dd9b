"""The status of a fresh pod: pending, its quality of service, and whether gates keep it from being scheduled.

Source: k8s.io/kubernetes (pkg/registry/core/pod/strategy.go, pkg/apis/core/v1/helper/qos).
"""

from collections.abc import Iterator, Mapping

from flowdeck.kube.objects import Tree, get_in
from flowdeck.kube.quantity import parse_quantity

_COUNTED = ("cpu", "memory")
_CONDITION: Tree = {"lastProbeTime": None, "lastTransitionTime": None}
_CONTAINER: Tree = {"image": "", "imageID": "", "lastState": {}, "ready": False, "restartCount": 0, "state": {}}


def set_pod_status(pod: Tree) -> None:
    """What the API server itself writes into a new pod's status."""
    status: Tree = {"phase": "Pending", "qosClass": quality_of_service(pod)}
    if get_in(pod, "spec", "schedulingGates"):
        status["conditions"] = [
            {
                "type": "PodScheduled",
                "status": "False",
                "lastProbeTime": None,
                "lastTransitionTime": pod["metadata"].get("creationTimestamp"),
                "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates",
            }
        ]
    pod["status"] = status


def complete_pod_status(pod: Tree, old: Tree) -> None:
    """Keeps what was decided when the pod was made, and fills in what a real server never leaves out."""
    status: Tree = {**(pod.get("status") or {})}
    quality = get_in(old, "status", "qosClass")
    if quality and not status.get("qosClass"):
        status["qosClass"] = quality
    if conditions := status.get("conditions"):
        status["conditions"] = [{**_CONDITION, **condition} for condition in conditions]
    for field in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"):
        if containers := status.get(field):
            status[field] = [{**_CONTAINER, **container} for container in containers]
    pod["status"] = status


def quality_of_service(pod: Tree) -> str:
    """`Guaranteed` when every container's CPU and memory are limited to what they request, `BestEffort` when none
    asks for anything, `Burstable` in between. Resources of the pod itself come first."""
    own = get_in(pod, "spec", "resources")
    holders = [own] if own else [container.get("resources") or {} for container in _containers(pod)]
    asked = [(_amounts(holder.get("requests")), _amounts(holder.get("limits"))) for holder in holders]
    if not any(requests or limits for requests, limits in asked):
        return "BestEffort"
    if all(len(limits) == len(_COUNTED) and {**limits, **requests} == limits for requests, limits in asked):
        return "Guaranteed"
    return "Burstable"


def _containers(pod: Tree) -> Iterator[Tree]:
    yield from get_in(pod, "spec", "initContainers", default=())
    yield from get_in(pod, "spec", "containers", default=())


def _amounts(resources: Mapping[str, str] | None) -> dict[str, object]:
    given = resources or {}
    found = {name: parse_quantity(given[name]).value for name in _COUNTED if name in given}
    return {name: value for name, value in found.items() if value}
