"""Datasets and models come from real servers, over the volume that the initializers share with the nodes."""

import sys
from pathlib import Path

import pytest

from flowdeck.components.training.runtimes._base import TRAINER_VERSION
from flowdeck.components.training.types import ANCESTOR_LABEL, CLUSTER_TRAINING_RUNTIME
from flowdeck.kube.kinds import PERSISTENT_VOLUME_CLAIM as CLAIM
from flowdeck.kube.kinds import POD, SERVICE
from flowdeck.kube.objects import Tree
from tests.training.conftest import cache
from tests.training.jobs import Jobs, a_job
from tests.training.servers import KEYS, PORT, a_server

pytestmark = pytest.mark.timeout(900)
PYTHON = f"python:{sys.version_info.major}.{sys.version_info.minor}"


def a_runtime(name: str) -> Tree:
    """Two initializers and a node, with the volume that the shipped runtimes have."""
    mounts = {"volumeMounts": [{"name": "initializer", "mountPath": "/workspace"}]}
    steps = ("dataset-initializer", "model-initializer")
    jobs = [
        _job(step, {"name": step, "image": f"ghcr.io/kubeflow/trainer/{step}:{TRAINER_VERSION}"} | mounts, step)
        for step in steps
    ]
    node = _job("node", {"name": "node", "image": PYTHON} | mounts, "trainer")
    node["dependsOn"] = [{"name": step, "status": "Complete"} for step in steps]
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    claims = [{"templates": [{"metadata": {"name": "initializer"}, "spec": claim}]}]
    template = {"spec": {"volumeClaimPolicies": claims, "replicatedJobs": [*jobs, node]}}
    return {
        "apiVersion": CLUSTER_TRAINING_RUNTIME.api_version,
        "kind": CLUSTER_TRAINING_RUNTIME.kind,
        "metadata": {"name": name},
        "spec": {"mlPolicy": {"numNodes": 1}, "template": template},
    }


def _job(name: str, container: Tree, step: str) -> Tree:
    template = {"backoffLimit": 0, "template": {"spec": {"containers": [container], "restartPolicy": "Never"}}}
    return {
        "name": name,
        "template": {"metadata": {"labels": {ANCESTOR_LABEL: step}}, "spec": template},
    }


def from_(uri: str, **env: str) -> Tree:
    return {"storageUri": uri, "env": [{"name": name, "value": value} for name, value in env.items()]}


async def serve(jobs: Jobs, name: str, image: str) -> str:
    """The URL of a server for the test."""
    await jobs.need(image)
    pod, service = a_server(name, image)
    await jobs.create(SERVICE, service)
    await jobs.create(POD, pod)
    await jobs.until_ready(name)
    return f"http://{name}.default.svc:{PORT}"


async def test_a_dataset_of_s3_and_a_model_of_the_hub_feed_two_nodes(jobs: Jobs) -> None:
    await jobs.need(PYTHON)
    bucket, hub = await serve(jobs, "s3", "test/s3"), await serve(jobs, "hub", PYTHON)
    await jobs.create(CLUSTER_TRAINING_RUNTIME, a_runtime("fed"))
    job = a_job("fed", "fed", "read_workspace")
    job["spec"]["initializer"] = {
        "dataset": from_("s3://data/train", ENDPOINT=bucket, IGNORE_PATTERNS="*.tmp", **KEYS),
        "model": from_("hf://org/small", HF_ENDPOINT=hub, ACCESS_TOKEN="hf_token"),
    }
    (said,) = await jobs.run(job)
    assert said["node-0"] == said["node-1"]
    assert said["node-0"].splitlines() == [
        "dataset/part-0.csv train/part-0.csv",
        "dataset/deep/part-1.csv train/deep/part-1.csv",
        "model/config.json {}",
        "model/model.safetensors weights",
        "model/sub/vocab.txt words",
    ]


async def test_files_of_the_machine_feed_a_node(jobs: Jobs) -> None:
    await jobs.need(PYTHON)
    folder = _some_files()
    await jobs.create(CLUSTER_TRAINING_RUNTIME, a_runtime("local"))
    job = a_job("local", "local", "read_workspace", nodes=1)
    job["spec"]["initializer"] = {
        "dataset": from_(f"file://{folder}"),
        "model": from_(f"file://{folder}/weights"),
    }
    (said,) = await jobs.run(job)
    assert said["node-0"].splitlines() == ["dataset/rows 1 2 3", "dataset/weights 4 5 6", "model/weights 4 5 6"]


def _some_files() -> Path:
    """Not in /tmp, which is a pod's own."""
    folder = cache() / "files"
    folder.mkdir(exist_ok=True)
    (folder / "rows").write_text("1 2 3")
    (folder / "weights").write_text("4 5 6")
    return folder


async def test_a_claim_feeds_a_node(jobs: Jobs) -> None:
    await jobs.need(PYTHON)
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    meta = {"name": "source", "namespace": "default"}
    await jobs.create(CLAIM, {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": claim})
    await jobs.create(CLUSTER_TRAINING_RUNTIME, a_runtime("claimed"))
    writer: Tree = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "writer", "namespace": "default"},
        "spec": {
            "restartPolicy": "Never",
            "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "source"}}],
            "containers": [
                {
                    "name": "main",
                    "image": "busybox",
                    "command": ["sh", "-c", "mkdir /claim/in && echo 7 > /claim/in/rows"],
                    "volumeMounts": [{"name": "v", "mountPath": "/claim"}],
                }
            ],
        },
    }
    await jobs.create(POD, writer)
    await jobs.until_ended("writer")
    job = a_job("claimed", "claimed", "read_workspace", nodes=1)
    job["spec"]["initializer"] = {
        "dataset": from_("pvc://source/in"),
        "model": from_("pvc://source/in/rows"),
    }
    (said,) = await jobs.run(job)
    assert said["node-0"].splitlines() == ["dataset/rows 7", "model/rows 7"]


async def test_a_dataset_that_is_not_there_fails_the_job_and_says_why(jobs: Jobs) -> None:
    await jobs.need(PYTHON)
    await jobs.create(CLUSTER_TRAINING_RUNTIME, a_runtime("missing"))
    job = a_job("missing", "missing", "read_workspace", nodes=1)
    job["spec"]["initializer"] = {"dataset": from_("file:///there/is/nothing"), "model": from_("file:///etc/hostname")}
    with pytest.raises(AssertionError, match="there is nothing at file:///there/is/nothing"):
        await jobs.run(job)
