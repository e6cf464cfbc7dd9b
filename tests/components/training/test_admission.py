"""What a user is told of a TrainJob or a runtime that cannot be used, and what is filled in."""

from collections.abc import Mapping
from typing import Any

import pytest

from flowdeck.client.base import Reader
from flowdeck.clock import FakeClock
from flowdeck.components.training.admission import (
    default_train_job,
    rules,
    validate_change,
    validate_runtime,
    validate_train_job,
)
from flowdeck.components.training.frameworks import FRAMEWORKS
from flowdeck.components.training.gang import GANGS
from flowdeck.components.training.runtime_types import runtime_of
from flowdeck.components.training.runtimes import shipped_runtimes
from flowdeck.components.training.runtimes.mpi import deepspeed_distributed
from flowdeck.components.training.runtimes.torchtune import torchtune_llama_1b, torchtune_qwen
from flowdeck.components.training.snapshot import snapshot_of
from flowdeck.components.training.types import train_job_of
from flowdeck.controller.admission import AdmissionRule, Review
from flowdeck.kube.objects import Kind, ObjectKey, Tree, copy_of
from flowdeck.kube.times import parse_time
from tests.components.training.makers import (
    a_job,
    a_job_set,
    a_patch,
    a_patched_job,
    a_runtime,
    a_train_job,
    counted,
)

PLUGINS = (*FRAMEWORKS, *GANGS)
NOW = parse_time("2026-05-01T12:00:00Z")


def errors_of(job: Tree, runtime: Tree | None = None, **facts: Any) -> list[str]:
    return validate_train_job(train_job_of(job), runtime_of(runtime or a_runtime({"torch": {}})), PLUGINS, **facts)


def env(*names: str) -> list[Tree]:
    return [{"name": name, "value": "x"} for name in names]


# ---- runtimes -------------------------------------------------------------------------------------------------------

DATASET_JOB = a_job("data", step="dataset-initializer")
FED_JOB = a_job(
    "data",
    step="dataset-initializer",
    container={"name": "dataset-initializer", "volumeMounts": [{"name": "initializer", "mountPath": "/workspace"}]},
)


@pytest.mark.parametrize(
    ("jobs", "expected"),
    [
        pytest.param([a_job()], [], id="good"),
        pytest.param([a_job(step="")], [], id="jobs-that-nothing-feeds-are-free"),
        pytest.param([a_job("x", step="other")], [], id="so-are-unknown-ancestors"),
        pytest.param(
            [a_job() | {"replicas": 2}],
            ["spec.template.spec.replicatedJobs[0].replicas: Invalid value: 2: always must be 1"],
            id="replicas",
        ),
        pytest.param(
            [a_job(container={"name": "main"})],
            [
                "spec.template.spec.replicatedJobs[0].template.spec.template.spec.containers: Invalid value: "
                '[{"name":"main","image":"image"}]: must contain the required container for the ancestor: node'
            ],
            id="no-node-container",
        ),
        pytest.param(
            [a_job(), DATASET_JOB],
            [
                "spec.template.spec.replicatedJobs[1].template.spec.template.spec.containers: Invalid value: "
                '[{"name":"node","image":"image"}]: must contain the required container for the ancestor: '
                "dataset-initializer"
            ],
            id="no-initializer-container",
        ),
    ],
)
def test_runtimes(jobs: list[Tree], expected: list[str]) -> None:
    assert [str(error) for error in validate_runtime(a_runtime(jobs=jobs))] == expected


@pytest.mark.parametrize("runtime", shipped_runtimes(), ids=lambda runtime: runtime["metadata"]["name"])
def test_shipped_runtimes_are_good(runtime: Tree) -> None:
    assert not list(validate_runtime(runtime))
    assert not errors_of(a_train_job(trainer={"numNodes": 1}), runtime)


