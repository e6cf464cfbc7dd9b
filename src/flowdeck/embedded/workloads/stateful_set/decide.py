"""What a StatefulSet does next: which pods to create and delete. Pure.

The ladder: replace what ended, create what is missing, delete what is too much, update what is old. With OrderedReady
one pod at a time, and each only when those before it are available; with Parallel all at once (updates stay in order).
Source: kubernetes (pkg/controller/statefulset/stateful_set_control.go)
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from flowdeck.embedded.workloads import pods
from flowdeck.embedded.workloads.revisions import REVISION_LABEL
from flowdeck.embedded.workloads.stateful_set.identity import (
    first_ordinal,
    ordinal_of,
    replicas_of,
    wanted_ordinals,
)
from flowdeck.kube.int_or_string import scaled_value
from flowdeck.kube.objects import Tree, get_in, is_being_deleted, labels_of


@dataclass(frozen=True)
class Seen:
    """The set's pods in their places."""

    stateful_set: Tree
    current_revision: str
    update_revision: str
    pods: Sequence[Tree]
    now: datetime

    @property
    def by_ordinal(self) -> dict[int, Tree]:
        wanted = wanted_ordinals(self.stateful_set)
        placed = {ordinal_of(self.stateful_set, pod): pod for pod in self.pods}
        return {ordinal: pod for ordinal, pod in placed.items() if ordinal is not None and ordinal in wanted}

    @property
    def condemned(self) -> list[Tree]:
        """Pods beyond the wanted ordinals, highest first."""
        wanted = wanted_ordinals(self.stateful_set)
        beyond = [
            (ordinal, pod)
            for pod in self.pods
            if (ordinal := ordinal_of(self.stateful_set, pod)) is not None and ordinal not in wanted
        ]
        return [pod for _, pod in sorted(beyond, key=lambda pair: -pair[0])]

    def is_available(self, pod: Tree) -> bool:
        min_ready_s = int(self.stateful_set["spec"].get("minReadySeconds") or 0)
        return is_running_and_ready(pod) and pods.is_available(pod, min_ready_s, self.now)


@dataclass(frozen=True)
class Step:
    """What to do now; the rest follows when the world has answered."""

    create: Sequence[tuple[int, str]] = ()
    """Ordinal, and the name of the revision."""
    delete: Sequence[Tree] = field(default=())


def is_running_and_ready(pod: Tree) -> bool:
    return pods.phase_of(pod) == "Running" and pods.is_ready(pod)


def is_parallel(stateful_set: Tree) -> bool:
    return bool(stateful_set["spec"].get("podManagementPolicy") == "Parallel")


def decide(seen: Seen) -> Step:
    if is_being_deleted(seen.stateful_set):
        return Step()
    step, settled = _fill(seen)
    if not settled:
        return step
    shrink, settled = _shrink(seen)
    delete = [*step.delete, *shrink]
    return Step(step.create, [*delete, *_update(seen)] if settled else delete)


def _fill(seen: Seen) -> tuple[Step, bool]:
    """Pods to create and finished ones to replace; and whether the next rung may follow."""
    in_order = not is_parallel(seen.stateful_set)
    by_ordinal = seen.by_ordinal
    create: list[tuple[int, str]] = []
    delete: list[Tree] = []
    for ordinal in wanted_ordinals(seen.stateful_set):
        pod = by_ordinal.get(ordinal)
        if pod is None:
            create.append((ordinal, revision_for(seen, ordinal)))
            if in_order:
                return Step(create, delete), False
        elif pods.is_finished(pod):
            if not is_being_deleted(pod):
                delete.append(pod)
            if in_order:
                return Step(create, delete), False
        elif in_order and (is_being_deleted(pod) or not seen.is_available(pod)):
            return Step(create, delete), False
    return Step(create, delete), True


