"""What a failed Job means for its JobSet.

Source: kubernetes-sigs/jobset (pkg/controllers/failure_policy.go).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from flowdeck.components.job_set.seen import replicated_job_of
from flowdeck.kube.conditions import find_condition
from flowdeck.kube.objects import Tree, get_in


@dataclass(frozen=True)
class Fail:
    """The JobSet has failed."""

    reason: str
    message: str


@dataclass(frozen=True)
class Restart:
    """All Jobs are made anew."""

    counts: bool
    """Whether it counts towards `maxRestarts`."""
    reason: str
    """Of the event."""
    message: str
    rule: str
    """The rule that asked for it; `""` for the default."""


def judge(job_set: Tree, failed: Sequence[Tree]) -> Fail | Restart:
    """Decides; `failed` has at least one Job."""
    policy = get_in(job_set, "spec", "failurePolicy")
    if policy is None:
        return Fail("FailedJobs", _told("jobset failed due to one or more job failures", _first(failed)))
    rule, job = _matching(policy.get("rules") or (), failed)
    action = rule["action"] if rule else "RestartJobSet"
    if action == "FailJobSet":
        return Fail("FailJobSetFailurePolicyAction", _told("applying FailJobSet failure policy action", job))
    counts = not action.endswith("AndIgnoreMaxRestarts")
    used = get_in(job_set, "status", "restartsCountTowardsMax", default=0)
    if counts and used >= (policy.get("maxRestarts") or 0):
        return Fail("ReachedMaxRestarts", _told("jobset failed due to reaching max number of restarts", job))
    name = "RestartJobSet" if counts else "RestartJobSetAndIgnoreMaxRestarts"
    message = _told(f"applying {name} failure policy action", job)
    return Restart(counts, f"{name}FailurePolicyAction", message, rule["name"] if rule else "")


def _matching(rules: Sequence[Tree], failed: Sequence[Tree]) -> tuple[Tree | None, Tree]:
    """The first rule that some failed Job meets, and the Job that met it first."""
    for rule in rules:
        met = [job for job in failed if _applies(rule, job)]
        if met:
            return rule, _first(met)
    return None, _first(failed)


def _applies(rule: Tree, job: Tree) -> bool:
    condition = find_condition(job, "Failed") or {}
    reasons, targets = rule.get("onJobFailureReasons"), rule.get("targetReplicatedJobs")
    patterns = rule.get("onJobFailureMessagePatterns")
    if reasons and condition.get("reason") not in reasons:
        return False
    if patterns and not any(re.search(pattern, condition.get("message", "")) for pattern in patterns):
        return False
    return not targets or replicated_job_of(job) in targets


def _first(failed: Sequence[Tree]) -> Tree:
    """The Job that failed first."""
    return min(failed, key=lambda job: (find_condition(job, "Failed") or {}).get("lastTransitionTime", ""))


def _told(message: str, job: Tree) -> str:
    return f"{message} (first failed job: {job['metadata']['name']})"
