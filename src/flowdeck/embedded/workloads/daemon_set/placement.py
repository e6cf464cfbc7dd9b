"""The pod that a DaemonSet has on a node, and whether it wants one there. Pure.

Source: kubernetes (pkg/controller/daemon/daemon_controller.go, pkg/controller/daemon/util)
"""

from flowdeck.embedded.workloads import node_fit
from flowdeck.embedded.workloads.revisions import REVISION_LABEL
from flowdeck.embedded.workloads.templates import pod_of
from flowdeck.kube.objects import Tree, get_in

TOLERATED = (
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
)
"""What each daemon pod tolerates beside what its template says."""

NODE_NAME = "metadata.name"


def daemon_pod(daemon_set: Tree, node_name: str, digest: str) -> Tree:
    """The pod for one node."""
    pod = pod_of(daemon_set["spec"]["template"], daemon_set)
    spec = pod["spec"]
    pod["metadata"]["labels"][REVISION_LABEL] = digest
    spec["tolerations"] = _tolerations(spec)
    affinity = spec.setdefault("affinity", {})
    required = affinity.setdefault("nodeAffinity", {}).setdefault("requiredDuringSchedulingIgnoredDuringExecution", {})
    here = [{"key": NODE_NAME, "operator": "In", "values": [node_name]}]
    terms = required.get("nodeSelectorTerms") or [{}]
    required["nodeSelectorTerms"] = [{**term, "matchFields": here} for term in terms]
    return pod


def _tolerations(spec: Tree) -> list[Tree]:
    tolerated = list(TOLERATED)
    if spec.get("hostNetwork"):
        tolerated.append(("node.kubernetes.io/network-unavailable", "NoSchedule"))
    added = [{"key": key, "operator": "Exists", "effect": effect} for key, effect in tolerated]
    return list(spec.get("tolerations") or []) + [item for item in added if item not in (spec.get("tolerations") or [])]


def node_of(pod: Tree) -> str:
    """The node that a daemon pod is on, or was made for."""
    if name := get_in(pod, "spec", "nodeName"):
        return str(name)
    path = ("spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    for term in get_in(pod, *path, "nodeSelectorTerms", default=[]):
        for item in term.get("matchFields") or ():
            if item["key"] == NODE_NAME and item["operator"] == "In" and len(item["values"]) == 1:
                return str(item["values"][0])
    return ""


def should_run(daemon_set: Tree, node: Tree) -> tuple[bool, bool]:
    """Whether the set wants a pod on the node, and whether one that is there may stay."""
    pod = {"spec": dict(daemon_set["spec"]["template"].get("spec") or {})}
    pod["spec"]["tolerations"] = _tolerations(pod["spec"])
    if get_in(pod, "spec", "nodeName", default=node["metadata"]["name"]) != node["metadata"]["name"]:
        return False, False
    if not node_fit.fits_node_selector(pod, node):
        return False, False
    if node_fit.untolerated_taint(pod, node):
        return False, node_fit.untolerated_taint(pod, node, ("NoExecute",)) is None
    return True, True
