"""Whether a Job is over: the first reason that holds, wins."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from flowdeck.embedded.workloads.job.back_off import is_limit_reached
from flowdeck.embedded.workloads.job.counting import Tally
from flowdeck.embedded.workloads.job.failure_policy import failing_message
from flowdeck.embedded.workloads.job.spec import Job
from flowdeck.embedded.workloads.job.success_policy import success_message
from flowdeck.embedded.workloads.pods import is_active
from flowdeck.kube.conditions import find_condition
from flowdeck.kube.objects import Tree


@dataclass(frozen=True)
class Verdict:
    """A Job is to end; it has ended (`Complete`, `Failed`) when its last pod is gone."""

    ending: Literal["success", "failure"]
    reason: str
    message: str

    @property
    def target(self) -> str:
        """The condition that announces it."""
        return "SuccessCriteriaMet" if self.ending == "success" else "FailureTarget"

    @property
    def terminal(self) -> str:
        return "Complete" if self.ending == "success" else "Failed"


def announced(job: Job) -> Verdict | None:
    """What was decided in an earlier round; it stays so."""
    endings: tuple[tuple[str, Literal["success", "failure"]], ...] = (
        ("SuccessCriteriaMet", "success"),
        ("FailureTarget", "failure"),
    )
    for type_, ending in endings:
        condition = find_condition(job.tree, type_)
        if condition and condition["status"] == "True":
            return Verdict(ending, condition["reason"], condition.get("message", ""))
    return None


def judge(job: Job, pods: Sequence[Tree], count: Tally, now: datetime) -> Verdict | None:
    """Decides; None while the Job goes on."""
    if message := failing_message(job, pods):
        return Verdict("failure", "PodFailurePolicy", message)
    if is_limit_reached(job, pods, count.failed):
        return Verdict("failure", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
    left = deadline_in_s(job, now)
    if left is not None and left <= 0:
        return Verdict("failure", "DeadlineExceeded", "Job was active longer than specified deadline")
    if verdict := _judge_indexes(job, count):
        return verdict
    if job.is_indexed and (message := success_message(job, count.completed)):
        return Verdict("success", "SuccessPolicy", message)
    if _is_complete(job, count) and not any(is_active(pod) for pod in pods):
        return Verdict("success", "CompletionsReached", "Reached expected number of succeeded pods")
    return None


def deadline_in_s(job: Job, now: datetime) -> float | None:
    """Seconds until `activeDeadlineSeconds` are over; None where the clock does not run."""
    if job.active_deadline_s is None or job.start_time is None or job.is_suspended:
        return None
    return job.active_deadline_s - (now - job.start_time).total_seconds()


def _judge_indexes(job: Job, count: Tally) -> Verdict | None:
    given_up = len(count.failed_indexes)
    if job.backoff_limit_per_index is None or not given_up:
        return None
    if job.max_failed_indexes is not None and given_up > job.max_failed_indexes:
        told = "Job has exceeded the specified maximal number of failed indexes"
        return Verdict("failure", "MaxFailedIndexesExceeded", told)
    if given_up + len(count.completed) >= (job.completions or 0):
        return Verdict("failure", "FailedIndexes", "Job has failed indexes")
    return None


def _is_complete(job: Job, count: Tally) -> bool:
    return count.succeeded > 0 if job.completions is None else count.succeeded >= job.completions
