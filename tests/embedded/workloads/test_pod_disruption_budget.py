"""A PodDisruptionBudget says how many of its pods may go right now."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from flowdeck.embedded.workloads.deployment.controller import DeploymentController
from flowdeck.embedded.workloads.pod_disruption_budget.controller import PodDisruptionBudgetController
from flowdeck.embedded.workloads.replica_set import ReplicaSetController
from flowdeck.kube.kinds import DEPLOYMENT, POD, POD_DISRUPTION_BUDGET
from flowdeck.kube.objects import ObjectKey, Tree, key_of
from flowdeck.kube.times import format_time
from tests.embedded.workloads.makers import LABELS, a_pod, a_workload, open_world, pods_of, run_all, run_pod
from tests.world.world import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = await open_world(
        tmp_path,
        lambda client, clock, recorder: [
            PodDisruptionBudgetController(client=client, clock=clock, events=recorder("controllermanager")),
            ReplicaSetController(client=client, clock=clock, events=recorder("replicaset-controller")),
            DeploymentController(client=client, clock=clock, events=recorder("deployment-controller")),
        ],
    )
    yield world
    await world.close()


def a_budget(**spec: Any) -> Tree:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "b", "namespace": "default"},
        "spec": {"selector": {"matchLabels": LABELS}, **spec},
    }


async def numbers(world: World) -> tuple[int, int, int, int]:
    """Expected, desired, healthy, allowed."""
    status = (await world.get(POD_DISRUPTION_BUDGET, "b"))["status"]
    return tuple(status[n] for n in ("expectedPods", "desiredHealthy", "currentHealthy", "disruptionsAllowed"))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({"maxUnavailable": 1}, (4, 3, 4, 1), id="max 1"),
        pytest.param({"maxUnavailable": "50%"}, (4, 2, 4, 2), id="max half"),
        pytest.param({"minAvailable": 4}, (4, 4, 4, 0), id="min all"),
        pytest.param({"minAvailable": "75%"}, (4, 3, 4, 1), id="min three quarters"),
    ],
)
async def test_budgets_of_a_deployment(world: World, spec: Tree, expected: tuple[int, ...]) -> None:
    await world.create(a_workload("Deployment", replicas=4))
    await world.create(a_budget(**spec))
    await run_all(world)
    assert await numbers(world) == expected
    reason = "SufficientPods" if expected[3] else "InsufficientPods"
    assert (await world.condition(POD_DISRUPTION_BUDGET, "b", "DisruptionAllowed") or ("", ""))[1] == reason


async def test_an_unready_pod_uses_the_budget_up(world: World) -> None:
    await world.create(a_workload("Deployment", replicas=3))
    await world.create(a_budget(maxUnavailable=1))
    await run_all(world)
    await run_pod(world, (await pods_of(world))[0], ready=False)
    await world.settle()
    assert await numbers(world) == (3, 2, 2, 0)


async def test_a_share_counts_from_what_is_wanted_not_from_what_is_there(world: World) -> None:
    await world.create(a_workload("Deployment", replicas=2))
    await world.create(a_budget(minAvailable="100%"))
    await run_all(world)
    await world.client.patch(DEPLOYMENT, ObjectKey("default", "web"), {"spec": {"replicas": 4}})
    await world.settle()
    assert await numbers(world) == (4, 4, 2, 0)


async def test_a_pod_of_something_without_a_scale_makes_the_budget_fail_safe(world: World) -> None:
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "u1", "controller": True}
    pod = a_pod("p")
    pod["metadata"]["ownerReferences"] = [owner]
    await run_pod(world, await world.create(pod))
    await world.create(a_budget(maxUnavailable=1))
    await world.settle()
    assert await world.condition(POD_DISRUPTION_BUDGET, "b", "DisruptionAllowed") == ("False", "SyncFailed")


async def test_a_pod_that_was_evicted_counts_as_gone_for_two_minutes(world: World) -> None:
    await world.create(a_budget(minAvailable=1))
    for name in ("a", "b"):
        await run_pod(world, await world.create(a_pod(name)))
    await world.settle()
    assert await numbers(world) == (2, 1, 2, 1)
    evicted = {"disruptedPods": {"a": format_time(world.clock.now())}}
    await world.client.patch_status(POD_DISRUPTION_BUDGET, ObjectKey("default", "b"), {"status": evicted})
    await world.settle()
    assert await numbers(world) == (2, 1, 1, 0)
    await world.advance(seconds=121)
    assert await numbers(world) == (2, 1, 2, 1)


async def test_evictions_use_the_budget_and_are_refused_beyond_it(world: World) -> None:
    await world.create(a_workload("Deployment", replicas=2))
    await world.create(a_budget(maxUnavailable=1))
    await run_all(world)
    first, second = await pods_of(world)
    for pod, fails in ((first, False), (second, True)):
        key = key_of(pod)
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": key.name}}
        if fails:
            with pytest.raises(Exception, match="disruption budget"):
                await world.client.create_sub(POD, key, "eviction", eviction)
        else:
            await world.client.create_sub(POD, key, "eviction", eviction)
    await run_all(world)
    assert await numbers(world) == (2, 1, 2, 1)
