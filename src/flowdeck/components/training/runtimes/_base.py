"""What shipped runtimes have in common."""

from flowdeck.components.training.types import (
    ANCESTOR_LABEL,
    CLUSTER_TRAINING_RUNTIME,
    FRAMEWORK_LABEL,
    NODE,
    WEBHOOK_LABEL,
    Step,
)
from flowdeck.kube.objects import Tree

TRAINER_VERSION = "v2.3.0"
"""The Trainer whose wire we speak; also the tag of its own images."""


def cluster_runtime(name: str, framework: str, policy: Tree, template_spec: Tree) -> Tree:
    """A ClusterTrainingRuntime of one node; `policy` is its `mlPolicy` source."""
    return {
        "apiVersion": CLUSTER_TRAINING_RUNTIME.api_version,
        "kind": CLUSTER_TRAINING_RUNTIME.kind,
        "metadata": {"name": name, "labels": {FRAMEWORK_LABEL: framework, WEBHOOK_LABEL: "disabled"}},
        "spec": {"mlPolicy": {"numNodes": 1} | policy, "template": {"spec": template_spec}},
    }


def replicated_job(name: str, pod_spec: Tree, *, step: Step | None = None) -> Tree:
    """One of the template's jobs; with `step`, a block of the TrainJob feeds it."""
    template: Tree = {"spec": {"template": {"spec": pod_spec}}}
    if step:
        template = {"metadata": {"labels": {ANCESTOR_LABEL: str(step)}}} | template
    return {"name": name, "template": template}


def one_job(image: str) -> Tree:
    """The template of a framework whose nodes are all alike."""
    pod_spec: Tree = {"containers": [{"name": NODE, "image": image}]}
    return {"replicatedJobs": [replicated_job(NODE, pod_spec, step=Step.TRAINER)]}
