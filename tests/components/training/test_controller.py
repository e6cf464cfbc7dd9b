"""What becomes of TrainJobs in a platform: TrainJobs and JobSets are real, Jobs and pods are played."""

from typing import Any

import pytest

from flowdeck.components.training.types import CLUSTER_TRAINING_RUNTIME, TRAIN_JOB, TRAINING_RUNTIME
from flowdeck.kube.kinds import CONFIG_MAP, EVENT, JOB, JOB_SET, POD, RESOURCE_QUOTA, SECRET
from flowdeck.kube.objects import ObjectKey, Tree, annotations_of, get_in, is_being_deleted, is_controlled_by, uid_of
from tests.components.training.makers import a_job, a_patch, a_patched_job, a_runtime, a_train_job, counted
from tests.world.world import World

KEY = ObjectKey("default", "train")
LAST_ERROR = "trainer.kubeflow.org/last-error"


def new(name: str = "train", **parts: Any) -> Tree:
    """A TrainJob as a user sends it."""
    job = a_train_job(name, **parts)
    del job["metadata"]["uid"], job["metadata"]["creationTimestamp"]
    return job


def an_object(api_version: str, kind: str, name: str, **metadata: Any) -> Tree:
    metadata |= {"name": name, "namespace": "default"}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


async def submit(world: World, name: str = "train", **parts: Any) -> Tree:
    job = await world.create(new(name, **parts))
    await world.settle()
    return job


async def change(world: World, name: str = "train", **spec: Any) -> Tree:
    changed = await world.client.patch(TRAIN_JOB, ObjectKey("default", name), {"spec": spec})
    await world.settle()
    return changed


async def conditions(world: World, name: str = "train") -> list[tuple[str, str, str]]:
    job = await world.get(TRAIN_JOB, name)
    return [(c["type"], c["status"], c["reason"]) for c in get_in(job, "status", "conditions", default=[])]


