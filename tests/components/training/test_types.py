"""The kinds' schemas: upstream's, property by property, and each rule in them with an object that keeps and one that
breaks it."""

from functools import cache
from typing import Any

import pytest

from flowdeck.components.training.definitions import definitions
from flowdeck.kube.objects import Tree, copy_of
from flowdeck.kube.schema import Schema
from tests.components.training.makers import a_job, a_patch, a_patched_job, a_runtime, a_train_job
from tests.conformance.crds import differences, upstream_crd

ON_PURPOSE = {
    "spec.template.spec.replicatedJobs[].replicas.minimum": "JobSet itself refuses negative replicas; so do runtimes",
}
"""Where our schemas differ from upstream's, and why."""

DEFINITIONS = {tree["spec"]["names"]["kind"]: tree for tree in definitions()}


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_definitions_are_upstream_s(kind: str) -> None:
    ours = DEFINITIONS[kind]
    unexplained = [
        difference
        for difference in differences(ours, upstream_crd(ours["metadata"]["name"]))
        if _short_path(difference) not in ON_PURPOSE
    ]
    assert not unexplained


def _short_path(difference: str) -> str:
    path = difference.partition(": ")[0]
    return (
        path.removeprefix("versions.v1alpha1.schema.properties.").replace(".items.", "[].").replace("properties.", "")
    )


