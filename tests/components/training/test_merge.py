"""What a TrainJob changes in its runtime, in which order, and what stays as the runtime has it."""

import pytest

from flowdeck.components.training.frameworks import FRAMEWORKS
from flowdeck.components.training.merge import build
from flowdeck.components.training.metrics import Phases
from flowdeck.components.training.overlay import lay_over
from flowdeck.components.training.progress import Progress
from flowdeck.components.training.runtime_types import runtime_of
from flowdeck.components.training.snapshot import read_snapshot, snapshot_of
from flowdeck.components.training.types import train_job_of
from flowdeck.kube.errors import Conflict
from flowdeck.kube.objects import ObjectKey, Tree, copy_of
from flowdeck.kube.times import parse_time
from tests.components.training.makers import (
    CREATED,
    a_job,
    a_patch,
    a_patched_job,
    a_runtime,
    a_train_job,
    counted,
)


def job_set(job: Tree, runtime: Tree) -> Tree:
    before = copy_of(runtime), copy_of(job)
    built = build(train_job_of(job), runtime_of(runtime), FRAMEWORKS).objects[-1].make()
    assert (runtime, job) == before
    return built


def node_of(tree: Tree) -> Tree:
    container: Tree = tree["spec"]["replicatedJobs"][-1]["template"]["spec"]["template"]["spec"]["containers"][0]
    return container


def env(**values: str) -> list[Tree]:
    return [{"name": name, "value": value} for name, value in values.items()]


def test_labels_of_the_train_job_stay_on_it_and_those_of_the_template_arrive() -> None:
    job = a_train_job()
    job["metadata"] |= {"labels": {"mine": "1"}, "annotations": {"mine": "1"}}
    built = job_set(job, a_runtime({}, metadata={"labels": {"theirs": "1"}, "annotations": {"a": "b"}}))
    assert built["metadata"] == {
        "name": "train",
        "namespace": "default",
        "labels": {"theirs": "1"},
        "annotations": {"a": "b"},
    }


def test_the_trainer_s_env_wins_over_the_runtime_s_and_what_is_unknown_stays() -> None:
    container = {"env": env(A="runtime", B="runtime"), "livenessProbe": {"exec": {}}, "unknown": [1]}
    built = job_set(
        a_train_job(trainer={"env": env(B="job", C="job")}), a_runtime({}, jobs=[a_job(container=container)])
    )
    node = node_of(built)
    assert node["env"] == env(A="runtime", B="job", C="job")
    assert node["livenessProbe"] == {"exec": {}}
    assert node["unknown"] == [1]


@pytest.mark.parametrize("policy", [None, {}])
def test_resources_are_merged_key_by_key_where_there_is_a_policy(policy: Tree | None) -> None:
    container = {"resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1"}}}
    trainer = {"resourcesPerNode": {"limits": {"cpu": 2.0}}}
    built = job_set(a_train_job(trainer=trainer), a_runtime(policy, jobs=[a_job(container=container)]))
    cpu = "1" if policy is None else "2"
    assert node_of(built)["resources"] == {"limits": {"cpu": cpu, "memory": "1Gi"}, "requests": {"cpu": "1"}}


def test_a_dataset_and_its_secret_reach_the_initializer() -> None:
    initializer = a_job("data", step="dataset-initializer", container={"name": "dataset-initializer"})
    source = {"storageUri": "hf://a/b", "env": env(X="y"), "secretRef": {"name": "s"}}
    job = a_train_job(initializer={"dataset": source})
    container = node_of(job_set(job, a_runtime({}, jobs=[a_job(), initializer])))
    assert container["env"] == env(STORAGE_URI="hf://a/b", X="y")
    assert container["envFrom"] == [{"secretRef": {"name": "s"}}]


def test_an_empty_uri_leaves_the_runtime_s() -> None:
    container = {"name": "dataset-initializer", "env": env(STORAGE_URI="hf://runtime/has")}
    initializer = a_job("data", step="dataset-initializer", container=container)
    job = a_train_job(initializer={"dataset": {"storageUri": ""}})
    assert node_of(job_set(job, a_runtime({}, jobs=[initializer])))["env"] == env(STORAGE_URI="hf://runtime/has")


def test_a_claim_that_a_uri_names_is_mounted() -> None:
    initializer = a_job("data", step="dataset-initializer", container={"name": "dataset-initializer"})
    job = a_train_job(initializer={"dataset": {"storageUri": "pvc://claim/folder"}})
    built = job_set(job, a_runtime({}, jobs=[initializer]))
    assert node_of(built)["volumeMounts"] == [{"name": "source-claim", "mountPath": "/mnt/pvc/claim"}]


