"""What to do about a CronJob: pure. Source: Kubernetes (pkg/controller/cronjob/cronjob_controllerv2.go)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from flowdeck.controller.events import Happening
from flowdeck.kube.conditions import finished_type
from flowdeck.kube.kinds import CRON_JOB
from flowdeck.kube.objects import Tree, copy_of, get_in, owner_reference, uid_of
from flowdeck.kube.schedule import BadSchedule, BadTimeZone, Schedule, read_schedule
from flowdeck.kube.times import format_time, parse_time

SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"
TOO_MANY = 100
_PRIOR_RUN = "Not starting job because prior execution is running and concurrency policy is Forbid"


@dataclass(kw_only=True)
class Step:
    """What to do."""

    status: Tree
    replace: list[Tree] = field(default_factory=list)
    """Running Jobs that make way for the new one."""
    clean_up: list[Tree] = field(default_factory=list)
    """Finished Jobs beyond the history limits."""
    create: Tree | None = None
    """The Job that is due; `note_start` follows when it is there."""
    due: datetime | None = None
    """The time that was looked at; None when none was due."""
    happened: list[Happening] = field(default_factory=list)
    look_again_in_s: float | None = None

    def tell(self, type_: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        self.happened.append(Happening(type_, reason, message))


def decide(cron_job: Tree, jobs: Sequence[Tree], *, now: datetime) -> Step:
    step = Step(status=copy_of(cron_job.get("status") or {}))
    _follow_up(cron_job, jobs, step)
    step.clean_up = _beyond_history(cron_job, jobs)
    if get_in(cron_job, "spec", "suspend"):
        return step
    spec = cron_job["spec"]
    try:
        schedule = read_schedule(spec["schedule"], spec.get("timeZone"))
    except BadTimeZone as error:
        step.tell("Warning", "UnknownTimeZone", f"invalid timeZone: {spec.get('timeZone')}: {error}")
    except BadSchedule as error:
        step.tell("Warning", "UnparseableSchedule", f'unparseable schedule: "{spec["schedule"]}" : {error}')
    else:
        _start_what_is_due(cron_job, schedule, step, now)
        upcoming = next(schedule.after(now), None)
        step.look_again_in_s = (upcoming - now).total_seconds() if upcoming else None
    return step


def _follow_up(cron_job: Tree, jobs: Sequence[Tree], step: Step) -> None:
    """Keeps `status.active` and `lastSuccessfulTime` in step with what became of the Jobs."""
    known = {uid_of(job): job for job in jobs}
    active = []
    for ref in step.status.get("active") or ():
        job = known.get(ref.get("uid", ""))
        if job is None:
            step.tell("Normal", "MissingJob", f"Active job went missing: {ref.get('name')}")
        elif end := finished_type(job):
            step.tell("Normal", "SawCompletedJob", f"Saw completed job: {ref.get('name')}, condition: {end}")
        else:
            active.append(ref)
    listed = {ref.get("uid") for ref in active}
    active += [_reference(job) for job in jobs if uid_of(job) not in listed and not finished_type(job)]
    step.status["active"] = active or None
    times = [get_in(job, "status", "completionTime", default="") for job in jobs if finished_type(job) == "Complete"]
    latest = max([*times, step.status.get("lastSuccessfulTime") or ""])
    step.status["lastSuccessfulTime"] = latest or None


def _reference(job: Tree) -> Tree:
    meta = job["metadata"]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": meta["name"],
        "namespace": meta["namespace"],
        "uid": meta["uid"],
    }


def _start_what_is_due(cron_job: Tree, schedule: Schedule, step: Step, now: datetime) -> None:
    due, missed = schedule.latest(_earliest(cron_job, now), now)
    step.due = due
    if due is None:
        return
    if missed > TOO_MANY:
        advice = "Set or decrease .spec.startingDeadlineSeconds or check clock skew"
        step.tell("Warning", "TooManyMissedTimes", f"too many missed start times. {advice}")
    deadline_s = cron_job["spec"].get("startingDeadlineSeconds")
    if deadline_s is not None and due + timedelta(seconds=deadline_s) < now:
        told = due.strftime("%a, %d %b %Y %H:%M:%S +0000")
        step.tell("Warning", "MissSchedule", f"Missed scheduled time to start a job: {told}")
        return
    active, policy = step.status["active"] or [], cron_job["spec"].get("concurrencyPolicy", "Allow")
    name = job_name(cron_job, due)
    if any(ref["name"] == name for ref in active):
        step.status["lastScheduleTime"] = format_time(due)
        return
    if policy == "Forbid" and active:
        step.tell("Normal", "JobAlreadyActive", _PRIOR_RUN)
        return
    if policy == "Replace":
        step.replace = active
        step.status["active"] = None
    step.create = _job(cron_job, schedule, name, due)


def note_start(step: Step, job: Tree) -> None:
    """The Job that was due is there."""
    assert step.due is not None, "a Job is made for a time"
    step.status["active"] = [*(step.status["active"] or ()), _reference(job)]
    step.status["lastScheduleTime"] = format_time(step.due)


def _earliest(cron_job: Tree, now: datetime) -> datetime:
    """Times up to this one are past caring."""
    last = get_in(cron_job, "status", "lastScheduleTime")
    earliest = parse_time(last or cron_job["metadata"]["creationTimestamp"])
    deadline_s = cron_job["spec"].get("startingDeadlineSeconds")
    return earliest if deadline_s is None else max(earliest, now - timedelta(seconds=deadline_s))


def job_name(cron_job: Tree, due: datetime) -> str:
    """One name for each time: a Job that was created before a crash is found again."""
    return f"{cron_job['metadata']['name']}-{int(due.timestamp()) // 60}"


def _job(cron_job: Tree, schedule: Schedule, name: str, due: datetime) -> Tree:
    template = copy_of(cron_job["spec"]["jobTemplate"])
    given = template.get("metadata") or {}
    annotations = {**(given.get("annotations") or {}), SCHEDULED: _in_zone(due, schedule)}
    owner = {**cron_job, "apiVersion": CRON_JOB.api_version, "kind": CRON_JOB.kind}
    metadata = {
        "name": name,
        "namespace": cron_job["metadata"]["namespace"],
        "labels": dict(given.get("labels") or {}),
        "annotations": annotations,
        "ownerReferences": [owner_reference(owner)],
    }
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]}


def _in_zone(due: datetime, schedule: Schedule) -> str:
    return due.astimezone(schedule.zone).isoformat(timespec="seconds").replace("+00:00", "Z")


def _beyond_history(cron_job: Tree, jobs: Sequence[Tree]) -> list[Tree]:
    """The oldest finished Jobs beyond what the history limits keep."""
    unwanted: list[Tree] = []
    for end, field_name, default in (
        ("Complete", "successfulJobsHistoryLimit", 3),
        ("Failed", "failedJobsHistoryLimit", 1),
    ):
        limit = cron_job["spec"].get(field_name)
        finished = sorted((job for job in jobs if finished_type(job) == end), key=_started)
        keep = default if limit is None else limit
        unwanted += finished[: max(0, len(finished) - keep)]
    return unwanted


def _started(job: Tree) -> tuple[str, str]:
    return get_in(job, "status", "startTime", default=""), job["metadata"]["name"]