async def finish(world: World, job: str = "train-node-0", type_: str = "Complete") -> None:
    condition = {"type": type_, "status": "True", "reason": "Played", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    await world.set_status(JOB, job, conditions=[condition], succeeded=1)


async def warnings_about(world: World, name: str = "train", kind: str = "TrainJob") -> list[Tree]:
    about = {"kind": kind, "name": name}
    return [
        event
        for event in await world.list(EVENT)
        if event["type"] == "Warning" and about.items() <= event["involvedObject"].items()
    ]


# ---- the way of a job -----------------------------------------------------------------------------------------------


async def test_a_train_job_owns_its_job_set_and_its_snapshot(world: World) -> None:
    job = await submit(world, trainer={"numNodes": 2})
    job_set = await world.get(JOB_SET, "train")
    snapshot = await world.get(CONFIG_MAP, "train-runtime-snapshot")
    assert is_controlled_by(job_set, job)
    assert is_controlled_by(snapshot, job)
    assert {entry["manager"] for entry in job_set["metadata"]["managedFields"] if "subresource" not in entry} == {
        "trainer"
    }
    assert get_in(job_set, "spec", "replicatedJobs", 0, "template", "spec", "parallelism") == 2


async def test_a_running_job_has_no_condition_and_counts_jobs(world: World) -> None:
    await submit(world)
    await world.set_status(JOB, "train-node-0", active=1, ready=1, startTime="2026-01-01T00:00:00Z")
    job = await world.get(TRAIN_JOB, "train")
    assert job["status"] == {"jobsStatus": [counted(active=1, ready=1)]}


@pytest.mark.parametrize(
    ("ends", "expected"),
    [("Complete", ("Complete", "True", "AllJobsCompleted")), ("Failed", ("Failed", "True", "FailedJobs"))],
)
async def test_a_job_ends_as_its_job_set_does(world: World, ends: str, expected: tuple[str, str, str]) -> None:
    await submit(world)
    await finish(world, type_=ends)
    assert await conditions(world) == [expected]


@pytest.mark.parametrize("ends", ["Complete", "Failed"])
async def test_differ_1_and_15_a_finished_job_never_gets_its_job_set_back(world: World, ends: str) -> None:
    await submit(world)
    await finish(world, type_=ends)
    before = await world.get(TRAIN_JOB, "train")
    await world.client.delete(JOB_SET, KEY)
    await world.settle()
    assert not await world.exists(JOB_SET, "train")
    assert await world.get(TRAIN_JOB, "train") == before


async def test_differ_15_a_job_set_with_a_time_to_live_goes_and_the_train_job_stays_complete(world: World) -> None:
    runtime = a_runtime({}, name="short-lived")
    runtime["spec"]["template"]["spec"]["ttlSecondsAfterFinished"] = 60
    del runtime["metadata"]["uid"]
    await world.create(runtime)
    await submit(world, runtime="short-lived")
    await finish(world)
    await world.advance(seconds=61)
    assert is_being_deleted(await world.get(JOB_SET, "train"))
    assert await conditions(world) == [("Complete", "True", "AllJobsCompleted")]


async def test_a_lost_job_set_of_a_running_job_is_made_again(world: World) -> None:
    await submit(world)
    before = await world.get(JOB_SET, "train")
    await world.client.delete(JOB_SET, KEY)
    await world.client.delete(JOB, ObjectKey("default", "train-node-0"), propagation="Background")
    await world.advance(seconds=60)
    assert uid_of(await world.get(JOB_SET, "train")) != uid_of(before)


async def test_the_children_of_a_job_managed_by_others_are_left_to_them(world: World) -> None:
    await submit(world, managedBy="kueue.x-k8s.io/multikueue")
    await world.advance(seconds=15)
    assert not await world.exists(JOB_SET, "train")
    assert "status" not in await world.get(TRAIN_JOB, "train")


async def test_an_unknown_kind_of_runtime_fails_the_job(world: World) -> None:
    await submit(world, runtime_kind="Foo")
    assert await conditions(world) == [("Failed", "True", "TrainingRuntimeNotSupported")]


async def test_the_same_name_in_two_namespaces_is_two_jobs(world: World) -> None:
    await world.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}})
    other = new()
    other["metadata"]["namespace"] = "other"
    await world.create(other)
    await submit(world)
    assert {job_set["metadata"]["namespace"] for job_set in await world.list(JOB_SET)} == {"default", "other"}


# ---- suspend, patch, resume; the snapshot ---------------------------------------------------------------------------


async def test_a_job_is_suspended_patched_and_resumed(world: World) -> None:
    await submit(world, suspend=True)
    assert (await world.get(JOB_SET, "train"))["spec"]["suspend"] is True
    assert await conditions(world) == [("Suspended", "True", "Suspended")]
    await change(world, runtimePatches=[a_patch("a.io/b", a_patched_job(nodeSelector={"pool": "a"}))])
    await change(world, suspend=False)
    job_set = await world.get(JOB_SET, "train")
    assert job_set["spec"]["suspend"] is False
    pod_spec = get_in(job_set, "spec", "replicatedJobs", 0, "template", "spec", "template", "spec")
    assert pod_spec["nodeSelector"] == {"pool": "a"}
    assert await conditions(world) == [("Suspended", "False", "Resumed")]


async def test_a_patch_that_is_taken_back_while_suspended_is_gone_from_the_job_set(world: World) -> None:
    await submit(world, suspend=True, runtimePatches=[a_patch("a.io/b", a_patched_job(nodeSelector={"pool": "a"}))])
    await change(world, runtimePatches=[])
    job_set = await world.get(JOB_SET, "train")
    assert "nodeSelector" not in get_in(job_set, "spec", "replicatedJobs", 0, "template", "spec", "template", "spec")


async def test_a_running_job_set_is_never_changed(world: World) -> None:
    await submit(world)
    before = await world.get(JOB_SET, "train")
    await world.client.patch(TRAIN_JOB, KEY, {"metadata": {"labels": {"a": "b"}}})
    await world.settle()
    assert await world.get(JOB_SET, "train") == before


