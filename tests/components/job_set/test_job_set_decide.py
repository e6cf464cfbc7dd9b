"""What the JobSet controller does, situation by situation."""

import pytest
from job_set_makers import NOW, a_job_set, a_replicated_job, condition_of, in_state, jobs, names, step_of, told

from flowdeck.components.job_set.children import claims_of, jobs_of, replicated_jobs, service_of
from flowdeck.kube.objects import copy_of
from flowdeck.kube.times import format_time

PREFIX = "jobset.sigs.k8s.io/"


def marked(step, job_set):
    """The JobSet after the step's status was stored."""
    after = copy_of(job_set)
    after["status"] = {key: value for key, value in step.status.items() if value is not None}
    return after


def test_children_carry_all_marks():
    job_set = a_job_set(
        a_replicated_job("init"),
        a_replicated_job("node", 2, groupName="g"),
        coordinator={"replicatedJob": "node", "jobIndex": 1},
    )
    job = list(jobs_of(job_set, replicated_jobs(job_set)[1]))[1]
    marks = {
        "jobset-name": "js",
        "jobset-uid": "js-uid",
        "replicatedjob-name": "node",
        "replicatedjob-replicas": "2",
        "global-replicas": "3",
        "restart-attempt": "0",
        "job-index": "1",
        "job-global-index": "2",
        "job-key": "6f262aba6321a6201b7a03c79db184d4f79601a5",
        "group-name": "g",
        "group-replicas": "2",
        "job-group-index": "1",
        "coordinator": "js-node-1-0.js",
    }
    pod = job["spec"]["template"]
    for metadata in (job["metadata"], pod["metadata"]):
        for carried in (metadata["labels"], metadata["annotations"]):
            assert carried == {PREFIX + name: value for name, value in marks.items()}
    assert job["metadata"]["name"] == "js-node-1"
    assert pod["spec"]["subdomain"] == "js"
    assert job["spec"]["completionMode"] == "Indexed"
    assert pod["spec"]["restartPolicy"] == "OnFailure"


def test_the_service_is_headless_and_named_like_the_subdomain():
    service = service_of(a_job_set(network={"subdomain": "net"}))
    assert service["metadata"]["name"] == "net"
    assert service["spec"] == {
        "clusterIP": "None",
        "selector": {PREFIX + "jobset-name": "js"},
        "publishNotReadyAddresses": True,
    }


def test_claims_are_made_and_mounted_where_they_are_wanted():
    template = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}
    kept = {"metadata": {"name": "kept"}, "spec": {}}
    policies = [{"templates": [template]}, {"templates": [kept], "retentionPolicy": {"whenDeleted": "Retain"}}]
    job_set = a_job_set(a_replicated_job("a", mounts=["data"]), a_replicated_job("b"), volumeClaimPolicies=policies)
    (data, _), (other, retention) = claims_of(job_set)
    assert data["metadata"]["name"] == "data-js"
    assert data["metadata"]["ownerReferences"]
    assert (retention, "ownerReferences" in other["metadata"]) == ("Retain", False)
    first, second = (next(jobs_of(job_set, replicated)) for replicated in replicated_jobs(job_set))
    volumes = first["spec"]["template"]["spec"]["volumes"]
    assert volumes == [{"name": "data", "persistentVolumeClaim": {"claimName": "data-js"}}]
    assert "volumes" not in second["spec"]["template"]["spec"]


def test_a_new_job_set_gets_all_its_jobs():
    step = step_of(a_job_set(a_replicated_job("a", 2), a_replicated_job("b")))
    assert names(step.create) == ["js-a-0", "js-a-1", "js-b-0"]
    assert step.has_network
    assert step.status == {}


def test_counters_are_told_once_there_is_something_to_count():
    job_set = a_job_set(a_replicated_job("a"), a_replicated_job("b"))
    step = step_of(job_set, jobs(job_set, js_a_0="active"))
    zeros = {"ready": 0, "succeeded": 0, "failed": 0, "active": 0, "suspended": 0}
    assert step.status["replicatedJobsStatus"] == [{"name": "a", **zeros, "active": 1}, {"name": "b", **zeros}]


@pytest.mark.parametrize(
    ("state", "counter"), [("ready", "ready"), ("active", "active"), ("Complete", "succeeded"), ("Failed", "failed")]
)
def test_jobs_are_counted_by_state(state, counter):
    job_set = a_job_set(failurePolicy={"maxRestarts": 1})
    (counted,) = step_of(job_set, jobs(job_set, js_node_0=state)).status["replicatedJobsStatus"]
    assert counted[counter] == 1


