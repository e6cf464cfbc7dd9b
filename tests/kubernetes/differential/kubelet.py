"""Scenarios play the kubelet, as no node is there: what a pod's status is in each state."""

from collections.abc import Mapping
from typing import Any

from flowdeck.kube.objects import Tree

_CONDITIONS = ("Initialized", "ContainersReady", "Ready")


def pod_status(pod: Tree, state: str, address: str, now: str, exit_code: int = 1) -> Tree:
    """The status of a pod that is `running` (and ready), `unready`, `succeeded` or `failed`."""
    is_over = state in ("succeeded", "failed")
    phase = state.capitalize() if is_over else "Running"
    ready = {"Initialized": True, "ContainersReady": state == "running", "Ready": state == "running"}
    return {
        "phase": phase,
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": now,
        "conditions": [
            {"type": name, "status": str(ready[name]), "lastTransitionTime": now, **_why(name, ready[name], state)}
            for name in _CONDITIONS
        ],
        "containerStatuses": [
            {
                "name": container["name"],
                "image": container["image"],
                "imageID": "",
                "ready": state == "running",
                "restartCount": 0,
                "state": _container_state(state, now, exit_code if state == "failed" else 0),
            }
            for container in pod["spec"]["containers"]
        ],
    }


def _why(name: str, is_true: bool, state: str) -> Mapping[str, str]:
    if is_true:
        return {}
    return {"reason": "PodCompleted" if state == "succeeded" else "ContainersNotReady"}


def _container_state(state: str, now: str, exit_code: int) -> Tree:
    if state not in ("succeeded", "failed"):
        return {"running": {"startedAt": now}}
    reason = "Error" if exit_code else "Completed"
    return {"terminated": {"exitCode": exit_code, "reason": reason, "startedAt": now, "finishedAt": now}}


def may_become(pod: Tree, state: str) -> bool:
    """Whether a pod is not over, does not end, and is not in the state already."""
    status: Mapping[str, Any] = pod.get("status", {})
    if "deletionTimestamp" in pod["metadata"] or status.get("phase") in ("Succeeded", "Failed"):
        return False
    ready = [each["status"] for each in status.get("conditions") or () if each["type"] == "Ready"]
    now = {"": "", "True": "running", "False": "unready"}[ready[0] if ready else ""]
    return now != state
