"""From a runtime and a TrainJob to the JobSet and what it needs. Pure.

The order is part of the contract: runtime, patches, resources, the TrainJob's blocks, framework, gang, progress.

Source: kubeflow/trainer (pkg/runtime/core, pkg/runtime/framework/plugins/jobset)
"""

from collections.abc import Sequence

import msgspec

from flowdeck.components.training.draft import (
    Draft,
    Plugin,
    Wanted,
    ancestor_of,
    container_of,
    containers_of,
    pod_spec_of,
)
from flowdeck.components.training.overlay import lay_over
from flowdeck.components.training.runtime_types import Runtime
from flowdeck.components.training.types import NODE, DataSource, Step, TrainJob
from flowdeck.components.training.upserts import upsert_env, upsert_mounts, upsert_volumes
from flowdeck.kube.kinds import JOB_SET
from flowdeck.kube.objects import Tree, get_in
from flowdeck.kube.quantity import canonical


def draft_of(job: TrainJob, runtime: Runtime) -> Draft:
    """The runtime with the TrainJob's patches and blocks merged in, before any plug-in had its turn."""
    draft = Draft(job, runtime, _own(runtime.spec.template))
    draft.template.setdefault("spec", {})
    for patch in job.spec.runtime_patches or ():
        lay_over(draft.template, get_in(patch.training_runtime_spec, "template", default={}))
    draft.counts = {replicated["name"]: _count(draft, replicated) for replicated in draft.jobs}
    _merge_trainer(draft)
    if initializer := job.spec.initializer:
        _merge_source(draft, Step.DATASET_INITIALIZER, initializer.dataset)
        _merge_source(draft, Step.MODEL_INITIALIZER, initializer.model)
    return draft


def build(job: TrainJob, runtime: Runtime, plugins: Sequence[Plugin]) -> Draft:
    """The finished draft; its last object is the JobSet."""
    draft = draft_of(job, runtime)
    for plugin in plugins:
        if plugin.applies(draft):
            plugin.shape(draft)
    finish(draft)
    return draft


def finish(draft: Draft) -> None:
    """Settles the counts and adds the JobSet to the objects."""
    for replicated in draft.jobs:
        spec = replicated["template"]["spec"]
        spec["parallelism"] = spec["completions"] = draft.counts[replicated["name"]]
        if ancestor_of(replicated):
            replicated["replicas"] = 1
    draft.objects.append(Wanted(kind=JOB_SET, key=draft.job.key, make=lambda: job_set_of(draft), while_suspended=True))


def job_set_of(draft: Draft) -> Tree:
    """The JobSet of a finished draft."""
    metadata = {
        field: value for field in ("labels", "annotations") if (value := get_in(draft.template, "metadata", field))
    }
    metadata |= {"name": draft.name, "namespace": draft.namespace}
    spec = draft.template["spec"] | {"suspend": draft.job.is_suspended}
    return {"apiVersion": JOB_SET.api_version, "kind": JOB_SET.kind, "metadata": metadata, "spec": spec}


def _own(tree: Tree) -> Tree:
    """A copy that may be changed; an order of magnitude faster than a deep copy."""
    copied: Tree = msgspec.json.decode(msgspec.json.encode(tree))
    return copied


def _count(draft: Draft, replicated: Tree) -> int:
    if draft.runtime.spec.ml_policy and ancestor_of(replicated) == Step.TRAINER:
        return draft.num_nodes
    return int(get_in(replicated, "template", "spec", "parallelism", default=1))


def _merge_trainer(draft: Draft) -> None:
    node = draft.node_container
    if node is None:
        return
    trainer = draft.trainer
    node |= {
        field: value
        for field, value in (("image", trainer.image), ("command", trainer.command), ("args", trainer.args))
        if value
    }
    for container in [node, *_launched_nodes(draft)]:
        upsert_env(container, trainer.env or ())
        if trainer.resources_per_node and draft.runtime.spec.ml_policy:
            _merge_resources(container, trainer.resources_per_node)


def _launched_nodes(draft: Draft) -> list[Tree]:
    """With MPI's `runLauncherAsNode` the trainer feeds the launcher, and the nodes are like it."""
    policy = draft.runtime.spec.ml_policy
    nodes = draft.find(NODE)
    if not (policy and policy.mpi and policy.mpi.run_launcher_as_node and nodes):
        return []
    if ancestor_of(nodes) == Step.TRAINER:
        return []
    return [container for container in containers_of(nodes) if container["name"] == NODE]


def _merge_resources(container: Tree, resources: Tree) -> None:
    merged = container.setdefault("resources", {})
    for field in ("limits", "requests"):
        if asked := resources.get(field):
            merged[field] = (merged.get(field) or {}) | {key: canonical(value) for key, value in asked.items()}
    if claims := resources.get("claims"):
        merged["claims"] = claims


def _merge_source(draft: Draft, step: Step, source: DataSource | None) -> None:
    replicated = draft.ancestor(step)
    if source is None or replicated is None or (container := container_of(replicated, step.container)) is None:
        return
    if source.storage_uri:
        upsert_env(container, [{"name": "STORAGE_URI", "value": source.storage_uri}])
        _mount_claim(replicated, container, source.storage_uri)
    upsert_env(container, source.env or ())
    if source.secret_ref:
        container.setdefault("envFrom", []).append({"secretRef": source.secret_ref})


def _mount_claim(replicated: Tree, container: Tree, uri: str) -> None:
    """Makes the claim of a `pvc://<claim>/<path>` readable for the initializer: an extension of ours."""
    scheme, _, path = uri.partition("://")
    if scheme.lower() != "pvc":
        return
    claim = path.partition("/")[0]
    place = f"/mnt/pvc/{claim}"
    volume = {"name": "source-claim", "persistentVolumeClaim": {"claimName": claim}}
    upsert_volumes(pod_spec_of(replicated), [volume])
    upsert_mounts(container, [{"name": volume["name"], "mountPath": place}])
    upsert_env(container, [{"name": "SOURCE_CLAIM", "value": place}])
