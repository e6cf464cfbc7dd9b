"""Jobs and pods for tests; what does not matter is hidden."""

from datetime import UTC, datetime, timedelta
from itertools import count

from flowdeck.embedded.workloads.job.back_off import BackOff
from flowdeck.embedded.workloads.job.decide import Step, decide
from flowdeck.embedded.workloads.job.pods import FAILURES, INDEX, TRACKING
from flowdeck.embedded.workloads.job.spec import read_job
from flowdeck.kube.objects import Tree
from flowdeck.kube.times import format_time

NOW = datetime(2026, 1, 1, tzinfo=UTC)
_numbers = count(1)


def a_job(*, restart="Never", status=None, conditions=(), deleted=False, **spec) -> Tree:
    template = {"spec": {"restartPolicy": restart, "containers": [{"name": "main", "image": "busybox"}]}}
    meta = {"name": "j", "namespace": "ns", "uid": "job-uid", "generation": 1}
    if deleted:
        meta["deletionTimestamp"] = format_time(NOW)
    started = {} if spec.get("suspend") else {"startTime": format_time(NOW)}
    status = {**started, **(status or {})}
    if conditions:
        status["conditions"] = list(conditions)
    return {"metadata": meta, "spec": {"template": template, **spec}, "status": status}


def a_condition(type_, *, reason="R", message="M", status="True") -> Tree:
    moment = format_time(NOW)
    return {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message,
        "lastProbeTime": moment,
        "lastTransitionTime": moment,
    }


def a_pod(
    phase="Running",
    *,
    index=None,
    uid="",
    tracked=True,
    deleted=False,
    ready=False,
    exit_code=None,
    restarts=0,
    ended_s=0,
    failures=None,
    disrupted=False,
) -> Tree:
    uid = uid or f"uid-{next(_numbers)}"
    meta: Tree = {"name": f"pod-{uid}", "namespace": "ns", "uid": uid, "creationTimestamp": format_time(NOW)}
    meta["annotations"] = {} if index is None else {INDEX: str(index)}
    if failures is not None:
        meta["annotations"][FAILURES] = str(failures)
    if tracked:
        meta["finalizers"] = [TRACKING]
    if deleted:
        meta["deletionTimestamp"] = format_time(NOW)
    status: Tree = {"phase": phase, "conditions": []}
    if ready:
        status["conditions"].append({"type": "Ready", "status": "True", "lastTransitionTime": format_time(NOW)})
    if disrupted:
        status["conditions"].append({"type": "DisruptionTarget", "status": "True"})
    container: Tree = {"name": "main", "restartCount": restarts, "state": {}}
    if phase in ("Succeeded", "Failed"):
        code = exit_code if exit_code is not None else (0 if phase == "Succeeded" else 1)
        end = format_time(NOW + timedelta(seconds=ended_s))
        container["state"] = {"terminated": {"exitCode": code, "finishedAt": end}}
    status["containerStatuses"] = [container]
    return {"metadata": meta, "spec": {"nodeName": "n"}, "status": status}


def step_of(job: Tree, pods=(), *, later_s=0, start_s=0.0) -> Step:
    return decide(read_job(job), list(pods), back_off=BackOff(start_s=start_s), now=NOW + timedelta(seconds=later_s))


def condition_types(step: Step) -> list[str]:
    return [c["type"] for c in step.status.get("conditions") or () if c["status"] == "True"]