@pytest.mark.parametrize("kind", [CLUSTER_TRAINING_RUNTIME, TRAINING_RUNTIME])
async def test_a_resumed_job_uses_the_runtime_as_it_was(world: World, kind: Any) -> None:
    runtime = a_runtime({"torch": {}}, name="mine", jobs=[a_job(container={"image": "old"})])
    runtime["kind"] = kind.kind
    del runtime["metadata"]["uid"]
    if kind.namespaced:
        runtime["metadata"]["namespace"] = "default"
    stored = await world.create(runtime)
    await submit(world, runtime="mine", runtime_kind=kind.kind, suspend=True)
    job = get_in(stored, "spec", "template", "spec", "replicatedJobs", 0)
    newer = {**job, "template": a_job(container={"image": "new"})["template"]}
    key = ObjectKey("default" if kind.namespaced else "", "mine")
    await world.client.patch(kind, key, {"spec": {"template": {"spec": {"replicatedJobs": [newer]}}}})
    await world.client.delete(kind, key)
    await change(world, suspend=False)
    job_set = await world.get(JOB_SET, "train")
    containers = get_in(job_set, "spec", "replicatedJobs", 0, "template", "spec", "template", "spec", "containers")
    assert containers[0]["image"] == "old"


async def test_keys_of_an_mpi_job_are_never_made_anew(world: World) -> None:
    await submit(world, runtime="deepspeed-distributed", suspend=True)
    before = await world.get(SECRET, "train-mpi-ssh-auth")
    await change(world, suspend=False)
    assert await world.get(SECRET, "train-mpi-ssh-auth") == before


async def test_a_host_file_that_somebody_spoils_is_set_right(world: World) -> None:
    await submit(world, runtime="deepspeed-distributed")
    key = ObjectKey("default", "train-mpi-hostfile")
    before = await world.get(CONFIG_MAP, key.name)
    await world.client.patch(CONFIG_MAP, key, {"data": {"hostfile": "nowhere"}})
    await world.settle()
    assert (await world.get(CONFIG_MAP, key.name))["data"] == before["data"]


# ---- deadlines ------------------------------------------------------------------------------------------------------


async def test_a_job_past_its_deadline_fails_and_loses_its_job_set(world: World) -> None:
    await submit(world, activeDeadlineSeconds=60)
    await world.advance(seconds=59)
    assert await conditions(world) == []
    await world.advance(seconds=1)
    assert await conditions(world) == [("Failed", "True", "DeadlineExceeded")]
    assert not await world.exists(JOB_SET, "train")


async def test_the_deadline_starts_again_on_resumption(world: World) -> None:
    await submit(world, activeDeadlineSeconds=60, suspend=True)
    await world.advance(seconds=1000)
    await change(world, suspend=False)
    await world.advance(seconds=59)
    assert await conditions(world) == [("Suspended", "False", "Resumed")]
    await world.advance(seconds=1)
    assert (await conditions(world))[-1] == ("Failed", "True", "DeadlineExceeded")


# ---- what goes wrong ------------------------------------------------------------------------------------------------


async def test_differ_2_and_9_an_error_is_an_event_and_an_annotation_while_we_retry(world: World) -> None:
    await world.create(an_object("v1", "ConfigMap", "train-runtime-snapshot"))
    await submit(world)
    job = await world.get(TRAIN_JOB, "train")
    assert "cannot serve as the runtime snapshot" in annotations_of(job)[LAST_ERROR]
    assert await conditions(world) == []
    (event,) = await warnings_about(world)
    assert event["reason"] == "TrainJobResourcesCreationFailed"
    assert event["message"].startswith(
        "TrainJob resources reconciliation failed: ConfigMap default/train-runtime-snapshot"
    )
    assert {"firstTimestamp", "lastTimestamp", "count"} <= set(event)
    await world.client.delete(CONFIG_MAP, ObjectKey("default", "train-runtime-snapshot"))
    await world.advance(seconds=600)
    assert await world.exists(JOB_SET, "train")
    assert LAST_ERROR not in annotations_of(await world.get(TRAIN_JOB, "train"))


