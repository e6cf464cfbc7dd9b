"""What to do about a Job: pure. The ladder in `decide` is the specification.

Source of the behaviour: Kubernetes (pkg/controller/job/job_controller.go, syncJob and manageJob).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from flowdeck.controller.events import Happening
from flowdeck.embedded.workloads.job.back_off import BackOff, wait_for_all_s, wait_for_index_s
from flowdeck.embedded.workloads.job.counting import Tally, tally
from flowdeck.embedded.workloads.job.indexes import format_indexes
from flowdeck.embedded.workloads.job.new_pods import new_pods
from flowdeck.embedded.workloads.job.pods import index_of, is_tracked, last_failed
from flowdeck.embedded.workloads.job.spec import Job
from flowdeck.embedded.workloads.job.verdict import Verdict, announced, deadline_in_s, judge
from flowdeck.embedded.workloads.pods import deletion_order, is_active, is_ready, is_terminating
from flowdeck.kube.objects import Tree, copy_of, uid_of
from flowdeck.kube.times import format_time

PODS_PER_STEP = 500
"""No more pods are created or deleted at once; the next round does the rest."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """What to do, in this order: pods to delete and create, the status to store, finalizers to take away."""

    forget: Sequence[Tree] = ()
    """Active pods to delete without counting them: their finalizer goes first."""
    stop: Sequence[Tree] = ()
    """Active pods to delete; they are counted when they have ended."""
    create: Sequence[Tree] = ()
    status: Tree
    release: Sequence[Tree] = ()
    """Pods whose finalizer goes once the status is stored."""
    happened: Sequence[Happening] = ()
    look_again_in_s: float | None = None


def decide(job: Job, pods: Sequence[Tree], *, back_off: BackOff, now: datetime) -> Step:
    if job.is_being_deleted:
        return Step(status=job.status, release=[pod for pod in pods if is_tracked(pod)])
    job = _started(job, now)
    verdict = announced(job)
    verdict = verdict or judge(job, pods, tally(job, pods), now)
    if verdict:
        return _finish(job, pods, verdict, now)
    if job.is_suspended:
        return _suspend(job, pods, now)
    return _run(job, pods, back_off, now)


def _started(job: Job, now: datetime) -> Job:
    """The clock starts with the first look at a Job that may run, and anew when it is resumed."""
    if job.is_suspended:
        return replace(job, start_time=None)
    if job.start_time is None or _has(job, "Suspended"):
        return replace(job, start_time=now.replace(microsecond=0))
    return job


def _finish(job: Job, pods: Sequence[Tree], verdict: Verdict, now: datetime) -> Step:
    count = tally(job, pods, verdict.ending)
    status = _status(job, pods, count)
    _set(status, verdict.target, verdict.reason, verdict.message, now)
    stop = [pod for pod in pods if is_active(pod)]
    if stop or any(is_terminating(pod) for pod in pods):
        _move(status, stop)
        return Step(stop=stop, status=status, release=count.release)
    _set(status, verdict.terminal, verdict.reason, verdict.message, now)
    status["uncountedTerminatedPods"] = {}
    status["succeeded"], status["failed"] = count.succeeded or None, count.failed or None
    if verdict.ending == "success":
        status["completionTime"] = format_time(now)
        told = Happening("Normal", "Completed", "Job completed")
    else:
        told = Happening("Warning", verdict.reason, verdict.message)
    return Step(status=status, release=count.release, happened=[told])


def _suspend(job: Job, pods: Sequence[Tree], now: datetime) -> Step:
    count = tally(job, pods)
    status = _status(job, pods, count)
    forget = [pod for pod in pods if is_active(pod)]
    _move(status, forget)
    happened = []
    if not _has(job, "Suspended"):
        _set(status, "Suspended", "JobSuspended", "Job suspended", now)
        happened = [Happening("Normal", "Suspended", "Job suspended")]
    return Step(forget=forget, status=status, release=count.release, happened=happened)


def _run(job: Job, pods: Sequence[Tree], back_off: BackOff, now: datetime) -> Step:
    count = tally(job, pods)
    status = _status(job, pods, count)
    happened = []
    if _has(job, "Suspended"):
        _set(status, "Suspended", "JobResumed", "Job resumed", now, value="False")
        happened = [Happening("Normal", "Resumed", "Job resumed")]
    forget = _surplus(job, pods, count, now)[:PODS_PER_STEP]
    create, wait_s = ([], None) if forget else _missing(job, pods, count, back_off, now)
    _move(status, forget, len(create))
    left = [seconds for seconds in (wait_s, deadline_in_s(job, now)) if seconds is not None]
    return Step(
        forget=forget,
        create=create,
        status=status,
        release=count.release,
        happened=happened,
        look_again_in_s=min(left, default=None),
    )


def _surplus(job: Job, pods: Sequence[Tree], count: Tally, now: datetime) -> list[Tree]:
    """Active pods that are too many: second pods of an index, indexes out of range, then the least missed."""
    active = deletion_order([pod for pod in pods if is_active(pod)], (), now)
    wrong = _misplaced(job, active)
    wrong_uids = {uid_of(pod) for pod in wrong}
    right = [pod for pod in active if uid_of(pod) not in wrong_uids]
    too_many = len(active) - _wanted(job, count, len(active)) - len(wrong)
    return wrong + right[: max(0, too_many)]


def _misplaced(job: Job, active: Sequence[Tree]) -> list[Tree]:
    if not job.is_indexed:
        return []
    wrong, seen = [], set()
    for pod in reversed(active):
        index = index_of(pod)
        if index is None or index in seen or index >= (job.completions or 0):
            wrong.append(pod)
        seen.add(index)
    return wrong


def _wanted(job: Job, count: Tally, active: int) -> int:
    """How many pods shall be active."""
    if job.completions is None:
        return active if count.succeeded else job.parallelism
    return max(0, min(job.parallelism, job.completions - count.succeeded))


def _missing(
    job: Job, pods: Sequence[Tree], count: Tally, back_off: BackOff, now: datetime
) -> tuple[list[Tree], float | None]:
    """The pods to create, and the seconds to wait where it is too early."""
    active = [pod for pod in pods if is_active(pod)]
    lacking = _wanted(job, count, len(active)) - len(active)
    if job.replaces_only_failed:
        lacking -= sum(is_terminating(pod) for pod in pods)
    lacking = min(lacking, PODS_PER_STEP)
    if lacking <= 0:
        return [], None
    if job.backoff_limit_per_index is None:
        wait_s = wait_for_all_s(job, pods, back_off, now)
        if wait_s > 0:
            return [], wait_s
    if not job.is_indexed:
        return new_pods(job, pods, [None] * lacking), None
    indexes, next_wait_s = _free_indexes(job, pods, count, back_off, now)
    return new_pods(job, pods, indexes[:lacking]), next_wait_s


def _free_indexes(
    job: Job, pods: Sequence[Tree], count: Tally, back_off: BackOff, now: datetime
) -> tuple[list[int], float | None]:
    """The indexes that may get a pod now, in order, and the seconds until the next one may."""
    busy = {index_of(pod) for pod in pods if is_active(pod)} | count.completed | count.failed_indexes
    if job.replaces_only_failed:
        busy |= {index_of(pod) for pod in pods if is_terminating(pod)}
    free = [index for index in range(job.completions or 0) if index not in busy]
    if job.backoff_limit_per_index is None:
        return free, None
    last = last_failed(pods, job)
    waits = {i: wait_for_index_s(last[i], back_off, now) for i in free if i in last}
    return [i for i in free if waits.get(i, 0) <= 0], min((w for w in waits.values() if w > 0), default=None)


def _status(job: Job, pods: Sequence[Tree], count: Tally) -> Tree:
    """The status as the pods and the tally have it; absent fields are None."""
    active = [pod for pod in pods if is_active(pod)]
    uncounted: Tree = {}
    if count.uncounted_succeeded:
        uncounted["succeeded"] = list(count.uncounted_succeeded)
    if count.uncounted_failed:
        uncounted["failed"] = list(count.uncounted_failed)
    settled = len(count.completed) if job.is_indexed else count.settled_succeeded
    return {
        **copy_of(job.status),
        "startTime": format_time(job.start_time) if job.start_time else None,
        "active": len(active) or None,
        "ready": sum(is_ready(pod) for pod in active),
        "terminating": sum(is_terminating(pod) for pod in pods),
        "succeeded": settled or None,
        "failed": count.settled_failed or None,
        "completedIndexes": format_indexes(count.completed) or None,
        "failedIndexes": format_indexes(count.failed_indexes) if job.backoff_limit_per_index is not None else None,
        "uncountedTerminatedPods": uncounted,
    }


def _move(status: Tree, removed: Sequence[Tree], created: int = 0) -> None:
    """Counts pods that are deleted or created in this step."""
    status["active"] = ((status["active"] or 0) - len(removed) + created) or None
    status["ready"] -= sum(is_ready(pod) for pod in removed)
    status["terminating"] += len(removed)


def _has(job: Job, type_: str) -> bool:
    return any(c["type"] == type_ and c["status"] == "True" for c in job.status.get("conditions") or ())


def _set(status: Tree, type_: str, reason: str, message: str, now: datetime, *, value: str = "True") -> None:
    """A condition of the Job's own shape (with `lastProbeTime`); one that says the same already is left alone."""
    conditions = status.setdefault("conditions", [])
    for old in conditions:
        if old["type"] == type_ and old["status"] == value:
            return
    moment = format_time(now)
    new = {
        "type": type_,
        "status": value,
        "lastProbeTime": moment,
        "lastTransitionTime": moment,
        "reason": reason,
        "message": message,
    }
    status["conditions"] = [condition for condition in conditions if condition["type"] != type_] + [new]
