"""An autoscaler follows the load, no faster than it may, and says why."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flowdeck.embedded.workloads.deployment.controller import DeploymentController
from flowdeck.embedded.workloads.horizontal_pod_autoscaler.behavior import Memory, Moment, limit
from flowdeck.embedded.workloads.horizontal_pod_autoscaler.controller import HorizontalPodAutoscalerController
from flowdeck.embedded.workloads.horizontal_pod_autoscaler.metrics import NoMetrics, Sample
from flowdeck.embedded.workloads.horizontal_pod_autoscaler.replicas import (
    Scene,
    Tolerance,
    for_average,
    for_utilization,
)
from flowdeck.embedded.workloads.replica_set import ReplicaSetController
from flowdeck.kube.kinds import DEPLOYMENT, EVENT, HORIZONTAL_POD_AUTOSCALER, POD
from flowdeck.kube.objects import ObjectKey, Tree, key_of
from tests.embedded.workloads.makers import LABELS, a_pod, a_template, a_workload, open_world, run_all
from tests.world.world import World

NOW = datetime(2026, 1, 1, 1, tzinfo=UTC)
HPA = ObjectKey("default", "h")


@dataclass
class EvenLoad:
    """A source of metrics: the pods share a load, in thousandths of a core."""

    load: int = 0
    pods: list[str] = field(default_factory=list)
    now: datetime = NOW

    async def usage(self, namespace: str, selector: str, resource: str, container: str = "") -> Mapping[str, Sample]:
        if not self.pods:
            raise NoMetrics("no metrics returned from resource metrics API")
        return {name: Sample(self.load // len(self.pods), self.now, 15.0) for name in self.pods}


@pytest.fixture
def load() -> EvenLoad:
    return EvenLoad()


@pytest.fixture
async def world(tmp_path: Path, load: EvenLoad) -> AsyncIterator[World]:
    world = await open_world(
        tmp_path,
        lambda client, clock, recorder: [
            ReplicaSetController(client=client, clock=clock, events=recorder("replicaset-controller")),
            DeploymentController(client=client, clock=clock, events=recorder("deployment-controller")),
            HorizontalPodAutoscalerController(
                client=client, clock=clock, events=recorder("horizontal-pod-autoscaler"), metrics=load
            ),
        ],
    )
    yield world
    await world.close()


def cpu(target: int = 50) -> Tree:
    wanted = {"type": "Utilization", "averageUtilization": target}
    return {"type": "Resource", "resource": {"name": "cpu", "target": wanted}}


def an_autoscaler(minimum: int = 1, maximum: int = 10, **spec: Any) -> Tree:
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    wanted = {"scaleTargetRef": ref, "minReplicas": minimum, "maxReplicas": maximum, "metrics": [cpu()], **spec}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "h", "namespace": "default"},
        "spec": wanted,
    }


def a_busy_template() -> Tree:
    requests = {"requests": {"cpu": "100m"}}
    return a_template(containers=[{"name": "main", "image": "nginx:1", "resources": requests}])


async def rounds(world: World, load: EvenLoad, count: int) -> None:
    """Sync periods, with all pods running and measured."""
    for _ in range(count):
        await run_all(world)
        load.pods = [key_of(pod).name for pod in await world.list(POD)]
        load.now = world.clock.now()
        await world.advance(seconds=15)
    await run_all(world)


async def replicas(world: World) -> int:
    return int((await world.get(DEPLOYMENT, "web"))["spec"]["replicas"])


async def start(world: World, load: EvenLoad, size: int, **autoscaler: Any) -> None:
    await world.create(a_workload("Deployment", replicas=size, template=a_busy_template()))
    await run_all(world)
    await world.advance(seconds=600)
    load.pods = [key_of(pod).name for pod in await world.list(POD)]
    load.now = world.clock.now()
    await world.create(an_autoscaler(**autoscaler))
    await world.settle()


async def test_more_load_means_more_replicas_and_the_status_says_so(world: World, load: EvenLoad) -> None:
    load.load = 200
    await start(world, load, 2)
    assert await replicas(world) == 4
    status = (await world.get(HORIZONTAL_POD_AUTOSCALER, "h"))["status"]
    assert (status["currentReplicas"], status["desiredReplicas"]) == (2, 4)
    assert status["currentMetrics"] == [
        {
            "type": "Resource",
            "resource": {"name": "cpu", "current": {"averageUtilization": 100, "averageValue": "100m"}},
        }
    ]
    for type_, expected in (
        ("AbleToScale", ("True", "SucceededRescale")),
        ("ScalingActive", ("True", "ValidMetricFound")),
        ("ScalingLimited", ("False", "DesiredWithinRange")),
    ):
        assert await world.condition(HORIZONTAL_POD_AUTOSCALER, "h", type_) == expected
    told = {e["message"] for e in await world.list(EVENT, "default") if e["reason"] == "SuccessfulRescale"}
    assert told == {"New size: 4; reason: cpu resource utilization (percentage of request) above target"}


async def test_less_load_shrinks_only_after_the_window(world: World, load: EvenLoad) -> None:
    load.load = 400
    await start(world, load, 8)
    assert await replicas(world) == 8
    load.load = 100
    await rounds(world, load, 10)
    assert await replicas(world) == 8
    assert await world.condition(HORIZONTAL_POD_AUTOSCALER, "h", "AbleToScale") == ("True", "ScaleDownStabilized")
    await rounds(world, load, 12)
    assert await replicas(world) == 2


async def test_nothing_shrinks_at_first_sight(world: World, load: EvenLoad) -> None:
    await start(world, load, 3)
    assert await replicas(world) == 3
    assert await world.condition(HORIZONTAL_POD_AUTOSCALER, "h", "AbleToScale") == ("True", "ScaleDownStabilized")


async def test_the_bounds_hold(world: World, load: EvenLoad) -> None:
    load.load = 10_000
    await start(world, load, 2, maximum=3)
    assert await replicas(world) == 3
    assert await world.condition(HORIZONTAL_POD_AUTOSCALER, "h", "ScalingLimited") == ("True", "TooManyReplicas")
    await world.client.patch(HORIZONTAL_POD_AUTOSCALER, HPA, {"spec": {"minReplicas": 5, "maxReplicas": 6}})
    await world.settle()
    assert await replicas(world) == 5


async def test_nothing_is_scaled_that_somebody_scaled_to_zero(world: World, load: EvenLoad) -> None:
    await start(world, load, 0)
    assert await replicas(world) == 0
    assert await world.condition(HORIZONTAL_POD_AUTOSCALER, "h", "ScalingActive") == ("False", "ScalingDisabled")


async def test_a_missing_target_and_missing_metrics_are_told(world: World, load: EvenLoad) -> None:
    await world.create(an_autoscaler())
    await world.settle()
    assert await world.condition(HORIZONTAL_POD_AUTOSCALER, "h", "AbleToScale") == ("False", "FailedGetScale")
    await world.create(a_workload("Deployment", replicas=1, template=a_busy_template()))
    await world.advance(seconds=15)
    assert await world.condition(HORIZONTAL_POD_AUTOSCALER, "h", "AbleToScale") == ("True", "SucceededGetScale")
    expected = ("False", "FailedGetResourceMetric")
    assert await world.condition(HORIZONTAL_POD_AUTOSCALER, "h", "ScalingActive") == expected


@pytest.mark.parametrize("kind", ["Pods", "Object", "External"])
async def test_metrics_that_need_an_adapter_are_answered_clearly(world: World, load: EvenLoad, kind: str) -> None:
    target = {"type": "AverageValue", "averageValue": "10"}
    source: Tree = {"metric": {"name": "queue"}, "target": target}
    if kind == "Object":
        source["describedObject"] = {"apiVersion": "v1", "kind": "Service", "name": "web"}
    await start(world, load, 1, metrics=[{"type": kind, kind[0].lower() + kind[1:]: source}])
    expected = ("False", f"FailedGet{kind}Metric")
    assert await world.condition(HORIZONTAL_POD_AUTOSCALER, "h", "ScalingActive") == expected


def a_measured_pod(name: str, *, request: str = "100m", ready: bool = True, phase: str = "Running") -> Tree:
    resources = {"requests": {"cpu": request}}
    pod = a_pod(name, LABELS, containers=[{"name": "m", "image": "i", "resources": resources}])
    since = "2026-01-01T00:00:30Z"
    condition = {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": since}
    pod["status"] = {"phase": phase, "startTime": "2026-01-01T00:00:00Z", "conditions": [condition]}
    return pod


def a_new_pod() -> Tree:
    return a_pod("p") | {"status": {"phase": "Running"}}


def a_scene(values: Mapping[str, int], pods: list[Tree], current: int, **more: Any) -> Scene:
    samples = {name: Sample(value, NOW, 15.0) for name, value in values.items()}
    return Scene(pods, samples, "cpu", current, NOW, **more)


STRICT = Tolerance(0.01, 0.01)
TWO = [a_measured_pod("a"), a_measured_pod("b")]


@pytest.mark.parametrize(
    ("scene", "target", "replicas", "utilization"),
    [
        pytest.param(a_scene({"a": 100, "b": 100}, TWO, 2), 50, 4, 100, id="twice as busy"),
        pytest.param(a_scene({"a": 52, "b": 52}, TWO, 2), 50, 2, 52, id="within tolerance"),
        pytest.param(a_scene({"a": 52, "b": 52}, TWO, 2, tolerance=STRICT), 50, 3, 52, id="less tolerant"),
        pytest.param(a_scene({"a": 20, "b": 20}, TWO, 2), 50, 1, 20, id="down"),
        pytest.param(a_scene({"a": 20}, TWO, 2), 50, 2, 20, id="who is missing is taken as busy on the way down"),
        pytest.param(a_scene({"a": 200}, TWO, 2), 50, 4, 200, id="and as idle on the way up"),
        pytest.param(
            a_scene({"a": 80, "b": 0}, [TWO[0], a_measured_pod("b", phase="Pending")], 2),
            50,
            2,
            80,
            id="pending is idle",
        ),
    ],
)
def test_replicas_for_a_utilization(scene: Scene, target: int, replicas: int, utilization: int) -> None:
    found = for_utilization(scene, target)
    assert (found.replicas, found.utilization) == (replicas, utilization)


def test_replicas_for_an_average_value() -> None:
    found = for_average(a_scene({"a": 100, "b": 200}, TWO, 2), 100)
    assert (found.replicas, found.utilization, found.average) == (3, None, 150)


@pytest.mark.parametrize(
    ("scene", "message"),
    [
        pytest.param(a_scene({}, [], 1), "no pods returned by selector", id="no pods"),
        pytest.param(a_scene({"x": 1}, TWO, 2), "did not receive metrics for targeted pods", id="other pods' metrics"),
        pytest.param(a_scene({"p": 1}, [a_new_pod()], 1), "did not receive metrics", id="never ready"),
    ],
)
def test_what_cannot_be_computed(scene: Scene, message: str) -> None:
    with pytest.raises(NoMetrics, match=message):
        for_utilization(scene, 50)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


FAST: Tree = {"scaleUp": {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}]}}
SLOW_DOWN: Tree = {
    "scaleDown": {"stabilizationWindowSeconds": 0, "policies": [{"type": "Percent", "value": 10, "periodSeconds": 60}]}
}


@pytest.mark.parametrize(
    ("behavior", "memory", "current", "desired", "expected"),
    [
        pytest.param({}, Memory(), 1, 10, (5, "ScaleUpLimit"), id="four pods at once"),
        pytest.param({}, Memory(), 10, 50, (20, "TooManyReplicas"), id="double, but the maximum is less"),
        pytest.param({}, Memory(), 6, 11, (11, "DesiredWithinRange"), id="within"),
        pytest.param({}, Memory([Moment(ago(100), 8)]), 8, 2, (8, "DesiredWithinRange"), id="stabilized down"),
        pytest.param({}, Memory([Moment(ago(301), 8)]), 8, 2, (2, "DesiredWithinRange"), id="window over"),
        pytest.param(FAST, Memory(), 4, 9, (6, "ScaleUpLimit"), id="two a minute"),
        pytest.param(FAST, Memory(ups=[Moment(ago(30), 2)]), 6, 9, (6, "ScaleUpLimit"), id="used up this minute"),
        pytest.param(SLOW_DOWN, Memory(), 20, 5, (18, "ScaleDownLimit"), id="a tenth a minute"),
        pytest.param({"scaleDown": {"selectPolicy": "Disabled"}}, Memory(), 9, 1, (9, "ScaleDownLimit"), id="disabled"),
        pytest.param({}, Memory(), 5, 0, (2, "TooFewReplicas"), id="minimum"),
    ],
)
def test_limits(behavior: Tree, memory: Memory, current: int, desired: int, expected: tuple[int, str]) -> None:
    autoscaler = an_autoscaler(2, 20, behavior=behavior)
    found = limit(autoscaler, memory, current, desired, NOW)
    assert (found.replicas, found.limited_reason) == expected
