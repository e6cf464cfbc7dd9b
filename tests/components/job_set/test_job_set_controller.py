"""A JobSet from creation to its end, with real Jobs, on the embedded API server."""

import random

import pytest
from job_set_makers import a_replicated_job
from tests.world.world import World

from flowdeck.components.job_set.admission import RULES
from flowdeck.components.job_set.controller import JobSetController
from flowdeck.controller.events import EventRecorder
from flowdeck.embedded.workloads.garbage_collection import GarbageCollector
from flowdeck.embedded.workloads.job.back_off import BackOff
from flowdeck.embedded.workloads.job.controller import JobController, OrphanPodController
from flowdeck.embedded.workloads.persistent_volumes.protection import ClaimProtectionController
from flowdeck.embedded.workloads.service_accounts import ServiceAccountController
from flowdeck.kube.errors import Forbidden, Invalid
from flowdeck.kube.job_set.types import job_set_definition
from flowdeck.kube.kinds import EVENT, JOB, JOB_SET, PERSISTENT_VOLUME_CLAIM, POD, SERVICE
from flowdeck.kube.objects import ObjectKey

JS = ObjectKey("default", "js")


def controllers(world):
    def make(client, clock):
        def events(name):
            return EventRecorder(client, clock, name)

        return [
            ServiceAccountController(client=client, root_ca=""),
            JobController(client=client, clock=clock, events=events("job-controller"), back_off=BackOff()),
            OrphanPodController(client=client),
            JobSetController(client=client, clock=clock, events=events("jobset")),
            ClaimProtectionController(client=client),
            GarbageCollector(client=client, events=events("gc"), store=world.api.store, registry=world.api.registry),
        ]

    return make


@pytest.fixture
async def sets(tmp_path):
    """A world with JobSets, Jobs and garbage collection."""
    world = await World.open(tmp_path, rules=RULES)
    await world.create(job_set_definition())
    await world.start(controllers(world))
    yield world
    await world.close()


def a_job_set(*replicated, **spec):
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": "js", "namespace": "default"},
        "spec": {"replicatedJobs": list(replicated or [a_replicated_job()]), **spec},
    }


async def pods(world, prefix=""):
    return [pod for pod in await world.list(POD) if pod["metadata"]["name"].startswith(prefix)]


async def set_pods(world, prefix="", **status):
    for pod in await pods(world, prefix):
        if pod["status"]["phase"] not in ("Succeeded", "Failed"):
            await world.set_status(POD, pod["metadata"]["name"], **status)


READY = [{"type": "Ready", "status": "True"}]


async def test_a_job_set_runs_to_its_end(sets):
    await sets.create(a_job_set())
    await sets.settle()
    assert sorted(pod["spec"]["hostname"] for pod in await pods(sets)) == ["js-node-0-0", "js-node-0-1"]
    assert {pod["spec"]["subdomain"] for pod in await pods(sets)} == {"js"}
    assert (await sets.get(SERVICE, "js"))["spec"]["clusterIP"] == "None"
    await set_pods(sets, phase="Running", conditions=READY)
    (counted,) = (await sets.get(JOB_SET, "js"))["status"]["replicatedJobsStatus"]
    assert (counted["ready"], counted["active"]) == (1, 1)
    await set_pods(sets, phase="Succeeded")
    assert await sets.condition(JOB_SET, "js", "Completed") == ("True", "AllJobsCompleted")
    assert "AllJobsCompleted" in [event["reason"] for event in await sets.list(EVENT)]


async def test_a_failed_job_set_restarts_with_new_pods(sets):
    job = a_replicated_job()
    job["template"]["spec"]["backoffLimit"] = 0
    await sets.create(a_job_set(job, failurePolicy={"maxRestarts": 1}))
    await sets.settle()
    first = {pod["metadata"]["uid"] for pod in await pods(sets)}
    name = (await pods(sets))[0]["metadata"]["name"]
    await sets.set_status(POD, name, phase="Failed")
    second = await pods(sets)
    assert len(second) == 2
    assert first.isdisjoint(pod["metadata"]["uid"] for pod in second)
    assert (await sets.get(JOB_SET, "js"))["status"]["restarts"] == 1
    await sets.set_status(POD, second[0]["metadata"]["name"], phase="Failed")
    assert await sets.condition(JOB_SET, "js", "Failed") == ("True", "ReachedMaxRestarts")


async def test_a_dependent_starts_after_what_it_depends_on(sets):
    node = a_replicated_job("node", dependsOn=[{"name": "init", "status": "Complete"}])
    await sets.create(a_job_set(a_replicated_job("init", parallelism=1), node))
    await sets.settle()
    assert len(await pods(sets)) == 1
    await set_pods(sets, phase="Succeeded")
    assert len(await pods(sets, "js-node")) == 2


