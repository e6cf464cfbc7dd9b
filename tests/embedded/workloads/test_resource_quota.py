"""A quota's `used` follows the objects that it counts."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from flowdeck.embedded.workloads.resource_quota import ResourceQuotaController, used_by
from flowdeck.kube.kinds import CONFIG_MAP, POD, RESOURCE_QUOTA, SERVICE
from flowdeck.kube.objects import ObjectKey, Tree
from tests.embedded.workloads.makers import a_pod, open_world
from tests.world.world import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = await open_world(tmp_path, lambda client, clock, recorder: [ResourceQuotaController(client=client)])
    yield world
    await world.close()


def a_quota(hard: dict[str, str], **spec: object) -> Tree:
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "q", "namespace": "default"},
        "spec": {"hard": hard, **spec},
    }


def a_hungry_pod(name: str = "p", cpu: str = "500m") -> Tree:
    resources = {"requests": {"cpu": cpu, "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "2Gi"}}
    return a_pod(name, containers=[{"name": "m", "image": "i", "resources": resources}])


async def used(world: World) -> Tree:
    found: Tree = (await world.get(RESOURCE_QUOTA, "q"))["status"]["used"]
    return found


async def test_a_new_quota_counts_what_is_there(world: World) -> None:
    await world.create(a_hungry_pod("a"))
    await world.create(a_hungry_pod("b"))
    await world.create(a_quota({"pods": "5", "requests.cpu": "2", "limits.memory": "8Gi", "services": "3"}))
    await world.settle()
    quota = await world.get(RESOURCE_QUOTA, "q")
    assert quota["status"]["hard"] == quota["spec"]["hard"]
    assert await used(world) == {"pods": "2", "requests.cpu": "1", "limits.memory": "4Gi", "services": "0"}


async def test_finished_and_deleted_pods_give_back_what_they_used(world: World) -> None:
    await world.create(a_quota({"pods": "5", "cpu": "2", "count/pods": "9"}))
    for name in ("a", "b", "c"):
        await world.create(a_hungry_pod(name))
    await world.settle()
    assert await used(world) == {"pods": "3", "cpu": "1500m", "count/pods": "3"}
    await world.set_status(POD, "a", phase="Succeeded")
    await world.client.delete(POD, ObjectKey("default", "b"), grace_period_s=0)
    await world.settle()
    assert await used(world) == {"pods": "1", "cpu": "500m", "count/pods": "2"}


async def test_a_changed_quota_is_counted_anew(world: World) -> None:
    await world.create(a_quota({"configmaps": "5"}))
    meta = {"name": "c", "namespace": "default"}
    await world.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})
    await world.settle()
    assert await used(world) == {"configmaps": "1"}
    hard = {"configmaps": None, "pods": "2"}
    await world.client.patch(RESOURCE_QUOTA, ObjectKey("default", "q"), {"spec": {"hard": hard}})
    await world.settle()
    assert await used(world) == {"pods": "0"}


def test_scopes_choose_the_pods_and_unknown_names_keep_what_was_said() -> None:
    quota = a_quota({"pods": "1", "count/widgets.example.com": "5"}, scopes=["BestEffort"])
    quota["status"] = {"used": {"count/widgets.example.com": "3"}}
    objects = {POD: [a_pod("free"), a_hungry_pod("hungry")], CONFIG_MAP: [], SERVICE: []}
    assert {name: str(amount) for name, amount in used_by(quota, objects).items()} == {
        "pods": "1",
        "count/widgets.example.com": "3",
    }