def test_patches_come_in_order_and_before_the_trainer() -> None:
    job = a_train_job(
        trainer={"image": "mine"},
        runtimePatches=[
            a_patch("a.io/first", a_patched_job(nodeSelector={"a": "1", "b": "1"}, tolerations=[{"key": "1"}])),
            a_patch("a.io/second", a_patched_job(nodeSelector={"b": "2"}, tolerations=[{"key": "2"}])),
        ],
    )
    built = job_set(job, a_runtime({}))
    pod_spec = built["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
    assert pod_spec["nodeSelector"] == {"a": "1", "b": "2"}
    assert pod_spec["tolerations"] == [{"key": "2"}]
    assert node_of(built)["image"] == "mine"


@pytest.mark.parametrize(
    ("target", "patch", "merged"),
    [
        ({"env": env(A="1", B="1")}, {"env": env(B="2", C="2")}, {"env": env(A="1", B="2", C="2")}),
        (
            {"volumeMounts": [{"mountPath": "/a", "name": "x"}]},
            {"volumeMounts": [{"mountPath": "/a", "readOnly": True}, {"mountPath": "/b", "name": "x"}]},
            {"volumeMounts": [{"mountPath": "/a", "name": "x", "readOnly": True}, {"mountPath": "/b", "name": "x"}]},
        ),
        (
            {"imagePullSecrets": [{"name": "a"}]},
            {"imagePullSecrets": [{"name": "b"}]},
            {"imagePullSecrets": [{"name": "a"}, {"name": "b"}]},
        ),
        ({"tolerations": [{"key": "a"}]}, {"tolerations": []}, {"tolerations": []}),
        (
            {"affinity": {"nodeAffinity": {"a": 1}}},
            {"affinity": {"podAffinity": {}}},
            {"affinity": {"nodeAffinity": {"a": 1}, "podAffinity": {}}},
        ),
        (
            {"replicatedJobs": [{"name": "a"}, {"name": "b"}]},
            {"replicatedJobs": [{"name": "b", "x": 1}]},
            {"replicatedJobs": [{"name": "a"}, {"name": "b", "x": 1}]},
        ),
    ],
)
def test_lists_are_merged_by_their_keys_or_replaced(target: Tree, patch: Tree, merged: Tree) -> None:
    lay_over(target, patch)
    assert target == merged


def test_progress_is_told_to_every_container_of_the_trainer_and_to_no_other() -> None:
    job = a_job()
    containers = job["template"]["spec"]["template"]["spec"]["containers"]
    containers.append({"name": "sidecar", "image": "image"})
    progress = Progress(url="https://server:10443", authority=lambda: "PEM")
    runtime = a_runtime({}, jobs=[a_job("other", step=""), job])
    draft = build(train_job_of(a_train_job()), runtime_of(runtime), [progress])
    other, trainer = (each["template"]["spec"]["template"]["spec"] for each in draft.jobs)
    assert "volumes" not in other
    for container in trainer["containers"]:
        assert container["env"] == env(
            KUBEFLOW_TRAINER_SERVER_URL="https://server:10443/apis/trainer.kubeflow.org/v1alpha1/namespaces/default/"
            "trainjobs/train/status",
            KUBEFLOW_TRAINER_SERVER_CA_CERT="/var/run/secrets/kubeflow/trainer/ca.crt",
            KUBEFLOW_TRAINER_SERVER_TOKEN="/var/run/secrets/kubeflow/trainer/token",
        )
    (volume,) = trainer["volumes"]
    token, authority = volume["projected"]["sources"]
    assert token["serviceAccountToken"] == {
        "audience": "trainer.kubeflow.org/v1alpha1/namespaces/default/trainjobs/train/status",
        "expirationSeconds": 3600,
        "path": "token",
    }
    assert authority["configMap"]["name"] == "train-tls-config"
    assert draft.objects[0].make()["data"] == {"ca.crt": "PEM"}


# ---- snapshots ------------------------------------------------------------------------------------------------------


def test_a_snapshot_gives_back_the_runtime() -> None:
    job, runtime = a_train_job(runtime="mine"), a_runtime({"torch": {}}, name="mine")
    assert read_snapshot(snapshot_of(runtime, train_job_of(job), job), train_job_of(job), job) == runtime


def test_a_snapshot_in_yaml_is_read() -> None:
    job = a_train_job(runtime="mine")
    snapshot = snapshot_of(a_runtime({}, name="mine"), train_job_of(job), job)
    snapshot["data"]["runtime"] = "kind: ClusterTrainingRuntime\nmetadata:\n  name: mine\nspec: {}\n"
    assert read_snapshot(snapshot, train_job_of(job), job)["spec"] == {}


@pytest.mark.parametrize(
    "text", ["", "{", "a: b: c", "kind: Other", "kind: ClusterTrainingRuntime\nmetadata: {name: other}"]
)
def test_a_snapshot_of_something_else_is_refused(text: str) -> None:
    job = a_train_job(runtime="mine")
    snapshot = snapshot_of(a_runtime({}, name="mine"), train_job_of(job), job)
    snapshot["data"]["runtime"] = text
    with pytest.raises(Conflict, match="it does not hold ClusterTrainingRuntime mine"):
        read_snapshot(snapshot, train_job_of(job), job)


def test_a_snapshot_of_somebody_else_is_refused() -> None:
    job = a_train_job(runtime="mine")
    snapshot = snapshot_of(a_runtime({}, name="mine"), train_job_of(job), a_train_job(uid="another"))
    with pytest.raises(Conflict, match="it is not controlled by TrainJob train"):
        read_snapshot(snapshot, train_job_of(job), job)


# ---- metrics --------------------------------------------------------------------------------------------------------


def test_train_jobs_are_counted_by_phase_and_the_way_to_running_is_timed() -> None:
    from prometheus_client import REGISTRY

    def value(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, labels) or 0.0

    name, took = "kubeflow_trainer_trainjobs", "kubeflow_trainer_trainjob_submit_to_running_seconds_sum"
    phases, key = Phases(), ObjectKey("default", "train")
    created, running, before = value(name, phase="Created"), value(name, phase="Running"), value(took)
    phases.note(key, a_train_job(), now=parse_time(CREATED))
    assert value(name, phase="Created") == created + 1
    ready = a_train_job(status={"jobsStatus": [counted(ready=1)]})
    for _ in range(2):
        phases.note(key, ready, now=parse_time("2026-01-01T00:00:07Z"))
    assert (value(name, phase="Created"), value(name, phase="Running")) == (created, running + 1)
    assert value(took) == before + 7
    phases.note(key, None, now=parse_time(CREATED))
    assert value(name, phase="Running") == running
