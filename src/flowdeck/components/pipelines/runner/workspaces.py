"""A run's workspace: a claim that all its tasks may mount. Pure."""

from flowdeck.components.pipelines.plan.types import Plan
from flowdeck.components.pipelines.runner.pods import RUN_LABEL
from flowdeck.components.pipelines.store.runs import Run
from flowdeck.kube.kinds import PERSISTENT_VOLUME_CLAIM
from flowdeck.kube.objects import Tree


def claim_name(run_id: str) -> str:
    return f"kfp-workspace-{run_id}"


def claim_of(run: Run, plan: Plan) -> Tree:
    """The claim, as the pipeline asks for it; by default for reading and writing by one node."""
    workspace = plan.config.workspace
    assert workspace is not None
    spec: Tree = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": workspace.size}}}
    return {
        "apiVersion": "v1",
        "kind": PERSISTENT_VOLUME_CLAIM.kind,
        "metadata": {"name": claim_name(run.id), "namespace": run.namespace, "labels": {RUN_LABEL: run.id}},
        "spec": spec | ((workspace.kubernetes.pvc_spec_patch or {}) if workspace.kubernetes else {}),
    }
