"""A DaemonSet has one pod on each node that it fits."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from flowdeck.embedded.workloads.daemon_set.controller import DaemonSetController
from flowdeck.embedded.workloads.daemon_set.placement import daemon_pod, node_of, should_run
from flowdeck.kube.kinds import DAEMON_SET, NODE, POD
from flowdeck.kube.objects import ObjectKey, Tree
from tests.embedded.workloads.makers import (
    a_node,
    a_template,
    a_workload,
    end_pod,
    images,
    open_world,
    pods_of,
    run_pod,
)
from tests.world.world import World

WEB = ObjectKey("default", "web")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = await open_world(
        tmp_path,
        lambda client, clock, recorder: [
            DaemonSetController(client=client, clock=clock, events=recorder("daemonset-controller"))
        ],
    )
    for name in ("n1", "n2"):
        await ready_node(world, name)
    yield world
    await world.close()


async def ready_node(world: World, name: str) -> None:
    """A node that its life cycle has seen ready: without the taint of new ones."""
    await world.create(a_node(name))
    await world.client.patch(NODE, ObjectKey("", name), {"spec": {"taints": None}})


async def run_daemons(world: World) -> None:
    """Each pod runs on the node that it was made for; dying ones are gone."""
    for _ in range(20):
        await world.settle()
        changed = False
        for pod in await world.list(POD):
            if pod["metadata"].get("deletionTimestamp"):
                await end_pod(world, pod)
                changed = True
            elif pod["status"]["phase"] == "Pending":
                await run_pod(world, pod, node=node_of(pod))
                changed = True
        if not changed:
            return


async def change(world: World, **spec: Any) -> None:
    await world.client.patch(DAEMON_SET, WEB, {"spec": spec})
    await world.settle()


async def test_every_node_gets_a_pod_and_new_nodes_too(world: World) -> None:
    await world.create(a_workload("DaemonSet"))
    await run_daemons(world)
    assert sorted(map(node_of, await pods_of(world))) == ["n1", "n2"]
    await ready_node(world, "n3")
    await run_daemons(world)
    status = (await world.get(DAEMON_SET, "web"))["status"]
    assert status == {
        "currentNumberScheduled": 3,
        "desiredNumberScheduled": 3,
        "numberAvailable": 3,
        "numberMisscheduled": 0,
        "numberReady": 3,
        "updatedNumberScheduled": 3,
        "observedGeneration": 1,
    }


async def test_a_node_that_goes_takes_its_pod_along(world: World) -> None:
    await world.create(a_workload("DaemonSet"))
    await run_daemons(world)
    await world.client.delete(NODE, ObjectKey("", "n2"))
    await run_daemons(world)
    assert list(map(node_of, await pods_of(world))) == ["n1"]


async def test_a_node_that_no_longer_fits_loses_its_pod(world: World) -> None:
    await world.create(a_workload("DaemonSet", template=a_template(nodeSelector={"disk": "fast"})))
    await world.settle()
    assert await pods_of(world) == []
    await world.client.patch(NODE, ObjectKey("", "n1"), {"metadata": {"labels": {"disk": "fast"}}})
    await run_daemons(world)
    assert list(map(node_of, await pods_of(world))) == ["n1"]
    await world.client.patch(NODE, ObjectKey("", "n1"), {"metadata": {"labels": {"disk": None}}})
    await run_daemons(world)
    assert await pods_of(world) == []


async def test_an_update_replaces_one_pod_at_a_time(world: World) -> None:
    await world.create(a_workload("DaemonSet"))
    await run_daemons(world)
    await change(world, template={"spec": {"containers": [{"name": "main", "image": "nginx:2"}]}})
    assert len(await pods_of(world)) == 1
    await run_daemons(world)
    assert images(await pods_of(world)) == ["nginx:2", "nginx:2"]


async def test_a_surge_starts_the_new_pod_before_the_old_one_goes(world: World) -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    await world.create(a_workload("DaemonSet", updateStrategy=rolling))
    await run_daemons(world)
    await change(world, template={"spec": {"containers": [{"name": "main", "image": "nginx:2"}]}})
    assert images(await pods_of(world)) == ["nginx:1", "nginx:1", "nginx:2"]
    await run_daemons(world)
    assert images(await pods_of(world)) == ["nginx:2", "nginx:2"]


async def test_on_delete_leaves_the_pods_alone(world: World) -> None:
    await world.create(a_workload("DaemonSet", updateStrategy={"type": "OnDelete"}))
    await run_daemons(world)
    await change(world, template={"spec": {"containers": [{"name": "main", "image": "nginx:2"}]}})
    await run_daemons(world)
    assert images(await pods_of(world)) == ["nginx:1", "nginx:1"]


async def test_a_failed_pod_is_replaced_after_a_pause(world: World) -> None:
    await world.create(a_workload("DaemonSet"))
    await run_daemons(world)
    pod = (await pods_of(world))[0]
    await world.set_status(POD, pod["metadata"]["name"], phase="Failed")
    assert len(await pods_of(world)) == 2
    await world.advance(seconds=10)
    await run_daemons(world)
    assert [p["status"]["phase"] for p in await pods_of(world)] == ["Running", "Running"]


NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}
SPECIAL = {"key": "special", "value": "yes", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("spec", "node", "expected"),
    [
        pytest.param({}, a_node(), (True, True), id="anywhere"),
        pytest.param({}, a_node(taints=[NOT_READY]), (True, True), id="a node that is not ready"),
        pytest.param({}, a_node(taints=[SPECIAL]), (False, True), id="what is there may stay"),
        pytest.param({}, a_node(taints=[{**SPECIAL, "effect": "NoExecute"}]), (False, False), id="evicted"),
        pytest.param({"tolerations": [{"operator": "Exists"}]}, a_node(taints=[SPECIAL]), (True, True), id="tolerated"),
        pytest.param({"nodeName": "other"}, a_node(), (False, False), id="another node by name"),
        pytest.param({"nodeSelector": {"gpu": "1"}}, a_node(labels={"gpu": "1"}), (True, True), id="selected"),
    ],
)
def test_on_which_nodes_a_daemon_runs(spec: Tree, node: Tree, expected: tuple[bool, bool]) -> None:
    assert should_run(a_workload("DaemonSet", template=a_template(**spec)), node) == expected


def test_a_daemon_pod_is_tied_to_its_node_in_every_term() -> None:
    terms = [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {"matchExpressions": []}]
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
    owner = a_workload("DaemonSet", template=a_template(affinity=affinity))
    owner["metadata"]["uid"] = "u1"
    pod = daemon_pod(owner, "n7", "abc")
    assert node_of(pod) == "n7"
    required = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert [len(term["matchFields"]) for term in required["nodeSelectorTerms"]] == [1, 1]
    assert pod["metadata"]["labels"]["controller-revision-hash"] == "abc"
