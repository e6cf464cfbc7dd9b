"""`spec.podFailurePolicy`: what a failed pod means for its Job.

Source: Kubernetes (pkg/controller/job/pod_failure_policy.go).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from flowdeck.embedded.workloads.job.pods import is_failed, is_tracked
from flowdeck.embedded.workloads.job.spec import Job
from flowdeck.embedded.workloads.pods import phase_of
from flowdeck.kube.objects import Tree, get_in


@dataclass(frozen=True)
class Match:
    """The rule that a failed pod meets."""

    action: str
    """`FailJob`, `FailIndex`, `Ignore`, `Count`; `Count` also where no rule matches."""
    message: str = ""
    """Why, in upstream's words; only for `FailJob`."""


COUNT = Match("Count")


def match_failure(job: Job, pod: Tree) -> Match:
    """The first rule that matches a pod; pods that have not ended yet are plainly counted."""
    if not job.pod_failure_policy or phase_of(pod) != "Failed":
        return COUNT
    for number, rule in enumerate(job.pod_failure_policy.get("rules") or ()):
        why = _why_by_exit_code(rule, pod) if rule.get("onExitCodes") else _why_by_condition(rule, pod)
        action = rule["action"]
        if not why or (action == "FailIndex" and job.backoff_limit_per_index is None):
            continue
        return Match(action, f"{why} matching {action} rule at index {number}" if action == "FailJob" else "")
    return COUNT


def is_counted(job: Job, pod: Tree) -> bool:
    """False for failures that the policy ignores."""
    return match_failure(job, pod).action != "Ignore"


def failing_message(job: Job, pods: Iterable[Tree]) -> str:
    """Why a failed pod makes the whole Job fail at once, or `""`."""
    if not job.pod_failure_policy:
        return ""
    matches = (match_failure(job, pod) for pod in pods if is_tracked(pod) and is_failed(pod, job))
    return next((match.message for match in matches if match.action == "FailJob"), "")


def _why_by_exit_code(rule: Tree, pod: Tree) -> str:
    wanted = rule["onExitCodes"]
    name, values = wanted.get("containerName"), wanted.get("values") or ()
    for field in ("containerStatuses", "initContainerStatuses"):
        for status in get_in(pod, "status", field, default=()):
            code = get_in(status, "state", "terminated", "exitCode")
            if code in (None, 0) or (name and status["name"] != name):
                continue
            if (code in values) == (wanted["operator"] == "In"):
                return f"Container {status['name']} for pod {_told(pod)} failed with exit code {code}"
    return ""


def _why_by_condition(rule: Tree, pod: Tree) -> str:
    for wanted in rule.get("onPodConditions") or ():
        for condition in get_in(pod, "status", "conditions", default=()):
            same_status = condition.get("status") == (wanted.get("status") or "True")
            if condition.get("type") == wanted["type"] and same_status:
                return f"Pod {_told(pod)} has condition {wanted['type']}"
    return ""


def _told(pod: Tree) -> str:
    return f"{pod['metadata'].get('namespace', '')}/{pod['metadata']['name']}"
