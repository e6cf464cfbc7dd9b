"""What the Job controller does, situation by situation."""

import pytest
from job_makers import NOW, a_condition, a_job, a_pod, condition_types, step_of

from flowdeck.embedded.workloads.job.pods import FAILURES, INDEX, TRACKING
from flowdeck.kube.times import format_time


def test_a_new_job_starts_its_clock_and_gets_its_pods():
    job = a_job(parallelism=2, completions=5)
    job["spec"]["template"]["metadata"] = {"labels": {"job-name": "j"}}
    del job["status"]["startTime"]
    step = step_of(job)
    assert len(step.create) == 2
    assert step.status["active"] == 2
    assert step.status["startTime"] == format_time(NOW)
    pod = step.create[0]
    assert pod["metadata"]["finalizers"] == [TRACKING]
    assert pod["metadata"]["labels"] == {"job-name": "j"}


def test_names_of_new_pods_follow_from_what_was_there():
    job = a_job(parallelism=3, completions=3)
    names = [pod["metadata"]["name"] for pod in step_of(job).create]
    assert names == [pod["metadata"]["name"] for pod in step_of(job).create]
    assert len(set(names)) == 3
    assert all(name.startswith("j-") and len(name) == 7 for name in names)
    one = a_pod()
    one["metadata"]["name"] = names[0]
    assert [pod["metadata"]["name"] for pod in step_of(job, [one]).create] == names[1:]


def test_an_indexed_job_gives_each_pod_its_index():
    step = step_of(a_job(parallelism=2, completions=3, completionMode="Indexed"), [a_pod(index=0)])
    (pod,) = step.create
    assert pod["metadata"]["annotations"][INDEX] == pod["metadata"]["labels"][INDEX] == "1"
    assert pod["spec"]["hostname"] == "j-1"
    assert pod["metadata"]["name"].startswith("j-1-")
    (variable,) = pod["spec"]["containers"][0]["env"]
    assert variable["name"] == "JOB_COMPLETION_INDEX"


@pytest.mark.parametrize(
    ("spec", "pods", "created", "forgotten"),
    [
        pytest.param({}, [], 1, 0, id="defaults-to-one-pod"),
        pytest.param({"parallelism": 3}, [], 3, 0, id="work-queue"),
        pytest.param({"parallelism": 3}, [a_pod("Succeeded"), a_pod(), a_pod()], 0, 0, id="work-queue-after-success"),
        pytest.param({"parallelism": 2, "completions": 3}, [a_pod("Succeeded")], 2, 0, id="two-left"),
        pytest.param({"parallelism": 4, "completions": 3}, [a_pod("Succeeded")], 2, 0, id="no-more-than-needed"),
        pytest.param({"parallelism": 1, "completions": 3}, [a_pod(), a_pod(), a_pod()], 0, 2, id="scaled-down"),
        pytest.param({"parallelism": 0, "completions": 3}, [a_pod()], 0, 1, id="parallelism-zero"),
        pytest.param({"completions": 2, "parallelism": 2}, [a_pod(deleted=True)], 2, 0, id="deleted-pod-is-replaced"),
        pytest.param(
            {"completions": 2, "parallelism": 2, "podReplacementPolicy": "Failed"},
            [a_pod(deleted=True)],
            1,
            0,
            id="terminating-pod-keeps-its-place",
        ),
        pytest.param(
            {"completions": 2, "parallelism": 2, "completionMode": "Indexed"},
            [a_pod(index=0), a_pod(index=0), a_pod(index=7)],
            0,
            2,
            id="duplicate-and-strange-indexes-go",
        ),
        pytest.param({"parallelism": 600, "completions": 600}, [], 500, 0, id="not-all-at-once"),
    ],
)
def test_as_many_pods_run_as_are_wanted(spec, pods, created, forgotten):
    step = step_of(a_job(**spec), pods)
    assert (len(step.create), len(step.forget)) == (created, forgotten)


@pytest.mark.parametrize(
    ("spec", "pods", "reason"),
    [
        pytest.param({"backoffLimit": 0}, [a_pod("Failed")], "BackoffLimitExceeded", id="back-off-limit-zero"),
        pytest.param({"backoffLimit": 1}, [a_pod("Failed")], None, id="below-the-limit"),
        pytest.param({"backoffLimit": 1}, [a_pod("Failed"), a_pod("Failed")], "BackoffLimitExceeded", id="above"),
        pytest.param({}, [a_pod("Failed") for _ in range(7)], "BackoffLimitExceeded", id="default-limit-is-six"),
        pytest.param({"backoffLimit": 0, "restart": "OnFailure"}, [a_pod(restarts=1)], "BackoffLimitExceeded", id="r0"),
        pytest.param({"backoffLimit": 2, "restart": "OnFailure"}, [a_pod(restarts=2)], "BackoffLimitExceeded", id="r2"),
        pytest.param({"backoffLimit": 2, "restart": "OnFailure"}, [a_pod(restarts=1)], None, id="restarts-below"),
        pytest.param({"backoffLimit": 1}, [a_pod(restarts=5)], None, id="restarts-do-not-count-with-never"),
        pytest.param({"activeDeadlineSeconds": 5}, [a_pod()], None, id="in-time"),
        pytest.param({"activeDeadlineSeconds": 0}, [a_pod()], "DeadlineExceeded", id="late"),
        pytest.param({"completions": 1}, [a_pod("Succeeded")], "CompletionsReached", id="done"),
        pytest.param({"completions": 0}, [], "CompletionsReached", id="nothing-to-do"),
        pytest.param({"completions": 1}, [a_pod("Succeeded"), a_pod()], None, id="one-too-many-goes-first"),
    ],
)
def test_a_job_ends_for_the_right_reason(spec, pods, reason):
    step = step_of(a_job(**spec), pods)
    reasons = {c["reason"] for c in step.status.get("conditions") or ()}
    assert reasons == ({reason} if reason else set())