async def test_a_job_set_is_suspended_prepared_and_resumed(sets):
    await sets.create(a_job_set())
    await sets.settle()
    await sets.client.patch(JOB_SET, JS, {"spec": {"suspend": True}})
    await sets.settle()
    assert not await pods(sets)
    job_set = await sets.get(JOB_SET, "js")
    replicated = [{**job_set["spec"]["replicatedJobs"][0]}]
    template = replicated[0]["template"]["spec"]["template"]
    changed = {**template, "spec": {**template["spec"], "nodeSelector": {"zone": "a"}}}
    replicated[0]["template"] = {"spec": {**replicated[0]["template"]["spec"], "template": changed}}
    await sets.client.patch(JOB_SET, JS, {"spec": {"replicatedJobs": replicated, "suspend": False}})
    await sets.settle()
    assert [pod["spec"]["nodeSelector"] for pod in await pods(sets)] == [{"zone": "a"}] * 2
    assert await sets.condition(JOB_SET, "js", "Suspended") == ("False", "ResumeJobs")


async def test_claims_go_with_the_job_set_and_so_does_everything_else(sets):
    template = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    await sets.create(a_job_set(a_replicated_job(mounts=["data"]), volumeClaimPolicies=[{"templates": [template]}]))
    await sets.settle()
    assert await sets.exists(PERSISTENT_VOLUME_CLAIM, "data-js")
    await sets.client.delete(JOB_SET, JS, propagation="Foreground")
    await sets.settle()
    for kind in (JOB_SET, JOB, POD, PERSISTENT_VOLUME_CLAIM):
        assert not await sets.list(kind, "default")
    assert not await sets.exists(SERVICE, "js")


async def test_a_finished_job_set_goes_when_its_time_is_up(sets):
    await sets.create(a_job_set(ttlSecondsAfterFinished=30))
    await sets.settle()
    await set_pods(sets, phase="Succeeded")
    await sets.advance(seconds=29)
    assert await sets.exists(JOB_SET, "js")
    await sets.advance(seconds=2)
    assert not await sets.exists(JOB_SET, "js")
    assert not await pods(sets)


async def test_a_job_set_of_another_controller_is_left_alone(sets):
    await sets.create(a_job_set(managedBy="kueue.x-k8s.io/multikueue"))
    await sets.settle()
    assert not await sets.list(JOB)


async def test_a_bad_job_set_is_refused(sets):
    with pytest.raises(Forbidden) as denied:
        await sets.create(a_job_set(successPolicy={"operator": "All", "targetReplicatedJobs": ["x"]}))
    assert denied.value.message == (
        'admission webhook "vjobset.kb.io" denied the request: '
        "invalid replicatedJob name 'x' does not appear in .spec.ReplicatedJobs"
    )


async def test_what_may_not_change_does_not(sets):
    await sets.create(a_job_set())
    await sets.settle()
    with pytest.raises(Forbidden) as denied:
        await sets.client.patch(JOB_SET, JS, {"spec": {"replicatedJobs": [a_replicated_job("other")]}})
    assert denied.value.message.endswith("field is immutable")
    with pytest.raises(Invalid):
        await sets.client.patch(JOB_SET, JS, {"spec": {"network": {"subdomain": "x"}}})


async def test_the_order_of_starting_is_said_in_one_way_only(sets):
    dependent = a_replicated_job("b", dependsOn=[{"name": "a", "status": "Ready"}])
    with pytest.raises(Invalid, match="StartupPolicy and DependsOn APIs are mutually exclusive"):
        await sets.create(a_job_set(a_replicated_job("a"), dependent, startupPolicy={"startupPolicyOrder": "InOrder"}))


@pytest.mark.parametrize("seed", range(6))
async def test_however_often_the_controllers_die_nothing_is_lost_or_made_twice(sets, seed):
    chance = random.Random(seed)
    await sets.create(a_job_set(a_replicated_job("a", 2, parallelism=3), a_replicated_job("b", parallelism=1)))
    while not await sets.condition(JOB_SET, "js", "Completed"):
        await sets.turns(chance.randrange(40))
        await sets.kill()
        running = [pod for pod in await pods(sets) if pod["status"]["phase"] == "Pending"]
        if running and chance.random() < 0.7:
            name = chance.choice(running)["metadata"]["name"]
            key = ObjectKey("default", name)
            await sets.client.patch_status(POD, key, {"status": {"phase": "Succeeded"}})
        sets.begin(controllers(sets))
    await sets.settle()
    assert len(await pods(sets)) == 7
    jobs = {job["metadata"]["name"]: job["status"] for job in await sets.list(JOB)}
    assert {name: status["succeeded"] for name, status in jobs.items()} == {"js-a-0": 3, "js-a-1": 3, "js-b-0": 1}
    assert not any(status.get("failed") or status.get("uncountedTerminatedPods") for status in jobs.values())
