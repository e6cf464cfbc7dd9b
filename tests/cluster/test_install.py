"""Installing, again, upgrading and going away, on the embedded API server; tests/kubernetes/install uses a real one."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from flowdeck.cluster.install import (
    ESTABLISHED_S,
    Change,
    Found,
    Installer,
    event_troubles,
    fitted,
    look,
    pod_troubles,
    remove,
    users_objects,
)
from flowdeck.cluster.manifests.render import Manifests
from flowdeck.cluster.names import KEY, NAMESPACE, PODS
from flowdeck.cluster.settings import ClusterSettings
from flowdeck.components.pipelines.kinds import PIPELINE
from flowdeck.components.training.types import CLUSTER_TRAINING_RUNTIME, TRAIN_JOB
from flowdeck.kube import kinds
from flowdeck.kube.errors import Timeout
from flowdeck.kube.objects import ObjectKey, Tree, copy_of
from tests.world.world import World

WITHOUT_JOB_SETS = Manifests(settings=ClusterSettings(disabled=frozenset({"jobset"})))


async def install(world: World, manifests: Manifests | None = None) -> list[Change]:
    installer = Installer(world.client, world.clock, manifests or Manifests())
    return [change async for change in installer.apply()] + [change async for change in installer.prune()]


async def uninstall(world: World, *, definitions: bool) -> dict[str, str]:
    return {str(c.key): c.what async for c in remove(world.client, Manifests(), definitions=definitions)}


def whats(changes: Sequence[Change]) -> set[str]:
    return {change.what for change in changes}


def a_train_job(name: str = "mine") -> Tree:
    return {
        "apiVersion": TRAIN_JOB.api_version,
        "kind": TRAIN_JOB.kind,
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"runtimeRef": {"name": "torch-distributed"}},
    }


async def close_webhooks(world: World) -> None:
    """No operator runs in this world."""
    for kind in (kinds.MUTATING_WEBHOOK_CONFIGURATION, kinds.VALIDATING_WEBHOOK_CONFIGURATION):
        await world.client.delete_all(kind)


async def test_installing_twice_changes_nothing(world: World) -> None:
    assert whats(await install(world)) == {"created"}
    revision = world.api.store.revision
    assert whats(await install(world)) == {"unchanged"}
    assert world.api.store.revision == revision


async def test_a_namespace_that_was_there_is_left_as_it_is(world: World) -> None:
    await world.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    assert "kept" in whats(await install(world))
    await uninstall(world, definitions=True)
    assert await world.exists(kinds.NAMESPACE, NAMESPACE)


async def test_what_is_found_says_version_and_settings(world: World) -> None:
    assert (await look(world.client)).version == ""
    await install(world, WITHOUT_JOB_SETS)
    found = await look(world.client)
    assert found.version
    assert found.settings == WITHOUT_JOB_SETS.settings
    assert not found.has_own_job_sets


async def test_job_sets_own_controller_is_left_its_work(world: World) -> None:
    (crd,) = [crd for crd in Manifests().definitions() if crd["metadata"]["name"].startswith("jobsets")]
    foreign = copy_of(crd)
    del foreign["metadata"]["labels"]
    await world.create(foreign)
    found = await look(world.client)
    assert found.has_own_job_sets
    assert fitted(ClusterSettings(), found).disabled == {"jobset"}
    await install(world, Manifests(settings=fitted(ClusterSettings(), found)))
    assert "labels" not in (await world.get(kinds.CUSTOM_RESOURCE_DEFINITION, crd["metadata"]["name"]))["metadata"]
    assert (await look(world.client)).has_own_job_sets


async def test_a_definition_whose_names_another_one_has_is_not_waited_for_ever(world: World) -> None:
    (crd,) = [crd for crd in Manifests().definitions() if crd["metadata"]["name"].startswith("trainjobs")]
    other = copy_of(crd)
    other["metadata"] = {"name": f"others.{crd['spec']['group']}"}
    other["spec"]["names"] |= {"plural": "others", "singular": "other", "shortNames": []}
    await world.create(other)
    installing = asyncio.create_task(install(world))
    for _ in range(10):
        await world.advance(seconds=ESTABLISHED_S / 5)
    with pytest.raises(Timeout, match=r"trainjobs.trainer.kubeflow.org is not served after 60 s: .*already in use"):
        await installing


async def test_upstreams_trainer_is_seen_while_it_runs(world: World) -> None:
    await world.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    pod = {"containers": [{"name": "manager", "image": "trainer:v2.3.0"}]}
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": pod},
    }
    meta = {"name": "kubeflow-trainer-controller-manager", "namespace": NAMESPACE}
    await world.create({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec})
    assert (await look(world.client)).has_upstream_trainer
    await world.client.patch(kinds.DEPLOYMENT, ObjectKey(NAMESPACE, meta["name"]), {"spec": {"replicas": 0}})
    assert not (await look(world.client)).has_upstream_trainer


async def test_what_upstreams_trainer_has_left_in_the_place_of_ours_is_replaced(world: World) -> None:
    name = "kubeflow-trainer-controller-manager"
    await world.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    await world.create(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"selector": {"app.kubernetes.io/name": "trainer"}, "ports": [{"name": "webhook", "port": 443}]},
        }
    )
    hook = {
        "name": "validator.old.trainer.kubeflow.org",
        "admissionReviewVersions": ["v1"],
        "clientConfig": {"service": {"name": name, "namespace": NAMESPACE, "path": "/old"}},
        "sideEffects": "None",
    }
    api = kinds.VALIDATING_WEBHOOK_CONFIGURATION
    configuration = {"apiVersion": api.api_version, "kind": api.kind, "webhooks": [hook]}
    await world.create(configuration | {"metadata": {"name": "validator.trainer.kubeflow.org"}})
    await install(world)
    service = await world.get(kinds.SERVICE, name, NAMESPACE)
    assert service["spec"]["selector"] == PODS
    assert [port["port"] for port in service["spec"]["ports"]] == [10443]
    validator = await world.get(api, "validator.trainer.kubeflow.org")
    assert [each["name"] for each in validator["webhooks"]] == [
        f"validator.{kind}.trainer.kubeflow.org" for kind in ("trainjob", "trainingruntime", "clustertrainingruntime")
    ]


async def test_an_upgrade_keeps_users_objects_and_takes_away_what_is_no_longer_brought(world: World) -> None:
    await install(world)
    old = copy_of(await world.get(CLUSTER_TRAINING_RUNTIME, "torch-distributed"))
    for name, labels in (("of-an-old-version", old["metadata"]["labels"]), ("users-own", {})):
        await close_webhooks(world)
        await world.create(old | {"metadata": {"name": name, "labels": labels}})
    await world.create(a_train_job())
    await install(world, replace(Manifests(), image="registry.example/flowdeck:9.9.9"))
    assert not await world.exists(CLUSTER_TRAINING_RUNTIME, "of-an-old-version")
    assert await world.exists(CLUSTER_TRAINING_RUNTIME, "users-own")
    assert await world.exists(TRAIN_JOB, "mine")


async def test_a_component_that_is_switched_off_goes_but_its_definition_stays(world: World) -> None:
    await install(world)
    await install(world, WITHOUT_JOB_SETS)
    assert not await world.exists(kinds.MUTATING_WEBHOOK_CONFIGURATION, "jobset-mutating-webhook-configuration")
    assert await world.exists(kinds.CUSTOM_RESOURCE_DEFINITION, "jobsets.jobset.x-k8s.io")


async def test_going_away_removes_everything_but_definitions_and_what_hangs_on_them(world: World) -> None:
    await install(world)
    await close_webhooks(world)
    await world.create(a_train_job())
    assert await users_objects(world.client, Manifests().definitions()) == {TRAIN_JOB.resource: 1}
    done = await uninstall(world, definitions=False)
    assert done["trainjobs.trainer.kubeflow.org"] == "kept"
    assert done[f"{NAMESPACE}/flowdeck"] == done["torch-distributed"] == "deleted"
    assert await world.exists(TRAIN_JOB, "mine")
    for kind in (kinds.CLUSTER_ROLE, kinds.CLUSTER_ROLE_BINDING):
        assert not await world.client.find(kind, ObjectKey("", "flowdeck"))
    assert not await world.client.find(kinds.DEPLOYMENT, KEY)


async def test_going_away_with_definitions_leaves_nothing(world: World) -> None:
    before = {kind: len(await world.list(kind)) for kind in (kinds.CLUSTER_ROLE, kinds.CUSTOM_RESOURCE_DEFINITION)}
    await install(world)
    await uninstall(world, definitions=True)
    for kind, count in before.items():
        assert len([obj for obj in await world.list(kind) if "deletionTimestamp" not in obj["metadata"]]) == count
    assert (await world.get(kinds.NAMESPACE, NAMESPACE))["metadata"]["deletionTimestamp"]


async def test_a_namespace_in_which_others_keep_something_stays(world: World) -> None:
    await install(world)
    meta = {"name": "of-somebody-else", "namespace": NAMESPACE}
    await world.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})
    assert (await uninstall(world, definitions=True))[NAMESPACE] == "kept"


@pytest.mark.parametrize("is_pruned", [True, False], ids=["left out", "gone"])
@pytest.mark.parametrize("is_used", [True, False], ids=["used", "unused"])
async def test_the_namespace_of_pipelines_goes_when_nobody_uses_it(
    world: World, is_used: bool, is_pruned: bool
) -> None:
    await install(world)
    await close_webhooks(world)
    if is_used:
        meta = {"name": "mine", "namespace": "kubeflow"}
        await world.create({"apiVersion": PIPELINE.api_version, "kind": PIPELINE.kind, "metadata": meta, "spec": {}})
    if is_pruned:
        await install(world, Manifests(settings=ClusterSettings(disabled=frozenset({"pipelines"}))))
    else:
        await uninstall(world, definitions=False)
    namespace = await world.get(kinds.NAMESPACE, "kubeflow")
    assert ("deletionTimestamp" in namespace["metadata"]) is not is_used


async def test_what_is_not_ready_is_told(world: World) -> None:
    await install(world)
    installer = Installer(world.client, world.clock, Manifests())
    assert await installer.waits() == ["deployment/flowdeck: 0 of 2 replicas are ready"]
    ready = {"replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2, "observedGeneration": 1}
    await world.client.patch_status(kinds.DEPLOYMENT, KEY, {"status": ready})
    waits = await installer.waits()
    assert len(waits) == 6
    assert waits[0].endswith("the leader has not written its caBundle yet")


def a_pod(**status: object) -> Tree:
    return {"metadata": {"name": "flowdeck-1"}, "status": status}


@pytest.mark.parametrize(
    ("pod", "told"),
    [
        pytest.param(a_pod(), [], id="nothing-known"),
        pytest.param(
            a_pod(conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no"}]),
            ["pod/flowdeck-1: Unschedulable: no"],
            id="no-place",
        ),
        pytest.param(
            a_pod(containerStatuses=[{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such"}}}]),
            ["pod/flowdeck-1: ImagePullBackOff: no such"],
            id="no-image",
        ),
        pytest.param(
            a_pod(
                containerStatuses=[
                    {
                        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                        "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "message": "settings: wrong\n"}},
                    }
                ]
            ),
            [
                "pod/flowdeck-1: CrashLoopBackOff",
                "pod/flowdeck-1: its last run ended with exit code 1: settings: wrong",
            ],
            id="crashes",
        ),
    ],
)
def test_why_a_pod_is_not_ready(pod: Tree, told: list[str]) -> None:
    assert pod_troubles(pod) == told


def test_warnings_about_others_are_not_told() -> None:
    def an_event(kind: str, name: str, reason: str) -> Tree:
        return {"involvedObject": {"kind": kind, "name": name}, "reason": reason, "message": "quota exceeded"}

    events = [
        an_event("ReplicaSet", "flowdeck-1", "FailedCreate"),
        an_event("ReplicaSet", "other", "FailedCreate"),
        an_event("Pod", "flowdeck-1-2", "BackOff"),
    ]
    assert event_troubles(events) == ["replicaset/flowdeck-1: FailedCreate: quota exceeded"]


def test_without_own_job_sets_the_settings_stay() -> None:
    found = Found(kubernetes=(1, 36), version="", settings=None, has_own_job_sets=False, has_upstream_trainer=False)
    assert fitted(ClusterSettings(), found) == ClusterSettings()
