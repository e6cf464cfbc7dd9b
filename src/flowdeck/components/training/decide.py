"""What is to be done about a TrainJob. Pure; the states are drawn in README.md.

The first rung of `decide` that holds, wins.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from flowdeck.components.training.types import Condition, Reason, TrainJob
from flowdeck.kube import conditions as kube_conditions
from flowdeck.kube.errors import ApiError, BadRequest, Forbidden, Invalid, RequestEntityTooLarge
from flowdeck.kube.objects import Tree, get_in
from flowdeck.kube.times import parse_time

PERMANENT = (BadRequest, Forbidden, Invalid, RequestEntityTooLarge)
"""What the API says of an object that will be no better the next time. Not found is not among them: a kind or a
namespace may be there in a moment."""

_COUNTERS = ("ready", "succeeded", "failed", "active", "suspended")


@dataclass(frozen=True, kw_only=True)
class Step:
    """What to do about a TrainJob."""

    status: Tree
    """Its `status` as it shall be."""
    build: bool = False
    """Whether its children shall be there as the runtime and the TrainJob say."""
    delete_job_set: bool = False
    deadline: datetime | None = None
    """When to look again, at the latest."""


def decide(tree: Tree, job: TrainJob, job_set: Tree | None, *, now: datetime) -> Step:
    """The next step for a TrainJob that is ours and not being deleted."""
    if is_finished(tree):
        return Step(status=tree["status"])
    if job.runtime_kind is None:
        ref = job.spec.runtime_ref
        message = f"unsupported runtime: {ref.kind}.{ref.api_group}"
        return Step(status=failed(tree, Reason.RUNTIME_NOT_SUPPORTED, message, now=now))
    status = _mirrored(tree, job, job_set, now=now)
    if is_finished({"status": status}):
        return Step(status=status)
    deadline = _deadline({**tree, "status": status}, job)
    if deadline and deadline <= now:
        message = "TrainJob exceeded its active deadline"
        status = failed({"status": status}, Reason.DEADLINE_EXCEEDED, message, now=now)
        return Step(status=status, delete_job_set=job_set is not None)
    return Step(status=status, build=True, deadline=deadline)


def is_finished(tree: Tree) -> bool:
    """`Complete` or `Failed`: for good, whatever happens to the children."""
    return any(kube_conditions.is_true(tree, type_) for type_ in (Condition.COMPLETE, Condition.FAILED))


def is_permanent(error: ApiError) -> bool:
    """Whether trying again cannot help."""
    return isinstance(error, PERMANENT)


def failed(tree: Tree, reason: str, message: str, *, now: datetime) -> Tree:
    """The status of `tree` with `Failed` added."""
    return _with_conditions(tree.get("status"), [_true(Condition.FAILED, reason, message)], now=now)


def phase_of(tree: Tree) -> str:
    """One word for metrics: `Complete`, `Failed`, `Suspended`, `Running` or `Created`."""
    for type_ in (Condition.COMPLETE, Condition.FAILED, Condition.SUSPENDED):
        if kube_conditions.is_true(tree, type_):
            return str(type_)
    jobs = get_in(tree, "status", "jobsStatus", default=[])
    return "Running" if any(job["ready"] or job["succeeded"] for job in jobs) else "Created"


def started_at(tree: Tree) -> datetime:
    """When the TrainJob was created, or last resumed."""
    suspended = kube_conditions.find_condition(tree, Condition.SUSPENDED)
    if suspended and suspended["status"] == "False":
        return parse_time(suspended["lastTransitionTime"])
    return parse_time(tree["metadata"]["creationTimestamp"])


def _deadline(tree: Tree, job: TrainJob) -> datetime | None:
    seconds = job.spec.active_deadline_seconds
    if seconds is None or job.is_suspended:
        return None
    return started_at(tree) + timedelta(seconds=seconds)


def _mirrored(tree: Tree, job: TrainJob, job_set: Tree | None, *, now: datetime) -> Tree:
    """The status with what the TrainJob asks for and what its JobSet has come to."""
    wanted = _suspension(tree, job)
    if job_set is None:
        return _with_conditions(tree.get("status"), wanted, now=now)
    for source, type_ in (("Completed", Condition.COMPLETE), ("Failed", Condition.FAILED)):
        ended = kube_conditions.find_condition(job_set, source)
        if ended and ended["status"] == "True":
            wanted.append(_true(type_, ended.get("reason") or source, ended.get("message") or ""))
    status = _with_conditions(tree.get("status"), wanted, now=now)
    if jobs := _jobs_status(job_set):
        status["jobsStatus"] = jobs
    return status


def _suspension(tree: Tree, job: TrainJob) -> list[kube_conditions.Condition]:
    if job.is_suspended:
        return [_true(Condition.SUSPENDED, Reason.SUSPENDED, "TrainJob is suspended")]
    if kube_conditions.is_true(tree, Condition.SUSPENDED):
        return [
            kube_conditions.Condition(
                type=str(Condition.SUSPENDED),
                status="False",
                reason=str(Reason.RESUMED),
                message="TrainJob is resumed",
            )
        ]
    return []


def _jobs_status(job_set: Tree) -> list[Tree]:
    """The JobSet's counters, in the order in which its replicated jobs stand in its spec."""
    counted = {item["name"]: item for item in get_in(job_set, "status", "replicatedJobsStatus", default=[])}
    names = [item["name"] for item in get_in(job_set, "spec", "replicatedJobs", default=[])]
    return [
        {"name": name} | {counter: int(counted[name].get(counter) or 0) for counter in _COUNTERS}
        for name in names
        if name in counted
    ]


def _true(type_: Condition, reason: str, message: str) -> kube_conditions.Condition:
    return kube_conditions.Condition(type=str(type_), status="True", reason=str(reason), message=message)


def _with_conditions(status: Tree | None, wanted: Sequence[kube_conditions.Condition], *, now: datetime) -> Tree:
    status = dict(status or {})
    held = list(status.get("conditions") or ())
    for condition in wanted:
        kube_conditions.set_condition(held, condition, now=now)
    if held:
        status["conditions"] = held
    return status