# ---- TrainJobs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("jobs", "spec", "fragment"),
    [
        (
            [a_job()],
            {"dataset": {}},
            "must have dataset-initializer job when trainJob is configured with input datasetConfig",
        ),
        (
            [a_job()],
            {"model": {}},
            "must have model-initializer job when trainJob is configured with input modelConfig",
        ),
        (
            [a_job(), DATASET_JOB],
            {"dataset": {}},
            "must have container with name - dataset-initializer in the dataset-initializer job",
        ),
        (
            [a_job(), a_job("data", step="dataset-initializer", container={"name": "dataset-initializer"})],
            {"dataset": {}},
            "must have volumeMount with name - initializer in container dataset-initializer of the "
            "dataset-initializer job",
        ),
    ],
)
def test_initializers_that_go_nowhere(jobs: list[Tree], spec: Tree, fragment: str) -> None:
    (error,) = errors_of(a_train_job(initializer=spec), a_runtime({"torch": {}}, jobs=jobs))
    assert error.startswith("spec.runtimeRef: Invalid value: ")
    assert error.endswith(fragment)


def test_an_initializer_that_is_fed_is_good() -> None:
    job = a_train_job(initializer={"dataset": {"storageUri": "hf://a/b"}})
    assert not errors_of(job, a_runtime({"torch": {}}, jobs=[a_job(), FED_JOB]))


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        pytest.param(a_patch("example.com/x", a_patched_job(nodeSelector={"a": "b"})), None, id="good"),
        pytest.param(
            a_patch("kueue"),
            'spec.runtimePatches[0].manager: Invalid value: "kueue": must be a domain-prefixed path '
            '(such as "acme.io/foo")',
            id="manager-without-domain",
        ),
        pytest.param(
            a_patch("Bad_Domain/x"),
            'spec.runtimePatches[0].manager: Invalid value: "Bad_Domain": a lowercase RFC 1123 subdomain must consist '
            "of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character "
            "(e.g. 'example.com', regex used for validation is "
            r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
            id="manager-with-a-bad-domain",
        ),
        pytest.param(
            a_patch("a.io/x", a_patched_job("gone")),
            "spec.runtimePatches[0].trainingRuntimeSpec.template.spec.replicatedJobs[0].name: Invalid value: "
            '"gone": must not have replicated job that doesn\'t exist in the runtime job template',
            id="no-such-job",
        ),
        pytest.param(
            a_patch("a.io/x", a_patched_job(containers=[{"name": "gone"}])),
            "spec.runtimePatches[0].trainingRuntimeSpec.template.spec.replicatedJobs[0].template.spec.template.spec"
            '.containers[0].name: Invalid value: "gone": must not have container that doesn\'t exist in the runtime '
            "job node",
            id="no-such-container",
        ),
        pytest.param(
            a_patch("a.io/x", a_patched_job(initContainers=[{"name": "gone"}])),
            "spec.runtimePatches[0].trainingRuntimeSpec.template.spec.replicatedJobs[0].template.spec.template.spec"
            '.initContainers[0].name: Invalid value: "gone": must not have initContainer that doesn\'t exist in the '
            "runtime job node",
            id="no-such-init-container",
        ),
        pytest.param(
            a_patch("a.io/x", a_patched_job(containers=[{"name": "node", "env": env("A")}])),
            "spec.runtimePatches[0].trainingRuntimeSpec.template.spec.replicatedJobs[0].template.spec.template.spec"
            ".containers[0].env: Forbidden: must not have envs for the dataset-initializer, model-initializer, node "
            "containers",
            id="env-of-the-node-container",
        ),
    ],
)
def test_runtime_patches(patch: Tree, expected: str | None) -> None:
    assert errors_of(a_train_job(runtimePatches=[patch])) == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("policy", "names", "expected"),
    [
        ({"torch": {}}, ["MINE"], []),
        (
            {"torch": {}},
            ["PET_NNODES", "MINE", "PET_MASTER_ADDR"],
            ["must not have reserved envs, invalid envs configured: [PET_MASTER_ADDR PET_NNODES]"],
        ),
        (
            {"mpi": {}},
            ["OMPI_MCA_plm_rsh_args"],
            ["must not have reserved envs, invalid envs configured: [OMPI_MCA_plm_rsh_args]"],
        ),
        (
            {"xgboost": {}},
            ["MINE", "DMLC_TASK_ID"],
            ["spec.trainer.env[1]: Forbidden: DMLC_TASK_ID is reserved for the XGBoost runtime"],
        ),
        ({}, ["PET_NNODES", "DMLC_TASK_ID"], []),
    ],
)
def test_reserved_environment_variables(policy: Tree, names: list[str], expected: list[str]) -> None:
    found = errors_of(a_train_job(trainer={"env": env(*names)}), a_runtime(policy))
    assert len(found) == len(expected)
    for error, end in zip(found, expected, strict=True):
        assert error.endswith(end)


