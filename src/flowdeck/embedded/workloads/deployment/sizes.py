"""How many pods each ReplicaSet of a Deployment shall have. Pure.

Source: kubernetes (pkg/controller/deployment/rolling.go, sync.go, util/deployment_util.go)
"""

import math
from collections.abc import Mapping, Sequence

from flowdeck.embedded.workloads.pods import created_at
from flowdeck.kube.int_or_string import scaled_value
from flowdeck.kube.objects import Tree, annotations_of, get_in

DESIRED_REPLICAS = "deployment.kubernetes.io/desired-replicas"
MAX_REPLICAS = "deployment.kubernetes.io/max-replicas"

Sizes = dict[str, int]
"""ReplicaSet name -> replicas it shall have; those that stay as they are need not be named."""


def replicas_of(obj: Tree | None) -> int:
    return 0 if obj is None else int(get_in(obj, "spec", "replicas", default=1))


def total(replica_sets: Sequence[Tree]) -> int:
    return sum(map(replicas_of, replica_sets))


def status_total(replica_sets: Sequence[Tree], field: str) -> int:
    return sum(int(get_in(rs, "status", field, default=0)) for rs in replica_sets)


def is_rolling(deployment: Tree) -> bool:
    return bool(get_in(deployment, "spec", "strategy", "type", default="RollingUpdate") == "RollingUpdate")


def surge_and_unavailable(deployment: Tree) -> tuple[int, int]:
    """How many pods more than wanted, and how many available ones less, a rolling update may have."""
    if not is_rolling(deployment):
        return 0, 0
    wanted = replicas_of(deployment)
    rolling = get_in(deployment, "spec", "strategy", "rollingUpdate", default={})
    surge = scaled_value(rolling.get("maxSurge", "25%"), wanted, round_up=True)
    unavailable = scaled_value(rolling.get("maxUnavailable", "25%"), wanted, round_up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return surge, min(unavailable, wanted)


def largest_total(deployment: Tree) -> int:
    """Pods that the Deployment may have at most while it rolls."""
    return replicas_of(deployment) + surge_and_unavailable(deployment)[0]


def size_of_new(deployment: Tree, new: Tree | None, old: Sequence[Tree]) -> int:
    """The next size of the new ReplicaSet: as large as the surge allows."""
    wanted, current = replicas_of(deployment), replicas_of(new)
    if not is_rolling(deployment) or current >= wanted:
        return wanted
    room = largest_total(deployment) - total(old) - current
    return current if room <= 0 else current + min(room, wanted - current)


def sizes_of_old(deployment: Tree, new: Tree, old: Sequence[Tree]) -> Sizes:
    """The next sizes of the old ReplicaSets: first without their unhealthy pods, then as few as keep us available."""
    everything = [*old, new]
    minimum = replicas_of(deployment) - surge_and_unavailable(deployment)[1]
    new_unavailable = replicas_of(new) - status_total([new], "availableReplicas")
    room = total(everything) - minimum - new_unavailable
    if total(old) == 0 or room <= 0:
        return {}
    by_age = sorted(old, key=created_at)
    sizes = _without_unhealthy(by_age, room)
    available = status_total(everything, "availableReplicas")
    return sizes | _scaled_down(by_age, sizes, available - minimum)


def _without_unhealthy(by_age: Sequence[Tree], room: int) -> Sizes:
    sizes: Sizes = {}
    for rs in by_age:
        unhealthy = replicas_of(rs) - status_total([rs], "availableReplicas")
        step = min(room, unhealthy)
        if replicas_of(rs) and step > 0:
            sizes[rs["metadata"]["name"]] = replicas_of(rs) - step
            room -= step
    return sizes


def _scaled_down(by_age: Sequence[Tree], sizes: Mapping[str, int], room: int) -> Sizes:
    result: Sizes = {}
    for rs in by_age:
        name = rs["metadata"]["name"]
        current = sizes.get(name, replicas_of(rs))
        step = min(current, room)
        if step > 0:
            result[name] = current - step
            room -= step
    return result


def sizes_after_scaling(deployment: Tree, new: Tree | None, old: Sequence[Tree]) -> Sizes:
    """The sizes after the Deployment's own size changed (or while it is paused): in proportion, while it rolls."""
    wanted = replicas_of(deployment)
    active = [rs for rs in [*old, *([new] if new else [])] if replicas_of(rs)]
    only = _active_or_latest(active, new, old)
    if only is not None:
        return {only["metadata"]["name"]: wanted}
    if new is not None and is_saturated(deployment, new):
        return {rs["metadata"]["name"]: 0 for rs in old if replicas_of(rs)}
    return _in_proportion(deployment, active) if is_rolling(deployment) else {}


def _active_or_latest(active: Sequence[Tree], new: Tree | None, old: Sequence[Tree]) -> Tree | None:
    if len(active) > 1:
        return None
    if active:
        return active[0]
    return new or max(old, key=created_at, default=None)


def is_saturated(deployment: Tree, new: Tree) -> bool:
    """The new ReplicaSet has all the pods that are wanted, and was told so."""
    wanted = replicas_of(deployment)
    return (
        _annotated(new, DESIRED_REPLICAS) == wanted
        and replicas_of(new) == wanted
        and status_total([new], "availableReplicas") == wanted
    )


def _in_proportion(deployment: Tree, active: Sequence[Tree]) -> Sizes:
    """Shares what was added or taken among all active sets by their size, so a stuck rollout stays small."""
    allowed = largest_total(deployment) if replicas_of(deployment) else 0
    to_add = allowed - total(active)
    by_size = sorted(active, key=lambda rs: (-replicas_of(rs), _age_key(rs, newest_first=to_add > 0)))
    sizes, added = {}, 0
    for rs in by_size:
        share = _share(deployment, rs, to_add, added)
        sizes[rs["metadata"]["name"]] = replicas_of(rs) + share
        added += share
    if to_add and by_size:
        first = by_size[0]["metadata"]["name"]
        sizes[first] = max(0, sizes[first] + to_add - added)
    return sizes


def _age_key(rs: Tree, *, newest_first: bool) -> tuple[int, ...]:
    return tuple(-ord(char) if newest_first else ord(char) for char in created_at(rs))


def _share(deployment: Tree, rs: Tree, to_add: int, added: int) -> int:
    if to_add == added:
        return 0
    fraction = _fraction(deployment, rs)
    left = to_add - added
    return min(fraction, left) if to_add > 0 else max(fraction, left)


def _fraction(deployment: Tree, rs: Tree) -> int:
    if replicas_of(deployment) == 0:
        return -replicas_of(rs)
    before = _annotated(rs, MAX_REPLICAS) or int(get_in(deployment, "status", "replicas", default=0))
    if not before:
        return 0
    exact = replicas_of(rs) * largest_total(deployment) / before
    return math.floor(exact + 0.5) - replicas_of(rs)


def _annotated(rs: Tree, name: str) -> int | None:
    text = annotations_of(rs).get(name, "")
    return int(text) if text.isdigit() else None