def test_success_is_announced_and_final_in_one_write():
    step = step_of(a_job(completions=1), [a_pod("Succeeded", uid="a")], later_s=5)
    assert condition_types(step) == ["SuccessCriteriaMet", "Complete"]
    assert step.status["succeeded"] == 1
    assert step.status["uncountedTerminatedPods"] == {}
    assert step.status["completionTime"] == "2026-01-01T00:00:05Z"
    assert [h.reason for h in step.happened] == ["Completed"]
    assert len(step.release) == 1


def test_failure_waits_for_the_last_pod():
    bad, running = a_pod("Failed"), a_pod()
    job = a_job(backoffLimit=0, parallelism=2, completions=2)
    step = step_of(job, [bad, running])
    assert condition_types(step) == ["FailureTarget"]
    assert step.stop == [running]
    assert step.status["terminating"] == 1
    assert not step.happened

    job["status"] = {k: v for k, v in step.status.items() if v is not None}
    running["metadata"]["deletionTimestamp"] = format_time(NOW)
    step = step_of(job, [bad, running])
    assert condition_types(step) == ["FailureTarget"]
    assert running in step.release

    job["status"] = {k: v for k, v in step.status.items() if v is not None}
    step = step_of(job, [])
    assert condition_types(step) == ["FailureTarget", "Failed"]
    assert step.status["failed"] == 2
    assert [h.message for h in step.happened] == ["Job has reached the specified backoff limit"]


def test_suspending_deletes_pods_without_counting_them():
    step = step_of(a_job(suspend=True, status={"startTime": format_time(NOW)}), [a_pod(), a_pod("Succeeded")])
    assert len(step.forget) == 1
    assert step.status["startTime"] is None
    assert condition_types(step) == ["Suspended"]
    assert [h.reason for h in step.happened] == ["Suspended"]


def test_resuming_starts_the_clock_anew():
    job = a_job(conditions=[a_condition("Suspended")], completions=1)
    step = step_of(job, later_s=100)
    assert step.status["startTime"] == "2026-01-01T00:01:40Z"
    assert step.status["conditions"][0]["status"] == "False"
    assert [h.reason for h in step.happened] == ["Resumed"]
    assert len(step.create) == 1


@pytest.mark.parametrize(
    ("failures", "later_s", "wait_s"),
    [(1, 0, 1), (2, 0, 2), (3, 0, 4), (3, 1, 3), (1, 5, None)],
)
def test_failed_pods_are_replaced_after_a_growing_wait(failures, later_s, wait_s):
    pods = [a_pod("Failed") for _ in range(failures)]
    step = step_of(a_job(), pods, later_s=later_s, start_s=1.0)
    assert step.look_again_in_s == wait_s
    assert len(step.create) == (wait_s is None)


def test_a_success_forgives_earlier_failures():
    pods = [a_pod("Failed"), a_pod("Failed"), a_pod("Succeeded", ended_s=10)]
    assert step_of(a_job(completions=2), pods, later_s=10, start_s=60.0).create


def test_the_deadline_is_looked_at_again_when_it_is_due():
    assert step_of(a_job(activeDeadlineSeconds=30), [a_pod()], later_s=10).look_again_in_s == 20