@pytest.mark.parametrize(
    ("target", "fragment"),
    [
        ({"jobName": "gone", "containerNames": ["x"]}, "targets[0].jobName"),
        ({"jobName": "node", "containerNames": ["gone"]}, "targets[0].containerNames[0]"),
    ],
)
def test_torch_targets_must_exist(target: Tree, fragment: str) -> None:
    (error,) = errors_of(a_train_job(), a_runtime({"torch": {"envInjection": {"targets": [target]}}}))
    assert fragment in error


@pytest.mark.parametrize(("nodes", "count"), [(1, 0), (2, 1)])
def test_a_launcher_that_is_a_node_needs_both_jobs(nodes: int, count: int) -> None:
    runtime = deepspeed_distributed()
    launcher = runtime["spec"]["template"]["spec"]["replicatedJobs"].pop()
    assert launcher["name"] == "launcher"
    runtime["spec"]["template"]["spec"].pop("successPolicy")
    found = errors_of(a_train_job(trainer={"numNodes": nodes}), runtime)
    assert len(found) == count
    assert all("must have launcher job" in error for error in found)


@pytest.mark.parametrize(
    ("spec", "jobs", "fragment"),
    [
        pytest.param({}, None, "spec.trainer: Required value: must be set for Flux TrainJob", id="differ-7-no-trainer"),
        pytest.param({"trainer": {}}, None, None, id="differ-7-no-node-count-is-the-runtime-s"),
        pytest.param(
            {"trainer": {"numProcPerNode": 0}}, None, "must be greater than or equal to 1 for Flux TrainJob", id="procs"
        ),
        pytest.param(
            {"trainer": {}},
            [a_job(initContainers=[{"name": "flux-installer"}])],
            "InitContainer 'flux-installer' is reserved",
            id="reserved-init-container",
        ),
    ],
)
def test_flux(spec: Tree, jobs: list[Tree] | None, fragment: str | None) -> None:
    found = errors_of(a_train_job(**spec), a_runtime({"flux": {}}, jobs=jobs))
    assert len(found) == (1 if fragment else 0)
    assert all(fragment in error for error in found if fragment)


TUNE = {"command": ["tune", "run"]}
LORA = ["model.lora_attn_modules=[q_proj]"]
QLORA = [*LORA, "model.quantize_base=True"]


