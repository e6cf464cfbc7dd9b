"""What there is of a JobSet: its Jobs by state, and the counters of its replicated jobs."""

from collections.abc import Sequence
from dataclasses import dataclass

from flowdeck.components.job_set.children import replicas_of, replicated_jobs, restarts_of
from flowdeck.kube.conditions import finished_type
from flowdeck.kube.job_set import names
from flowdeck.kube.objects import Tree, get_in, labels_of


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The Jobs of a JobSet. Those of earlier restart attempts are only waited for."""

    active: Sequence[Tree]
    succeeded: Sequence[Tree]
    failed: Sequence[Tree]
    previous: Sequence[Tree]

    @property
    def names(self) -> set[str]:
        everything = (*self.active, *self.succeeded, *self.failed, *self.previous)
        return {job["metadata"]["name"] for job in everything}


def look(job_set: Tree, jobs: Sequence[Tree]) -> Seen:
    attempt = restarts_of(job_set)
    previous = [job for job in jobs if _attempt(job) < attempt]
    current = [job for job in jobs if _attempt(job) >= attempt]
    by_end: dict[str, list[Tree]] = {"": [], "Complete": [], "Failed": []}
    for job in current:
        by_end[finished_type(job)].append(job)
    return Seen(active=by_end[""], succeeded=by_end["Complete"], failed=by_end["Failed"], previous=previous)


def _attempt(job: Tree) -> int:
    """The restart attempt of a Job; one that does not say belongs to none."""
    text = labels_of(job).get(names.RESTART_ATTEMPT, "")
    return int(text) if text.isdigit() else -1


def replicated_job_of(job: Tree) -> str:
    return labels_of(job).get(names.REPLICATED_JOB, "")


def counters(job_set: Tree, seen: Seen) -> list[Tree]:
    """`status.replicatedJobsStatus`, in the order of the spec."""
    return [_counters(replicated["name"], seen) for replicated in replicated_jobs(job_set)]


def _counters(name: str, seen: Seen) -> Tree:
    active = [job for job in seen.active if replicated_job_of(job) == name]
    return {
        "name": name,
        "ready": sum(map(_is_ready, active)),
        "succeeded": sum(replicated_job_of(job) == name for job in seen.succeeded),
        "failed": sum(replicated_job_of(job) == name for job in seen.failed),
        "active": sum(bool(get_in(job, "status", "active", default=0)) for job in active),
        "suspended": sum(bool(job["spec"].get("suspend")) for job in active),
    }


def _is_ready(job: Tree) -> bool:
    parallelism, completions = job["spec"].get("parallelism"), job["spec"].get("completions")
    wanted = 1 if parallelism is None else parallelism
    if completions is not None:
        wanted = min(wanted, completions)
    status = job.get("status") or {}
    return int(status.get("succeeded") or 0) + int(status.get("ready") or 0) >= wanted


def has_started(replicated: Tree, counted: Tree) -> bool:
    """Every Job of a replicated job is ready or over."""
    return bool(counted["ready"] + counted["failed"] + counted["succeeded"] == replicas_of(replicated))


def has_completed(replicated: Tree, counted: Tree) -> bool:
    return bool(counted["succeeded"] == replicas_of(replicated))
