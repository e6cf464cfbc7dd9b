"""One scheduling pass: pure. Pods in order of importance, each to the best node that takes it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from flowdeck.embedded.workloads.pods import is_finished
from flowdeck.embedded.workloads.scheduler.alike import likeness
from flowdeck.embedded.workloads.scheduler.filters import problems
from flowdeck.embedded.workloads.scheduler.gang import Gang, gangs_of, group_of, may_enter, waiting_message
from flowdeck.embedded.workloads.scheduler.pod_affinity import NamespaceLabels
from flowdeck.embedded.workloads.scheduler.preemption import Eviction, find_room, priority_of
from flowdeck.embedded.workloads.scheduler.scores import best
from flowdeck.embedded.workloads.scheduler.snapshot import Place, Snapshot, demand_of
from flowdeck.embedded.workloads.scheduler.volumes import NO_VOLUMES, PodVolumes
from flowdeck.kube.objects import Kind, ObjectKey, Tree, get_in, is_being_deleted, uid_of
from flowdeck.kube.pod_resources import add

NO_NODES = "no nodes available to schedule pods"


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What a pass sees."""

    nodes: Sequence[Tree]
    pods: Sequence[Tree]
    """The pods that have not ended; with groups also those that have, which count only as members of theirs."""
    pending: Sequence[Tree]
    """Those to find a node for: ours, without node and gates."""
    groups: Mapping[tuple[Kind, ObjectKey], Tree] = field(default_factory=dict)
    budgets: Sequence[Tree] = ()
    volumes: Mapping[str, PodVolumes] = field(default_factory=dict)
    """Of the pending pods that have claims, by uid."""
    namespaces: NamespaceLabels = lambda name: {}


@dataclass(kw_only=True)
class Plan:
    """What a pass decided, in its order."""

    bind: list[tuple[Tree, str]] = field(default_factory=list)
    """Pod and node name."""
    fail: list[tuple[Tree, str]] = field(default_factory=list)
    """Pod and message."""
    evict: list[tuple[Tree, Eviction]] = field(default_factory=list)
    """The pod that needs the room, and whom it costs."""


def schedule(scene: Scene) -> Plan:
    snapshot = Snapshot.of(scene.nodes, (pod for pod in scene.pods if not is_finished(pod)))
    gangs = gangs_of(scene.pods, scene.groups)
    plan = Plan()
    let_in = _reserve(gangs, snapshot)
    nowhere: dict[bytes, str] = {}
    for pod in sorted(scene.pending, key=_turn):
        gang = gangs.get(uid_of(pod))
        if gang is not None and not _enters(gang, let_in, snapshot):
            plan.fail.append((pod, waiting_message(gang, len(scene.nodes))))
        elif gang is not None or _has_claims(pod, scene):
            _place(pod, gang, scene, snapshot, plan)
            nowhere.clear()
        else:
            _place_alike(pod, scene, snapshot, plan, nowhere)
    return plan


def _has_claims(pod: Tree, scene: Scene) -> bool:
    found = scene.volumes.get(uid_of(pod), NO_VOLUMES)
    return bool(found.problem or found.volumes or found.unbound)


def _place_alike(pod: Tree, scene: Scene, snapshot: Snapshot, plan: Plan, nowhere: dict[bytes, str]) -> None:
    """`nowhere` has what pods were told that fit on no node, since something was last placed or cleared away."""
    like = likeness(pod)
    if like is not None and like in nowhere:
        plan.fail.append((pod, nowhere[like]))
        return
    before = len(plan.bind), len(plan.evict)
    _place(pod, None, scene, snapshot, plan)
    if (len(plan.bind), len(plan.evict)) != before:
        nowhere.clear()
    elif like is not None:
        nowhere[like] = plan.fail[-1][1]


def _turn(pod: Tree) -> tuple[int, str, str, str]:
    """The important ones first, then the older ones."""
    meta = pod["metadata"]
    return -priority_of(pod), meta.get("creationTimestamp", ""), meta.get("namespace", ""), meta["name"]


