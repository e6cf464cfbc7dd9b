"""CronJobs over days, on the embedded API server."""

import pytest

from flowdeck.controller.events import EventRecorder
from flowdeck.embedded.workloads.cron_job.controller import CronJobController
from flowdeck.embedded.workloads.ttl_after_finished import TtlAfterFinishedController
from flowdeck.kube.kinds import CRON_JOB, EVENT, JOB, RESOURCE_QUOTA
from flowdeck.kube.objects import ObjectKey, get_in


@pytest.fixture
async def cron(world):
    """The clock starts at midnight of 2026-01-01."""

    def make(client, clock):
        events = EventRecorder(client, clock, "cronjob-controller")
        return [
            CronJobController(client=client, clock=clock, events=events),
            TtlAfterFinishedController(client=client, clock=clock),
        ]

    await world.start(make)
    return world


def a_cron_job(schedule="0 * * * *", *, ttl=None, **spec):
    pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox"}]}
    job = {"template": {"spec": pod}} | ({"ttlSecondsAfterFinished": ttl} if ttl is not None else {})
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "c", "namespace": "default"},
        "spec": {"schedule": schedule, "jobTemplate": {"metadata": {"labels": {"a": "b"}}, "spec": job}, **spec},
    }


async def submit(world, *args, **spec):
    await world.create(a_cron_job(*args, **spec))
    await world.settle()


async def names(world):
    return [job["metadata"]["name"] for job in await world.list(JOB)]


async def finish(world, name, type_="Complete"):
    now = f"{world.clock.now():%Y-%m-%dT%H:%M:%SZ}"
    condition = {"type": type_, "status": "True", "lastTransitionTime": now, "reason": "R"}
    target = "SuccessCriteriaMet" if type_ == "Complete" else "FailureTarget"
    status = {"startTime": now, "conditions": [{**condition, "type": target}, condition]}
    if type_ == "Complete":
        status["completionTime"] = now
    await world.set_status(JOB, name, **status)


def hour(number):
    return f"c-{29453760 + 60 * number}"


async def test_a_job_is_started_each_hour(cron):
    await submit(cron)
    assert await names(cron) == []
    await cron.advance(seconds=3600)
    (job,) = await cron.list(JOB)
    assert job["metadata"]["name"] == hour(1)
    assert job["metadata"]["labels"] == {"a": "b"}
    annotations = job["metadata"]["annotations"]
    assert annotations["batch.kubernetes.io/cronjob-scheduled-timestamp"] == "2026-01-01T01:00:00Z"
    status = (await cron.get(CRON_JOB, "c"))["status"]
    assert status["lastScheduleTime"] == "2026-01-01T01:00:00Z"
    assert [ref["name"] for ref in status["active"]] == [hour(1)]
    await finish(cron, hour(1))
    status = (await cron.get(CRON_JOB, "c"))["status"]
    assert not status.get("active")
    assert status["lastSuccessfulTime"] == "2026-01-01T01:00:00Z"


@pytest.mark.parametrize(
    ("policy", "left"),
    [("Allow", [hour(1), hour(2)]), ("Forbid", [hour(1)]), ("Replace", [hour(2)])],
)
async def test_the_concurrency_policy_says_what_happens_to_a_running_job(cron, policy, left):
    await submit(cron, concurrencyPolicy=policy)
    await cron.advance(seconds=3600)
    await cron.advance(seconds=3600)
    assert await names(cron) == left


async def test_a_job_that_cannot_be_made_is_tried_again_and_the_rest_of_the_status_is_written(cron):
    await submit(cron, concurrencyPolicy="Replace")
    await cron.advance(seconds=3600)
    hard = {"count/jobs.batch": "0"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": "default"}}
    await cron.create({**quota, "spec": {"hard": hard}})
    await cron.client.patch_status(RESOURCE_QUOTA, ObjectKey("default", "q"), {"status": {"hard": hard, "used": hard}})
    await cron.advance(seconds=3600)
    assert await names(cron) == []
    assert (await cron.get(CRON_JOB, "c"))["status"] == {"lastScheduleTime": "2026-01-01T01:00:00Z"}
    assert "FailedCreate" in {event["reason"] for event in await cron.list(EVENT, "default")}
    await cron.client.delete(RESOURCE_QUOTA, ObjectKey("default", "q"))
    await cron.advance(seconds=60)
    assert await names(cron) == [hour(2)]
    assert (await cron.get(CRON_JOB, "c"))["status"]["lastScheduleTime"] == "2026-01-01T02:00:00Z"


async def test_only_the_latest_of_several_missed_times_is_made_up_for(cron):
    await submit(cron)
    await cron.advance(seconds=3600 * 5 + 60)
    assert await names(cron) == [hour(5)]


async def test_too_late_is_too_late(cron):
    await submit(cron, startingDeadlineSeconds=30, suspend=True)
    await cron.advance(seconds=3600 + 60)
    await cron.client.patch(CRON_JOB, ObjectKey("default", "c"), {"spec": {"suspend": False}})
    await cron.settle()
    assert await names(cron) == []


async def test_a_suspended_one_starts_nothing(cron):
    await submit(cron, suspend=True)
    await cron.advance(seconds=7200)
    assert await names(cron) == []


async def test_only_so_many_finished_jobs_are_kept(cron):
    await submit(cron, successfulJobsHistoryLimit=1, failedJobsHistoryLimit=0)
    for number, end in enumerate(("Complete", "Failed", "Complete"), start=1):
        await cron.advance(seconds=3600)
        await finish(cron, hour(number), end)
    assert await names(cron) == [hour(3)]


async def test_a_job_that_a_crashed_run_created_is_found_again(cron):
    await submit(cron)
    await cron.advance(seconds=3600)
    key = ObjectKey("default", "c")
    await cron.client.patch_status(CRON_JOB, key, {"status": {"lastScheduleTime": None, "active": None}})
    await cron.settle()
    assert await names(cron) == [hour(1)]
    assert get_in(await cron.get(CRON_JOB, "c"), "status", "lastScheduleTime") == "2026-01-01T01:00:00Z"


async def test_finished_jobs_go_when_their_time_is_up(cron):
    await submit(cron, ttl=100, suspend=False)
    await cron.advance(seconds=3600)
    await finish(cron, hour(1))
    await cron.advance(seconds=99)
    assert await names(cron) == [hour(1)]
    await cron.advance(seconds=2)
    assert (await cron.get(JOB, hour(1)))["metadata"]["deletionTimestamp"], "waits for its pods to be collected"


async def test_events_tell_what_was_done(cron):
    await submit(cron, concurrencyPolicy="Forbid")
    await cron.advance(seconds=3600)
    await cron.advance(seconds=3600)
    assert sorted(event["reason"] for event in await cron.list(EVENT)) == ["JobAlreadyActive", "SuccessfulCreate"]