@cache
def schema(kind: str) -> Schema:
    return Schema.compile(DEFINITIONS[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"])


def wrong_with(obj: Tree, old: Tree | None = None) -> list[str]:
    """What the API server would say: after defaults are filled in, as it does."""
    compiled = schema(obj["kind"])
    obj, old = copy_of(obj), copy_of(old) if old else None
    for tree in filter(None, (obj, old)):
        compiled.default(tree)
    return [str(error) for error in compiled.validate(obj, old)]


def an_optimization_job(**spec: Any) -> Tree:
    parameter = {"name": "lr", "searchSpace": {"categorical": {"choices": ["1", "2"]}}}
    full = {
        "objectives": [{"metric": "loss"}],
        "parameters": [parameter],
        "trainJobTemplate": {"spec": {"runtimeRef": {"name": "r"}}},
    }
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "OptimizationJob",
        "metadata": {"name": "search", "namespace": "default"},
        "spec": full | spec,
    }


def searching(**space: Tree) -> Tree:
    return an_optimization_job(parameters=[{"name": "lr", "searchSpace": space}])


def a_template(**spec: Any) -> Tree:
    runtime = a_runtime({})
    runtime["spec"]["template"]["spec"] |= spec
    return runtime


def targets(*names: str) -> Tree:
    return a_runtime({"torch": {"envInjection": {"targets": [{"jobName": "x", "containerNames": list(names)}]}}})


URI = "storageUri may be empty, or it must be a valid URI (scheme://...)"
MANAGED_BY = "ManagedBy must be trainer.kubeflow.org/trainjob-controller or kueue.x-k8s.io/multikueue if set"
LABEL = "metadata.name must match RFC 1035 DNS label format"
EXCLUSIVE = "StartupPolicy and DependsOn APIs are mutually exclusive"
GRID = "Grid search requires all parameters to be Categorical; Uniform and LogUniform are not supported."
ONE_SPACE = "exactly one of the fields in [uniform logUniform categorical] must be set"
NUMBERS = {"uniform": {"min": "1", "max": "2"}}


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        pytest.param(a_train_job("a-b1"), a_train_job("1abc"), LABEL, id="name-starts-with-a-letter"),
        pytest.param(a_train_job("ab"), a_train_job("a_b"), LABEL, id="name-without-underscore"),
        pytest.param(
            a_train_job("a" * 63),
            a_train_job("a" * 64),
            "metadata.name must be no more than 63 characters",
            id="name-length",
        ),
        pytest.param(
            a_train_job(initializer={"dataset": {"storageUri": ""}}),
            a_train_job(initializer={"dataset": {"storageUri": "foo"}}),
            URI,
            id="dataset-uri",
        ),
        pytest.param(
            a_train_job(initializer={"model": {"storageUri": "hf://a/b"}}),
            a_train_job(initializer={"model": {"storageUri": "hf:/a"}}),
            URI,
            id="model-uri",
        ),
        pytest.param(
            a_train_job(trainer={"numProcPerNode": 1}),
            a_train_job(trainer={"numProcPerNode": 0}),
            "numProcPerNode must be greater than or equal to 1",
            id="processes-per-node",
        ),
        pytest.param(
            a_train_job(managedBy="kueue.x-k8s.io/multikueue"),
            a_train_job(managedBy="x/y"),
            MANAGED_BY,
            id="managed-by",
        ),
        pytest.param(
            a_train_job(status={"trainerStatus": {"lastUpdatedTime": "2026-01-01T00:00:00Z"}}),
            a_train_job(status={"trainerStatus": {"progressPercentage": 1}}),
            "lastUpdatedTime is required when trainerStatus is present",
            id="time-of-a-report",
        ),
        pytest.param(
            a_runtime({"numNodes": 2, "torch": {}}),
            a_runtime({"jax": {}, "flux": {}}),
            "Only one of the policy can be configured",
            id="one-policy",
        ),
        pytest.param(
            targets("a", "b"),
            targets("a", "node"),
            "containerNames must not include the main node container because PET_* envs are always injected into it",
            id="env-injection",
        ),
        pytest.param(
            a_runtime({"mpi": {}}),
            a_runtime({"mpi": {"numProcPerNode": 0}}),
            "NumProcPerNode in mpiPolicy must be >= 1",
            id="mpi-processes",
        ),
        pytest.param(
            a_runtime({"flux": {}}),
            a_runtime({"flux": {"numProcPerNode": 0}}),
            "NumProcPerNode in fluxPolicy must be >= 1",
            id="flux-processes",
        ),
        pytest.param(
            a_template(startupPolicy={"startupPolicyOrder": "InOrder"}),
            a_template(
                startupPolicy={"startupPolicyOrder": "InOrder"},
                replicatedJobs=[a_job() | {"dependsOn": [{"name": "x", "status": "Ready"}]}],
            ),
            EXCLUSIVE,
            id="startup-order",
        ),
        pytest.param(
            a_template(volumeClaimPolicies=[{"templates": [{"metadata": {"name": "a"}}]}]),
            a_template(volumeClaimPolicies=[{"templates": [{"metadata": {"name": "a", "namespace": "b"}}]}]),
            "namespace cannot be set for VolumeClaimPolicies templates",
            id="claims-without-namespace",
        ),
        pytest.param(
            an_optimization_job(numTrials=2, parallelTrials=2),
            an_optimization_job(numTrials=1, parallelTrials=2),
            "parallelTrials cannot exceed numTrials",
            id="parallel-trials",
        ),
        pytest.param(
            an_optimization_job(searchAlgorithm={"grid": {}}),
            searching(**NUMBERS) | {"spec": searching(**NUMBERS)["spec"] | {"searchAlgorithm": {"grid": {}}}},
            GRID,
            id="grid",
        ),
        pytest.param(
            an_optimization_job(searchAlgorithm={"random": {"seed": 1}}),
            an_optimization_job(searchAlgorithm={"random": {}, "grid": {}}),
            "exactly one of the fields in [random grid] must be set",
            id="one-algorithm",
        ),
        pytest.param(searching(**NUMBERS), searching(), ONE_SPACE, id="a-space"),
        pytest.param(
            searching(categorical={"choices": ["a"]}),
            searching(categorical={"choices": ["a"]}, **NUMBERS),
            ONE_SPACE,
            id="one-space",
        ),
        pytest.param(
            searching(uniform={"min": "-1", "max": "2e3"}),
            searching(uniform={"min": "2", "max": "2"}),
            "min must be strictly less than max",
            id="uniform-order",
        ),
        pytest.param(
            searching(logUniform={"min": "0.1", "max": "2"}),
            searching(logUniform={"min": "3", "max": "2"}),
            "min must be strictly less than max",
            id="log-uniform-order",
        ),
        pytest.param(
            searching(logUniform={"min": "1e-5", "max": "2"}),
            searching(logUniform={"min": "0", "max": "2"}),
            "min must be strictly greater than 0",
            id="log-uniform-positive",
        ),
        pytest.param(
            an_optimization_job(trainJobTemplate={"metadata": {"labels": {}}, "spec": {"runtimeRef": {"name": "r"}}}),
            an_optimization_job(trainJobTemplate={"metadata": {"name": "n"}, "spec": {"runtimeRef": {"name": "r"}}}),
            "name and namespace cannot be set in a template.",
            id="template-name",
        ),
    ],
)
def test_rules(good: Tree, bad: Tree, message: str) -> None:
    assert wrong_with(good) == []
    assert any(error.endswith(f": {message}") for error in wrong_with(bad)), wrong_with(bad)


