"""`spec.successPolicy`: when an indexed Job has done enough.

Source: Kubernetes (pkg/controller/job/success_policy.go).
"""

from flowdeck.embedded.workloads.job.indexes import parse_indexes
from flowdeck.embedded.workloads.job.spec import Job
from flowdeck.kube.objects import Tree


def success_message(job: Job, completed: frozenset[int]) -> str:
    """`Matched rules at index N` for the first rule that the completed indexes meet, else `""`."""
    if not job.success_policy or not completed:
        return ""
    for number, rule in enumerate(job.success_policy.get("rules") or ()):
        if _is_met(rule, completed, job.completions):
            return f"Matched rules at index {number}"
    return ""


def _is_met(rule: Tree, completed: frozenset[int], completions: int | None) -> bool:
    count = rule.get("succeededCount")
    if rule.get("succeededIndexes") is None:
        return count is not None and len(completed) >= count
    wanted = parse_indexes(rule["succeededIndexes"], below=completions)
    return len(completed & wanted) >= (len(wanted) if count is None else count)
