"""A TrainJob whose pods start together or not at all has a PodGroup that asks for all of them."""

from typing import Any

import pytest

from flowdeck.components.training.frameworks import FRAMEWORKS
from flowdeck.components.training.gang import GANGS
from flowdeck.components.training.gang.coscheduling import POD_GROUP as COSCHEDULING
from flowdeck.components.training.gang.volcano import POD_GROUP as VOLCANO
from flowdeck.components.training.merge import build
from flowdeck.components.training.runtime_types import runtime_of
from flowdeck.components.training.types import TRAIN_JOB, train_job_of
from flowdeck.kube.kinds import JOB_SET
from flowdeck.kube.objects import ObjectKey, Tree, get_in, is_controlled_by
from tests.components.training.makers import a_job, a_patch, a_runtime, a_train_job
from tests.world.world import World

JOBS = [
    a_job("data", step="dataset-initializer", container={"name": "dataset-initializer"}),
    a_job(
        container={"resources": {"limits": {"nvidia.com/gpu": 1}, "requests": {"cpu": "1500m", "memory": "1Gi"}}},
        initContainers=[{"name": "first", "resources": {"requests": {"memory": "3Gi"}}}],
    ),
]


def a_gang(policy: Tree, metadata: Tree | None = None, **trainer: Any) -> dict[str, Tree]:
    """The PodGroup and the JobSet of a TrainJob of three nodes, by kind."""
    runtime = a_runtime({}, jobs=JOBS, podGroupPolicy=policy, metadata=metadata)
    job = a_train_job(trainer={"numNodes": 3} | trainer)
    draft = build(train_job_of(job), runtime_of(runtime), (*FRAMEWORKS, *GANGS))
    return {wanted.kind.kind: wanted.make() for wanted in draft.objects}


def pods_of(job_set: Tree) -> list[Tree]:
    return [job["template"]["spec"]["template"] for job in job_set["spec"]["replicatedJobs"]]


@pytest.mark.parametrize(("policy", "timeout"), [({}, 60), ({"scheduleTimeoutSeconds": 5}, 5)])
def test_coscheduling(policy: Tree, timeout: int) -> None:
    objects = a_gang({"coscheduling": policy})
    group = objects["PodGroup"]
    assert group["apiVersion"] == "scheduling.x-k8s.io/v1alpha1"
    assert group["metadata"] == {"name": "train", "namespace": "default"}
    assert group["spec"] == {
        "minMember": 4,
        "minResources": {"cpu": "4500m", "memory": "9Gi", "nvidia.com/gpu": "3"},
        "scheduleTimeoutSeconds": timeout,
    }
    for pod in pods_of(objects["JobSet"]):
        assert pod["metadata"]["labels"] == {"scheduling.x-k8s.io/pod-group": "train"}


def test_volcano() -> None:
    metadata = {"annotations": {"scheduling.volcano.sh/queue-name": "fast"}}
    objects = a_gang({"volcano": {"networkTopology": {"mode": "soft"}}}, metadata)
    group = objects["PodGroup"]
    assert group["apiVersion"] == "scheduling.volcano.sh/v1beta1"
    assert group["spec"]["minMember"] == 4
    assert group["spec"]["queue"] == "fast"
    assert group["spec"]["networkTopology"] == {"mode": "soft", "highestTierAllowed": 1}
    for pod in pods_of(objects["JobSet"]):
        assert pod["metadata"]["annotations"] == {"scheduling.k8s.io/group-name": "train"}


def test_volcano_takes_the_priority_of_the_pods() -> None:
    runtime = a_runtime({}, jobs=[a_job(priorityClassName="high")], podGroupPolicy={"volcano": {}})
    draft = build(train_job_of(a_train_job()), runtime_of(runtime), GANGS)
    assert draft.objects[0].make()["spec"]["priorityClassName"] == "high"


@pytest.mark.parametrize(("policy", "kind"), [("coscheduling", COSCHEDULING), ("volcano", VOLCANO)])
async def test_a_pod_group_is_changed_only_while_the_job_is_suspended(world: World, policy: str, kind: Any) -> None:
    runtime = a_runtime({}, name="gang", podGroupPolicy={policy: {}})
    job = a_train_job(runtime="gang", suspend=True, trainer={"resourcesPerNode": {"limits": {"cpu": 1.0}}})
    for tree in (runtime, job):
        tree["metadata"].pop("uid"), tree["metadata"].pop("creationTimestamp", None)
        await world.create(tree)
    await world.settle()
    key = ObjectKey("default", "train")
    group = await world.get(kind, "train")
    assert is_controlled_by(group, await world.get(TRAIN_JOB, "train"))
    await world.client.patch(kind, key, {"spec": {"minMember": 7}})
    await world.client.patch(TRAIN_JOB, key, {"spec": {"runtimePatches": [a_patch()]}})
    await world.settle()
    assert get_in(await world.get(kind, "train"), "spec", "minMember") == 1
    await world.client.patch(TRAIN_JOB, key, {"spec": {"suspend": False}})
    await world.settle()
    assert (await world.get(JOB_SET, "train"))["spec"]["suspend"] is False
    await world.client.patch(kind, key, {"spec": {"minMember": 7}})
    await world.client.patch(TRAIN_JOB, key, {"metadata": {"labels": {"a": "b"}}})
    await world.settle()
    assert get_in(await world.get(kind, "train"), "spec", "minMember") == 7
