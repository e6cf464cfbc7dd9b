"""What becomes of a TrainJob's status, and what is done, as its JobSet and the clock go on."""

from datetime import datetime, timedelta

import pytest

from flowdeck.components.training.decide import Step, decide, is_permanent, phase_of
from flowdeck.components.training.types import train_job_of
from flowdeck.kube.conditions import find_condition
from flowdeck.kube.errors import ApiError, Conflict, Forbidden, Invalid, NotFound, ServiceUnavailable, TooManyRequests
from flowdeck.kube.objects import Tree
from flowdeck.kube.times import format_time, parse_time
from tests.components.training.makers import CREATED, a_condition, a_job_set, a_train_job, counted

T0 = parse_time(CREATED)
SUSPENDED = a_condition("Suspended", "True", "Suspended", "TrainJob is suspended")
COMPLETED = a_condition("Completed", "True", "AllJobsCompleted", "jobset completed successfully")
JOB_SET_FAILED = a_condition("Failed", "True", "FailedJobs", "jobset failed due to one or more job failures")


def step(job: Tree, job_set: Tree | None = None, *, age_s: float = 10) -> Step:
    return decide(job, train_job_of(job), job_set, now=T0 + timedelta(seconds=age_s))


def told(status: Tree) -> list[tuple[str, str, str, str]]:
    return [(c["type"], c["status"], c["reason"], c["message"]) for c in status.get("conditions", [])]


@pytest.mark.parametrize(
    ("job", "job_set", "expected"),
    [
        pytest.param(a_train_job(), None, [], id="a-new-job-has-no-conditions"),
        pytest.param(a_train_job(), a_job_set(counted=[counted(active=1)]), [], id="nor-has-a-running-one"),
        pytest.param(
            a_train_job(suspend=True),
            None,
            [("Suspended", "True", "Suspended", "TrainJob is suspended")],
            id="suspended",
        ),
        pytest.param(
            a_train_job(suspend=False, status={"conditions": [SUSPENDED]}),
            None,
            [("Suspended", "False", "Resumed", "TrainJob is resumed")],
            id="resumed-after-it-was-suspended",
        ),
        pytest.param(
            a_train_job(),
            a_job_set(conditions=[COMPLETED]),
            [("Complete", "True", "AllJobsCompleted", "jobset completed successfully")],
            id="complete-in-the-job-set-s-words",
        ),
        pytest.param(
            a_train_job(),
            a_job_set(conditions=[JOB_SET_FAILED]),
            [("Failed", "True", "FailedJobs", "jobset failed due to one or more job failures")],
            id="failed-in-the-job-set-s-words",
        ),
        pytest.param(
            a_train_job(runtime_kind="Foo"),
            None,
            [("Failed", "True", "TrainingRuntimeNotSupported", "unsupported runtime: Foo.trainer.kubeflow.org")],
            id="unknown-kind-of-runtime",
        ),
        pytest.param(
            a_train_job(activeDeadlineSeconds=10),
            a_job_set(),
            [("Failed", "True", "DeadlineExceeded", "TrainJob exceeded its active deadline")],
            id="past-its-deadline",
        ),
        pytest.param(
            a_train_job(activeDeadlineSeconds=10),
            a_job_set(conditions=[COMPLETED]),
            [("Complete", "True", "AllJobsCompleted", "jobset completed successfully")],
            id="complete-wins-over-the-deadline",
        ),
    ],
)
def test_conditions(job: Tree, job_set: Tree | None, expected: list[tuple[str, str, str, str]]) -> None:
    assert told(step(job, job_set).status) == expected


@pytest.mark.parametrize("type_", ["Complete", "Failed"])
def test_differ_1_a_finished_job_stays_finished_and_gets_no_children_when_its_job_set_is_gone(type_: str) -> None:
    status = {"conditions": [a_condition(type_)], "jobsStatus": [counted(succeeded=1)]}
    assert step(a_train_job(status=status), None) == Step(status=status)
    assert step(a_train_job(status=status), a_job_set(counted=[counted(active=1)])) == Step(status=status)


