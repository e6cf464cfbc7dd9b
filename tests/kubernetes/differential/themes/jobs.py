"""Jobs: how they run, what ends them, what is counted. The scenarios play the kubelet."""

from collections.abc import Sequence
from typing import Any

from flowdeck.kube.objects import Tree
from tests.kubernetes.differential.makers import a_container, pod_spec
from tests.kubernetes.differential.makers import job as any_job
from tests.kubernetes.differential.scenario import (
    Step,
    create,
    delete,
    get,
    merge,
    pods_become,
    reached,
    scenario,
    state,
    until_gone,
)

OF_NOBODY = "nobody"
"""A scheduler that is not there: pods stay as the scenario has them."""


def job(**spec: Any) -> Tree:
    inner = {"spec": pod_spec(restartPolicy="Never", schedulerName=OF_NOBODY)}
    return any_job(**{"template": inner, **spec})


def indexed(**spec: Any) -> Tree:
    return job(completionMode="Indexed", **spec)


def index(number: int) -> str:
    return f"batch.kubernetes.io/job-completion-index={number}"


def over(kind: str, place: int = 1) -> Step:
    """Waits for a terminal condition; before it stands the one that foretells it."""
    return reached("jobs/a", f"status.conditions.{place}.type", kind)


COMPLETE = over("Complete")
FAILED = over("Failed")
END: Sequence[Step] = (state("jobs", "pods"),)


def failure_policy(*rules: Tree) -> Tree:
    return {"rules": list(rules)}


def on_exit(action: str, operator: str, *values: int, **more: Any) -> Tree:
    return {"action": action, "onExitCodes": {"operator": operator, "values": list(values), **more}}


def on_condition(action: str, kind: str, status: str = "True") -> Tree:
    return {"action": action, "onPodConditions": [{"type": kind, "status": status}]}


DISRUPTED = {"type": "DisruptionTarget", "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting"}

