"""The platform dies at any step of its work and starts again: nothing is lost, nothing is there twice."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.controller.contract import Controller
from flowdeck.controller.events import Events
from flowdeck.embedded.workloads.deployment.controller import DeploymentController
from flowdeck.embedded.workloads.persistent_volumes.claims import ClaimController
from flowdeck.embedded.workloads.persistent_volumes.folders import STANDARD_CLASS, Folders
from flowdeck.embedded.workloads.persistent_volumes.volumes import VolumeController
from flowdeck.embedded.workloads.replica_set import ReplicaSetController
from flowdeck.embedded.workloads.stateful_set.controller import StatefulSetController
from flowdeck.kube.kinds import DEPLOYMENT, PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, REPLICA_SET
from flowdeck.kube.objects import ObjectKey, Tree
from tests.embedded.workloads.makers import a_node, a_workload, images, names, open_world, pods_of, run_all
from tests.world.world import World

STEPS = [1, 5, 13, 34, 55, 144]


def controllers(folder: Path) -> Callable[[Client, Clock, Callable[[str], Events]], Sequence[Controller]]:
    folders = Folders(folder / "volumes")

    def make(client: Client, clock: Clock, recorder: Callable[[str], Events]) -> Sequence[Controller]:
        return [
            ReplicaSetController(client=client, clock=clock, events=recorder("replicaset-controller")),
            DeploymentController(client=client, clock=clock, events=recorder("deployment-controller")),
            StatefulSetController(client=client, clock=clock, events=recorder("statefulset-controller")),
            ClaimController(client=client, events=recorder("persistentvolume-controller"), folders=folders),
            VolumeController(
                client=client, clock=clock, events=recorder("persistentvolume-controller"), folders=folders
            ),
        ]

    return make


async def dies_after(folder: Path, steps: int, *objects: Tree) -> None:
    """Stores the objects, and lets the controllers work for so many turns of the event loop."""
    world = await open_world(folder, controllers(folder))
    for obj in objects:
        await world.create(obj)
    await dies(world, steps)


async def dies(world: World, steps: int) -> None:
    await world.turns(steps)
    for task in world._tasks:
        task.cancel()
    await asyncio.gather(*world._tasks, return_exceptions=True)
    world._tasks.clear()
    world.manager = None
    await world.close()


@pytest.mark.parametrize("steps", STEPS)
async def test_a_deployment_that_was_cut_off_while_it_started(tmp_path: Path, steps: int) -> None:
    await dies_after(tmp_path, steps, a_workload("Deployment", replicas=3))
    world = await open_world(tmp_path, controllers(tmp_path))
    await world.settle()
    assert len(await world.list(REPLICA_SET)) == 1
    assert len(await pods_of(world)) == 3
    await world.close()


@pytest.mark.parametrize("steps", STEPS)
async def test_a_deployment_that_was_cut_off_while_it_rolled(tmp_path: Path, steps: int) -> None:
    world = await open_world(tmp_path, controllers(tmp_path))
    await world.create(a_workload("Deployment", replicas=3))
    await run_all(world)
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "nginx:2"}]}}}}
    await world.client.patch(DEPLOYMENT, ObjectKey("default", "web"), patch)
    await dies(world, steps)
    world = await open_world(tmp_path, controllers(tmp_path))
    await run_all(world)
    assert images(await pods_of(world)) == ["nginx:2"] * 3
    assert len(await world.list(REPLICA_SET)) == 2
    await world.close()


@pytest.mark.parametrize("steps", STEPS)
async def test_a_stateful_set_with_volumes_that_was_cut_off(tmp_path: Path, steps: int) -> None:
    storage = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    claims = [{"metadata": {"name": "data"}, "spec": storage}]
    wanted = a_workload(
        "StatefulSet", replicas=2, serviceName="web", podManagementPolicy="Parallel", volumeClaimTemplates=claims
    )
    await dies_after(tmp_path, steps, a_node("n1"), STANDARD_CLASS, wanted)
    world = await open_world(tmp_path, controllers(tmp_path))
    await run_all(world)
    assert names(await pods_of(world)) == ["web-0", "web-1"]
    bound = await world.list(PERSISTENT_VOLUME_CLAIM)
    assert [claim["status"]["phase"] for claim in bound] == ["Bound", "Bound"]
    volumes = await world.list(PERSISTENT_VOLUME)
    assert sorted(v["metadata"]["name"] for v in volumes) == sorted(c["spec"]["volumeName"] for c in bound)
    await world.close()