@pytest.mark.parametrize(
    ("name", "trainer", "fragment"),
    [
        ("torchtune-llama3.2-1b", {}, None),
        ("torch-distributed", {}, "must have a supported pretrained model"),
        ("torchtune-llama9.9-1b", {}, "invalid model configured: llama9_9/1B"),
        ("torchtune-llama3.2-1b", {"numNodes": 2}, "must be 1 for llama3_2/1B model"),
        ("torchtune-llama3.3-70b", {"numNodes": 2}, None),
        ("torchtune-llama3.3-70b", {"numNodes": 2, "args": LORA}, "LoRA fine-tuning is not supported for multi-node"),
        ("torchtune-qwen2.5-1.5b", {"args": QLORA, "numProcPerNode": 1}, "QLoRA is not supported for qwen2_5/1.5B"),
        ("torchtune-llama3.2-1b", {"args": QLORA, "numProcPerNode": 1}, None),
        ("torchtune-llama3.2-1b", {"args": QLORA}, "Distributed QLoRA is not supported for llama3_2/1B"),
        (
            "torchtune-llama3.2-1b",
            {"args": ["output_dir=/x"]},
            'must not set immutable config "output_dir" in trainer args; it is managed by the runtime',
        ),
    ],
)
def test_torchtune(name: str, trainer: Tree, fragment: str | None) -> None:
    runtime = torchtune_qwen() if "qwen" in name else torchtune_llama_1b()
    found = errors_of(a_train_job(runtime=name, trainer=TUNE | trainer), runtime)
    assert len(found) == (1 if fragment else 0), found
    assert all(fragment in error for error in found if fragment)


def test_volcano_wants_a_named_queue_and_its_priority_classes() -> None:
    runtime = a_runtime(
        {},
        podGroupPolicy={"volcano": {}},
        metadata={"annotations": {"scheduling.volcano.sh/queue-name": ""}},
    )
    assert "Volcano queue name must not be empty" in errors_of(a_train_job(), runtime)[0]
    (error,) = errors_of(a_train_job(), a_runtime({}), missing_priorities=["high"])
    assert 'PriorityClass "high" doesn\'t exist: ' in error


def test_differ_8_a_name_that_would_be_too_long_is_refused_with_the_longest_pod_name() -> None:
    name = "a" * 52
    errors = errors_of(a_train_job(name, trainer={"numNodes": 100}))
    assert any(
        "JobSet name is too long, pod names generated for this JobSet will exceed 63 characters" in e for e in errors
    )
    assert errors[-1] == f"metadata.name: the longest pod name would be {name}-node-0-99-abcde (68 characters)"
    assert not errors_of(a_train_job("a" * 47, trainer={"numNodes": 100}))


def test_the_runtime_is_not_changed_by_a_check() -> None:
    runtime = a_runtime({"mpi": {}}, jobs=[a_job(), {"name": "launcher", "template": {"spec": {}}}])
    before = copy_of(runtime)
    errors_of(a_train_job(trainer={"numNodes": 2}, initializer={"dataset": {}}), runtime)
    errors_of(
        a_train_job(trainer={"numNodes": 2}, runtimePatches=[a_patch("a.io/b", a_patched_job("launcher"))]), runtime
    )
    assert runtime == before


# ---- updates --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("was", "becomes", "active", "fragments"),
    [
        pytest.param(
            False, False, 0, ["can only be modified when the TrainJob is suspended before or after"], id="runs"
        ),
        pytest.param(True, True, 0, [], id="stays-suspended"),
        pytest.param(False, True, 0, [], id="is-being-suspended"),
        pytest.param(True, False, 0, [], id="is-being-resumed"),
        pytest.param(
            True,
            True,
            1,
            ["RuntimePatches cannot be modified when the JobSet's ReplicatedJob node is still active"],
            id="still-active",
        ),
        pytest.param(False, False, 1, ["can only be modified", "ReplicatedJob node is still active"], id="both"),
    ],
)
def test_patches_change_only_at_a_standstill(was: bool, becomes: bool, active: int, fragments: list[str]) -> None:
    old = a_train_job(suspend=was)
    new = a_train_job(suspend=becomes, runtimePatches=[a_patch()])
    found = [str(error) for error in validate_change(new, old, a_job_set(counted=[counted(active=active)]))]
    assert len(found) == len(fragments)
    for error, fragment in zip(found, fragments, strict=True):
        assert error.startswith("spec.runtimePatches: Forbidden: ")
        assert fragment in error


