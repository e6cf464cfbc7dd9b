"""Nodes that fall silent, and the pods on them."""

import pytest

from flowdeck.controller.events import EventRecorder
from flowdeck.embedded.workloads.node_life_cycle import NodeLifeCycleController
from flowdeck.embedded.workloads.pod_garbage_collection import EndedPodController, LostNodeController
from flowdeck.embedded.workloads.service_accounts import ServiceAccountController
from flowdeck.kube.kinds import LEASE, NODE, POD
from flowdeck.kube.objects import ObjectKey, get_in

LEASE_KEY = ObjectKey("kube-node-lease", "n")


@pytest.fixture
async def nodes(world):
    def make(client, clock):
        events = EventRecorder(client, clock, "node-controller")
        return [
            NodeLifeCycleController(client=client, clock=clock, events=events),
            LostNodeController(client=client, clock=clock),
            EndedPodController(client=client, clock=clock, finished_limit=2),
            ServiceAccountController(client=client, root_ca=""),
        ]

    await world.start(make)
    await world.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}})
    condition = {"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:00Z"}
    await world.client.patch_status(NODE, ObjectKey("", "n"), {"status": {"conditions": [condition]}})
    metadata = {"name": "n", "namespace": "kube-node-lease"}
    await world.create({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata})
    await world.settle()
    return world


async def renew(world):
    now = f"{world.clock.now():%Y-%m-%dT%H:%M:%S.%fZ}"
    await world.client.patch(LEASE, LEASE_KEY, {"spec": {"renewTime": now}})
    await world.settle()


async def a_pod(world, name="p", **spec):
    whole = {"nodeName": "n", "containers": [{"name": "c", "image": "i"}], **spec}
    metadata = {"name": name, "namespace": "default"}
    await world.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": whole})
    ready = {"type": "Ready", "status": "True"}
    await world.set_status(POD, name, phase="Running", conditions=[ready])


def bearing(seconds):
    key = "node.kubernetes.io/unreachable"
    return [{"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds}]


async def ready(world):
    return await world.condition(NODE, "n", "Ready")


async def taints(world):
    node = await world.get(NODE, "n")
    return [(taint["key"], taint["effect"]) for taint in get_in(node, "spec", "taints", default=())]


async def test_a_node_that_renews_its_lease_stays_ready(nodes):
    for _ in range(5):
        await nodes.advance(seconds=30)
        await renew(nodes)
    assert (await nodes.get(NODE, "n"))["status"]["conditions"][0]["status"] == "True"
    assert not await taints(nodes)


async def test_a_node_stays_ready_when_the_wall_clock_is_set(nodes):
    for jump in (3600, -7200, 86400):
        nodes.clock.set_wall_clock(jump)
        await nodes.advance(seconds=30)
        await renew(nodes)
    assert not await taints(nodes)
    nodes.clock.set_wall_clock(-86400)
    await nodes.advance(seconds=41)
    assert await ready(nodes) == ("Unknown", "NodeStatusUnknown")


async def test_a_silent_node_becomes_unknown_and_tainted_and_recovers(nodes):
    await a_pod(nodes, tolerations=bearing(300))
    await nodes.advance(seconds=41)
    assert await ready(nodes) == ("Unknown", "NodeStatusUnknown")
    assert await taints(nodes) == [
        ("node.kubernetes.io/unreachable", "NoExecute"),
        ("node.kubernetes.io/unreachable", "NoSchedule"),
    ]
    assert await nodes.condition(POD, "p", "Ready") == ("False", "NodeNotReady")
    await renew(nodes)
    condition = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": "x"}
    condition["lastHeartbeatTime"] = f"{nodes.clock.now():%Y-%m-%dT%H:%M:%SZ}"
    await nodes.client.patch_status(NODE, ObjectKey("", "n"), {"status": {"conditions": [condition]}})
    await nodes.settle()
    assert not await taints(nodes)
    assert await nodes.exists(POD, "p")


async def test_pods_leave_when_they_tolerate_it_no_longer(nodes):
    await a_pod(nodes, "patient", tolerations=bearing(300))
    await a_pod(nodes, "stoic", tolerations=[{"operator": "Exists"}])
    await nodes.advance(seconds=41)
    await nodes.advance(seconds=250)
    patient = await nodes.get(POD, "patient")
    assert "deletionTimestamp" not in patient["metadata"]
    await nodes.advance(seconds=60)
    patient = await nodes.get(POD, "patient")
    assert patient["metadata"]["deletionTimestamp"]
    assert await nodes.condition(POD, "patient", "DisruptionTarget") == ("True", "DeletionByTaintManager")
    assert "deletionTimestamp" not in (await nodes.get(POD, "stoic"))["metadata"]


async def test_pods_of_a_node_that_is_gone_fail_and_go(nodes):
    await a_pod(nodes)
    await nodes.client.delete(NODE, ObjectKey("", "n"))
    await nodes.settle()
    await nodes.advance(seconds=39)
    assert await nodes.exists(POD, "p")
    await nodes.advance(seconds=2)
    assert not await nodes.exists(POD, "p")


async def test_a_pod_deleted_before_it_had_a_node_has_failed(nodes):
    await a_pod(nodes, nodeName=None)
    await nodes.client.patch(POD, ObjectKey("default", "p"), {"metadata": {"finalizers": ["example.com/hold"]}})
    await nodes.client.delete(POD, ObjectKey("default", "p"))
    await nodes.settle()
    assert (await nodes.get(POD, "p"))["status"]["phase"] != "Failed"
    await nodes.advance(seconds=21)
    assert (await nodes.get(POD, "p"))["status"]["phase"] == "Failed"


async def test_of_finished_pods_the_newest_are_kept_beyond_a_limit(nodes):
    for number in range(4):
        await a_pod(nodes, f"p{number}")
        await nodes.set_status(POD, f"p{number}", phase="Succeeded")
        await nodes.advance(seconds=1)
    assert await nodes.exists(POD, "p0")
    await nodes.advance(seconds=20)
    assert [pod["metadata"]["name"] for pod in await nodes.list(POD)] == ["p2", "p3"]
