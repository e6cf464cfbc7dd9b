"""An autoscaler may be written and read as autoscaling/v1 or v2; it is one object."""

import pytest

from flowdeck.client.base import PatchType
from flowdeck.embedded.apiserver.builtin.conversions import autoscaler_from_v1, autoscaler_to_v1
from flowdeck.kube.kinds import HORIZONTAL_POD_AUTOSCALER
from flowdeck.kube.objects import Kind, ObjectKey, Tree
from tests.world.world import World

V1 = Kind("autoscaling", "v1", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
KEY = ObjectKey("default", "web")
REF = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}


def an_autoscaler(version: str, **spec: object) -> Tree:
    return {
        "apiVersion": f"autoscaling/{version}",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"scaleTargetRef": REF, "minReplicas": 1, "maxReplicas": 4, **spec},
    }


def a_metric(name: str, utilization: int) -> Tree:
    target = {"type": "Utilization", "averageUtilization": utilization}
    return {"type": "Resource", "resource": {"name": name, "target": target}}


async def test_what_is_written_as_v1_is_read_as_v2_and_back(world: World) -> None:
    await world.client.create(V1, an_autoscaler("v1", targetCPUUtilizationPercentage=50))
    found = await world.get(HORIZONTAL_POD_AUTOSCALER, "web")
    assert found["spec"]["metrics"] == [a_metric("cpu", 50)]
    assert (await world.client.get(V1, KEY))["spec"]["targetCPUUtilizationPercentage"] == 50


async def test_a_v1_patch_keeps_what_only_v2_knows(world: World) -> None:
    metrics = [a_metric("cpu", 60), a_metric("memory", 70)]
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 7}}
    await world.create(an_autoscaler("v2", metrics=metrics, behavior=behavior))
    patch = {"spec": {"targetCPUUtilizationPercentage": 80}}
    await world.client.patch(V1, KEY, patch, type=PatchType.STRATEGIC)
    found = await world.get(HORIZONTAL_POD_AUTOSCALER, "web")
    assert found["spec"]["metrics"] == [a_metric("cpu", 80), a_metric("memory", 70)]
    assert found["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 7
    assert "annotations" not in found["metadata"]


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"metrics": [a_metric("cpu", 50)]}, id="cpu"),
        pytest.param({"metrics": [a_metric("memory", 50)]}, id="memory"),
        pytest.param({}, id="none"),
    ],
)
def test_there_and_back_is_the_same(spec: Tree) -> None:
    obj = an_autoscaler("v2", **spec) | {"status": {"currentReplicas": 0, "desiredReplicas": 1}}
    assert autoscaler_from_v1(autoscaler_to_v1(obj)) == obj
