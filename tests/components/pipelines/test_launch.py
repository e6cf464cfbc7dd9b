"""What a pod is told: its executor input, its texts, what it asks of its node, and what the cache knows it by."""

from typing import Any

import pytest

from flowdeck.components.pipelines.engine.events import CacheAnswered, PodStarted, Succeeded
from flowdeck.components.pipelines.engine.fingerprint import differences
from flowdeck.components.pipelines.engine.fingerprint import fingerprint as fingerprint_of
from flowdeck.components.pipelines.engine.instructions import LookUpCache, StartPod
from flowdeck.components.pipelines.engine.records import IoType, task_record
from flowdeck.components.pipelines.engine.run_state import RunState
from flowdeck.components.pipelines.plan.types import Component
from flowdeck.kube.objects import Tree
from tests.components.pipelines.executor import Executor
from tests.components.pipelines.makers import (
    NOW,
    Maker,
    a_run,
    artifact,
    artifact_of,
    constant,
    given,
    of,
    parameter,
    use,
    value_from,
    when,
)


def pod_of(task: Tree, m: Maker, inputs: Tree | None = None, values: Tree | None = None, **more: Any) -> StartPod:
    """The pod of a pipeline of one task."""
    executor = Executor(RunState(a_run(values), m.plan({"train": task}, inputs, **more))).start()
    (pod,) = executor.of(StartPod)
    return pod


def container(**more: Any) -> Tree:
    return {"container": {"image": "python:3.11", "command": ["run"], "args": ["{{$}}"], **more}}


def test_the_executor_input_has_inputs_outputs_and_where_they_go() -> None:
    m = Maker()
    leaf = m.leaf(
        "leaf", {"x": parameter(), "n": parameter("NUMBER_INTEGER", defaultValue=3.0), "o": parameter(isOptional=True)},
        {"y": "STRING"}, artifacts_out={"model": artifact("system.Model", metadata={"framework": "xgboost"})},
    )  # fmt: skip
    pod = pod_of(use(leaf, {"x": constant("v"), "extra": constant("left out")}), m)
    made = pod.executor_input["outputs"]["artifacts"]["model"]["artifacts"][0]
    root = made["uri"].removesuffix("/model")
    assert root.startswith("minio://mlpipeline/v2/artifacts/pipe/run-1/train/")
    assert pod.executor_input == {
        "inputs": {"parameterValues": {"x": "v", "n": 3}},
        "outputs": {
            "parameters": {"y": {"outputFile": "/tmp/kfp/outputs/y"}},
            "artifacts": {
                "model": {
                    "artifacts": [
                        {
                            "name": made["name"],
                            "type": {"schemaTitle": "system.Model", "schemaVersion": "0.0.1"},
                            "uri": f"{root}/model",
                            "metadata": {"framework": "xgboost"},
                        }
                    ]
                }
            },
            "outputFile": f"{root.replace('minio://', '/minio/')}/output_metadata.json",
        },
    }
    assert len(made["name"]) == 36


def test_programs_see_whole_numbers_without_a_point() -> None:
    """The SDK writes all numbers of lists and structs as doubles."""
    m = Maker()
    leaf = m.leaf("leaf", {"l": parameter("LIST"), "d": parameter("STRUCT", defaultValue={"a": [1.0, 1.5]})})
    pod = pod_of(use(leaf, {"l": constant([1.0, {"b": 2.0}])}), m)
    assert str(pod.executor_input["inputs"]["parameterValues"]) == "{'l': [1, {'b': 2}], 'd': {'a': [1, 1.5]}}"


def test_input_artifacts_are_named_by_their_ids() -> None:
    m = Maker()
    giver, taker = m.leaf("giver", artifacts_out={"d": artifact()}), m.leaf("taker", artifacts_in={"d": artifact()})
    plan = m.plan({"g": use(giver), "t": use(taker, artifacts={"d": artifact_of("g", "d")})})
    executor = Executor(RunState(a_run(), plan)).start().run()
    first, second = executor.of(StartPod)
    assert second.executor_input["inputs"] == {"artifacts": first.executor_input["outputs"]["artifacts"]}
    assert "parameterValues" not in second.executor_input["inputs"]


