"""Pods find their node, on the embedded API server."""

import pytest

from flowdeck.controller.events import EventRecorder
from flowdeck.embedded.workloads.definitions import definitions
from flowdeck.embedded.workloads.scheduler.controller import SchedulerController
from flowdeck.embedded.workloads.service_accounts import ServiceAccountController
from flowdeck.kube.conditions import find_condition
from flowdeck.kube.kinds import EVENT, NODE, PERSISTENT_VOLUME_CLAIM, POD
from flowdeck.kube.objects import ObjectKey


@pytest.fixture
async def cluster(world):
    for definition in definitions():
        await world.create(definition)

    def make(client, clock):
        events = EventRecorder(client, clock, "default-scheduler")
        return [
            SchedulerController(client=client, clock=clock, events=events),
            ServiceAccountController(client=client, root_ca=""),
        ]

    await world.start(make)
    return world


async def a_node(world, name="n1", cpu="4"):
    labels = {"kubernetes.io/hostname": name}
    await world.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})
    room = {"cpu": cpu, "memory": "8Gi", "pods": "110"}
    patch = {"spec": {"taints": None}}
    await world.client.patch(NODE, ObjectKey("", name), patch)
    await world.client.patch_status(NODE, ObjectKey("", name), {"status": {"capacity": room, "allocatable": room}})
    await world.settle()


async def a_pod(world, name="p", cpu="1", labels=None, **spec):
    container = {"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}
    metadata = {"name": name, "namespace": "default", "labels": labels or {}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container], **spec}}
    await world.create(pod)
    await world.settle()


async def node_of(world, name="p"):
    return (await world.get(POD, name))["spec"].get("nodeName")


async def scheduled(world, name="p"):
    condition = find_condition(await world.get(POD, name), "PodScheduled")
    return condition and (condition["status"], condition.get("reason"), condition.get("message"))


async def reasons(world):
    return sorted(event["reason"] for event in await world.list(EVENT))


async def test_a_pod_is_bound_and_told_so(cluster):
    await a_node(cluster)
    await a_pod(cluster)
    assert await node_of(cluster) == "n1"
    assert (await scheduled(cluster))[0] == "True"
    (event,) = await cluster.list(EVENT)
    assert (event["reason"], event["message"]) == ("Scheduled", "Successfully assigned default/p to n1")


async def test_a_pod_waits_for_room_and_says_why(cluster):
    await a_pod(cluster, cpu="2")
    assert await scheduled(cluster) == ("False", "Unschedulable", "no nodes available to schedule pods")
    await a_node(cluster, cpu="1")
    message = (
        "0/1 nodes are available: 1 Insufficient cpu. "
        "preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
    )
    assert await scheduled(cluster) == ("False", "Unschedulable", message)
    room = {"cpu": "3", "memory": "8Gi", "pods": "110"}
    await cluster.client.patch_status(NODE, ObjectKey("", "n1"), {"status": {"allocatable": room}})
    await cluster.settle()
    assert await node_of(cluster) == "n1"
    assert "FailedScheduling" in await reasons(cluster)


async def test_room_that_becomes_free_is_given_to_who_waits(cluster):
    await a_node(cluster)
    await a_pod(cluster, "first", cpu="3")
    await a_pod(cluster, "second", cpu="3")
    assert await node_of(cluster, "second") is None
    await cluster.set_status(POD, "first", phase="Succeeded")
    assert await node_of(cluster, "second") == "n1"


async def test_a_gated_pod_waits_until_its_gates_are_gone(cluster):
    await a_node(cluster)
    await a_pod(cluster, schedulingGates=[{"name": "example.com/wait"}])
    assert (await scheduled(cluster))[1] == "SchedulingGated"
    await cluster.client.patch(POD, ObjectKey("default", "p"), {"spec": {"schedulingGates": []}})
    await cluster.settle()
    assert await node_of(cluster) == "n1"


async def test_pods_of_another_scheduler_are_left_to_it(cluster):
    await a_node(cluster)
    await a_pod(cluster, schedulerName="mine")
    assert await node_of(cluster) is None
    assert not await cluster.list(EVENT)


async def test_an_important_pod_takes_the_place_of_another(cluster):
    await cluster.create(
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": "high"},
            "value": 1000,
        }
    )
    await a_node(cluster)
    await a_pod(cluster, "low", cpu="4")
    await a_pod(cluster, "high", cpu="2", priorityClassName="high")
    low = await cluster.get(POD, "low")
    assert low["metadata"]["deletionTimestamp"]
    assert await cluster.condition(POD, "low", "DisruptionTarget") == ("True", "PreemptionByScheduler")
    assert (await cluster.get(POD, "high"))["status"]["nominatedNodeName"] == "n1"
    assert await node_of(cluster, "high") is None
    await cluster.client.delete(POD, ObjectKey("default", "low"), grace_period_s=0)
    await cluster.settle()
    assert await node_of(cluster, "high") == "n1"
    assert "Preempted" in await reasons(cluster)


async def test_a_group_starts_together(cluster):
    group = {
        "apiVersion": "scheduling.x-k8s.io/v1alpha1",
        "kind": "PodGroup",
        "metadata": {"name": "g", "namespace": "default"},
        "spec": {"minMember": 2, "minResources": {"cpu": "6"}},
    }
    await cluster.create(group)
    await a_node(cluster)
    for name in ("a", "b"):
        await a_pod(cluster, name, cpu="3", labels={"scheduling.x-k8s.io/pod-group": "g"})
    assert [await node_of(cluster, name) for name in ("a", "b")] == [None, None]
    await a_node(cluster, "n2")
    assert sorted([await node_of(cluster, name) for name in ("a", "b")]) == ["n1", "n2"]


async def test_a_claim_that_waits_for_its_consumer_learns_the_node_first(cluster):
    await a_node(cluster)
    await cluster.create(
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": "late"},
            "provisioner": "example.com/x",
            "volumeBindingMode": "WaitForFirstConsumer",
        }
    )
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    metadata = {"name": "c", "namespace": "default"}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata}
    await cluster.create({**claim, "spec": {**spec, "storageClassName": "late"}})
    volume = {"name": "v", "persistentVolumeClaim": {"claimName": "c"}}
    await a_pod(cluster, volumes=[volume])
    annotations = (await cluster.get(PERSISTENT_VOLUME_CLAIM, "c"))["metadata"]["annotations"]
    assert annotations["volume.kubernetes.io/selected-node"] == "n1"
    assert await node_of(cluster) is None
    key = ObjectKey("default", "c")
    await cluster.client.patch(PERSISTENT_VOLUME_CLAIM, key, {"spec": {"volumeName": "pv"}})
    await cluster.set_status(PERSISTENT_VOLUME_CLAIM, "c", phase="Bound")
    assert await node_of(cluster) == "n1"