class TestPerIndex:
    def spec(self, **more):
        return {"completions": 3, "parallelism": 3, "completionMode": "Indexed", "backoffLimitPerIndex": 1, **more}

    def test_a_replacement_remembers_the_failures_of_its_index(self):
        step = step_of(a_job(**self.spec()), [a_pod("Failed", index=0), a_pod(index=1), a_pod(index=2)])
        (pod,) = step.create
        assert pod["metadata"]["annotations"][FAILURES] == "1"
        assert not step.release, "the failed pod stays until its replacement is there"

    def test_an_index_is_given_up_when_its_limit_is_passed(self):
        pods = [a_pod("Failed", index=0, failures=1), a_pod(index=1), a_pod(index=2)]
        step = step_of(a_job(**self.spec()), pods)
        assert step.status["failedIndexes"] == "0"
        assert not step.create
        assert not condition_types(step)
        assert step.release == (pods[0],)

    def test_too_many_given_up_indexes_end_the_job(self):
        pods = [a_pod("Failed", index=0, failures=1), a_pod(index=1), a_pod(index=2)]
        step = step_of(a_job(**self.spec(maxFailedIndexes=0)), pods)
        assert step.status["conditions"][0]["reason"] == "MaxFailedIndexesExceeded"

    def test_a_job_with_failed_indexes_fails_when_the_others_are_done(self):
        pods = [a_pod("Failed", index=0, failures=1), a_pod("Succeeded", index=1), a_pod("Succeeded", index=2)]
        step = step_of(a_job(**self.spec()), pods)
        assert [(c["type"], c["reason"]) for c in step.status["conditions"]] == [
            ("FailureTarget", "FailedIndexes"),
            ("Failed", "FailedIndexes"),
        ]
        assert step.status["completedIndexes"] == "1,2"

    def test_each_index_waits_for_itself(self):
        pods = [a_pod("Failed", index=0), a_pod(index=1)]
        step = step_of(a_job(**self.spec()), pods, start_s=10.0)
        assert [pod["spec"]["hostname"] for pod in step.create] == ["j-2"]
        assert step.look_again_in_s == 10


class TestFailurePolicy:
    def job(self, action, *, operator="In", more=None, **match):
        rule = {"action": action, **match} if match else {"action": action}
        if not match:
            rule["onExitCodes"] = {"operator": operator, "values": [42]}
        return a_job(podFailurePolicy={"rules": [rule]}, backoffLimit=0, **(more or {}))

    def test_fail_job_ends_it_and_says_why(self):
        step = step_of(self.job("FailJob"), [a_pod("Failed", uid="x", exit_code=42)])
        assert step.status["conditions"][0] | {} == a_condition(
            "FailureTarget",
            reason="PodFailurePolicy",
            message="Container main for pod ns/pod-x failed with exit code 42 matching FailJob rule at index 0",
        )

    def test_ignored_failures_do_not_count(self):
        job = self.job("Ignore", onPodConditions=[{"type": "DisruptionTarget", "status": "True"}])
        pod = a_pod("Failed", disrupted=True)
        step = step_of(job, [pod])
        assert len(step.create) == 1
        assert step.release == (pod,)
        assert step.status["uncountedTerminatedPods"] == {}

    @pytest.mark.parametrize(
        ("operator", "code", "ended"), [("In", 42, True), ("In", 1, False), ("NotIn", 1, True), ("NotIn", 42, False)]
    )
    def test_exit_codes_are_compared(self, operator, code, ended):
        step = step_of(self.job("FailJob", operator=operator), [a_pod("Failed", exit_code=code)])
        assert (step.status["conditions"][0]["reason"] == "PodFailurePolicy") is ended

    def test_fail_index_gives_up_one_index(self):
        more = {"completions": 2, "parallelism": 2, "completionMode": "Indexed", "backoffLimitPerIndex": 5}
        pods = [a_pod("Failed", index=0, exit_code=42), a_pod(index=1)]
        job = self.job("FailIndex", more=more)
        job["spec"]["backoffLimit"] = 10
        assert step_of(job, pods).status["failedIndexes"] == "0"


@pytest.mark.parametrize(
    ("rules", "done", "message"),
    [
        ([{"succeededIndexes": "0"}], [0], "Matched rules at index 0"),
        ([{"succeededIndexes": "0"}], [1], None),
        ([{"succeededIndexes": "0-2", "succeededCount": 2}], [0, 2], "Matched rules at index 0"),
        ([{"succeededIndexes": "0"}, {"succeededCount": 1}], [3], "Matched rules at index 1"),
        ([{"succeededCount": 2}], [3], None),
    ],
)
def test_a_success_policy_ends_a_job_early(rules, done, message):
    job = a_job(completions=4, parallelism=4, completionMode="Indexed", successPolicy={"rules": rules})
    pods = [a_pod("Succeeded", index=i) for i in done] + [a_pod(index=i) for i in range(4) if i not in done]
    step = step_of(job, pods)
    found = [c["message"] for c in step.status.get("conditions") or ()]
    assert found == ([message] if message else [])
    assert len(step.stop) == (4 - len(done) if message else 0)


def test_pods_of_a_successful_job_that_are_stopped_have_not_failed():
    job = a_job(completions=2, parallelism=2, conditions=[a_condition("SuccessCriteriaMet")], completionMode="Indexed")
    stopped = a_pod(index=1, deleted=True)
    step = step_of(job, [stopped])
    assert step.release == (stopped,)
    assert step.status["uncountedTerminatedPods"] == {}


def test_a_job_that_is_being_deleted_lets_all_its_pods_go():
    step = step_of(a_job(deleted=True), [a_pod(), a_pod("Failed"), a_pod(tracked=False)])
    assert len(step.release) == 2
    assert not step.create


def test_ready_and_terminating_pods_are_counted():
    step = step_of(a_job(parallelism=3, completions=3), [a_pod(ready=True), a_pod(), a_pod(deleted=True)])
    assert (step.status["ready"], step.status["active"], step.status["terminating"]) == (1, 3, 1)
