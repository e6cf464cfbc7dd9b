"""A ReplicaSet keeps its number of pods, adopts and lets go, and says what it sees."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from flowdeck.embedded.workloads.replica_set import ReplicaSetController
from flowdeck.kube.kinds import EVENT, POD, REPLICA_SET, REPLICATION_CONTROLLER, RESOURCE_QUOTA
from flowdeck.kube.objects import ObjectKey, controller_of, key_of
from tests.embedded.workloads.makers import a_pod, a_template, a_workload, names, open_world, pods_of, run_all, run_pod
from tests.world.world import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = await open_world(
        tmp_path,
        lambda client, clock, recorder: [
            ReplicaSetController(client=client, clock=clock, events=recorder("replicaset-controller")),
            ReplicaSetController(
                client=client, clock=clock, events=recorder("replication-controller"), kind=REPLICATION_CONTROLLER
            ),
        ],
    )
    yield world
    await world.close()


async def test_a_new_set_gets_its_pods_and_tells_of_each(world: World) -> None:
    await world.create(a_workload("ReplicaSet", replicas=3))
    await world.settle()
    pods = await pods_of(world)
    assert len(pods) == 3
    assert all(name.startswith("web-") for name in names(pods))
    assert (await world.get(REPLICA_SET, "web"))["status"] == {
        "replicas": 3,
        "fullyLabeledReplicas": 3,
        "terminatingReplicas": 0,
        "observedGeneration": 1,
    }
    told = {event["message"] for event in await world.list(EVENT, "default")}
    assert told == {f"Created pod: {name}" for name in names(pods)}


async def test_status_counts_ready_and_available_pods_and_looks_again_in_time(world: World) -> None:
    await world.create(a_workload("ReplicaSet", replicas=2, minReadySeconds=10))
    await run_all(world)
    status = (await world.get(REPLICA_SET, "web"))["status"]
    assert (status["readyReplicas"], status.get("availableReplicas", 0)) == (2, 0)
    await world.advance(seconds=10)
    assert (await world.get(REPLICA_SET, "web"))["status"]["availableReplicas"] == 2


async def test_a_pod_that_is_deleted_or_finished_is_replaced(world: World) -> None:
    await world.create(a_workload("ReplicaSet", replicas=2))
    await world.settle()
    first, second = await pods_of(world)
    await world.client.delete(POD, key_of(first))
    await world.set_status(POD, key_of(second).name, phase="Failed")
    alive = [pod for pod in await pods_of(world) if pod["status"]["phase"] != "Failed"]
    assert len(alive) == 2


async def test_scaling_down_takes_pods_that_do_not_run_first(world: World) -> None:
    await world.create(a_workload("ReplicaSet", replicas=3))
    await world.settle()
    keep = (await pods_of(world))[1]
    await run_pod(world, keep)
    await world.client.patch(REPLICA_SET, ObjectKey("default", "web"), {"spec": {"replicas": 1}})
    await world.settle()
    assert names(await pods_of(world)) == [key_of(keep).name]


async def test_orphans_that_match_are_adopted_and_strangers_let_go(world: World) -> None:
    await world.create(a_pod("stray"))
    await world.create(a_workload("ReplicaSet", replicas=1))
    await world.settle()
    stray = await world.get(POD, "stray")
    assert (controller_of(stray) or {})["name"] == "web"
    await world.client.patch(POD, key_of(stray), {"metadata": {"labels": {"app": "other"}}})
    await world.settle()
    assert controller_of(await world.get(POD, "stray")) is None
    assert len(await pods_of(world)) == 1


async def test_an_orphan_made_later_is_adopted_and_one_too_many_goes(world: World) -> None:
    await world.create(a_workload("ReplicaSet", replicas=1))
    await run_all(world)
    await world.create(a_pod("late"))
    await world.settle()
    assert "late" not in names(await pods_of(world))


async def test_a_quota_that_refuses_pods_becomes_a_condition_until_it_is_raised(world: World) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": "default"}}
    await world.create({**quota, "spec": {"hard": {"pods": "0"}}})
    await world.client.patch_status(
        RESOURCE_QUOTA, ObjectKey("default", "q"), {"status": {"hard": {"pods": "0"}, "used": {"pods": "0"}}}
    )
    await world.create(a_workload("ReplicaSet", replicas=5))
    await world.settle()
    assert await world.condition(REPLICA_SET, "web", "ReplicaFailure") == ("True", "FailedCreate")
    await world.client.delete(RESOURCE_QUOTA, ObjectKey("default", "q"))
    await world.advance(seconds=1000)
    assert len(await pods_of(world)) == 5
    assert await world.condition(REPLICA_SET, "web", "ReplicaFailure") is None


async def test_a_replication_controller_does_the_same_with_its_plain_selector(world: World) -> None:
    template = a_template(labels={"app": "old"})
    await world.create(
        {
            "apiVersion": "v1",
            "kind": "ReplicationController",
            "metadata": {"name": "old", "namespace": "default"},
            "spec": {"replicas": 2, "selector": {"app": "old"}, "template": template},
        }
    )
    await run_all(world)
    assert len(await pods_of(world, "app=old")) == 2
    assert (await world.get(REPLICATION_CONTROLLER, "old"))["status"]["availableReplicas"] == 2