@pytest.mark.parametrize(
    ("policy", "states", "succeeds"),
    [
        (None, {"js_a_0": "Complete", "js_b_0": "Complete"}, True),
        (None, {"js_a_0": "Complete", "js_b_0": "ready"}, False),
        ({"operator": "Any"}, {"js_a_0": "Complete", "js_b_0": "ready"}, True),
        ({"operator": "All", "targetReplicatedJobs": ["b"]}, {"js_a_0": "ready", "js_b_0": "Complete"}, True),
        ({"operator": "Any", "targetReplicatedJobs": ["b"]}, {"js_a_0": "Complete", "js_b_0": "ready"}, False),
    ],
)
def test_the_success_policy_says_when_it_is_done(policy, states, succeeds):
    spec = {"successPolicy": policy} if policy else {}
    job_set = a_job_set(a_replicated_job("a"), a_replicated_job("b"), **spec)
    step = step_of(job_set, jobs(job_set, **states))
    assert condition_of(step, "Completed") == (("True", "AllJobsCompleted") if succeeds else None)
    assert step.status.get("terminalState") == ("Completed" if succeeds else None)
    assert told(step) == (["AllJobsCompleted"] if succeeds else [])


@pytest.mark.parametrize(
    ("policy", "job", "status", "outcome"),
    [
        pytest.param(None, "Failed", {}, ("Failed", "FailedJobs"), id="no-policy"),
        pytest.param({"maxRestarts": 1}, "Failed", {}, ("Restart", "DefaultFailurePolicy"), id="restarts"),
        pytest.param(
            {"maxRestarts": 1},
            "Failed",
            {"restartsCountTowardsMax": 1},
            ("Failed", "ReachedMaxRestarts"),
            id="restarts-used-up",
        ),
        pytest.param(
            {"maxRestarts": 5, "rules": [{"action": "FailJobSet", "name": "r"}]},
            "Failed",
            {},
            ("Failed", "FailJobSetFailurePolicyAction"),
            id="rule-fails",
        ),
        pytest.param(
            {"rules": [{"action": "RestartJobSetAndIgnoreMaxRestarts", "onJobFailureReasons": ["PodFailurePolicy"]}]},
            ("Failed", "PodFailurePolicy"),
            {},
            ("Restart", "FailurePolicy_failurePolicyRule0"),
            id="rule-restarts-without-counting",
        ),
        pytest.param(
            {"rules": [{"action": "RestartJobSetAndIgnoreMaxRestarts", "onJobFailureReasons": ["PodFailurePolicy"]}]},
            "Failed",
            {},
            ("Failed", "ReachedMaxRestarts"),
            id="rule-does-not-match",
        ),
        pytest.param(
            {"rules": [{"action": "RestartJobSetAndIgnoreMaxRestarts", "targetReplicatedJobs": ["other"]}]},
            "Failed",
            {},
            ("Failed", "ReachedMaxRestarts"),
            id="rule-for-another-job",
        ),
    ],
)
def test_a_failed_job_ends_or_restarts_the_set(policy, job, status, outcome):
    job_set = a_job_set(status=status, **({"failurePolicy": policy} if policy else {}))
    step = step_of(job_set, jobs(job_set, js_node_0=job))
    kind, reason = outcome
    type_ = "Failed" if kind == "Failed" else "RestartingJobSet"
    assert condition_of(step, type_) == ("True", reason)
    assert step.status.get("restarts", 0) == (kind == "Restart")
    message = step.status["conditions"][0]["message"]
    assert message.endswith("(first failed job: js-node-0)")
    assert len(step.happened) == 1


def restarted(**policy):
    """A JobSet whose second attempt has just been decided, and its old Jobs."""
    job_set = a_job_set(a_replicated_job("a"), a_replicated_job("b"), failurePolicy={"maxRestarts": 3, **policy})
    old = jobs(job_set, js_a_0="Failed", js_b_0="ready")
    return marked(step_of(job_set, old), job_set), old


def test_a_restart_deletes_all_old_jobs_first():
    job_set, old = restarted()
    step = step_of(job_set, old)
    assert names(step.delete) == ["js-a-0", "js-b-0"]
    assert not step.create


@pytest.mark.parametrize(("strategy", "created"), [("Recreate", ["js-a-0"]), ("BlockingRecreate", [])])
def test_a_job_is_made_anew_as_soon_as_its_strategy_allows(strategy, created):
    job_set, old = restarted(restartStrategy=strategy)
    step = step_of(job_set, old[1:])
    assert names(step.create) == created
    step = step_of(job_set, [])
    assert names(step.create) == ["js-a-0", "js-b-0"]
    assert step.create[0]["metadata"]["labels"][PREFIX + "restart-attempt"] == "1"


