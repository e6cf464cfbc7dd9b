"""What a Job asks for, with the defaults of its API filled in."""

from dataclasses import dataclass
from datetime import datetime

from flowdeck.embedded.workloads.job.indexes import parse_indexes
from flowdeck.kube.objects import Tree, get_in, is_being_deleted, uid_of
from flowdeck.kube.times import parse_time

CONTROLLER_NAME = "kubernetes.io/job-controller"
UNLIMITED = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class Job:
    """One Job, read once per reconcile; `tree` is the object as the server has it."""

    tree: Tree
    name: str
    namespace: str
    uid: str
    parallelism: int
    completions: int | None
    """None: a work queue, complete as soon as one pod has succeeded and none is active."""
    is_indexed: bool
    is_suspended: bool
    is_being_deleted: bool
    backoff_limit: int
    backoff_limit_per_index: int | None
    max_failed_indexes: int | None
    active_deadline_s: int | None
    pod_failure_policy: Tree | None
    success_policy: Tree | None
    replaces_only_failed: bool
    """podReplacementPolicy `Failed`: a terminating pod keeps its place until it has really ended."""
    restarts_containers: bool
    """restartPolicy `OnFailure`: container restarts count towards the back-off limit."""
    start_time: datetime | None
    completed: frozenset[int]
    failed_indexes: frozenset[int]

    @property
    def status(self) -> Tree:
        status: Tree = self.tree.get("status") or {}
        return status


def read_job(tree: Tree) -> Job:
    spec, status = tree.get("spec") or {}, tree.get("status") or {}
    completions = spec.get("completions")
    if completions is None and spec.get("parallelism") is None:
        completions = 1
    per_index = spec.get("backoffLimitPerIndex")
    policy = spec.get("podFailurePolicy")
    replacement = spec.get("podReplacementPolicy") or ("Failed" if policy else "TerminatingOrFailed")
    return Job(
        tree=tree,
        name=tree["metadata"]["name"],
        namespace=tree["metadata"].get("namespace") or "",
        uid=uid_of(tree),
        parallelism=_or(spec.get("parallelism"), 1),
        completions=completions,
        is_indexed=spec.get("completionMode") == "Indexed",
        is_suspended=bool(spec.get("suspend")),
        is_being_deleted=is_being_deleted(tree),
        backoff_limit=_or(spec.get("backoffLimit"), 6 if per_index is None else UNLIMITED),
        backoff_limit_per_index=per_index,
        max_failed_indexes=spec.get("maxFailedIndexes"),
        active_deadline_s=spec.get("activeDeadlineSeconds"),
        pod_failure_policy=policy,
        success_policy=spec.get("successPolicy"),
        replaces_only_failed=replacement == "Failed",
        restarts_containers=get_in(spec, "template", "spec", "restartPolicy") == "OnFailure",
        start_time=parse_time(status["startTime"]) if status.get("startTime") else None,
        completed=parse_indexes(status.get("completedIndexes") or "", below=completions),
        failed_indexes=parse_indexes(status.get("failedIndexes") or "", below=completions),
    )


def is_ours(tree: Tree) -> bool:
    """False when `managedBy` gives the Job to another controller."""
    return str(get_in(tree, "spec", "managedBy", default=CONTROLLER_NAME)) == CONTROLLER_NAME


def _or(value: int | None, default: int) -> int:
    return default if value is None else value