def patched(**pod_spec: Any) -> Tree:
    return a_train_job(suspend=True, runtimePatches=[a_patch("a.io/b", a_patched_job(**pod_spec))])


IMMUTABLE = "field is immutable"
UNCHANGED = "Value is immutable"


@pytest.mark.parametrize(
    ("old", "good", "bad", "message"),
    [
        pytest.param(
            a_train_job(), a_train_job(suspend=True), a_train_job(runtime="other"), IMMUTABLE, id="runtimeRef"
        ),
        pytest.param(
            a_train_job(trainer={"image": "a"}),
            a_train_job(),
            a_train_job(trainer={"image": "b"}),
            IMMUTABLE,
            id="trainer",
        ),
        pytest.param(
            a_train_job(initializer={"model": {}}),
            a_train_job(initializer={"model": {}}),
            a_train_job(initializer={"model": {"storageUri": "hf://a"}}),
            IMMUTABLE,
            id="initializer",
        ),
        pytest.param(
            a_train_job(activeDeadlineSeconds=5),
            a_train_job(activeDeadlineSeconds=5),
            a_train_job(activeDeadlineSeconds=6),
            IMMUTABLE,
            id="activeDeadlineSeconds",
        ),
        pytest.param(
            a_train_job(managedBy="kueue.x-k8s.io/multikueue"),
            a_train_job(managedBy="kueue.x-k8s.io/multikueue"),
            a_train_job(),
            IMMUTABLE,
            id="managedBy",
        ),
        *(
            pytest.param(patched(**old), patched(**old), patched(**new), IMMUTABLE, id=f"patched-{name}")
            for name, old, new in (
                ("service-account", {"serviceAccountName": "a"}, {"serviceAccountName": "b"}),
                ("volumes", {"volumes": [{"name": "a"}]}, {"volumes": [{"name": "b"}]}),
                ("containers", {"containers": [{"name": "node"}]}, {"containers": [{"name": "b"}]}),
                ("init-containers", {"initContainers": [{"name": "a"}]}, {"initContainers": [{"name": "b"}]}),
                ("pull-secrets", {"imagePullSecrets": [{"name": "a"}]}, {"imagePullSecrets": [{"name": "b"}]}),
                ("security", {"securityContext": {"fsGroup": 1}}, {"securityContext": {"fsGroup": 2}}),
                ("grace", {"terminationGracePeriodSeconds": 1}, {"terminationGracePeriodSeconds": 2}),
            )
        ),
        *(
            pytest.param(a_template(**old), a_template(**old), a_template(**new), UNCHANGED, id=f"template-{name}")
            for name, old, new in (
                ("failure", {"failurePolicy": {"maxRestarts": 1}}, {"failurePolicy": {"maxRestarts": 2}}),
                ("network", {"network": {"subdomain": "a"}}, {"network": {"subdomain": "b"}}),
                ("success", {"successPolicy": {"operator": "All"}}, {"successPolicy": {"operator": "Any"}}),
                (
                    "startup",
                    {"startupPolicy": {"startupPolicyOrder": "AnyOrder"}},
                    {"startupPolicy": {"startupPolicyOrder": "InOrder"}},
                ),
                (
                    "depends-on",
                    {"replicatedJobs": [a_job() | {"dependsOn": [{"name": "x", "status": "Ready"}]}]},
                    {"replicatedJobs": [a_job() | {"dependsOn": [{"name": "x", "status": "Complete"}]}]},
                ),
                ("claims", {"volumeClaimPolicies": []}, {"volumeClaimPolicies": [{"templates": []}]}),
            )
        ),
        pytest.param(
            an_optimization_job(),
            an_optimization_job(),
            an_optimization_job(numTrials=2),
            "OptimizationJobSpec is immutable and cannot be updated after creation",
            id="optimization-job",
        ),
    ],
)
def test_transition_rules(old: Tree, good: Tree, bad: Tree, message: str) -> None:
    assert wrong_with(good, old) == []
    assert any(error.endswith(f": {message}") for error in wrong_with(bad, old)), wrong_with(bad, old)


