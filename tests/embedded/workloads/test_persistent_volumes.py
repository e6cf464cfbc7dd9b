"""Claims find volumes or get new ones; what is in use is not taken away; data goes when it should, and only then."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from flowdeck.embedded.workloads.persistent_volumes import matching
from flowdeck.embedded.workloads.persistent_volumes.claims import ClaimController
from flowdeck.embedded.workloads.persistent_volumes.folders import PROVISIONER, STANDARD_CLASS, Folders
from flowdeck.embedded.workloads.persistent_volumes.protection import (
    ClaimProtectionController,
    EphemeralVolumeController,
)
from flowdeck.embedded.workloads.persistent_volumes.volumes import VolumeController
from flowdeck.kube.kinds import EVENT, PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, POD
from flowdeck.kube.objects import ObjectKey, Tree
from tests.embedded.workloads.makers import a_node, a_pod, open_world, run_pod
from tests.world.world import World

DATA = ObjectKey("default", "data")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    folders = Folders(tmp_path / "volumes")
    world = await open_world(
        tmp_path,
        lambda client, clock, recorder: [
            ClaimController(client=client, events=recorder("persistentvolume-controller"), folders=folders),
            VolumeController(
                client=client, clock=clock, events=recorder("persistentvolume-controller"), folders=folders
            ),
            ClaimProtectionController(client=client),
            EphemeralVolumeController(client=client, events=recorder("ephemeral_volume")),
        ],
    )
    await world.create(a_node("n1"))
    await world.create(STANDARD_CLASS)
    yield world
    await world.close()


def a_claim(name: str = "data", size: str = "1Gi", **spec: Any) -> Tree:
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **spec}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "default"},
        "spec": wanted,
    }


def a_volume(name: str = "v", size: str = "2Gi", **spec: Any) -> Tree:
    wanted = {
        "capacity": {"storage": size},
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": f"/srv/{name}"},
        "persistentVolumeReclaimPolicy": "Retain",
        **spec,
    }
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": wanted}


def a_class(name: str, **fields: Any) -> Tree:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": PROVISIONER,
        **fields,
    }


def a_user_of(claim: str, name: str = "p") -> Tree:
    return a_pod(name, volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": claim}}])


async def claim(world: World, name: str = "data") -> Tree:
    return await world.get(PERSISTENT_VOLUME_CLAIM, name)


async def volume_of(world: World, name: str = "data") -> Tree:
    return await world.get(PERSISTENT_VOLUME, (await claim(world, name))["spec"]["volumeName"])


def folder_of(volume: Tree) -> Path:
    return Path(volume["spec"]["hostPath"]["path"])


def has_folder(volume: Tree) -> bool:
    return folder_of(volume).is_dir()


async def told(world: World) -> set[str]:
    return {event["reason"] for event in await world.list(EVENT, "default")}


async def test_a_plain_claim_gets_a_folder_of_the_default_class(world: World, tmp_path: Path) -> None:
    await world.create(a_claim())
    await world.settle()
    bound, volume = await claim(world), await volume_of(world)
    assert bound["spec"]["storageClassName"] == "standard"
    assert bound["status"] == {"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}}
    assert bound["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"] == "yes"
    assert bound["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    assert volume["status"]["phase"] == "Bound"
    assert volume["metadata"]["name"] == f"pvc-{bound['metadata']['uid']}"
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
    assert has_folder(volume)
    assert folder_of(volume).parent == tmp_path / "volumes"
    terms = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    assert terms[0]["matchExpressions"][0]["values"] == ["n1"]


async def test_a_deleted_claim_takes_its_volume_and_its_data_along(world: World) -> None:
    await world.create(a_claim())
    await world.settle()
    volume = await volume_of(world)
    (folder_of(volume) / "file").write_text("x")
    await world.client.delete(PERSISTENT_VOLUME_CLAIM, DATA)
    await world.settle()
    assert not await world.exists(PERSISTENT_VOLUME_CLAIM, "data")
    assert not await world.exists(PERSISTENT_VOLUME, volume["metadata"]["name"])
    assert not has_folder(volume)


async def test_retained_data_stays_released(world: World) -> None:
    await world.create(a_class("keep", reclaimPolicy="Retain"))
    await world.create(a_claim(storageClassName="keep"))
    await world.settle()
    name = (await volume_of(world))["metadata"]["name"]
    await world.client.delete(PERSISTENT_VOLUME_CLAIM, DATA)
    await world.settle()
    volume = await world.get(PERSISTENT_VOLUME, name)
    assert volume["status"]["phase"] == "Released"
    assert has_folder(volume)


async def test_a_claim_in_use_waits_for_its_pod(world: World) -> None:
    await world.create(a_claim())
    await run_pod(world, await world.create(a_user_of("data")))
    await world.client.delete(PERSISTENT_VOLUME_CLAIM, DATA)
    await world.settle()
    assert (await claim(world))["metadata"]["deletionTimestamp"]
    await world.client.delete(POD, ObjectKey("default", "p"), grace_period_s=0)
    await world.settle()
    assert not await world.exists(PERSISTENT_VOLUME_CLAIM, "data")


async def test_the_smallest_volume_that_is_large_enough_is_taken(world: World) -> None:
    for name, size in (("small", "1Gi"), ("right", "5Gi"), ("huge", "50Gi")):
        await world.create(a_volume(name, size, storageClassName="manual"))
    await world.create(a_claim(size="3Gi", storageClassName="manual"))
    await world.settle()
    bound = await claim(world)
    assert bound["spec"]["volumeName"] == "right"
    assert bound["status"]["capacity"] == {"storage": "5Gi"}
    right = await world.get(PERSISTENT_VOLUME, "right")
    assert right["spec"]["claimRef"]["uid"] == bound["metadata"]["uid"]
    assert (await world.get(PERSISTENT_VOLUME, "huge"))["status"]["phase"] == "Available"


async def test_a_claim_without_a_class_waits_for_a_volume_by_hand(world: World) -> None:
    await world.create(a_claim(storageClassName=""))
    await world.settle()
    assert (await claim(world))["status"]["phase"] == "Pending"
    assert await told(world) == {"FailedBinding"}
    await world.create(a_volume())
    await world.settle()
    assert (await claim(world))["spec"]["volumeName"] == "v"


async def test_a_claim_may_name_its_volume(world: World) -> None:
    await world.create(a_volume("mine", storageClassName=""))
    await world.create(a_claim(storageClassName="", volumeName="mine"))
    await world.create(a_claim("late", storageClassName="", volumeName="mine"))
    await world.settle()
    phases = {name: (await claim(world, name))["status"]["phase"] for name in ("data", "late")}
    assert sorted(phases.values()) == ["Bound", "Pending"]


async def test_a_claim_that_lost_its_volume_says_so(world: World) -> None:
    await world.create(a_volume(storageClassName=""))
    await world.create(a_claim(storageClassName=""))
    await world.settle()
    await world.client.patch(PERSISTENT_VOLUME, ObjectKey("", "v"), {"metadata": {"finalizers": None}})
    await world.client.delete(PERSISTENT_VOLUME, ObjectKey("", "v"))
    await world.settle()
    assert (await claim(world))["status"]["phase"] == "Lost"


async def test_a_class_that_waits_binds_when_a_pod_comes(world: World) -> None:
    await world.create(a_class("later", volumeBindingMode="WaitForFirstConsumer"))
    await world.create(a_claim(storageClassName="later"))
    await world.settle()
    assert (await claim(world))["status"]["phase"] == "Pending"
    assert await told(world) == {"WaitForFirstConsumer"}
    await world.create(a_user_of("data"))
    await world.settle()
    assert (await claim(world))["status"]["phase"] == "Bound"


async def test_a_missing_or_foreign_class_is_told(world: World) -> None:
    await world.create(a_claim("one", storageClassName="nowhere"))
    await world.create({**a_class("cloud"), "provisioner": "ebs.csi.aws.com"})
    await world.create(a_claim("two", storageClassName="cloud"))
    await world.settle()
    assert await told(world) == {"ProvisioningFailed", "ExternalProvisioning"}


async def test_a_claim_grows(world: World) -> None:
    await world.create(a_claim())
    await world.settle()
    await world.client.patch(PERSISTENT_VOLUME_CLAIM, DATA, {"spec": {"resources": {"requests": {"storage": "3Gi"}}}})
    await world.settle()
    assert (await claim(world))["status"]["capacity"] == {"storage": "3Gi"}
    assert (await volume_of(world))["spec"]["capacity"] == {"storage": "3Gi"}


async def test_without_a_node_a_claim_waits_for_one(tmp_path: Path) -> None:
    folders = Folders(tmp_path / "volumes")
    world = await open_world(
        tmp_path,
        lambda client, clock, recorder: [ClaimController(client=client, events=recorder("pv"), folders=folders)],
    )
    await world.create(STANDARD_CLASS)
    await world.create(a_claim())
    await world.settle()
    assert (await claim(world))["status"]["phase"] == "Pending"
    await world.create(a_node("n9"))
    await world.settle()
    assert (await claim(world))["status"]["phase"] == "Bound"
    await world.close()


async def test_ephemeral_volumes_get_a_claim_of_the_pod(world: World) -> None:
    template = {"spec": a_claim()["spec"]}
    volumes = [{"name": "scratch", "ephemeral": {"volumeClaimTemplate": template}}]
    pod = await world.create(a_pod("p", volumes=volumes))
    await world.settle()
    found = await claim(world, "p-scratch")
    assert found["status"]["phase"] == "Bound"
    assert found["metadata"]["ownerReferences"][0]["uid"] == pod["metadata"]["uid"]


async def test_a_volume_that_is_gone_from_disk_already_is_no_trouble(world: World) -> None:
    await world.create(a_claim())
    await world.settle()
    volume = await volume_of(world)
    shutil.rmtree(folder_of(volume))
    await world.client.delete(PERSISTENT_VOLUME_CLAIM, DATA)
    await world.settle()
    assert not await world.exists(PERSISTENT_VOLUME, volume["metadata"]["name"])


async def test_only_folders_below_the_root_are_ever_removed(tmp_path: Path) -> None:
    folders = Folders(tmp_path / "volumes")
    for path in ("/etc", str(tmp_path), str(tmp_path / "volumes"), str(tmp_path / "volumes" / "a" / ".." / ".." / "x")):
        with pytest.raises(ValueError, match="no folder of a volume"):
            await folders.remove({"spec": {"hostPath": {"path": path}}})


@pytest.mark.parametrize(
    ("volume", "reason"),
    [
        pytest.param(a_volume(size="512Mi"), "requested PV is too small", id="small"),
        pytest.param(a_volume(storageClassName="x"), "storageClassName does not match", id="class"),
        pytest.param(a_volume(accessModes=["ReadOnlyMany"]), "incompatible accessMode", id="access"),
        pytest.param(a_volume(volumeMode="Block"), "incompatible volumeMode", id="mode"),
        pytest.param(a_volume(), "", id="fits"),
    ],
)
def test_why_a_volume_does_not_fit(volume: Tree, reason: str) -> None:
    assert matching.mismatch(volume, a_claim()) == reason
