"""Counting each pod once, whatever dies when.

A pod that has ended is counted in three steps, each of which may be repeated:
1. its uid goes into `status.uncountedTerminatedPods` (a succeeded pod of an index: its index into `completedIndexes`);
2. its tracking finalizer goes away, so that it may be deleted;
3. its uid moves from `uncountedTerminatedPods` into the counter `succeeded` or `failed`.

Source of the protocol: Kubernetes (pkg/controller/job/job_controller.go, trackJobStatusAndRemoveFinalizers).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from flowdeck.embedded.workloads.job.failure_policy import is_counted, match_failure
from flowdeck.embedded.workloads.job.pods import (
    failures_of,
    index_of,
    is_failed,
    is_tracked,
    last_failed,
)
from flowdeck.embedded.workloads.job.spec import Job
from flowdeck.embedded.workloads.pods import is_active, is_terminating, phase_of
from flowdeck.kube.objects import Tree, get_in, uid_of


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How a Job stands, with everything that its pods tell already in it."""

    settled_succeeded: int
    settled_failed: int
    uncounted_succeeded: tuple[str, ...]
    uncounted_failed: tuple[str, ...]
    completed: frozenset[int]
    failed_indexes: frozenset[int]
    release: tuple[Tree, ...]
    """Pods that are in the tally: once it is stored, their finalizer is not needed any more."""
    is_indexed: bool

    @property
    def succeeded(self) -> int:
        if self.is_indexed:
            return len(self.completed)
        return self.settled_succeeded + len(self.uncounted_succeeded)

    @property
    def failed(self) -> int:
        return self.settled_failed + len(self.uncounted_failed)


Ending = Literal["", "success", "failure"]
"""What is decided about a Job already; its pods are being stopped then."""


def tally(job: Job, pods: Sequence[Tree], ending: Ending = "") -> Tally:
    """Counts. Pods that are stopped because the Job failed have failed; those of a successful Job just go."""
    tracked = [pod for pod in pods if is_tracked(pod)]
    succeeded = [pod for pod in tracked if phase_of(pod) == "Succeeded"]
    held = _held_back(job, pods) if not ending else frozenset()
    failed = [pod for pod in tracked if _has_failed(pod, job, ending) and uid_of(pod) not in held]
    dropped = [pod for pod in tracked if ending == "success" and is_terminating(pod)]
    waiting = {uid_of(pod) for pod in tracked}
    old_s, old_f = _uncounted(job, "succeeded"), _uncounted(job, "failed")
    new_s = () if job.is_indexed else _not_in(old_s + old_f, succeeded)
    new_f = _not_in(old_s + old_f, [pod for pod in failed if is_counted(job, pod) and _is_index_ok(job, pod)])
    indexes = {index for pod in succeeded if (index := index_of(pod)) is not None and _is_index_ok(job, pod)}
    return Tally(
        settled_succeeded=job.status.get("succeeded", 0) + len([uid for uid in old_s if uid not in waiting]),
        settled_failed=job.status.get("failed", 0) + len([uid for uid in old_f if uid not in waiting]),
        uncounted_succeeded=tuple(uid for uid in old_s if uid in waiting) + new_s,
        uncounted_failed=tuple(uid for uid in old_f if uid in waiting) + new_f,
        completed=job.completed | indexes if job.is_indexed else frozenset(),
        failed_indexes=job.failed_indexes | _newly_failed_indexes(job, pods),
        release=(*succeeded, *failed, *dropped),
        is_indexed=job.is_indexed,
    )


def _has_failed(pod: Tree, job: Job, ending: Ending) -> bool:
    if not ending or phase_of(pod) == "Failed":
        return is_failed(pod, job)
    return ending == "failure" and is_terminating(pod)


def _uncounted(job: Job, field: str) -> tuple[str, ...]:
    return tuple(get_in(job.status, "uncountedTerminatedPods", field, default=()))


def _not_in(known: Iterable[str], pods: Iterable[Tree]) -> tuple[str, ...]:
    seen = set(known)
    return tuple(uid for pod in pods if (uid := uid_of(pod)) not in seen)


def _is_index_ok(job: Job, pod: Tree) -> bool:
    if not job.is_indexed:
        return True
    index = index_of(pod)
    return index is not None and index < (job.completions or 0)


def _newly_failed_indexes(job: Job, pods: Iterable[Tree]) -> frozenset[int]:
    """Indexes that have used up `backoffLimitPerIndex`, or that the failure policy gives up."""
    limit = job.backoff_limit_per_index
    if limit is None:
        return frozenset()
    found = set()
    for pod in pods:
        index = index_of(pod)
        if index is None or not is_tracked(pod) or not is_failed(pod, job) or not _is_index_ok(job, pod):
            continue
        match = match_failure(job, pod)
        if match.action == "FailIndex" or failures_of(pod) + (match.action != "Ignore") > limit:
            found.add(index)
    return frozenset(found)


def _held_back(job: Job, pods: Sequence[Tree]) -> frozenset[str]:
    """With limits per index: the last failed pod of an index remembers its failures until it has been replaced."""
    if job.backoff_limit_per_index is None:
        return frozenset()
    over = job.failed_indexes | _newly_failed_indexes(job, pods) | job.completed
    alive = {index_of(pod) for pod in pods if is_active(pod) or phase_of(pod) == "Succeeded"}
    last = last_failed((pod for pod in pods if is_tracked(pod)), job)
    return frozenset(uid_of(pod) for index, pod in last.items() if index not in alive and index not in over)
