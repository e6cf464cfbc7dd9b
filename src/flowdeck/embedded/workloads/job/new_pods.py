"""How a Job's new pod looks."""

from collections.abc import Iterable

from flowdeck.embedded.workloads.job.failure_policy import is_counted
from flowdeck.embedded.workloads.job.pods import (
    FAILURES,
    IGNORED_FAILURES,
    INDEX,
    TRACKING,
    failures_of,
    ignored_failures_of,
    last_failed,
)
from flowdeck.embedded.workloads.job.spec import Job
from flowdeck.embedded.workloads.templates import pod_of, safe_hash
from flowdeck.kube.objects import Tree

_NAME_LIMIT = 63


def new_pods(job: Job, pods: Iterable[Tree], indexes: Iterable[int | None]) -> list[Tree]:
    """One pod for each index (None: without). Names follow from what was there, so repeating this is harmless."""
    taken = {pod["metadata"]["name"] for pod in pods}
    last = last_failed(pods, job) if job.backoff_limit_per_index is not None else {}
    made = []
    for index in indexes:
        name = _free_name(job, index, taken)
        taken.add(name)
        made.append(_new_pod(job, name, index, last.get(index) if index is not None else None))
    return made


def _new_pod(job: Job, name: str, index: int | None, replaced: Tree | None) -> Tree:
    owner = {**job.tree, "apiVersion": "batch/v1", "kind": "Job"}
    pod = pod_of(job.tree["spec"]["template"], owner, name=name)
    meta, spec = pod["metadata"], pod["spec"]
    meta["generateName"] = f"{name.rpartition('-')[0]}-"
    meta["finalizers"] = [*meta.get("finalizers", ()), TRACKING]
    if index is not None:
        meta["labels"][INDEX] = meta["annotations"][INDEX] = str(index)
        spec["hostname"] = spec.get("hostname") or _cut(f"{job.name}-{index}", _NAME_LIMIT)
        _add_index_variable(spec)
    if job.backoff_limit_per_index is not None:
        meta["annotations"] |= _failure_counts(job, replaced)
    return pod


def _add_index_variable(spec: Tree) -> None:
    field = {"apiVersion": "v1", "fieldPath": f"metadata.labels['{INDEX}']"}
    variable = {"name": "JOB_COMPLETION_INDEX", "valueFrom": {"fieldRef": field}}
    for container in [*(spec.get("initContainers") or ()), *spec["containers"]]:
        env = container.get("env") or []
        if all(item["name"] != variable["name"] for item in env):
            container["env"] = [*env, variable]


def _failure_counts(job: Job, replaced: Tree | None) -> dict[str, str]:
    counted, ignored = failures_of(replaced), ignored_failures_of(replaced)
    if replaced is not None:
        counts = is_counted(job, replaced)
        counted, ignored = counted + counts, ignored + (not counts)
    return {FAILURES: str(counted), **({IGNORED_FAILURES: str(ignored)} if ignored else {})}


def _free_name(job: Job, index: int | None, taken: set[str]) -> str:
    prefix = _cut(job.name if index is None else f"{job.name}-{index}", _NAME_LIMIT - 6)
    seen = (job.uid, index, job.status.get("startTime"), job.status.get("failed", 0))
    attempt = 0
    while (name := f"{prefix}-{safe_hash(*seen, attempt, length=5)}") in taken:
        attempt += 1
    return name


def _cut(name: str, limit: int) -> str:
    return name[:limit].rstrip("-.")
