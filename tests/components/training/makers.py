"""Makers of training objects: a test says only what matters to it."""

from typing import Any

from flowdeck.components.training.types import CLUSTER_TRAINING_RUNTIME, TRAIN_JOB
from flowdeck.kube.objects import Tree

CREATED = "2026-01-01T00:00:00Z"


def a_train_job(
    name: str = "train",
    *,
    runtime: str = "torch-distributed",
    runtime_kind: str = CLUSTER_TRAINING_RUNTIME.kind,
    trainer: Tree | None = None,
    status: Tree | None = None,
    uid: str = "uid-of-train",
    **spec: Any,
) -> Tree:
    """A TrainJob as the API server stores it; `trainer={}` gives an empty block, None gives none."""
    tree: Tree = {
        "apiVersion": TRAIN_JOB.api_version,
        "kind": TRAIN_JOB.kind,
        "metadata": {"name": name, "namespace": "default", "uid": uid, "creationTimestamp": CREATED},
        "spec": {"runtimeRef": {"name": runtime, "kind": runtime_kind, "apiGroup": "trainer.kubeflow.org"}} | spec,
    }
    if trainer is not None:
        tree["spec"]["trainer"] = trainer
    if status is not None:
        tree["status"] = status
    return tree


def a_runtime(
    policy: Tree | None = None,
    *,
    name: str = "runtime",
    jobs: list[Tree] | None = None,
    labels: dict[str, str] | None = None,
    metadata: Tree | None = None,
    **spec: Any,
) -> Tree:
    """A ClusterTrainingRuntime; `policy` is its `mlPolicy` (None: it has none), `jobs` default to one trainer job."""
    template: Tree = {"spec": {"replicatedJobs": jobs if jobs is not None else [a_job()]}}
    if metadata:
        template["metadata"] = metadata
    tree: Tree = {
        "apiVersion": CLUSTER_TRAINING_RUNTIME.api_version,
        "kind": CLUSTER_TRAINING_RUNTIME.kind,
        "metadata": {"name": name, "uid": "uid-of-runtime", "labels": labels or {}},
        "spec": {"template": template} | spec,
    }
    if policy is not None:
        tree["spec"]["mlPolicy"] = policy
    return tree


def a_job(name: str = "node", *, step: str = "trainer", container: Tree | None = None, **pod_spec: Any) -> Tree:
    """A replicated job; `step=""` leaves the ancestor label out."""
    containers = [{"name": "node", "image": "image"} | (container or {})]
    template: Tree = {"spec": {"template": {"spec": {"containers": containers} | pod_spec}}}
    if step:
        template["metadata"] = {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": step}}
    return {"name": name, "template": template}


def a_patch(manager: str = "example.com/placer", *jobs: Tree) -> Tree:
    """A runtime patch of replicated jobs."""
    return {"manager": manager, "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": list(jobs)}}}}


def a_patched_job(name: str = "node", **pod_spec: Any) -> Tree:
    return {"name": name, "template": {"spec": {"template": {"spec": pod_spec}}}}


def a_job_set(*, conditions: list[Tree] | None = None, counted: list[Tree] | None = None, **spec: Any) -> Tree:
    """The JobSet of `a_train_job`, as its controller leaves it."""
    names = spec.pop("names", ["node"])
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": "train", "namespace": "default"},
        "spec": {"replicatedJobs": [{"name": name} for name in names]} | spec,
        "status": {"conditions": conditions or [], "replicatedJobsStatus": counted or []},
    }


def counted(name: str = "node", **counters: int) -> Tree:
    """One entry of `replicatedJobsStatus` or `jobsStatus`, with zeros where nothing is said."""
    zeros = dict.fromkeys(("ready", "succeeded", "failed", "active", "suspended"), 0)
    return {"name": name} | zeros | counters


def a_condition(
    type_: str, status: str = "True", reason: str = "Reason", message: str = "", since: str = CREATED
) -> Tree:
    return {"type": type_, "status": status, "lastTransitionTime": since, "reason": reason, "message": message}