def test_a_missing_block_may_come_and_go_and_places_may_change() -> None:
    assert wrong_with(a_train_job(trainer={}), a_train_job()) == []
    assert wrong_with(a_train_job(), a_train_job(trainer={})) == []
    old = patched(nodeSelector={"a": "b"}, tolerations=[{"key": "x"}], affinity={}, schedulingGates=[{"name": "g"}])
    new = patched(nodeSelector={"a": "c"}, tolerations=[], affinity={"nodeAffinity": {}}, schedulingGates=[])
    assert wrong_with(new, old) == []


@pytest.mark.parametrize(
    ("bad", "fragment"),
    [
        pytest.param(a_train_job(activeDeadlineSeconds=0), "activeDeadlineSeconds", id="deadline-0"),
        pytest.param(a_train_job(trainer={"numProcPerNode": "auto"}), "numProcPerNode", id="auto"),
        pytest.param(a_train_job(trainer={"numNodes": -1}), "numNodes", id="negative-nodes"),
        pytest.param(a_train_job(runtimePatches=[a_patch(), a_patch()]), "Duplicate value", id="a-manager-twice"),
        pytest.param(
            a_train_job(runtimePatches=[a_patch(f"a.io/{number}") for number in range(17)]), "Too many", id="17-patches"
        ),
        pytest.param(
            a_train_job(trainer={"env": [{"name": f"E{number}"} for number in range(129)]}), "Too many", id="129-env"
        ),
        pytest.param(
            patched(containers=[{"name": f"c{number}"} for number in range(65)]), "Too many", id="65-containers"
        ),
        pytest.param(a_train_job(status={}), "status", id="empty-status"),
        pytest.param(a_train_job(status={"jobsStatus": [{"name": "node"}]}), "Required value", id="missing-counters"),
        pytest.param(a_runtime({}) | {"spec": {}}, "spec", id="empty-runtime"),
    ],
)
def test_bounds(bad: Tree, fragment: str) -> None:
    found = wrong_with(bad)
    assert any(fragment in error for error in found), found


def test_defaults() -> None:
    job = a_train_job()
    del job["spec"]["runtimeRef"]["kind"], job["spec"]["runtimeRef"]["apiGroup"]
    schema("TrainJob").default(job)
    assert job["spec"] == {
        "runtimeRef": {
            "name": "torch-distributed",
            "kind": "ClusterTrainingRuntime",
            "apiGroup": "trainer.kubeflow.org",
        },
        "suspend": False,
        "managedBy": "trainer.kubeflow.org/trainjob-controller",
    }
    runtime = a_runtime({"mpi": {}}, podGroupPolicy={"coscheduling": {}})
    schema("ClusterTrainingRuntime").default(runtime)
    assert runtime["spec"]["mlPolicy"]["mpi"] == {
        "numProcPerNode": 1,
        "mpiImplementation": "OpenMPI",
        "sshAuthMountPath": "/root/.ssh",
        "runLauncherAsNode": False,
    }
    assert runtime["spec"]["podGroupPolicy"] == {"coscheduling": {"scheduleTimeoutSeconds": 60}}