def _reserve(gangs: Mapping[str, Gang], snapshot: Snapshot) -> set[str]:
    """Keeps room for the groups that are in; gives their uids."""
    let_in: set[str] = set()
    for gang in gangs.values():
        uid = uid_of(gang.group)
        if gang.is_let_in and uid not in let_in:
            let_in.add(uid)
            snapshot.reserve(gang.outstanding() or {})
    return let_in


def _enters(gang: Gang, let_in: set[str], snapshot: Snapshot) -> bool:
    uid = uid_of(gang.group)
    if uid in let_in:
        return True
    if not may_enter(gang, snapshot):
        return False
    let_in.add(uid)
    snapshot.reserve(gang.outstanding() or {})
    return True


def _place(pod: Tree, gang: Gang | None, scene: Scene, snapshot: Snapshot, plan: Plan) -> None:
    volumes = scene.volumes.get(uid_of(pod), NO_VOLUMES)
    if not scene.nodes:
        plan.fail.append((pod, NO_NODES))
        return
    if volumes.problem:
        plan.fail.append((pod, f"0/{len(scene.nodes)} nodes are available: {volumes.problem}."))
        return
    if gang is not None:
        _give_back(pod, snapshot)
    reasons: Counter[str] = Counter()
    fitting: list[Place] = []
    for place in snapshot.all:
        if why := volumes.problem_on(place.node):
            reasons[why] += 1
        elif found := problems(pod, place, snapshot, scene.namespaces):
            reasons.update(found)
        else:
            fitting.append(place)
    if fitting:
        place = best(pod, _nominated(pod, fitting) or fitting, snapshot, scene.namespaces)
        place.put(pod)
        plan.bind.append((pod, place.name))
        return
    if gang is not None:
        snapshot.reserve(demand_of(pod))
    _fail(pod, reasons, scene, snapshot, plan)


def _give_back(pod: Tree, snapshot: Snapshot) -> None:
    """A member's share of what is kept for its group becomes free for it."""
    for name, amount in demand_of(pod).items():
        left = amount
        for place in snapshot.all:
            kept = place.reserved.get(name)
            if kept is not None and kept.value > 0:
                part = min(kept, left, key=lambda quantity: quantity.value)
                place.reserved[name] = kept - part
                left = left - part


def _nominated(pod: Tree, fitting: Sequence[Place]) -> list[Place]:
    wanted = get_in(pod, "status", "nominatedNodeName", default="")
    return [place for place in fitting if place.name == wanted]


def _fail(pod: Tree, reasons: Counter[str], scene: Scene, snapshot: Snapshot, plan: Plan) -> None:
    """Makes room, if that can be; what is being cleared is kept for this pod."""
    told = ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
    message = f"0/{len(scene.nodes)} nodes are available: {told}."
    leaving = _clears_already(pod, snapshot)
    if leaving is not None:
        leaving.reserved = add(leaving.reserved, demand_of(pod))
        plan.fail.append((pod, f"{message} preemption: not eligible due to a terminating pod on the nominated node."))
        return
    eviction, why_not = find_room(pod, snapshot, scene.budgets, scene.namespaces)
    if eviction is None:
        plan.fail.append((pod, f"{message} {why_not}"))
        return
    for victim in eviction.victims:
        eviction.place.take(victim)
    eviction.place.put(pod)
    plan.evict.append((pod, eviction))
    plan.fail.append((pod, message))


def _clears_already(pod: Tree, snapshot: Snapshot) -> Place | None:
    """The node where less important pods are on their way out for this one."""
    place = snapshot.places.get(get_in(pod, "status", "nominatedNodeName", default=""))
    if place is None:
        return None
    is_clearing = any(is_being_deleted(other) and priority_of(other) < priority_of(pod) for other in place.pods)
    return place if is_clearing else None


def marks_of(pods: Sequence[Tree]) -> set[tuple[Kind, ObjectKey]]:
    """The groups that pods belong to."""
    return {mark for pod in pods if (mark := group_of(pod)) is not None}
