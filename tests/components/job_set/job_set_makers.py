"""JobSets and their Jobs for tests; what does not matter is hidden."""

from datetime import UTC, datetime, timedelta

from flowdeck.components.job_set.children import jobs_of, replicated_jobs
from flowdeck.components.job_set.decide import Step, decide
from flowdeck.kube.job_set.admission import default
from flowdeck.kube.objects import Tree, copy_of
from flowdeck.kube.times import format_time

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def a_replicated_job(name="node", replicas=1, *, parallelism=2, mounts=(), **more) -> Tree:
    container = {"name": "main", "image": "busybox"}
    if mounts:
        container["volumeMounts"] = [{"name": mount, "mountPath": f"/{mount}"} for mount in mounts]
    job = {"parallelism": parallelism, "completions": parallelism, "template": {"spec": {"containers": [container]}}}
    return {"name": name, "replicas": replicas, "template": {"spec": job}, **more}


def a_job_set(*replicated, name="js", status=None, **spec) -> Tree:
    metadata = {"name": name, "namespace": "default", "uid": "js-uid"}
    job_set = {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": metadata,
        "spec": {"replicatedJobs": list(replicated or [a_replicated_job()]), **spec},
    }
    default(job_set)
    if status:
        job_set["status"] = status
    return job_set


def jobs(job_set, **by_name) -> list[Tree]:
    """The JobSet's Jobs, each in a state: `ready`, `active`, `Complete`, `Failed`, `new`; unnamed ones are left out."""
    made = []
    for replicated in replicated_jobs(job_set):
        for job in jobs_of(job_set, replicated):
            state = by_name.get(job["metadata"]["name"].replace("-", "_"))
            if state is not None:
                made.append(in_state(job, state))
    return made


def in_state(job, state) -> Tree:
    job = copy_of(job)
    count = job["spec"].get("parallelism", 1)
    reason = "BackoffLimitExceeded"
    if isinstance(state, tuple):
        state, reason = state
    if state == "ready":
        job["status"] = {"active": count, "ready": count}
    elif state == "active":
        job["status"] = {"active": count}
    elif state in ("Complete", "Failed"):
        condition = {"type": state, "status": "True", "reason": reason, "message": "m"}
        job["status"] = {"conditions": [condition | {"lastTransitionTime": format_time(NOW)}]}
    return job


def step_of(job_set, there=(), *, later_s=0) -> Step:
    return decide(job_set, list(there), now=NOW + timedelta(seconds=later_s))


def names(objects) -> list[str]:
    return [obj["metadata"]["name"] for obj in objects]


def condition_of(step, type_) -> tuple[str, str] | None:
    for condition in step.status.get("conditions") or ():
        if condition["type"] == type_:
            return condition["status"], condition["reason"]
    return None


def told(step) -> list[str]:
    return [happening.reason for happening in step.happened]
