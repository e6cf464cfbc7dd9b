"""Why a pod can't go to a node, in upstream's words.

Source: kubernetes (pkg/scheduler/framework/plugins).
"""

from collections.abc import Iterable, Iterator

from flowdeck.embedded.workloads.node_fit import fits_node_selector, tolerates, untolerated_taint
from flowdeck.embedded.workloads.scheduler.pod_affinity import NamespaceLabels, affinity_problem
from flowdeck.embedded.workloads.scheduler.snapshot import PODS, Place, Snapshot, demand_of
from flowdeck.embedded.workloads.scheduler.topology_spread import spread_problem
from flowdeck.kube.objects import Tree, get_in

_CORDONED = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


def problems(pod: Tree, place: Place, snapshot: Snapshot, namespaces: NamespaceLabels) -> list[str]:
    """The reasons of the first filter that a node does not pass; empty when the pod may go there."""
    if why := _static_problem(pod, place.node):
        return [why]
    ports = set(_host_ports(pod))
    if ports and not ports.isdisjoint(_taken_ports(place.pods)):
        return ["node(s) didn't have free ports for the requested pod ports"]
    if lacking := place.lacking(demand_of(pod)):
        return ["Too many pods" if name == PODS else f"Insufficient {name}" for name in lacking]
    why = affinity_problem(pod, place, snapshot, namespaces) or spread_problem(pod, place, snapshot)
    return [why] if why else []


def is_hopeless(pod: Tree, node: Tree) -> bool:
    """No pod's departure would let this one in."""
    return bool(_static_problem(pod, node))


def _static_problem(pod: Tree, node: Tree) -> str:
    """What is wrong with the node itself, or `""`."""
    tolerations = get_in(pod, "spec", "tolerations", default=())
    if get_in(node, "spec", "unschedulable") and not any(tolerates(item, _CORDONED) for item in tolerations):
        return "node(s) were unschedulable"
    taint = untolerated_taint(pod, node)
    if taint is not None:
        return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
    if not fits_node_selector(pod, node):
        return "node(s) didn't match Pod's node affinity/selector"
    return ""


def _host_ports(pod: Tree) -> Iterator[tuple[str, int]]:
    is_on_host = bool(get_in(pod, "spec", "hostNetwork"))
    for container in pod["spec"].get("containers") or ():
        for port in container.get("ports") or ():
            number = port.get("hostPort") or (port["containerPort"] if is_on_host else 0)
            if number:
                yield port.get("protocol", "TCP"), number


def _taken_ports(pods: Iterable[Tree]) -> set[tuple[str, int]]:
    return {port for pod in pods for port in _host_ports(pod)}