def test_differ_3_jobs_status_stands_in_the_order_of_the_runtime() -> None:
    job_set = a_job_set(
        names=["dataset-initializer", "node"], counted=[counted(active=1), counted("dataset-initializer")]
    )
    assert step(a_train_job(), job_set).status["jobsStatus"] == [
        counted("dataset-initializer"),
        counted("node", active=1),
    ]


def test_all_five_counters_are_sent_even_where_the_job_set_leaves_them_out() -> None:
    job_set = a_job_set(counted=[{"name": "node", "active": 1}])
    assert step(a_train_job(), job_set).status["jobsStatus"] == [counted(active=1)]


def test_progress_that_others_write_is_kept() -> None:
    progress = {"progressPercentage": 40, "lastUpdatedTime": CREATED}
    job = a_train_job(status={"trainerStatus": progress})
    assert step(job, a_job_set(conditions=[COMPLETED])).status["trainerStatus"] == progress


def test_past_the_deadline_the_job_set_is_deleted_and_nothing_is_built() -> None:
    found = step(a_train_job(activeDeadlineSeconds=10), a_job_set(), age_s=10)
    assert found.delete_job_set
    assert not found.build


def test_before_the_deadline_it_is_looked_at_again_exactly_then() -> None:
    found = step(a_train_job(activeDeadlineSeconds=60), a_job_set(), age_s=10)
    assert found.build
    assert found.deadline == T0 + timedelta(seconds=60)


@pytest.mark.parametrize("suspend", [True, False])
def test_no_deadline_while_suspended_and_a_new_one_from_the_resumption(suspend: bool) -> None:
    job = a_train_job(activeDeadlineSeconds=60, suspend=suspend, status={"conditions": [SUSPENDED]})
    found = step(job, age_s=1000)
    assert found.build
    assert found.deadline == (None if suspend else T0 + timedelta(seconds=1060))


def test_the_clock_of_a_resumed_job_does_not_restart_again() -> None:
    resumed = a_condition("Suspended", "False", "Resumed", since=format_time(T0 + timedelta(seconds=100)))
    job = a_train_job(activeDeadlineSeconds=60, status={"conditions": [resumed]})
    assert step(job, age_s=150).deadline == T0 + timedelta(seconds=160)
    assert told(step(job, age_s=160).status)[-1][2] == "DeadlineExceeded"


def test_an_unchanged_condition_keeps_its_time() -> None:
    job = a_train_job(suspend=True, status={"conditions": [SUSPENDED]})
    assert step(job, age_s=500).status == job["status"]


@pytest.mark.parametrize(
    ("error", "permanent"),
    [
        (Invalid("bad"), True),
        (Forbidden("quota"), True),
        (Conflict("changed"), False),
        (TooManyRequests("wait"), False),
        (NotFound("no such kind yet"), False),
        (ServiceUnavailable("down"), False),
    ],
)
def test_which_errors_are_for_good(error: ApiError, permanent: bool) -> None:
    assert is_permanent(error) is permanent


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        (None, "Created"),
        ({"jobsStatus": [counted(active=1)]}, "Created"),
        ({"jobsStatus": [counted(ready=1, active=1)]}, "Running"),
        ({"conditions": [SUSPENDED]}, "Suspended"),
        ({"conditions": [a_condition("Suspended", "False"), a_condition("Complete")]}, "Complete"),
        ({"conditions": [a_condition("Failed")]}, "Failed"),
    ],
)
def test_the_phase_in_one_word(status: Tree | None, phase: str) -> None:
    assert phase_of(a_train_job(status=status)) == phase


def test_conditions_are_stamped_with_the_time_given() -> None:
    now: datetime = T0 + timedelta(seconds=10)
    found = find_condition({"status": step(a_train_job(suspend=True)).status}, "Suspended")
    assert found is not None
    assert found["lastTransitionTime"] == format_time(now)
