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
