"""What users are answered to wrong TrainJobs and runtimes, by a whole API server: code, reason and words."""

from typing import Any

import pytest

from flowdeck.components.training.types import CLUSTER_TRAINING_RUNTIME, TRAIN_JOB
from flowdeck.kube.errors import ApiError
from flowdeck.kube.kinds import JOB_SET
from flowdeck.kube.objects import ObjectKey, Tree
from tests.components.training.makers import a_job, a_patch, a_patched_job, a_runtime, a_train_job
from tests.world.world import World

KEY = ObjectKey("default", "train")
VALIDATOR = 'admission webhook "validator.{}.trainer.kubeflow.org" denied the request: '


def new(*arguments: Any, **parts: Any) -> Tree:
    job = a_train_job(*arguments, **parts)
    del job["metadata"]["uid"], job["metadata"]["creationTimestamp"]
    return job


def new_runtime(*arguments: Any, **parts: Any) -> Tree:
    runtime = a_runtime(*arguments, **parts)
    del runtime["metadata"]["uid"]
    return runtime


async def refused(call: Any) -> tuple[int, str, str]:
    with pytest.raises(ApiError) as caught:
        await call
    return caught.value.code, caught.value.reason, str(caught.value)


def many(count: int) -> list[Tree]:
    return [{"name": f"e{number}"} for number in range(count)]


@pytest.mark.parametrize(
    ("obj", "code", "reason", "text"),
    [
        (new("1abc"), 422, "Invalid", "metadata.name must match RFC 1035 DNS label format"),
        (new("a_b"), 422, "Invalid", "a lowercase RFC 1123 subdomain must consist of"),
        (new("a" * 64), 422, "Invalid", "metadata.name must be no more than 63 characters"),
        (
            new(runtime="gone"),
            403,
            "Forbidden",
            VALIDATOR.format("trainjob") + 'spec.runtimeRef: Invalid value: {"name":"gone","apiGroup":'
            '"trainer.kubeflow.org","kind":"ClusterTrainingRuntime"}: specified clusterTrainingRuntime must be created '
            "before the TrainJob is created",
        ),
        (new(managedBy="x/y"), 422, "Invalid", "ManagedBy must be trainer.kubeflow.org/trainjob-controller or"),
        (new(activeDeadlineSeconds=0), 422, "Invalid", "should be greater than or equal to 1"),
        (new(initializer={"dataset": {"storageUri": "foo"}}), 422, "Invalid", "storageUri may be empty, or it must be"),
        (new(trainer={"numProcPerNode": "auto"}), 422, "Invalid", "must be of type integer"),
        (new_runtime({"torch": {}, "jax": {}}), 422, "Invalid", "Only one of the policy can be configured"),
        (
            new_runtime({}, jobs=[a_job() | {"replicas": 2}]),
            403,
            "Forbidden",
            VALIDATOR.format("clustertrainingruntime")
            + "spec.template.spec.replicatedJobs[0].replicas: Invalid value: 2: always must be 1",
        ),
        (
            new(trainer={"env": [{"name": "PET_NNODES", "value": "1"}]}),
            403,
            "Forbidden",
            "must not have reserved envs, invalid envs configured: [PET_NNODES]",
        ),
        (new(runtimePatches=[a_patch(), a_patch()]), 422, "Invalid", "Duplicate value"),
        (new(runtimePatches=[a_patch(f"a.io/{n}") for n in range(17)]), 422, "Invalid", "must have at most 16 items"),
        (new(trainer={"env": many(129)}), 422, "Invalid", "must have at most 128 items"),
        (
            new(runtimePatches=[a_patch("a.io/b", a_patched_job(containers=many(65)))]),
            422,
            "Invalid",
            "must have at most 64 items",
        ),
    ],
)
async def test_wrong_objects(world: World, obj: Tree, code: int, reason: str, text: str) -> None:
    answer = await refused(world.client.create(world.api.kind_of(obj), obj))
    assert answer[:2] == (code, reason), answer
    assert text in answer[2]


@pytest.mark.parametrize(
    "change",
    [
        {"trainer": {"image": "other"}},
        {"initializer": {"dataset": {"storageUri": "hf://c/d"}}},
        {"runtimeRef": {"name": "jax-distributed"}},
        {"activeDeadlineSeconds": 61},
        {"managedBy": "kueue.x-k8s.io/multikueue"},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_what_may_not_change(world: World, change: Tree) -> None:
    await world.create(
        new(
            runtime="torchtune-llama3.2-1b",
            trainer={"image": "one"},
            initializer={"dataset": {"storageUri": "hf://a/b"}},
            activeDeadlineSeconds=60,
        )
    )
    code, reason, text = await refused(world.client.patch(TRAIN_JOB, KEY, {"spec": change}))
    assert (code, reason) == (422, "Invalid")
    assert "field is immutable" in text


async def test_a_running_job_is_not_patched(world: World) -> None:
    await world.create(new())
    change = {"spec": {"runtimePatches": [a_patch()]}}
    code, reason, text = await refused(world.client.patch(TRAIN_JOB, KEY, change))
    assert (code, reason) == (403, "Forbidden")
    assert text == (
        VALIDATOR.format("trainjob") + "spec.runtimePatches: Forbidden: RuntimePatches can only be modified when the "
        "TrainJob is suspended before or after the update"
    )


async def test_an_empty_uri_and_an_unknown_kind_of_runtime_are_taken(world: World) -> None:
    await world.create(new(runtime="torchtune-llama3.2-1b", initializer={"dataset": {"storageUri": ""}}))
    await world.create(new("other", runtime_kind="Foo"))


async def test_whole_numbers_may_be_written_with_a_point(world: World) -> None:
    await world.create(new(trainer={"numNodes": 2.0, "numProcPerNode": 3.0}))
    await world.settle()
    (job,) = (await world.get(JOB_SET, "train"))["spec"]["replicatedJobs"]
    assert job["template"]["spec"]["parallelism"] == 2


async def test_unknown_fields_are_dropped_or_refused_when_strict(world: World) -> None:
    job = new() | {"unknown": 1}
    stored = await world.create(job)
    assert "unknown" not in stored
    strict = world.client.raw("POST", TRAIN_JOB.url(namespace="default"), query={"fieldValidation": "Strict"}, body=job)
    code, reason, text = await refused(strict)
    assert (code, reason) == (400, "BadRequest")
    assert 'unknown field "unknown"' in text


async def test_malformed_bodies_twice_the_same_name_and_what_is_missing(world: World) -> None:
    path = TRAIN_JOB.url(namespace="default")
    broken = world.client.call("POST", path, {}, b'{"kind": ', world.client.user, "application/json")
    assert (await refused(broken))[:2] == (400, "BadRequest")
    await world.create(new())
    assert await refused(world.create(new())) == (
        409,
        "AlreadyExists",
        'trainjobs.trainer.kubeflow.org "train" already exists',
    )
    assert await refused(world.client.delete(TRAIN_JOB, ObjectKey("default", "gone"))) == (
        404,
        "NotFound",
        'trainjobs.trainer.kubeflow.org "gone" not found',
    )
    assert await refused(world.client.get(CLUSTER_TRAINING_RUNTIME, ObjectKey("", "gone"))) == (
        404,
        "NotFound",
        'clustertrainingruntimes.trainer.kubeflow.org "gone" not found',
    )