async def test_differ_2_a_refusal_for_good_fails_the_job(world: World) -> None:
    none = {"hard": {"count/jobsets.jobset.x-k8s.io": "0"}}
    await world.create(an_object("v1", "ResourceQuota", "none") | {"spec": none})
    await world.set_status(RESOURCE_QUOTA, "none", **none, used={"count/jobsets.jobset.x-k8s.io": "0"})
    await submit(world)
    assert await conditions(world) == [("Failed", "True", "TrainJobResourcesCreationFailed")]
    job = await world.get(TRAIN_JOB, "train")
    assert "exceeded quota: none" in job["status"]["conditions"][0]["message"]
    assert LAST_ERROR not in annotations_of(job)
    (event,) = await warnings_about(world)
    assert "exceeded quota: none" in event["message"]


async def test_a_job_set_of_somebody_else_is_not_taken_over(world: World) -> None:
    theirs = {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": "train", "namespace": "default"},
        "spec": {"replicatedJobs": []},
    }
    await world.create(theirs)
    await submit(world)
    job = await world.get(TRAIN_JOB, "train")
    assert 'jobsets.jobset.x-k8s.io "train" already exists and is not controlled by' in annotations_of(job)[LAST_ERROR]
    await world.client.delete(JOB_SET, KEY)
    await world.advance(seconds=600)
    assert is_controlled_by(await world.get(JOB_SET, "train"), job)


async def test_differ_5_pods_in_trouble_are_told_of_once_on_the_train_job(world: World) -> None:
    await submit(world)
    pod = an_object("v1", "Pod", "train-node-0-0-abcde", labels={"jobset.sigs.k8s.io/jobset-name": "train"})
    await world.create(pod | {"spec": {"containers": [{"name": "node", "image": "gone"}]}})
    waiting = {"reason": "ErrImagePull", "message": "no such image: gone"}
    status = {
        "name": "node",
        "image": "gone",
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": {"waiting": waiting},
    }
    await world.set_status(POD, "train-node-0-0-abcde", containerStatuses=[status])
    await world.set_status(POD, "train-node-0-0-abcde", podIP="10.0.0.1")
    (event,) = await warnings_about(world)
    assert (event["reason"], event["count"]) == ("ErrImagePull", 1)
    assert event["message"] == "Pod train-node-0-0-abcde, container node: no such image: gone"


async def test_differ_5_a_crash_is_told_with_its_exit_code_as_one_event(world: World) -> None:
    await submit(world)
    pod = an_object("v1", "Pod", "train-node-0-0-abcde", labels={"jobset.sigs.k8s.io/jobset-name": "train"})
    await world.create(pod | {"spec": {"containers": [{"name": "node", "image": "mine"}]}})
    for seconds in (1, 2):
        waiting = {"reason": "CrashLoopBackOff", "message": f"back-off {seconds}s restarting failed container=node"}
        ended = {"exitCode": 3, "reason": "Error"}
        status = {
            "name": "node",
            "image": "mine",
            "imageID": "",
            "ready": False,
            "restartCount": seconds,
            "state": {"waiting": waiting},
            "lastState": {"terminated": ended},
        }
        await world.set_status(POD, "train-node-0-0-abcde", containerStatuses=[status])
    (event,) = await warnings_about(world)
    assert (event["reason"], event["count"]) == ("CrashLoopBackOff", 1)
    assert "container node: ended with exit code 3 (Error) and is started again; see `kubectl logs" in event["message"]


async def test_old_finalizers_are_taken_off_runtimes(world: World) -> None:
    runtime = a_runtime({}, name="old")
    del runtime["metadata"]["uid"]
    runtime["metadata"]["finalizers"] = ["trainer.kubeflow.org/resource-in-use", "example.com/mine"]
    await world.create(runtime)
    await world.settle()
    assert (await world.get(CLUSTER_TRAINING_RUNTIME, "old"))["metadata"]["finalizers"] == ["example.com/mine"]
    await world.client.patch(CLUSTER_TRAINING_RUNTIME, ObjectKey("", "old"), {"metadata": {"finalizers": None}})