SCENARIOS = [
    scenario("one pod", create("jobs", job()), pods_become("succeeded"), COMPLETE, END, whole=True),
    scenario("begins", create("jobs", job(parallelism=2, completions=3)), END, whole=True),
    scenario(
        "runs",
        create("jobs", job(parallelism=2, completions=2)).unseen(),
        pods_become("running"),
        reached("jobs/a", "status.ready", 1),
        END,
        whole=True,
    ),
    scenario(
        "parallelism and completions",
        create("jobs", job(parallelism=2, completions=3)).unseen(),
        pods_become("succeeded", 2),
        reached("jobs/a", "status.succeeded", 2),
        END,
        pods_become("succeeded", 1),
        COMPLETE,
        END,
        whole=True,
    ),
    scenario(
        "a work queue",
        create("jobs", job(parallelism=3)).unseen(),
        pods_become("succeeded", 1),
        reached("jobs/a", "status.succeeded", 1),
        END,
        pods_become("succeeded", 2),
        COMPLETE,
        END,
        whole=True,
    ),
    scenario("nothing to complete", create("jobs", job(completions=0)), COMPLETE, END, whole=True),
    scenario("no parallelism", create("jobs", job(parallelism=0, completions=1)), END, whole=True),
    scenario(
        "indexed",
        create("jobs", indexed(parallelism=2, completions=4)).unseen(),
        pods_become("succeeded", 1, index(1)),
        reached("jobs/a", "status.completedIndexes", "1"),
        pods_become("succeeded", 1, index(2)),
        reached("jobs/a", "status.completedIndexes", "1,2"),
        END,
        pods_become("succeeded", 1, index(0)),
        pods_become("succeeded", 1, index(3)),
        COMPLETE,
        END,
        whole=True,
    ),
    scenario(
        "backoff limit",
        create("jobs", job(backoffLimit=1)).unseen(),
        pods_become("failed"),
        reached("jobs/a", "status.failed", 1),
        pods_become("failed"),
        FAILED,
        END,
        whole=True,
    ),
    scenario("no second chance", create("jobs", job(backoffLimit=0)), pods_become("failed"), FAILED, END, whole=True),
    scenario(
        "others are ended with the job",
        create("jobs", job(backoffLimit=0, parallelism=3, completions=3)).unseen(),
        pods_become("running", 3),
        pods_become("failed", 1),
        FAILED,
        END,
        whole=True,
    ),
    scenario(
        "backoff limit per index",
        create("jobs", indexed(parallelism=3, completions=3, backoffLimitPerIndex=0)).unseen(),
        pods_become("failed", 1, index(1)),
        reached("jobs/a", "status.failedIndexes", "1"),
        END,
        pods_become("succeeded", 1, index(0)),
        pods_become("succeeded", 1, index(2)),
        FAILED,
        END,
        whole=True,
    ),
    scenario(
        "backoff limit per index, again",
        create("jobs", indexed(parallelism=1, completions=1, backoffLimitPerIndex=1)).unseen(),
        pods_become("failed"),
        reached("jobs/a", "status.failed", 1),
        pods_become("succeeded"),
        COMPLETE,
        END,
        whole=True,
    ),
    scenario(
        "max failed indexes",
        create("jobs", indexed(parallelism=2, completions=2, backoffLimitPerIndex=0, maxFailedIndexes=1)).unseen(),
        pods_become("failed", 1, index(0)),
        reached("jobs/a", "status.failedIndexes", "0"),
        pods_become("failed", 1, index(1)),
        FAILED,
        END,
        whole=True,
    ),
    scenario(
        "failure policy fails the job",
        create("jobs", job(podFailurePolicy=failure_policy(on_exit("FailJob", "In", 42)))).unseen(),
        pods_become("failed", exit_code=42),
        FAILED,
        END,
        whole=True,
    ),
    scenario(
        "failure policy ignores a disruption",
        create(
            "jobs",
            job(backoffLimit=0, podFailurePolicy=failure_policy(on_condition("Ignore", "DisruptionTarget"))),
        ).unseen(),
        pods_become("failed", exit_code=143, condition=DISRUPTED),
        pods_become("succeeded"),
        COMPLETE,
        END,
        whole=True,
    ),
    scenario(
        "failure policy counts",
        create(
            "jobs",
            job(
                backoffLimit=0,
                podFailurePolicy=failure_policy(on_exit("Count", "NotIn", 1, 2), on_exit("Ignore", "In", 1)),
            ),
        ).unseen(),
        pods_become("failed", exit_code=3),
        FAILED,
        END,
        whole=True,
    ),
    scenario(
        "failure policy of one container",
        create(
            "jobs",
            job(
                backoffLimit=3,
                template={
                    "spec": pod_spec(a_container(), a_container("side"), restartPolicy="Never", schedulerName=OF_NOBODY)
                },
                podFailurePolicy=failure_policy(on_exit("FailJob", "In", 7, containerName="side")),
            ),
        ).unseen(),
        pods_become("failed", exit_code=7),
        FAILED,
        END,
        whole=True,
    ),
    scenario(
        "failure policy fails an index",
        create(
            "jobs",
            indexed(
                parallelism=2,
                completions=2,
                backoffLimitPerIndex=5,
                podFailurePolicy=failure_policy(on_exit("FailIndex", "In", 42)),
            ),
        ).unseen(),
        pods_become("failed", 1, index(0), exit_code=42),
        reached("jobs/a", "status.failedIndexes", "0"),
        pods_become("succeeded", 1, index(1)),
        FAILED,
        END,
        whole=True,
    ),
    scenario(
        "success policy by index",
        create(
            "jobs",
            indexed(parallelism=3, completions=3, successPolicy={"rules": [{"succeededIndexes": "0"}]}),
        ).unseen(),
        pods_become("succeeded", 1, index(0)),
        COMPLETE,
        END,
        whole=True,
    ),
    scenario(
        "success policy by count",
        create(
            "jobs", indexed(parallelism=3, completions=3, successPolicy={"rules": [{"succeededCount": 2}]})
        ).unseen(),
        pods_become("succeeded", 1, index(1)),
        reached("jobs/a", "status.completedIndexes", "1"),
        pods_become("succeeded", 1, index(2)),
        COMPLETE,
        END,
        whole=True,
    ),
    scenario(
        "suspended from the start",
        create("jobs", job(suspend=True)).unseen(),
        reached("jobs/a", "status.conditions.0.type", "Suspended"),
        END,
        merge("jobs/a", {"spec": {"suspend": False}}).unseen(),
        pods_become("succeeded"),
        over("Complete", 2),
        END,
        whole=True,
    ),
    scenario(
        "suspended on its way",
        create("jobs", job(parallelism=2, completions=3)).unseen(),
        pods_become("running", 2),
        pods_become("succeeded", 1),
        reached("jobs/a", "status.succeeded", 1),
        pods_become("running", 1),
        merge("jobs/a", {"spec": {"suspend": True}}).unseen(),
        reached("jobs/a", "status.conditions.0.status", "True"),
        END,
        merge("jobs/a", {"spec": {"suspend": False}}).unseen(),
        reached("jobs/a", "status.conditions.0.status", "False"),
        END,
        whole=True,
    ),
    scenario(
        "a deadline",
        create("jobs", job(activeDeadlineSeconds=1)).unseen(),
        pods_become("running"),
        FAILED,
        END,
        whole=True,
    ),
    scenario(
        "goes when it is over",
        create("jobs", job(ttlSecondsAfterFinished=1)).unseen(),
        pods_become("succeeded"),
        until_gone("jobs/a"),
        state("pods"),
        whole=True,
    ),
    scenario(
        "fewer at a time",
        create("jobs", job(parallelism=3, completions=5)).unseen(),
        pods_become("running", 3),
        merge("jobs/a", {"spec": {"parallelism": 1}}).unseen(),
        reached("jobs/a", "status.active", 1),
        END,
        merge("jobs/a", {"spec": {"parallelism": 2}}).unseen(),
        reached("jobs/a", "status.active", 2),
        END,
        whole=True,
    ),
    scenario(
        "an elastic indexed job",
        create("jobs", indexed(parallelism=3, completions=3)).unseen(),
        pods_become("running", 3),
        merge("jobs/a", {"spec": {"parallelism": 2, "completions": 2}}).unseen(),
        reached("jobs/a", "status.active", 2),
        END,
        whole=True,
    ),
    scenario(
        "a deleted pod is replaced",
        create("jobs", indexed(parallelism=1, completions=1)).unseen(),
        pods_become("running"),
        delete("pods", labelSelector=index(0)).unseen(),
        pods_become("succeeded"),
        COMPLETE,
        END,
        whole=True,
    ),
    scenario(
        "replaced when failed",
        create("jobs", job(podReplacementPolicy="Failed", parallelism=2)).unseen(),
        pods_become("failed", 1),
        pods_become("succeeded", 1),
        END,
        whole=True,
    ),
    scenario(
        "managed by another",
        create("jobs", job(managedBy="example.com/controller")).unseen(),
        state("jobs", "pods"),
        whole=True,
    ),
    scenario(
        "deleted in the foreground",
        create("jobs", job(parallelism=2)).unseen(),
        pods_become("running", 2),
        delete("jobs/a", {"propagationPolicy": "Foreground"}).unseen(),
        until_gone("jobs/a"),
        state("pods"),
        whole=True,
    ),
    scenario(
        "deleted, its pods stay",
        create("jobs", job(parallelism=2)).unseen(),
        pods_become("running", 2),
        delete("jobs/a", {"propagationPolicy": "Orphan"}).unseen(),
        until_gone("jobs/a"),
        state("pods"),
        whole=True,
    ),
    scenario(
        "its own selector",
        create(
            "jobs",
            job(
                manualSelector=True,
                selector={"matchLabels": {"mine": "yes"}},
                template={
                    "metadata": {"labels": {"mine": "yes"}},
                    "spec": pod_spec(restartPolicy="OnFailure", schedulerName=OF_NOBODY),
                },
            ),
        ).unseen(),
        pods_become("succeeded"),
        COMPLETE,
        END,
        get("jobs/a").only("spec", "selector"),
        whole=True,
    ),
]
