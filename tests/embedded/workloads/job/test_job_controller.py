"""A Job from creation to its end, on the embedded API server."""

import pytest

from flowdeck.controller.events import EventRecorder
from flowdeck.embedded.workloads.job.back_off import BackOff
from flowdeck.embedded.workloads.job.controller import JobController, OrphanPodController
from flowdeck.embedded.workloads.service_accounts import ServiceAccountController
from flowdeck.kube.kinds import EVENT, JOB, POD
from flowdeck.kube.objects import ObjectKey, finalizers_of


def a_job(name="j", **spec):
    pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox"}]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"template": {"spec": pod}, **spec},
    }


@pytest.fixture
async def jobs(world):
    def make(client, clock):
        events = EventRecorder(client, clock, "job-controller")
        return [
            JobController(client=client, clock=clock, events=events, back_off=BackOff()),
            OrphanPodController(client=client),
            ServiceAccountController(client=client, root_ca=""),
        ]

    await world.start(make)
    return world


async def end(world, *, phase="Succeeded", names=None):
    for pod in await world.list(POD):
        if pod["status"]["phase"] == "Pending" and (names is None or pod["metadata"]["name"] in names):
            await world.set_status(POD, pod["metadata"]["name"], phase=phase)


async def test_a_job_runs_to_its_end(jobs):
    await jobs.create(a_job(completions=3, parallelism=2))
    await jobs.settle()
    assert len(await jobs.list(POD)) == 2
    assert (await jobs.get(JOB, "j"))["status"]["active"] == 2
    await end(jobs)
    await end(jobs)
    job = await jobs.get(JOB, "j")
    assert [c["type"] for c in job["status"]["conditions"]] == ["SuccessCriteriaMet", "Complete"]
    assert job["status"]["succeeded"] == 3
    assert "active" not in job["status"]
    pods = await jobs.list(POD)
    assert len(pods) == 3
    assert not any(finalizers_of(pod) for pod in pods)
    reasons = sorted(event["reason"] for event in await jobs.list(EVENT))
    assert reasons == ["Completed"] + ["SuccessfulCreate"] * 3


async def test_failed_pods_are_replaced_until_the_limit(jobs):
    await jobs.create(a_job(backoffLimit=1))
    await jobs.settle()
    await end(jobs, phase="Failed")
    assert len(await jobs.list(POD)) == 1
    await jobs.advance(seconds=2)
    assert len(await jobs.list(POD)) == 2
    await end(jobs, phase="Failed")
    assert await jobs.condition(JOB, "j", "Failed") == ("True", "BackoffLimitExceeded")
    assert (await jobs.get(JOB, "j"))["status"]["failed"] == 2


async def test_a_job_past_its_deadline_fails_and_loses_its_pods(jobs):
    await jobs.create(a_job(activeDeadlineSeconds=60))
    await jobs.settle()
    await jobs.advance(seconds=59)
    assert await jobs.condition(JOB, "j", "Failed") is None
    await jobs.advance(seconds=2)
    assert await jobs.condition(JOB, "j", "Failed") == ("True", "DeadlineExceeded")
    assert not await jobs.list(POD)


async def test_a_job_is_suspended_and_resumed(jobs):
    await jobs.create(a_job(completions=2, parallelism=2))
    await jobs.settle()
    await jobs.client.patch(JOB, ObjectKey("default", "j"), {"spec": {"suspend": True}})
    await jobs.settle()
    job = await jobs.get(JOB, "j")
    assert not await jobs.list(POD)
    assert "startTime" not in job["status"]
    assert "failed" not in job["status"]
    await jobs.client.patch(JOB, ObjectKey("default", "j"), {"spec": {"suspend": False}})
    await jobs.settle()
    assert len(await jobs.list(POD)) == 2
    assert await jobs.condition(JOB, "j", "Suspended") == ("False", "JobResumed")


async def test_a_deleted_pod_is_counted_and_replaced(jobs):
    await jobs.create(a_job(backoffLimit=5))
    await jobs.settle()
    (pod,) = await jobs.list(POD)
    await jobs.client.delete(POD, ObjectKey("default", pod["metadata"]["name"]))
    await jobs.settle()
    await jobs.advance(seconds=2)
    (new,) = await jobs.list(POD)
    assert new["metadata"]["name"] != pod["metadata"]["name"]
    assert (await jobs.get(JOB, "j"))["status"]["failed"] == 1


async def test_pods_of_a_deleted_job_are_let_go(jobs):
    await jobs.create(a_job())
    await jobs.settle()
    (pod,) = await jobs.list(POD)
    key = ObjectKey("default", pod["metadata"]["name"])
    await jobs.client.delete(JOB, ObjectKey("default", "j"), propagation="Background")
    await jobs.client.delete(POD, key)
    await jobs.settle()
    assert not await jobs.list(POD)


async def test_a_job_of_another_controller_is_left_alone(jobs):
    await jobs.create(a_job(managedBy="kueue.x-k8s.io/multikueue"))
    await jobs.settle()
    assert not await jobs.list(POD)
    assert not (await jobs.get(JOB, "j")).get("status")


async def test_the_template_may_change_before_a_job_first_runs(jobs):
    await jobs.create(a_job(suspend=True))
    await jobs.settle()
    patch = {"spec": {"suspend": False, "template": {"spec": {"nodeSelector": {"zone": "a"}}}}}
    await jobs.client.patch(JOB, ObjectKey("default", "j"), patch)
    await jobs.settle()
    (pod,) = await jobs.list(POD)
    assert pod["spec"]["nodeSelector"] == {"zone": "a"}
