"""What state a Job's pods are in, beyond what all controllers of pods ask."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from flowdeck.embedded.workloads.job.spec import Job
from flowdeck.embedded.workloads.pods import is_active, is_terminating, phase_of
from flowdeck.kube.conditions import find_condition
from flowdeck.kube.objects import Tree, annotations_of, finalizers_of, get_in, is_being_deleted
from flowdeck.kube.times import parse_time

TRACKING = "batch.kubernetes.io/job-tracking"
"""Finalizer that keeps a pod until it has been counted."""
INDEX = "batch.kubernetes.io/job-completion-index"
FAILURES = "batch.kubernetes.io/job-index-failure-count"
IGNORED_FAILURES = "batch.kubernetes.io/job-index-ignored-failure-count"


def is_tracked(pod: Tree) -> bool:
    return TRACKING in finalizers_of(pod)


def is_failed(pod: Tree, job: Job) -> bool:
    """Failed, or on its way out without ever having a chance to fail (unless only failed pods are replaced)."""
    if phase_of(pod) == "Failed":
        return True
    return not job.replaces_only_failed and is_terminating(pod)


def index_of(pod: Tree) -> int | None:
    text = annotations_of(pod).get(INDEX, "")
    return int(text) if text.isdigit() else None


def failures_of(pod: Tree | None) -> int:
    """How many counted failures its index had before this pod."""
    return int(annotations_of(pod).get(FAILURES) or 0) if pod else 0


def ignored_failures_of(pod: Tree | None) -> int:
    return int(annotations_of(pod).get(IGNORED_FAILURES) or 0) if pod else 0


def last_failed(pods: Iterable[Tree], job: Job) -> dict[int, Tree]:
    """The newest failed pod of each index."""
    last: dict[int, Tree] = {}
    for pod in pods:
        index = index_of(pod)
        if index is None or is_active(pod) or not is_failed(pod, job):
            continue
        if index not in last or _age_rank(pod) > _age_rank(last[index]):
            last[index] = pod
    return last


def _age_rank(pod: Tree) -> tuple[int, str]:
    return failures_of(pod) + ignored_failures_of(pod), pod["metadata"].get("creationTimestamp", "")


def finish_time(pod: Tree) -> datetime:
    """When the pod's last container ended; else when it stopped being ready, was deleted or was created."""
    statuses = get_in(pod, "status", "containerStatuses", default=())
    ends = [get_in(status, "state", "terminated", "finishedAt") for status in statuses]
    if ends and all(ends):
        return max(parse_time(end) for end in ends)
    if is_being_deleted(pod):
        grace = pod["metadata"].get("deletionGracePeriodSeconds") or 0
        return parse_time(pod["metadata"]["deletionTimestamp"]) - timedelta(seconds=grace)
    ready = find_condition(pod, "Ready") or {}
    return parse_time(ready.get("lastTransitionTime") or pod["metadata"]["creationTimestamp"])