def test_a_resumption_without_new_patches_is_free() -> None:
    patches = [a_patch()]
    old, new = a_train_job(suspend=True, runtimePatches=patches), a_train_job(runtimePatches=patches)
    assert not list(validate_change(new, old, a_job_set(counted=[counted(active=1)])))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(None, {}, "2026-05-01T12:00:00Z", id="new-without-time"),
        pytest.param(None, {"time": "2020-01-01T00:00:00Z"}, "2020-01-01T00:00:00Z", id="new-with-time"),
        pytest.param(
            {"time": "2020-01-01T00:00:00Z"}, {"time": "2021-01-01T00:00:00Z"}, "2020-01-01T00:00:00Z", id="unchanged"
        ),
        pytest.param({"time": "2020-01-01T00:00:00Z"}, {}, "2020-01-01T00:00:00Z", id="unchanged-and-left-out"),
        pytest.param(
            {"time": "2020-01-01T00:00:00Z"},
            {"time": "2020-01-01T00:00:00Z", "trainingRuntimeSpec": {}},
            "2026-05-01T12:00:00Z",
            id="changed",
        ),
    ],
)
def test_each_patch_carries_the_time_of_its_change(old: Tree | None, new: Tree, expected: str) -> None:
    manager = {"manager": "a.io/b"}
    before = a_train_job(runtimePatches=[manager | old]) if old is not None else a_train_job()
    job = a_train_job(runtimePatches=[manager | new])
    default_train_job(job, before, now=NOW)
    assert job["spec"]["runtimePatches"][0]["time"] == expected


def test_quantities_that_come_as_numbers_are_stored_as_text() -> None:
    limits = {"cpu": 2.0, "memory": "1024Mi", "nvidia.com/gpu": 1, "example.com/half": 0.5, "odd": True}
    job = a_train_job(trainer={"resourcesPerNode": {"limits": limits}})
    default_train_job(job, None, now=NOW)
    assert job["spec"]["trainer"]["resourcesPerNode"]["limits"] == {
        "cpu": "2",
        "memory": "1024Mi",
        "nvidia.com/gpu": "1",
        "example.com/half": "500m",
        "odd": True,
    }


# ---- the webhooks ---------------------------------------------------------------------------------------------------


class Shelf:
    """A reader over objects that a test lays out."""

    def __init__(self, objects: Mapping[tuple[str, str, str], Tree]) -> None:
        self._objects = objects

    async def find(self, kind: Kind, key: ObjectKey) -> Tree | None:
        return self._objects.get((kind.kind, key.namespace, key.name))


def rule(name: str) -> AdmissionRule:
    return next(rule for rule in rules(PLUGINS) if rule.name == name)


async def reviewed(name: str, obj: Tree, old: Tree | None = None, *objects: Tree) -> Review:
    shelf: Any = Shelf(
        {(o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]): o for o in objects},
    )
    reader: Reader = shelf
    return await rule(name).review(obj, old, reader=reader, clock=FakeClock())


TRAIN_JOBS = "validator.trainjob.trainer.kubeflow.org"


def test_webhooks_have_upstream_s_names_and_paths() -> None:
    assert [(r.name, r.path, r.phase, r.operations) for r in rules(PLUGINS)] == [
        (
            "defaulter.trainjob.trainer.kubeflow.org",
            "/mutate-trainer-kubeflow-org-v1alpha1-trainjob",
            "mutate",
            ("CREATE", "UPDATE"),
        ),
        *(
            (
                f"validator.{name}.trainer.kubeflow.org",
                f"/validate-trainer-kubeflow-org-v1alpha1-{name}",
                "validate",
                ("CREATE", "UPDATE"),
            )
            for name in ("trainjob", "trainingruntime", "clustertrainingruntime")
        ),
    ]


@pytest.mark.parametrize(
    ("kind", "noun"),
    [("ClusterTrainingRuntime", "clusterTrainingRuntime"), ("TrainingRuntime", "trainingRuntime")],
)
async def test_the_runtime_must_be_there(kind: str, noun: str) -> None:
    review = await reviewed(TRAIN_JOBS, a_train_job(runtime="gone", runtime_kind=kind))
    (error,) = review.errors
    assert error.endswith(f": specified {noun} must be created before the TrainJob is created")
    assert error.startswith("spec.runtimeRef: ")