def test_constants_of_the_run_are_known_and_texts_of_the_pod_resolved() -> None:
    m = Maker()
    spec = container(
        image="img:{{$.inputs.parameters['tag']}}",
        env=[{"name": "JOB", "value": "{{$.pipeline_job_name}}/{{$.inputs.parameters['tag']}}"}],
        args=["{{$.inputs.parameters['pipelinechannel--z']}}"],
        resources={
            "resourceCpuLimit": "{{$.inputs.parameters['tag']}}", "cpuLimit": 2, "memoryLimit": 0.5, "cpuRequest": 1.5,
            "accelerator": {"resourceType": "nvidia.com/gpu", "resourceCount": "1"},
        },
    )  # fmt: skip
    leaf = m.leaf("leaf", {"tag": parameter(), "name": parameter()}, executor=spec)
    name = constant("{{$.pipeline_task_name}} of {{$.pipeline_job_resource_name}}")
    pod = pod_of(use(leaf, {"tag": constant("7"), "name": name, "pipelinechannel--z": constant("zz")}), m)
    assert pod.image == "img:7"
    assert pod.env == [("JOB", "my run/7")]
    assert pod.resources == {
        "cpuLimit": "7", "memoryLimit": "0.5G", "cpuRequest": "1.5",
        "acceleratorType": "nvidia.com/gpu", "acceleratorCount": "1",
    }  # fmt: skip
    values = pod.executor_input["inputs"]["parameterValues"]
    assert values == {"tag": "7", "name": "train of pipe-abcde", "pipelinechannel--z": "zz"}
    assert pod.constants["pipeline_task_uuid"] == pod.task
    assert pod.constants["pipeline_job_create_time_utc"] == "2027-01-15T08:00:00Z"
    assert (pod.pod_name, pod.retry_index) == (f"pipe-abcde-{pod.task.replace('-', '')[:12]}-1", 0)


def test_a_platform_takes_values_of_the_dag_around() -> None:
    m = Maker()
    kubernetes = {
        "secretAsEnv": [{"secretNameParameter": given("s"), "keyToEnv": [{"secretKey": "k", "envVar": "E"}]}],
        "tolerations": [{"tolerationJson": given("gone")}],
        "activeDeadlineSeconds": 60,
    }
    leaf = m.leaf("leaf", kubernetes=kubernetes)
    inputs = {"s": parameter(), "gone": parameter("STRUCT", isOptional=True)}
    pod = pod_of(use(leaf), m, inputs, {"s": "my-secret"})
    assert pod.platform == {
        "secretAsEnv": [{"secretName": "my-secret", "keyToEnv": [{"secretKey": "k", "envVar": "E"}]}],
        "activeDeadlineSeconds": 60,
    }


def test_task_config_is_left_to_who_makes_the_pod() -> None:
    m = Maker()
    leaf = m.leaf("leaf", {"config": parameter("TASK_CONFIG")})
    m.components[leaf]["taskConfigPassthroughs"] = [{"field": "ENV"}, {"field": "RESOURCES", "applyToTask": True}]
    pod = pod_of(use(leaf), m)
    assert pod.task_config_inputs == ["config"]
    assert pod.passthroughs == [{"field": "ENV"}, {"field": "RESOURCES", "applyToTask": True}]


@pytest.mark.parametrize(
    ("args", "value", "workspace", "uses"),
    [
        (["{{$.workspace_path}}"], "v", True, True),
        (["x"], "{{$.workspace_path}}/f", True, True),
        (["x"], "v", True, False),
        (["{{$.workspace_path}}"], "v", False, False),
    ],
)
def test_a_pod_knows_whether_it_needs_the_workspace(args: list[str], value: str, workspace: bool, uses: bool) -> None:
    m = Maker()
    leaf = m.leaf("leaf", {"x": parameter()}, executor=container(args=args))
    config = {"workspace": {"size": "1Gi"}} if workspace else None
    assert pod_of(use(leaf, {"x": constant(value)}), m, config=config).uses_workspace is uses


# ---- the cache ---------------------------------------------------------------------------------------------------


def fingerprint(*, options: Tree | None = None, values: Tree | None = None, name: str = "train", **spec: Any) -> str:
    """Of a task of one container."""
    m = Maker()
    given_spec = {"args": ["a"], **spec}
    kubernetes = given_spec.pop("kubernetes", None)
    outputs = given_spec.pop("outputs", {"y": "STRING"})
    leaf = m.leaf("leaf", {"x": parameter()}, outputs, executor=container(**given_spec), kubernetes=kubernetes)
    task = use(leaf, {"x": given("x")}, cachingOptions={"enableCache": True, **(options or {})})
    plan = m.plan({name: task}, {"x": parameter()})
    executor = Executor(RunState(a_run(values or {"x": "1"}), plan)).start()
    (asked,) = executor.of(LookUpCache)
    return str(asked.fingerprint)


def test_a_miss_is_explained_by_what_differs() -> None:
    component = compile_one(args=["a"]), compile_one(args=["b"])
    first = fingerprint_of(component[0], {"x": 1, "y": 2}, {}, {}, "img")
    other = fingerprint_of(component[1], {"x": 1, "y": 3, "z": 0}, {}, {}, "img")
    assert differences(other.parts, first.parts) == ["command", "parameter y", "parameter z"]
    assert differences(first.parts, first.parts) == []


def compile_one(**spec: Any) -> Component:
    m = Maker()
    return m.plan({"t": use(m.leaf("leaf", executor=container(**spec)))}).dag.tasks["t"].component


@pytest.mark.parametrize(
    "same",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"name": "other"}, id="task-name"),
        pytest.param({"env": [{"name": "A", "value": "b"}]}, id="env"),
        pytest.param({"resources": {"cpuLimit": 3}}, id="resources"),
        pytest.param({"kubernetes": {"imagePullPolicy": "Always"}}, id="platform"),
    ],
)
def test_what_does_not_count_for_the_cache(same: Tree) -> None:
    assert fingerprint(**same) == fingerprint()


