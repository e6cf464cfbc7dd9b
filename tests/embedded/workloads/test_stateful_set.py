"""A StatefulSet's pods keep their names and volumes, and come, go and change in order."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from flowdeck.embedded.workloads.stateful_set.controller import StatefulSetController
from flowdeck.kube.kinds import CONTROLLER_REVISION, PERSISTENT_VOLUME_CLAIM, POD, STATEFUL_SET
from flowdeck.kube.objects import ObjectKey, Tree, is_being_deleted, key_of
from tests.embedded.workloads.makers import (
    a_pod,
    a_workload,
    end_pod,
    images,
    names,
    open_world,
    pods_of,
    run_all,
    run_pod,
)
from tests.world.world import World

WEB = ObjectKey("default", "web")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = await open_world(
        tmp_path,
        lambda client, clock, recorder: [
            StatefulSetController(client=client, clock=clock, events=recorder("statefulset-controller")),
        ],
    )
    yield world
    await world.close()


def a_set(replicas: int = 3, **spec: Any) -> Tree:
    return a_workload("StatefulSet", replicas=replicas, serviceName="web", **spec)


def a_claim_template(name: str = "data") -> Tree:
    storage = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return {"metadata": {"name": name}, "spec": storage}


async def change(world: World, **spec: Any) -> None:
    await world.client.patch(STATEFUL_SET, WEB, {"spec": spec})
    await world.settle()


async def roll_to(world: World, image: str) -> None:
    await change(world, template={"spec": {"containers": [{"name": "main", "image": image}]}})


async def status(world: World) -> Tree:
    found: Tree = (await world.get(STATEFUL_SET, "web"))["status"]
    return found


async def test_pods_come_one_by_one_each_when_the_last_is_ready(world: World) -> None:
    await world.create(a_set())
    await world.settle()
    for count in (1, 2, 3):
        pods = await pods_of(world)
        assert names(pods) == [f"web-{n}" for n in range(count)]
        await run_pod(world, pods[-1])
        await world.settle()
    found = await status(world)
    assert found["currentRevision"] == found["updateRevision"]
    assert {name: found[name] for name in found if name.endswith("eplicas")} == {
        "replicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 3,
        "currentReplicas": 3,
        "updatedReplicas": 3,
    }


async def test_a_pod_knows_its_place(world: World) -> None:
    await world.create(a_set(1, ordinals={"start": 5}))
    await world.settle()
    (pod,) = await pods_of(world)
    labels = pod["metadata"]["labels"]
    assert key_of(pod).name == "web-5"
    assert labels["statefulset.kubernetes.io/pod-name"] == "web-5"
    assert labels["apps.kubernetes.io/pod-index"] == "5"
    assert labels["controller-revision-hash"] == (await status(world))["updateRevision"]
    assert (pod["spec"]["hostname"], pod["spec"]["subdomain"]) == ("web-5", "web")


async def test_parallel_starts_all_at_once(world: World) -> None:
    await world.create(a_set(podManagementPolicy="Parallel"))
    await world.settle()
    assert names(await pods_of(world)) == ["web-0", "web-1", "web-2"]


async def test_scaling_down_goes_from_the_top_one_at_a_time(world: World) -> None:
    await world.create(a_set())
    await run_all(world)
    await change(world, replicas=0)
    assert names(await pods_of(world)) == ["web-0", "web-1"]
    await end_pod(world, await world.get(POD, "web-2"))
    await world.settle()
    assert names(await pods_of(world)) == ["web-0"]
    await run_all(world)
    assert await pods_of(world) == []


async def test_an_update_goes_from_the_top_and_waits_for_each(world: World) -> None:
    await world.create(a_set())
    await run_all(world)
    await roll_to(world, "nginx:2")
    assert is_being_deleted(await world.get(POD, "web-2"))
    assert names(await pods_of(world)) == ["web-0", "web-1"]
    await end_pod(world, await world.get(POD, "web-2"))
    await world.settle()
    assert names(await pods_of(world)) == ["web-0", "web-1", "web-2"]
    found = await status(world)
    assert (found["currentReplicas"], found["updatedReplicas"]) == (2, 1)
    await run_all(world)
    found = await status(world)
    assert found["currentRevision"] == found["updateRevision"]
    assert images(await pods_of(world)) == ["nginx:2"] * 3


async def test_a_partition_keeps_the_lower_pods_old(world: World) -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
    await world.create(a_set(updateStrategy=rolling))
    await run_all(world)
    await roll_to(world, "nginx:2")
    await run_all(world)
    assert images(await pods_of(world)) == ["nginx:1", "nginx:1", "nginx:2"]
    await world.client.delete(POD, ObjectKey("default", "web-0"))
    await run_all(world)
    assert images(await pods_of(world)) == ["nginx:1", "nginx:1", "nginx:2"]


async def test_on_delete_updates_a_pod_only_when_somebody_deletes_it(world: World) -> None:
    await world.create(a_set(2, updateStrategy={"type": "OnDelete"}))
    await run_all(world)
    await roll_to(world, "nginx:2")
    await run_all(world)
    assert images(await pods_of(world)) == ["nginx:1", "nginx:1"]
    await world.client.delete(POD, ObjectKey("default", "web-0"))
    await run_all(world)
    assert images(await pods_of(world)) == ["nginx:1", "nginx:2"]


async def test_a_failed_pod_is_made_anew_under_its_name(world: World) -> None:
    await world.create(a_set(1))
    await run_all(world)
    before = await world.get(POD, "web-0")
    await world.set_status(POD, "web-0", phase="Failed")
    await run_all(world)
    after = await world.get(POD, "web-0")
    assert before["metadata"]["uid"] != after["metadata"]["uid"]


async def test_claims_are_made_before_the_pods_and_stay_when_it_shrinks(world: World) -> None:
    await world.create(a_set(2, volumeClaimTemplates=[a_claim_template()]))
    await run_all(world)
    claims = await world.list(PERSISTENT_VOLUME_CLAIM, "default")
    assert names(list(claims)) == ["data-web-0", "data-web-1"]
    assert claims[0]["metadata"]["labels"] == {"app": "web"}
    volumes = (await world.get(POD, "web-1"))["spec"]["volumes"]
    assert {"name": "data", "persistentVolumeClaim": {"claimName": "data-web-1"}} in volumes
    await change(world, replicas=1)
    await run_all(world)
    assert len(await world.list(PERSISTENT_VOLUME_CLAIM, "default")) == 2
    assert "ownerReferences" not in (await world.get(PERSISTENT_VOLUME_CLAIM, "data-web-1"))["metadata"]


async def test_the_retention_policy_makes_claims_go_with_the_set_or_the_condemned_pod(world: World) -> None:
    policy = {"whenDeleted": "Delete", "whenScaled": "Delete"}
    await world.create(a_set(2, volumeClaimTemplates=[a_claim_template()], persistentVolumeClaimRetentionPolicy=policy))
    await run_all(world)
    claim = await world.get(PERSISTENT_VOLUME_CLAIM, "data-web-1")
    assert [ref["kind"] for ref in claim["metadata"]["ownerReferences"]] == ["StatefulSet"]
    await change(world, replicas=1)
    claim = await world.get(PERSISTENT_VOLUME_CLAIM, "data-web-1")
    assert [ref["kind"] for ref in claim["metadata"]["ownerReferences"]] == ["Pod"]


async def test_going_back_reuses_the_old_revision_as_the_newest(world: World) -> None:
    await world.create(a_set(1))
    await run_all(world)
    first = (await status(world))["currentRevision"]
    await roll_to(world, "nginx:2")
    await run_all(world)
    await roll_to(world, "nginx:1")
    await run_all(world)
    assert (await status(world))["currentRevision"] == first
    numbers = {key_of(r).name: r["revision"] for r in await world.list(CONTROLLER_REVISION, "default")}
    assert numbers[first] == 3
    assert sorted(numbers.values()) == [2, 3]


async def test_a_pod_that_somebody_else_has_put_in_its_place_is_an_error_until_it_is_gone(world: World) -> None:
    await world.create(a_pod("web-0", labels={"app": "other"}))
    await world.create(a_set(1))
    await world.settle()
    await world.client.delete(POD, ObjectKey("default", "web-0"), grace_period_s=0)
    await world.advance(seconds=1000)
    (pod,) = await pods_of(world)
    assert pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"] == "0"


async def test_min_ready_seconds_hold_the_next_pod_back(world: World) -> None:
    await world.create(a_set(2, minReadySeconds=30))
    await world.settle()
    await run_pod(world, await world.get(POD, "web-0"))
    await world.settle()
    assert names(await pods_of(world)) == ["web-0"]
    await world.advance(seconds=30)
    assert names(await pods_of(world)) == ["web-0", "web-1"]