async def test_several_errors_are_told_as_one_list() -> None:
    jobs = [a_job() | {"replicas": 2}, a_job("other", step="model-initializer")]
    (error,) = (await reviewed("validator.trainingruntime.trainer.kubeflow.org", a_runtime(jobs=jobs))).errors
    assert error.startswith("[spec.template.spec.replicatedJobs[0].replicas: Invalid value: 2: always must be 1, spec.")
    assert error.endswith("must contain the required container for the ancestor: model-initializer]")


async def test_an_unknown_kind_of_runtime_is_let_through() -> None:
    assert not (await reviewed(TRAIN_JOBS, a_train_job(runtime_kind="Foo"))).errors


async def test_a_deprecated_runtime_leads_to_warnings() -> None:
    runtime = a_runtime({"torch": {}}, name="old", labels={"trainer.kubeflow.org/support": "deprecated"})
    text = (
        'ClusterTrainingRuntime "old" is deprecated and will be removed in a future release of Kubeflow Trainer. '
        "See runtime deprecation policy: https://trainer.kubeflow.org/en/latest/operator-guides/runtime.html"
        "#runtime-deprecation-policy"
    )
    review = await reviewed("validator.clustertrainingruntime.trainer.kubeflow.org", runtime)
    assert list(review.warnings) == [text]
    review = await reviewed(TRAIN_JOBS, a_train_job(runtime="old"), None, runtime)
    assert list(review.warnings) == [f"Referenced {text}"]


async def test_differ_6_updates_of_training_runtimes_are_checked_and_packaged_ones_are_left_alone() -> None:
    name = "validator.trainingruntime.trainer.kubeflow.org"
    bad = a_runtime(jobs=[a_job() | {"replicas": 2}])
    assert (await reviewed(name, bad, a_runtime())).errors
    (rule,) = [rule for rule in rules(PLUGINS) if rule.name == name]
    assert rule.exempt == ("trainer.kubeflow.org/webhook-validation", "disabled")


async def test_a_running_job_is_checked_against_its_snapshot_not_the_live_runtime() -> None:
    runtime = a_runtime({"torch": {}}, name="torch-distributed")
    old = a_train_job(suspend=True)
    new = a_train_job(suspend=True, runtimePatches=[a_patch("a.io/b", a_patched_job(nodeSelector={"a": "b"}))])
    snapshot = snapshot_of(runtime, train_job_of(old), old)
    assert not (await reviewed(TRAIN_JOBS, new, old, snapshot)).errors
    assert (await reviewed(TRAIN_JOBS, new, old)).errors


async def test_an_update_that_leaves_the_spec_alone_is_never_refused() -> None:
    job = a_train_job(runtime="gone")
    labelled = copy_of(job) | {"metadata": job["metadata"] | {"labels": {"a": "b"}}}
    assert not (await reviewed(TRAIN_JOBS, labelled, job)).errors


async def test_missing_priority_classes_are_looked_up_for_volcano_only() -> None:
    jobs = [a_job(priorityClassName="high"), a_job("other", step="", priorityClassName="system-node-critical")]
    job = a_train_job(runtime="gang")
    gang = a_runtime({}, name="gang", jobs=jobs, podGroupPolicy={"volcano": {}})
    (error,) = (await reviewed(TRAIN_JOBS, job, None, gang)).errors
    assert 'PriorityClass "high"' in error
    known = {"kind": "PriorityClass", "metadata": {"name": "high"}}
    assert not (await reviewed(TRAIN_JOBS, job, None, gang, known)).errors
    assert not (await reviewed(TRAIN_JOBS, job, None, a_runtime({}, name="gang", jobs=jobs))).errors