@pytest.mark.parametrize(
    "different",
    [
        pytest.param({"values": {"x": "2"}}, id="parameter"),
        pytest.param({"args": ["b"]}, id="command"),
        pytest.param({"image": "python:3.12"}, id="image"),
        pytest.param({"outputs": {"z": "STRING"}}, id="output"),
        pytest.param({"kubernetes": {"pvcMount": [{"constant": "p", "mountPath": "/m"}]}}, id="claim"),
        pytest.param({"options": {"cacheKey": "k"}}, id="key"),
    ],
)
def test_what_counts_for_the_cache(different: Tree) -> None:
    assert fingerprint(**different) != fingerprint()


def test_with_a_key_inputs_do_not_count() -> None:
    key = {"options": {"cacheKey": "k"}}
    assert fingerprint(**key, values={"x": "2"}) == fingerprint(**key)
    assert fingerprint(options={"cacheKey": "other"}) != fingerprint(**key)


# ---- records -----------------------------------------------------------------------------------------------------


def test_a_task_is_recorded_as_the_next_releases_api_shows_it() -> None:
    m = Maker()
    leaf = m.leaf("leaf", {"x": parameter(), "d": parameter(defaultValue="e")}, {"y": "STRING"})
    loop = m.dag(
        "for-loop-1",
        {"inner": use(leaf, {"x": given("i")})},
        {"i": parameter()},
        {"ys": ("STRING", value_from("inner", "y"))},
    )
    last = m.leaf("last", {"ys": parameter("LIST")})
    plan = m.plan(
        {
            "for-loop-1": use(loop, {"p": given("p")}, parameterIterator={"itemInput": "i", "items": {"raw": '["a"]'}}),
            "last": use(last, {"ys": of("for-loop-1", "ys")}),
            "skipped": use(leaf, {"x": constant("c")}, triggerPolicy=when("false"), taskInfo={"name": "Shown"}),
        },
        {"p": parameter()},
    )
    executor = Executor(RunState(a_run({"p": "v"}), plan), lambda label, execution, inputs: {"y": "made"})
    executor.start().run()
    records = {task.label: task_record(executor.state, task.id) for task in executor.state.tasks.values()}

    root = records["root"]
    assert (root.type, root.wire_b, root.parent) == ("ROOT", "SUCCEEDED", "")
    assert [(each.key, each.value, each.type) for each in root.parameters] == [("p", "v", IoType.COMPONENT_INPUT)]
    a_loop = records["root.for-loop-1"]
    assert (a_loop.type, a_loop.iteration_count, a_loop.iteration_index) == ("LOOP", 1, None)
    assert [(each.value, each.type) for each in a_loop.output_parameters] == [(["made"], IoType.ITERATOR_OUTPUT)]
    iteration = records["root.for-loop-1[0]"]
    assert (iteration.type, iteration.iteration_index, iteration.scope_path) == ("DAG", 0, "root.for-loop-1")
    assert [(each.key, each.type) for each in iteration.parameters] == [("i", IoType.ITERATOR_INPUT_RAW)]
    assert [(each.value, each.producer) for each in iteration.output_parameters] == [("made", "inner")]
    inner = records["root.for-loop-1[0].inner"]
    assert (inner.scope_path, inner.parent) == ("root.for-loop-1.inner", iteration.id)
    assert {each.key: each.type for each in inner.parameters} == {
        "x": IoType.COMPONENT_INPUT, "d": IoType.COMPONENT_DEFAULT_INPUT,
    }  # fmt: skip
    assert [each.number for each in inner.attempts] == [1]
    (collected,) = records["root.last"].parameters
    assert (collected.type, collected.producer) == (IoType.COLLECTED_INPUTS, "for-loop-1")
    skipped = records["root.skipped"]
    assert (skipped.display_name, skipped.wire_a, skipped.wire_b, skipped.attempts) == (
        "Shown",
        "SKIPPED",
        "SKIPPED",
        [],
    )


def test_a_record_tells_the_story_of_its_task() -> None:
    m = Maker()
    executor = Executor(
        RunState(a_run(), m.plan({"a": use(m.leaf("leaf"), cachingOptions={"enableCache": True})}))
    ).start()
    a = executor.by_label("root.a")
    executor.send(CacheAnswered(at=NOW + 1, task=a.id, attempt=1, why="nothing like it was run"))
    executor.send(PodStarted(at=NOW + 2, task=a.id, attempt=1, pod="p", uid="u"))
    executor.send(Succeeded(at=NOW + 3, task=a.id, attempt=1))
    record = task_record(executor.state, a.id)
    states = ["CACHING", "STARTING", "RUNNING", "SUCCEEDED"]
    assert record.history == list(zip([NOW, NOW + 1, NOW + 2, NOW + 3], states, strict=True))
    assert (record.began_at, record.ended_at, record.cache_note) == (NOW, NOW + 3, "nothing like it was run")
    assert [(each.pod, each.uid, each.state) for each in record.attempts] == [("p", "u", "SUCCEEDED")]
