"""Defaults of Jobs and CronJobs.

Source: k8s.io/kubernetes (pkg/apis/batch/v1/defaults.go).
"""

from flowdeck.embedded.apiserver.builtin.defaults.pods import default_pod_template
from flowdeck.kube.objects import Tree

MAX_INT32 = 2**31 - 1


def default_job(job: Tree) -> None:
    spec = job.setdefault("spec", {})
    template = spec.setdefault("template", {})
    default_pod_template(template)
    if not job["metadata"].get("labels") and (labels := template["metadata"].get("labels")):
        job["metadata"]["labels"] = dict(labels)
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", MAX_INT32 if "backoffLimitPerIndex" in spec else 6)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("manualSelector", False)
    spec.setdefault("podReplacementPolicy", "Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed")
    _default_failure_policy(spec)


def default_cron_job(cron_job: Tree) -> None:
    spec = cron_job.setdefault("spec", {})
    spec.setdefault("concurrencyPolicy", "Allow")
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)
    template = spec.setdefault("jobTemplate", {})
    template.setdefault("metadata", {})
    job_spec = template.setdefault("spec", {})
    default_pod_template(job_spec.setdefault("template", {}))
    _default_failure_policy(job_spec)


def _default_failure_policy(spec: Tree) -> None:
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or ():
        for pattern in rule.get("onPodConditions") or ():
            pattern.setdefault("status", "True")