def test_a_restart_is_over_when_all_jobs_are_ready():
    job_set, _ = restarted()
    assert condition_of(step_of(job_set, jobs(job_set, js_a_0="active", js_b_0="ready")), "RestartingJobSet") == (
        "True",
        "DefaultFailurePolicy",
    )
    step = step_of(job_set, jobs(job_set, js_a_0="ready", js_b_0="ready"))
    assert condition_of(step, "RestartingJobSet") == ("False", "JobsReady")


class TestDependsOn:
    def job_set(self, status="Complete", **more):
        dependent = a_replicated_job("node", dependsOn=[{"name": "init", "status": status}])
        return a_job_set(a_replicated_job("init"), dependent, **more)

    @pytest.mark.parametrize(
        ("status", "state", "starts"),
        [
            ("Complete", "ready", False),
            ("Complete", "Complete", True),
            ("Ready", "active", False),
            ("Ready", "ready", True),
            ("Ready", "Complete", True),
        ],
    )
    def test_a_dependent_waits_for_what_it_depends_on(self, status, state, starts):
        job_set = self.job_set(status)
        step = step_of(job_set, jobs(job_set, js_init_0=state))
        assert names(step.create) == (["js-node-0"] if starts else [])

    def test_at_first_only_the_others_are_made(self):
        assert names(step_of(self.job_set()).create) == ["js-init-0"]


class TestStartupPolicy:
    job_set = a_job_set(a_replicated_job("a"), a_replicated_job("b"), startupPolicy={"startupPolicyOrder": "InOrder"})

    def test_the_next_one_starts_when_the_one_before_is_ready(self):
        step = step_of(self.job_set)
        assert names(step.create) == ["js-a-0"]
        assert condition_of(step, "StartupPolicyInProgress") == ("True", "InOrderStartupPolicyInProgress")
        assert not step_of(self.job_set, jobs(self.job_set, js_a_0="active")).create
        assert names(step_of(self.job_set, jobs(self.job_set, js_a_0="ready")).create) == ["js-b-0"]

    def test_it_is_over_when_all_have_started(self):
        job_set = marked(step_of(self.job_set), self.job_set)
        step = step_of(job_set, jobs(job_set, js_a_0="ready", js_b_0="ready"))
        assert condition_of(step, "StartupPolicyInProgress") == ("False", "InOrderStartupPolicyCompleted")
        assert condition_of(step, "StartupPolicyCompleted") == ("True", "InOrderStartupPolicyCompleted")


def test_suspending_suspends_the_jobs():
    job_set = a_job_set(suspend=True)
    running = in_state(next(jobs_of(a_job_set(), replicated_jobs(job_set)[0])), "ready")
    step = step_of(job_set, [running])
    assert names(step.suspend) == ["js-node-0"]
    assert condition_of(step, "Suspended") == ("True", "SuspendedJobs")
    assert step_of(job_set).create[0]["spec"]["suspend"] is True


def test_resuming_carries_the_templates_place_over():
    suspended = a_job_set(suspend=True)
    there = jobs(suspended, js_node_0="new")
    job_set = marked(step_of(suspended, there), suspended)
    job_set["spec"]["suspend"] = False
    pod = job_set["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]
    pod["spec"]["nodeSelector"], pod["metadata"] = {"zone": "a"}, {"labels": {"queue": "q"}}
    step = step_of(job_set, there)
    ((job, patch),) = step.resume
    assert job["metadata"]["name"] == "js-node-0"
    assert patch == {
        "spec": {
            "suspend": False,
            "template": {"metadata": {"labels": {"queue": "q"}}, "spec": {"nodeSelector": {"zone": "a"}}},
        }
    }
    assert condition_of(step, "Suspended") == ("False", "ResumeJobs")


def test_a_job_set_that_was_never_suspended_does_not_say_resumed():
    assert condition_of(step_of(a_job_set()), "Suspended") is None


def finished(**spec):
    condition = {"type": "Completed", "status": "True", "reason": "AllJobsCompleted", "message": "m"}
    status = {"conditions": [condition | {"lastTransitionTime": format_time(NOW)}], "terminalState": "Completed"}
    return a_job_set(a_replicated_job("a"), a_replicated_job("b"), status=status, **spec)


def test_a_finished_job_set_ends_what_still_runs_and_makes_nothing():
    job_set = finished()
    step = step_of(job_set, jobs(job_set, js_a_0="Complete", js_b_0="ready"))
    assert names(step.delete) == ["js-b-0"]
    assert not step.create
    assert not step_of(job_set).create


def test_a_finished_job_set_is_deleted_when_its_time_is_up():
    job_set = finished(ttlSecondsAfterFinished=60)
    assert step_of(job_set, later_s=20).look_again_in_s == 40
    assert not step_of(job_set, later_s=20).deletes_itself
    assert step_of(job_set, later_s=60).deletes_itself
