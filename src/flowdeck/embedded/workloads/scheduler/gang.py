"""Groups of pods that start together: PodGroups of the coscheduling plug-in and of Volcano.

A group is let in when all nodes together have room for what it still needs (`minResources`, or all its `minMember`
pods when that is not given). From then on that room is kept for it, so pods of the group that are created later (nodes
after their initializers) find it. Before, none of its pods is started.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flowdeck.embedded.workloads.scheduler.snapshot import Snapshot
from flowdeck.kube.objects import Kind, ObjectKey, Tree, annotations_of, get_in, labels_of
from flowdeck.kube.pod_resources import Amounts, add, amounts_of, pod_requests, subtract

COSCHEDULING = Kind("scheduling.x-k8s.io", "v1alpha1", "PodGroup", "podgroups")
VOLCANO = Kind("scheduling.volcano.sh", "v1beta1", "PodGroup", "podgroups")
COSCHEDULING_LABEL = "scheduling.x-k8s.io/pod-group"
VOLCANO_ANNOTATIONS = ("scheduling.k8s.io/group-name", "scheduling.volcano.sh/group-name")


def group_of(pod: Tree) -> tuple[Kind, ObjectKey] | None:
    """The PodGroup that a pod belongs to, by its label or annotation."""
    space = pod["metadata"].get("namespace", "")
    if name := labels_of(pod).get(COSCHEDULING_LABEL):
        return COSCHEDULING, ObjectKey(space, name)
    for annotation in VOLCANO_ANNOTATIONS:
        if name := annotations_of(pod).get(annotation):
            return VOLCANO, ObjectKey(space, name)
    return None


@dataclass(frozen=True)
class Gang:
    """One PodGroup and its pods."""

    group: Tree
    members: Sequence[Tree]
    """All of them, those that have ended included."""

    @property
    def min_member(self) -> int:
        return int(get_in(self.group, "spec", "minMember", default=1))

    @property
    def is_let_in(self) -> bool:
        """One of its pods has a node (had one, if it has ended)."""
        return any(get_in(pod, "spec", "nodeName") for pod in self.members)

    def outstanding(self) -> Amounts | None:
        """What it still needs: its minimum less what its pods took already; None when not all are there to tell."""
        placed = [pod for pod in self.members if get_in(pod, "spec", "nodeName")]
        minimum = get_in(self.group, "spec", "minResources")
        if minimum is None and not placed and len(self.members) < self.min_member:
            return None
        total = _sum(self.members) if minimum is None else amounts_of(minimum)
        left = subtract(total, _sum(placed))
        return {name: amount for name, amount in left.items() if name in total and amount.value > 0}


def _sum(pods: Sequence[Tree]) -> Amounts:
    total: Amounts = {}
    for pod in pods:
        total = add(total, pod_requests(pod))
    return total


def may_enter(gang: Gang, snapshot: Snapshot) -> bool:
    """Whether there is room for all that a group needs."""
    wanted = gang.outstanding()
    return wanted is not None and snapshot.has_room_for(wanted)


def waiting_message(gang: Gang, nodes: int) -> str:
    """Why the pods of a group are not started, though one of them might fit."""
    name = gang.group["metadata"]["name"]
    if gang.outstanding() is None:
        return (
            f"0/{nodes} nodes are available: pod group {name} has {len(gang.members)} of {gang.min_member} pods "
            "that must start together."
        )
    return (
        f"0/{nodes} nodes are available: not enough room to start the {gang.min_member} pods of pod group {name} "
        "together."
    )


def gangs_of(pods: Sequence[Tree], groups: Mapping[tuple[Kind, ObjectKey], Tree]) -> dict[str, Gang]:
    """The gang of each pod that has one, by the pod's uid."""
    members: dict[tuple[Kind, ObjectKey], list[Tree]] = {}
    for pod in pods:
        mark = group_of(pod)
        if mark in groups and mark is not None:
            members.setdefault(mark, []).append(pod)
    gangs = {mark: Gang(groups[mark], found) for mark, found in members.items()}
    return {pod["metadata"]["uid"]: gangs[mark] for mark, found in members.items() for pod in found}
