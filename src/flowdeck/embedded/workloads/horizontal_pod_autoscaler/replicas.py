"""How many replicas a metric asks for. Pure. Source: kubernetes (pkg/controller/podautoscaler/replica_calculator.go)"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from flowdeck.embedded.workloads import pods
from flowdeck.embedded.workloads.horizontal_pod_autoscaler.metrics import NoMetrics, Sample
from flowdeck.kube.conditions import find_condition
from flowdeck.kube.objects import Tree, get_in, is_being_deleted, key_of
from flowdeck.kube.quantity import parse_quantity
from flowdeck.kube.times import parse_time

CPU_INITIALIZATION_S = 300
"""After a pod's start its CPU numbers count only when they were taken wholly after it became ready."""
INITIAL_READINESS_S = 30
"""A pod that became unready within that time of its start has never been ready."""


@dataclass(frozen=True)
class Tolerance:
    """How far the ratio of use to target may be from 1 without consequence."""

    up: float = 0.1
    down: float = 0.1

    def contains(self, ratio: float) -> bool:
        return 1.0 - self.down <= ratio <= 1.0 + self.up


@dataclass(frozen=True)
class Proposal:
    """What one metric asks for."""

    replicas: int
    utilization: int | None
    """Percent of the requests, where the target is one."""
    average: int
    """Thousandths, a pod."""


@dataclass(frozen=True)
class Scene:
    """The pods of the target and what they use of one resource."""

    pods: Sequence[Tree]
    samples: Mapping[str, Sample]
    resource: str
    current: int
    """Replicas now."""
    now: datetime
    container: str = ""
    tolerance: Tolerance = Tolerance()


@dataclass(frozen=True)
class Groups:
    """The target's pods, by what their numbers are good for."""

    ready: int
    unready: frozenset[str]
    missing: frozenset[str]
    ignored: frozenset[str]


def group(scene: Scene) -> Groups:
    ready, unready, missing, ignored = 0, set(), set(), set()
    for pod in scene.pods:
        name = key_of(pod).name
        sample = scene.samples.get(name)
        if is_being_deleted(pod) or pods.phase_of(pod) == "Failed":
            ignored.add(name)
        elif pods.phase_of(pod) == "Pending":
            unready.add(name)
        elif sample is None:
            missing.add(name)
        elif scene.resource == "cpu" and _is_warming_up(pod, sample, scene.now):
            unready.add(name)
        else:
            ready += 1
    return Groups(ready, frozenset(unready), frozenset(missing), frozenset(ignored))


def _is_warming_up(pod: Tree, sample: Sample, now: datetime) -> bool:
    condition, started = find_condition(pod, "Ready"), get_in(pod, "status", "startTime")
    if condition is None or started is None:
        return True
    start, changed = parse_time(started), parse_time(condition["lastTransitionTime"])
    is_unready = condition["status"] == "False"
    if start + timedelta(seconds=CPU_INITIALIZATION_S) > now:
        return is_unready or sample.at < changed + timedelta(seconds=sample.window_s)
    return is_unready and start + timedelta(seconds=INITIAL_READINESS_S) > changed


def for_utilization(scene: Scene, target: int) -> Proposal:
    """Replicas so that the pods use `target` percent of their requests; raises `NoMetrics`."""
    groups, samples = _usable(scene)
    requests = {key_of(pod).name: _request_of(pod, scene) for pod in scene.pods}
    ratio, utilization, average = _utilization(samples, requests, target)

    def filled(name: str) -> int:
        return requests[name] * max(100, target) // 100

    replicas = _replicas(scene, groups, samples, ratio, filled, lambda s: _utilization(s, requests, target)[0])
    return Proposal(replicas, utilization, average)


def for_average(scene: Scene, target: int) -> Proposal:
    """Replicas so that a pod uses `target` (thousandths) on average; raises `NoMetrics`."""
    groups, samples = _usable(scene)

    def ratio_of(values: Mapping[str, int]) -> float:
        return sum(values.values()) / len(values) / target

    replicas = _replicas(scene, groups, samples, ratio_of(samples), lambda _: target, ratio_of)
    return Proposal(replicas, None, sum(samples.values()) // len(samples))


def _usable(scene: Scene) -> tuple[Groups, dict[str, int]]:
    if not scene.pods:
        raise NoMetrics("no pods returned by selector while calculating replica count")
    groups = group(scene)
    unusable = groups.ignored | groups.unready
    names = {key_of(pod).name for pod in scene.pods}
    samples = {n: s.value for n, s in scene.samples.items() if n in names and n not in unusable}
    if not samples:
        raise NoMetrics("did not receive metrics for targeted pods (pods might be unready)")
    return groups, samples


def _replicas(
    scene: Scene,
    groups: Groups,
    samples: dict[str, int],
    ratio: float,
    assumed: Callable[[str], int],
    ratio_of: Callable[[Mapping[str, int]], float],
) -> int:
    """Upstream's careful way: whoever we know nothing of is assumed to speak against the change."""
    up_with_unready = bool(groups.unready) and ratio > 1.0
    if not up_with_unready and not groups.missing:
        return scene.current if scene.tolerance.contains(ratio) else math.ceil(_exact(ratio * groups.ready))
    filled = dict(samples)
    for name in groups.missing:
        if ratio < 1.0:
            filled[name] = assumed(name)
        elif ratio > 1.0:
            filled[name] = 0
    if up_with_unready:
        filled |= dict.fromkeys(groups.unready, 0)
    again = ratio_of(filled)
    turned = (ratio < 1.0 < again) or (again < 1.0 < ratio)
    if scene.tolerance.contains(again) or turned:
        return scene.current
    wanted = math.ceil(_exact(again * len(filled)))
    against = (again < 1.0 and wanted > scene.current) or (again > 1.0 and wanted < scene.current)
    return scene.current if against else wanted


def _exact(value: float) -> float:
    """Takes the last digits of floating point away, so that 3.0000000000000004 does not become 4."""
    return round(value, 9)


def _utilization(samples: Mapping[str, int], requests: Mapping[str, int], target: int) -> tuple[float, int, int]:
    known = [name for name in samples if name in requests]
    requested = sum(requests[name] for name in known)
    if not requested:
        raise NoMetrics("no metrics returned matched known pods")
    used = sum(samples[name] for name in known)
    percent = used * 100 // requested
    return percent / target, percent, used // len(known)


def _request_of(pod: Tree, scene: Scene) -> int:
    return sum(_requests(pod, scene))


def _requests(pod: Tree, scene: Scene) -> Iterable[int]:
    sidecars = [c for c in pod["spec"].get("initContainers") or () if c.get("restartPolicy") == "Always"]
    for container in [*pod["spec"]["containers"], *sidecars]:
        if scene.container and container["name"] != scene.container:
            continue
        request = get_in(container, "resources", "requests", scene.resource)
        if request is None:
            raise NoMetrics(
                f"missing request for {scene.resource} in container {container['name']} of Pod {key_of(pod).name}"
            )
        yield parse_quantity(request).milli
