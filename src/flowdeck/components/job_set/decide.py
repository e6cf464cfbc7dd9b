"""What to do about a JobSet: pure. The ladder in `decide` is the specification.

Source of the behaviour: kubernetes-sigs/jobset (pkg/controllers/jobset_controller.go).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from flowdeck.components.job_set.children import jobs_of, replicated_jobs, restarts_of
from flowdeck.components.job_set.failure_policy import Fail, Restart, judge
from flowdeck.components.job_set.seen import Seen, counters, look, replicated_job_of
from flowdeck.components.job_set.startup_policy import has_all_started, is_in_order, may_start
from flowdeck.components.job_set.success_policy import has_succeeded
from flowdeck.controller.events import Happening
from flowdeck.kube.conditions import Condition, find_condition, set_condition
from flowdeck.kube.job_set.admission import SCHEDULING_FIELDS
from flowdeck.kube.objects import Tree, copy_of, get_in, is_being_deleted
from flowdeck.kube.times import parse_time


@dataclass(kw_only=True)
class Step:
    """What to do."""

    status: Tree
    delete: Sequence[Tree] = ()
    """Jobs; foreground, so that one of the same name comes only after the last pod is gone."""
    has_network: bool = False
    """Whether Service and claims shall be there."""
    create: Sequence[Tree] = ()
    suspend: Sequence[Tree] = ()
    resume: Sequence[tuple[Tree, Tree]] = ()
    """Jobs, each with the merge patch that lets it run."""
    deletes_itself: bool = False
    happened: list[Happening] = field(default_factory=list)
    look_again_in_s: float | None = None


def _end(job_set: Tree) -> Tree | None:
    for type_ in ("Completed", "Failed"):
        condition = find_condition(job_set, type_)
        if condition and condition["status"] == "True":
            return condition
    return None


def decide(job_set: Tree, jobs: Sequence[Tree], *, now: datetime) -> Step:
    seen = look(job_set, jobs)
    counted = counters(job_set, seen)
    step = Step(status=_with_counters(job_set.get("status") or {}, counted))
    if end := _end(job_set):
        return _clean_up(job_set, seen, step, end, now)
    step.delete = _not_yet_deleted(seen.previous)
    if seen.failed:
        _fail_or_restart(job_set, seen, step, now)
    elif has_succeeded(job_set, seen):
        _end_with(step, "Completed", "AllJobsCompleted", "jobset completed successfully", now)
    else:
        _run(job_set, seen, counted, step, now)
    return step


def _with_counters(status: Tree, counted: Sequence[Tree]) -> Tree:
    """A new JobSet whose Jobs have done nothing yet says nothing: that saves a write, and one of who mirrors it."""
    if not status and not any(value for counters in counted for name, value in counters.items() if name != "name"):
        return {}
    return {**copy_of(status), "replicatedJobsStatus": counted}


def _clean_up(job_set: Tree, seen: Seen, step: Step, end: Tree, now: datetime) -> Step:
    step.delete = _not_yet_deleted((*seen.active, *seen.previous))
    ttl_s = get_in(job_set, "spec", "ttlSecondsAfterFinished")
    if ttl_s is not None:
        left_s = (parse_time(end["lastTransitionTime"]) + timedelta(seconds=ttl_s) - now).total_seconds()
        step.deletes_itself = left_s <= 0
        step.look_again_in_s = left_s if left_s > 0 else None
    return step


def _not_yet_deleted(jobs: Sequence[Tree]) -> list[Tree]:
    return [job for job in jobs if not is_being_deleted(job)]


def _fail_or_restart(job_set: Tree, seen: Seen, step: Step, now: datetime) -> None:
    match judge(job_set, seen.failed):
        case Fail(reason, message):
            _end_with(step, "Failed", reason, message, now)
        case Restart(counts, reason, message, rule):
            step.status["restarts"] = restarts_of(job_set) + 1
            if counts:
                step.status["restartsCountTowardsMax"] = step.status.get("restartsCountTowardsMax", 0) + 1
            why = f"FailurePolicy_{rule}" if rule else "DefaultFailurePolicy"
            _set(step, Condition(type="RestartingJobSet", status="True", reason=why, message=message), now)
            step.happened.append(Happening("Warning", reason, message))


def _end_with(step: Step, type_: Literal["Completed", "Failed"], reason: str, message: str, now: datetime) -> None:
    _set(step, Condition(type=type_, status="True", reason=reason, message=message), now)
    step.status["terminalState"] = type_
    step.happened.append(Happening("Warning" if type_ == "Failed" else "Normal", reason, message))
    _end_restart(step, f"JobSet{type_}", "jobset failed" if type_ == "Failed" else message, now)


def _run(job_set: Tree, seen: Seen, counted: Sequence[Tree], step: Step, now: datetime) -> None:
    """Whatever a living JobSet lacks, then suspend or resume."""
    is_suspended = bool(get_in(job_set, "spec", "suspend", default=False))
    step.has_network = True
    free = may_start(job_set, counted)
    in_order = is_in_order(job_set)
    wanted = replicated_jobs(job_set) if is_suspended and in_order else free
    if not seen.previous or _recreates_at_once(job_set):
        there = seen.names
        step.create = [
            job for replicated in wanted for job in jobs_of(job_set, replicated) if job["metadata"]["name"] not in there
        ]
    if is_suspended:
        step.suspend = [job for job in seen.active if not job["spec"].get("suspend")]
        _tell(
            step, Condition(type="Suspended", status="True", reason="SuspendedJobs", message="jobset is suspended"), now
        )
        _end_restart(step, "JobSetSuspended", "jobset is suspended", now)
        return
    may_run = {replicated["name"]: replicated for replicated in free}
    step.resume = [
        (job, _resumption(job, may_run[name]))
        for job in seen.active
        if job["spec"].get("suspend") and (name := replicated_job_of(job)) in may_run
    ]
    if find_condition(job_set, "Suspended"):
        resumed = Condition(type="Suspended", status="False", reason="ResumeJobs", message="jobset is resumed")
        _tell(step, resumed, now)
    has_started = not seen.previous and has_all_started(job_set, counted)
    if in_order:
        _tell_of_startup(step, has_started, now)
    if has_started:
        _end_restart(step, "JobsReady", "all jobs are ready", now)


def _recreates_at_once(job_set: Tree) -> bool:
    """`Recreate` makes each Job as soon as its old one is gone; `BlockingRecreate` waits for all."""
    strategy = get_in(job_set, "spec", "failurePolicy", "restartStrategy", default="Recreate")
    return bool(strategy != "BlockingRecreate")


def _resumption(job: Tree, replicated: Tree) -> Tree:
    """The merge patch that lets a suspended Job run with what its template says by now."""
    template = get_in(replicated, "template", "spec", "template", default={})
    meta, pod = template.get("metadata") or {}, template.get("spec") or {}
    metadata = {f: dict(meta[f]) for f in ("labels", "annotations") if meta.get(f)}
    spec = {f: copy_of({f: pod[f]})[f] for f in SCHEDULING_FIELDS if f in pod}
    if "schedulingGates" in job["spec"]["template"]["spec"] and "schedulingGates" not in pod:
        spec["schedulingGates"] = None
    patch = {part: fields for part, fields in (("metadata", metadata), ("spec", spec)) if fields}
    return {"spec": {"suspend": False} | ({"template": patch} if patch else {})}


def _tell_of_startup(step: Step, is_over: bool, now: datetime) -> None:
    started = any(c["type"] == "StartupPolicyCompleted" and c["status"] == "True" for c in _conditions(step))
    if is_over or started:
        done = "InOrderStartupPolicyCompleted"
        over = Condition(
            type="StartupPolicyInProgress", status="False", reason=done, message="in order startup policy has completed"
        )
        if any(c["type"] == "StartupPolicyInProgress" for c in _conditions(step)):
            _set(step, over, now)
        message = "in order startup policy has completed"
        _tell(step, Condition(type="StartupPolicyCompleted", status="True", reason=done, message=message), now)
    else:
        message = "in order startup policy is in progress"
        reason = "InOrderStartupPolicyInProgress"
        _tell(step, Condition(type="StartupPolicyInProgress", status="True", reason=reason, message=message), now)


def _end_restart(step: Step, reason: str, message: str, now: datetime) -> None:
    if any(c["type"] == "RestartingJobSet" and c["status"] == "True" for c in _conditions(step)):
        _set(step, Condition(type="RestartingJobSet", status="False", reason=reason, message=message), now)


def _conditions(step: Step) -> list[Tree]:
    found: list[Tree] = step.status.setdefault("conditions", [])
    return found


def _set(step: Step, condition: Condition, now: datetime) -> bool:
    return set_condition(_conditions(step), condition, now=now)


def _tell(step: Step, condition: Condition, now: datetime) -> None:
    """Sets a condition; an event tells when that changed something."""
    if _set(step, condition, now):
        step.happened.append(Happening("Normal", condition.reason, condition.message))
