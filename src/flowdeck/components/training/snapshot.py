"""The runtime as it was when a TrainJob was first seen, kept in a ConfigMap: later edits do not reach the TrainJob.

The text is JSON, which is YAML too; snapshots that another controller has left in YAML are read as well.

Source: kubeflow/trainer (pkg/runtime/core, runtime snapshots)
"""

import msgspec

from flowdeck.components.training.types import TrainJob
from flowdeck.kube import yaml_text
from flowdeck.kube.errors import ApiError, Conflict
from flowdeck.kube.objects import ObjectKey, Tree, get_in, is_controlled_by, owner_reference

FIELD = "runtime"


def snapshot_key(job: TrainJob) -> ObjectKey:
    return ObjectKey(job.metadata.namespace, f"{job.metadata.name}-runtime-snapshot")


def snapshot_of(runtime: Tree, job: TrainJob, owner: Tree) -> Tree:
    """The ConfigMap that keeps `runtime` for the TrainJob `owner`."""
    metadata = {key: value for key, value in runtime["metadata"].items() if key != "managedFields"}
    kept = {
        "apiVersion": runtime["apiVersion"],
        "kind": runtime["kind"],
        "metadata": metadata,
        "spec": runtime["spec"],
    }
    key = snapshot_key(job)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "ownerReferences": [owner_reference(owner)],
        },
        "data": {FIELD: msgspec.json.format(msgspec.json.encode(kept), indent=2).decode()},
    }


def read_snapshot(config_map: Tree, job: TrainJob, owner: Tree) -> Tree:
    """The runtime in a snapshot; raises `Conflict` when the ConfigMap is somebody else's or of another runtime."""
    key = snapshot_key(job)
    if not is_controlled_by(config_map, owner):
        raise _mismatch(key, f"it is not controlled by TrainJob {job.metadata.name}")
    runtime = _parse(get_in(config_map, "data", FIELD, default=""))
    ref = job.spec.runtime_ref
    if (runtime.get("kind"), get_in(runtime, "metadata", "name")) != (ref.kind, ref.name):
        raise _mismatch(key, f"it does not hold {ref.kind} {ref.name}")
    return runtime


def _parse(text: str) -> Tree:
    try:
        tree = msgspec.json.decode(text)
    except msgspec.DecodeError:
        try:
            tree = yaml_text.load(text)  # what others have left
        except yaml_text.YamlError:
            return {}
    return tree if isinstance(tree, dict) else {}


def _mismatch(key: ObjectKey, why: str) -> ApiError:
    return Conflict(f"ConfigMap {key} cannot serve as the runtime snapshot: {why}")