def revision_for(seen: Seen, ordinal: int) -> str:
    """The revision of a pod that is made now: below the partition the current one."""
    spec, start = seen.stateful_set["spec"], first_ordinal(seen.stateful_set)
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type", "RollingUpdate") != "RollingUpdate":
        return seen.update_revision
    partition = get_in(strategy, "rollingUpdate", "partition")
    if partition is None:
        partition = int(get_in(seen.stateful_set, "status", "currentReplicas", default=0))
    return seen.current_revision if ordinal < start + partition else seen.update_revision


def _shrink(seen: Seen) -> tuple[list[Tree], bool]:
    """Pods beyond the wanted number to delete, highest first; and whether the next rung may follow."""
    in_order = not is_parallel(seen.stateful_set)
    unhealthy = _first_unhealthy(seen)
    delete: list[Tree] = []
    for pod in seen.condemned:
        if is_being_deleted(pod):
            if in_order:
                return delete, False
            continue
        if in_order and not seen.is_available(pod) and pod is not unhealthy:
            return delete, False
        delete.append(pod)
        if in_order:
            return delete, False
    return delete, True


def _first_unhealthy(seen: Seen) -> Tree | None:
    placed = sorted(seen.pods, key=lambda pod: ordinal_of(seen.stateful_set, pod) or 0)
    return next((pod for pod in placed if is_being_deleted(pod) or not is_running_and_ready(pod)), None)


def _update(seen: Seen) -> list[Tree]:
    """Pods of an old revision to delete, highest ordinal first, down to the partition."""
    strategy = seen.stateful_set["spec"].get("updateStrategy") or {}
    if strategy.get("type", "RollingUpdate") != "RollingUpdate":
        return []
    partition = int(get_in(strategy, "rollingUpdate", "partition", default=0))
    by_ordinal = seen.by_ordinal
    may_miss = _max_unavailable(seen)
    if may_miss > 1:
        may_miss -= sum(is_being_deleted(pod) or not seen.is_available(pod) for pod in by_ordinal.values())
    delete: list[Tree] = []
    floor = first_ordinal(seen.stateful_set) + partition
    for ordinal in sorted((o for o in by_ordinal if o >= floor), reverse=True):
        pod = by_ordinal[ordinal]
        if len(delete) >= may_miss:
            break
        if labels_of(pod).get(REVISION_LABEL) != seen.update_revision and not is_being_deleted(pod):
            delete.append(pod)
        elif _max_unavailable(seen) == 1 and (is_being_deleted(pod) or not seen.is_available(pod)):
            break
    return delete


def _max_unavailable(seen: Seen) -> int:
    value = get_in(seen.stateful_set, "spec", "updateStrategy", "rollingUpdate", "maxUnavailable", default=1)
    return max(1, scaled_value(value, replicas_of(seen.stateful_set), round_up=True))


def status_of(seen: Seen, *, collision_count: int) -> Tree:
    """The status that these pods mean; when all are updated the update revision becomes the current one."""
    alive = [pod for pod in seen.pods if ordinal_of(seen.stateful_set, pod) is not None]
    ready = [pod for pod in alive if is_running_and_ready(pod) and not is_being_deleted(pod)]
    staying = [pod for pod in alive if not is_being_deleted(pod)]
    current = sum(labels_of(pod).get(REVISION_LABEL) == seen.current_revision for pod in staying)
    updated = sum(labels_of(pod).get(REVISION_LABEL) == seen.update_revision for pod in staying)
    wanted, current_revision = replicas_of(seen.stateful_set), seen.current_revision
    strategy = get_in(seen.stateful_set, "spec", "updateStrategy", "type", default="RollingUpdate")
    if strategy == "RollingUpdate" and updated == len(ready) == len(alive) == wanted:
        current, current_revision = updated, seen.update_revision
    counts = {"readyReplicas": len(ready), "currentReplicas": current, "updatedReplicas": updated}
    return {
        "observedGeneration": seen.stateful_set["metadata"].get("generation", 0),
        "replicas": len(alive),
        **{name: count for name, count in counts.items() if count},
        "availableReplicas": sum(map(seen.is_available, ready)),
        "currentRevision": current_revision,
        "updateRevision": seen.update_revision,
        "collisionCount": collision_count,
    }
