"""A Deployment rolls its pods from template to template, and says how far it is in words that kubectl knows."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from flowdeck.embedded.workloads.deployment import sizes
from flowdeck.embedded.workloads.deployment.controller import DeploymentController
from flowdeck.embedded.workloads.deployment.revisions import REVISION, REVISION_HISTORY, build_new
from flowdeck.embedded.workloads.replica_set import ReplicaSetController
from flowdeck.kube.kinds import DEPLOYMENT, EVENT, POD, REPLICA_SET
from flowdeck.kube.objects import ObjectKey, Tree, annotations_of, get_in, key_of
from tests.embedded.workloads.makers import (
    a_template,
    a_workload,
    images,
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
            ReplicaSetController(client=client, clock=clock, events=recorder("replicaset-controller")),
            DeploymentController(client=client, clock=clock, events=recorder("deployment-controller")),
        ],
    )
    yield world
    await world.close()


async def change(world: World, **spec: Any) -> None:
    await world.client.patch(DEPLOYMENT, WEB, {"spec": spec})


async def roll_to(world: World, image: str) -> None:
    await change(world, template={"spec": {"containers": [{"name": "main", "image": image}]}})
    await world.settle()


async def deployment(world: World) -> Tree:
    return await world.get(DEPLOYMENT, "web")


async def replica_sets(world: World) -> dict[str, Tree]:
    """By image."""
    found = await world.list(REPLICA_SET, "default")
    return {get_in(rs, "spec", "template", "spec", "containers", 0, "image"): rs for rs in found}


def size(rs: Tree) -> int:
    return int(rs["spec"]["replicas"])


async def test_a_new_deployment_becomes_available_and_has_revision_1(world: World) -> None:
    await world.create(a_workload("Deployment", replicas=3))
    await world.settle()
    assert await world.condition(DEPLOYMENT, "web", "Available") == ("False", "MinimumReplicasUnavailable")
    assert await world.condition(DEPLOYMENT, "web", "Progressing") == ("True", "ReplicaSetUpdated")
    await run_all(world)
    found = await deployment(world)
    assert {k: v for k, v in found["status"].items() if k != "conditions"} == {
        "replicas": 3,
        "updatedReplicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 3,
        "terminatingReplicas": 0,
        "observedGeneration": 1,
    }
    assert await world.condition(DEPLOYMENT, "web", "Available") == ("True", "MinimumReplicasAvailable")
    assert await world.condition(DEPLOYMENT, "web", "Progressing") == ("True", "NewReplicaSetAvailable")
    assert annotations_of(found)[REVISION] == "1"
    (rs,) = await world.list(REPLICA_SET, "default")
    digest = rs["metadata"]["labels"]["pod-template-hash"]
    assert rs["metadata"]["name"] == f"web-{digest}"
    assert rs["spec"]["selector"]["matchLabels"] == {"app": "web", "pod-template-hash": digest}
    assert all(pod["metadata"]["labels"]["pod-template-hash"] == digest for pod in await pods_of(world))


async def test_a_rolling_update_never_has_too_many_or_too_few_pods(world: World) -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}}
    await world.create(a_workload("Deployment", replicas=4, strategy=rolling))
    await run_all(world)
    await roll_to(world, "nginx:2")
    for _ in range(20):
        found = await replica_sets(world)
        assert sum(map(size, found.values())) <= 5
        available = (await deployment(world))["status"].get("availableReplicas", 0)
        assert available >= 3
        new = [pod for pod in await pods_of(world) if pod["status"]["phase"] == "Pending"]
        for pod in new:
            await run_pod(world, pod)
        await world.settle()
    found = await replica_sets(world)
    assert (size(found["nginx:1"]), size(found["nginx:2"])) == (0, 4)
    assert annotations_of(await deployment(world))[REVISION] == "2"
    assert await world.condition(DEPLOYMENT, "web", "Progressing") == ("True", "NewReplicaSetAvailable")


async def test_going_back_makes_the_old_set_the_latest_revision(world: World) -> None:
    await world.create(a_workload("Deployment", replicas=1))
    await run_all(world)
    await roll_to(world, "nginx:2")
    await run_all(world)
    await roll_to(world, "nginx:1")
    await run_all(world)
    found = await replica_sets(world)
    assert annotations_of(found["nginx:1"])[REVISION] == "3"
    assert annotations_of(found["nginx:1"])[REVISION_HISTORY] == "1"
    assert annotations_of(found["nginx:2"])[REVISION] == "2"
    assert size(found["nginx:1"]) == 1


async def test_recreate_waits_until_the_old_pods_are_gone(world: World) -> None:
    await world.create(a_workload("Deployment", replicas=2, strategy={"type": "Recreate"}))
    await run_all(world)
    await roll_to(world, "nginx:2")
    assert "nginx:2" not in await replica_sets(world)
    assert await pods_of(world) == []
    await run_all(world)
    assert images(await pods_of(world)) == ["nginx:2", "nginx:2"]


async def test_a_paused_deployment_scales_but_does_not_roll(world: World) -> None:
    await world.create(a_workload("Deployment", replicas=1))
    await run_all(world)
    await change(world, paused=True)
    await roll_to(world, "nginx:2")
    await change(world, replicas=2)
    await run_all(world)
    assert images(await pods_of(world)) == ["nginx:1", "nginx:1"]
    assert await world.condition(DEPLOYMENT, "web", "Progressing") == ("Unknown", "DeploymentPaused")
    await change(world, paused=False)
    await run_all(world)
    assert images(await pods_of(world)) == ["nginx:2", "nginx:2"]
    assert await world.condition(DEPLOYMENT, "web", "Progressing") == ("True", "NewReplicaSetAvailable")


async def test_a_rollout_without_progress_fails_at_its_deadline(world: World) -> None:
    await world.create(a_workload("Deployment", replicas=1, progressDeadlineSeconds=60))
    await world.settle()
    await world.advance(seconds=50)
    assert await world.condition(DEPLOYMENT, "web", "Progressing") == ("True", "ReplicaSetUpdated")
    await world.advance(seconds=12)
    assert await world.condition(DEPLOYMENT, "web", "Progressing") == ("False", "ProgressDeadlineExceeded")
    await run_all(world)
    assert await world.condition(DEPLOYMENT, "web", "Progressing") == ("True", "NewReplicaSetAvailable")


async def test_old_sets_beyond_the_history_limit_are_deleted(world: World) -> None:
    await world.create(a_workload("Deployment", replicas=1, revisionHistoryLimit=1))
    await run_all(world)
    for image in ("nginx:2", "nginx:3", "nginx:4"):
        await roll_to(world, image)
        await run_all(world)
    assert set(await replica_sets(world)) == {"nginx:3", "nginx:4"}


async def test_scaling_in_the_middle_of_a_rollout_is_in_proportion(world: World) -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}
    await world.create(a_workload("Deployment", replicas=10, strategy=rolling))
    await run_all(world)
    await roll_to(world, "nginx:bad")
    before = await replica_sets(world)
    assert (size(before["nginx:1"]), size(before["nginx:bad"])) == (8, 5)
    await change(world, replicas=15)
    await world.settle()
    after = await replica_sets(world)
    assert (size(after["nginx:1"]), size(after["nginx:bad"])) == (11, 7)


async def test_a_taken_name_is_counted_as_a_collision_and_another_one_is_found(world: World) -> None:
    await world.create(a_workload("Deployment", replicas=1, paused=True))
    await world.settle()
    taken = build_new(await deployment(world), 1, 0)
    taken["metadata"] |= {"ownerReferences": [], "labels": {"other": "x"}, "annotations": {}}
    taken["spec"]["selector"] = {"matchLabels": {"other": "x"}}
    taken["spec"]["template"]["metadata"]["labels"] = {"other": "x"}
    await world.create(taken)
    await change(world, paused=False)
    await world.settle()
    await world.advance(seconds=1000)
    assert (await deployment(world))["status"]["collisionCount"] == 1
    assert len(await world.list(REPLICA_SET, "default")) == 2


async def test_events_tell_of_each_scaling(world: World) -> None:
    await world.create(a_workload("Deployment", replicas=1))
    await run_all(world)
    (rs,) = await world.list(REPLICA_SET, "default")
    told = [e["message"] for e in await world.list(EVENT, "default") if e["involvedObject"]["kind"] == "Deployment"]
    assert told == [f"Scaled up replica set {key_of(rs).name} from 0 to 1"]


async def test_a_pod_that_turns_unready_makes_the_deployment_unavailable(world: World) -> None:
    await world.create(a_workload("Deployment", replicas=1))
    await run_all(world)
    (pod,) = await pods_of(world)
    await run_pod(world, pod, ready=False)
    await world.settle()
    status = (await deployment(world))["status"]
    assert status["unavailableReplicas"] == 1
    assert await world.condition(DEPLOYMENT, "web", "Available") == ("False", "MinimumReplicasUnavailable")
    assert (await world.get(POD, key_of(pod).name))["status"]["phase"] == "Running"


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        pytest.param(10, "25%", "25%", (3, 2), id="surge up, unavailable down"),
        pytest.param(1, "25%", "25%", (1, 0), id="one replica never misses"),
        pytest.param(3, 0, "10%", (0, 1), id="both zero: one may be missing"),
        pytest.param(2, 5, 7, (5, 2), id="no more missing than wanted"),
        pytest.param(0, 1, 0, (1, 0), id="none wanted"),
    ],
)
def test_surge_and_unavailable(
    replicas: int, surge: int | str, unavailable: int | str, expected: tuple[int, int]
) -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    wanted = a_workload("Deployment", replicas=replicas, strategy=rolling, template=a_template())
    assert sizes.surge_and_unavailable(wanted) == expected


def a_set(name: str, replicas: int, *, available: int | None = None, age: int = 0, max_replicas: int = 0) -> Tree:
    annotations = {sizes.MAX_REPLICAS: str(max_replicas)} if max_replicas else {}
    created = f"2026-01-01T00:00:{age:02d}Z"
    return {
        "metadata": {"name": name, "creationTimestamp": created, "annotations": annotations},
        "spec": {"replicas": replicas},
        "status": {"replicas": replicas, "availableReplicas": replicas if available is None else available},
    }


def a_deployment(replicas: int, surge: int | str = 0, unavailable: int | str = 0) -> Tree:
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    return {"spec": {"replicas": replicas, "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling}}}


@pytest.mark.parametrize(
    ("wanted", "new", "old", "expected"),
    [
        pytest.param(a_deployment(10, 2, 0), a_set("n", 0), [a_set("o", 10)], 2, id="up to the surge"),
        pytest.param(a_deployment(10, 0, 2), a_set("n", 0), [a_set("o", 10)], 0, id="no room"),
        pytest.param(a_deployment(10, 5, 0), a_set("n", 8), [a_set("o", 3)], 10, id="not above what is wanted"),
        pytest.param(a_deployment(5, 0, 1), a_set("n", 8), [], 5, id="too large"),
    ],
)
def test_size_of_the_new_set(wanted: Tree, new: Tree, old: list[Tree], expected: int) -> None:
    assert sizes.size_of_new(wanted, new, old) == expected


@pytest.mark.parametrize(
    ("wanted", "new", "old", "expected"),
    [
        pytest.param(a_deployment(10, 0, 2), a_set("n", 0), [a_set("o", 10)], {"o": 8}, id="as many as may be missing"),
        pytest.param(a_deployment(10, 0, 2), a_set("n", 2, available=0), [a_set("o", 8)], {}, id="new ones first"),
        pytest.param(
            a_deployment(10, 2, 0), a_set("n", 2, available=0), [a_set("o", 10, available=8)], {}, id="no room at all"
        ),
        pytest.param(
            a_deployment(4, 0, 1),
            a_set("n", 1),
            [a_set("a", 2, available=0, age=1), a_set("b", 2, age=2)],
            {"a": 0},
            id="unhealthy old pods go first",
        ),
    ],
)
def test_sizes_of_the_old_sets(wanted: Tree, new: Tree, old: list[Tree], expected: dict[str, int]) -> None:
    assert sizes.sizes_of_old(wanted, new, old) == expected


@pytest.mark.parametrize(
    ("replicas", "old_sizes", "expected"),
    [
        pytest.param(12, (10,), {"o0": 12}, id="only one active: it takes all"),
        pytest.param(12, (5, 5), {"o0": 6, "o1": 6}, id="halves"),
        pytest.param(4, (6, 2), {"o0": 3, "o1": 1}, id="down in proportion"),
        pytest.param(0, (6, 2), {"o0": 0, "o1": 0}, id="to none"),
        pytest.param(11, (8, 2), {"o0": 9, "o1": 2}, id="the rest to the largest"),
    ],
)
def test_sizes_after_scaling(replicas: int, old_sizes: tuple[int, ...], expected: dict[str, int]) -> None:
    total = sum(old_sizes)
    old = [a_set(f"o{i}", n, age=i, max_replicas=total) for i, n in enumerate(old_sizes)]
    assert sizes.sizes_after_scaling(a_deployment(replicas, 0, 1), None, old) == expected
