"""Plans: what is wrong between the parts of a document is found when it is uploaded, and told by name."""

from collections.abc import Callable
from typing import Any

import pytest

from flowdeck.components.pipelines.errors import InvalidParameters, InvalidPipeline
from flowdeck.components.pipelines.plan.parameters import run_parameters
from flowdeck.components.pipelines.plan.platform import resolved_platform
from flowdeck.components.pipelines.plan.types import Constant, CreatePvc, DeletePvc, Importer, Plan, Retry, TaskType
from flowdeck.kube.objects import Tree
from tests.components.pipelines.makers import (
    COMPLETED,
    Maker,
    artifact,
    artifact_of,
    constant,
    given,
    given_artifact,
    of,
    one_of,
    parameter,
    status_of,
    use,
    value_from,
    when,
)

Make = Callable[[Maker], Plan]


def plan_of(make: Make) -> Plan:
    return make(Maker())


def one(m: Maker, task: Tree, **more: Any) -> Plan:
    return m.plan({"a": task}, **more)


def with_leaf(task: Callable[[str], Tree], **leaf: Any) -> Make:
    def make(m: Maker) -> Plan:
        made = {"inputs": {"x": parameter()}, "outputs": {"y": "STRING"}, **leaf}
        first = m.leaf("first", outputs={"y": "STRING"}, artifacts_out={"d": artifact()})
        return m.plan({"first": use(first), "a": task(m.leaf("leaf", **made))})

    return make


X = {"x": constant("1")}


@pytest.mark.parametrize(
    ("make", "why"),
    [
        pytest.param(
            lambda m: one(m, use("comp-gone")), "task 'a' refers to the component 'comp-gone'", id="component"
        ),
        pytest.param(
            lambda m: one(m, use(m.leaf("l", executor={"resolver": {}}))), "is a resolver, which is not", id="resolver"
        ),
        pytest.param(
            lambda m: one(m, use(m.leaf("l", executor={"customJob": {}}))), "is a customJob, which is not", id="custom"
        ),
        pytest.param(
            lambda m: one(m, use(m.leaf("l", executor={"container": {}}))), "a container without an image", id="image"
        ),
        pytest.param(
            lambda m: one(m, use(m.leaf("l", executor={"importer": {}}))), "has no artifactUri", id="importer-uri"
        ),
        pytest.param(
            with_leaf(lambda c: use(c, {"x": of("gone", "y")})),
            "task 'a': input parameter 'x' is taken from task 'gone', but there is no such task",
            id="producer",
        ),
        pytest.param(
            with_leaf(lambda c: use(c, {"x": of("first", "z")})), "which has no output parameter 'z'", id="output-key"
        ),
        pytest.param(
            with_leaf(lambda c: use(c, X, artifacts={"d": artifact_of("first", "e")})),
            "input artifact 'd' is taken from task 'first', which has no output artifact 'e'",
            id="artifact-key",
        ),
        pytest.param(
            with_leaf(lambda c: use(c, {"x": given("p")})),
            "the input parameter 'p', which its dag does not",
            id="parent",
        ),
        pytest.param(
            with_leaf(lambda c: use(c, X, artifacts={"d": given_artifact("p")})),
            "the input artifact 'p', which its dag does not declare",
            id="parent-artifact",
        ),
        pytest.param(with_leaf(lambda c: use(c, {"x": {}})), "input parameter 'x' has no source", id="no-source"),
        pytest.param(
            with_leaf(lambda c: use(c)),
            "task 'a' gives no input parameter 'x', which 'comp-leaf' requires",
            id="missing",
        ),
        pytest.param(
            with_leaf(lambda c: use(c, X), artifacts_in={"d": artifact()}),
            "task 'a' gives no input artifact 'd'",
            id="missing-artifact",
        ),
        pytest.param(with_leaf(lambda c: use(c, X, after=["gone"])), "waits for task 'gone', but", id="dependency"),
        pytest.param(with_leaf(lambda c: use(c, X, after=["a"])), "task 'a' waits for itself", id="itself"),
        pytest.param(
            lambda m: m.plan({"a": use(m.leaf("l"), after=["b"]), "b": use("comp-l", after=["a"])}),
            "the tasks 'a', 'b' wait for each other in a circle",
            id="circle",
        ),
        pytest.param(
            with_leaf(lambda c: use(c, X, triggerPolicy=when("inputs."))), "task 'a': the condition", id="condition"
        ),
        pytest.param(
            with_leaf(lambda c: use(c, X, triggerPolicy=when("inputs.parameter_values['z'] == 'a'"))),
            "its condition reads 'z', which is no parameter of its inputs",
            id="condition-input",
        ),
        pytest.param(
            with_leaf(lambda c: use(c, {"x": of("first", "y", "parseJson(")})),
            "input parameter 'x': parameterExpressionSelector",
            id="selector",
        ),
        pytest.param(
            with_leaf(lambda c: use(c, X, parameterIterator={"itemInput": "z", "items": {"raw": "[]"}})),
            "goes to the input 'z', which its component lacks",
            id="item",
        ),
        pytest.param(
            with_leaf(lambda c: use(c, parameterIterator={"itemInput": "x", "items": {"inputParameter": "z"}})),
            "loops over 'z', which is no input parameter of it",
            id="items",
        ),
        pytest.param(
            with_leaf(lambda c: use(c, parameterIterator={"itemInput": "x", "items": {"raw": "{}"}})),
            "the items of its loop must be a list",
            id="raw-no-list",
        ),
        pytest.param(
            with_leaf(lambda c: use(c, parameterIterator={"itemInput": "x", "items": {"raw": "["}})),
            "the items of its loop are no JSON",
            id="raw-no-json",
        ),
        pytest.param(
            with_leaf(lambda c: use(c, X, artifactIterator={"itemInput": "d", "items": {"inputArtifact": "z"}})),
            "loops over 'z', which is no input artifact of it",
            id="artifact-items",
        ),
        pytest.param(
            with_leaf(lambda c: use(c, X, retryPolicy={"maxRetryCount": -1})), "maxRetryCount is -1", id="retry"
        ),
        pytest.param(
            with_leaf(lambda c: use(c, X, iteratorPolicy={"parallelismLimit": -1})),
            "parallelismLimit is -1",
            id="limit",
        ),
        pytest.param(
            with_leaf(lambda c: use(c, X), inputs={"x": {"type": "STRING"}}), "'x'.*has no parameterType", id="old-type"
        ),
        pytest.param(
            with_leaf(lambda c: use(c, X), inputs={"x": parameter("LIST", defaultValue="a")}),
            "default or literal of input parameter 'x' of component 'comp-leaf': expect LIST",
            id="default",
        ),
        pytest.param(
            with_leaf(lambda c: use(c, X), kubernetes={"secretAsEnv": [{"oops": 1}]}),
            r"executors.exec-leaf.secretAsEnv\[0\].oops: unknown field",
            id="platform",
        ),
        pytest.param(
            with_leaf(
                lambda c: use(c, X),
                kubernetes={"secretAsEnv": [{"secretNameParameter": of("gone", "y"), "keyToEnv": []}]},
            ),
            "task 'a': secretAsEnv is taken from task 'gone'",
            id="platform-producer",
        ),
        pytest.param(
            lambda m: m.plan({"a": use(m.leaf("l"))}, outputs={"o": ("STRING", value_from("b", "y"))}),
            "output parameter 'o' of component 'root' is taken from task 'b', but there is no such task",
            id="dag-output",
        ),
        pytest.param(
            lambda m: m.plan({"a": use(m.leaf("l"))}, outputs={"o": ("STRING", one_of())}),
            "output parameter 'o' of component 'root' has no source",
            id="dag-output-empty",
        ),
        pytest.param(
            lambda m: m.plan({"a": use(m.dag("d", {"b": use("comp-d")}))}),
            "component 'comp-d' contains itself .comp-d > comp-d",
            id="recursion",
        ),
    ],
)
def test_what_is_wrong_between_the_parts_is_found_and_named(make: Make, why: str) -> None:
    with pytest.raises(InvalidPipeline, match=f"Invalid input error: invalid pipeline 'pipe': .*{why}"):
        plan_of(make)


def test_dags_that_are_nested_too_deep_are_refused() -> None:
    m = Maker()
    inner = m.leaf("l")
    for at in range(100):
        inner = m.dag(f"d{at}", {"t": use(inner)})
    with pytest.raises(InvalidPipeline, match="deeper than 64"):
        m.plan({"a": use(inner)})


def test_tasks_have_types_and_wait_for_their_producers() -> None:
    m = Maker()
    leaf = m.leaf("leaf", {"x": parameter(isOptional=True)}, {"y": "LIST"})
    importing = {"artifactUri": {"constant": "gs://b/k"}, "reimport": True}
    importer = m.leaf("imp", artifacts_out={"artifact": artifact()}, executor={"importer": importing})
    dag = m.dag("dag", {"t": use(leaf)}, {"x": parameter("LIST", isOptional=True)})
    status = m.leaf("status", {"s": parameter("TASK_FINAL_STATUS")})
    plan = m.plan(
        {
            "last": use(status, {"s": status_of("exit-handler-1")}, triggerPolicy={"strategy": COMPLETED}),
            "exit-handler-1": use(dag, after=["importer"]),
            "condition-1": use(
                dag, {"x": of("leaf", "y")}, triggerPolicy=when("size(inputs.parameter_values['x']) > 0")
            ),
            "condition-branches-1": use(dag, {"x": of("leaf", "y")}),
            "for-loop-1": use(leaf, parameterIterator={"itemInput": "x", "items": {"raw": "[1]"}}),
            "sub": use(dag, after=["for-loop-1"]),
            "importer": use(importer),
            "leaf": use(leaf),
        }
    )
    types = {name: task.type for name, task in plan.dag.tasks.items()}
    assert types == {
        "last": TaskType.RUNTIME,
        "exit-handler-1": TaskType.EXIT_HANDLER,
        "condition-1": TaskType.CONDITION,
        "condition-branches-1": TaskType.CONDITION_BRANCH,
        "for-loop-1": TaskType.LOOP,
        "sub": TaskType.DAG,
        "importer": TaskType.IMPORTER,
        "leaf": TaskType.RUNTIME,
    }
    tasks = plan.dag.tasks
    assert tasks["last"].upstream == ("exit-handler-1",)
    assert tasks["leaf"].downstream == ("condition-1", "condition-branches-1")
    order = list(tasks)
    assert all(order.index(up) < order.index(name) for name in order for up in tasks[name].upstream)
    body = tasks["importer"].component.body
    assert isinstance(body, Importer)
    assert (body.uri, body.reimport) == ("gs://b/k", True)


@pytest.mark.parametrize(("image", "body"), [("argostub/createpvc", CreatePvc), ("argostub/deletepvc", DeletePvc)])
def test_images_of_claims_are_no_pods(image: str, body: type) -> None:
    m = Maker()
    plan = m.plan({"a": use(m.leaf("pvc", executor={"container": {"image": image}}))})
    assert isinstance(plan.dag.tasks["a"].component.body, body)


@pytest.mark.parametrize(
    ("retry", "delays"),
    [
        (Retry(3, 0.0), [0, 0, 0]),
        (Retry(3, 2.0), [2, 4, 8]),
        (Retry(3, 2.0, 1.0), [2, 2, 2]),
        (Retry(3, 60.0, 10.0, 100.0), [60, 100, 100]),
    ],
)
def test_a_retry_waits_longer_each_time_up_to_a_limit(retry: Retry, delays: list[float]) -> None:
    assert [retry.delay_s(failures) for failures in (1, 2, 3)] == delays
    assert Retry(9999, 1.0).delay_s(9999) == 3600


# ---- the parameters of a run -------------------------------------------------------------------------------------

DECLARED = {
    "text": parameter("STRING"),
    "count": parameter("NUMBER_INTEGER", defaultValue=3.0),
    "maybe": parameter("LIST", isOptional=True),
    "mode": parameter("STRING", defaultValue="a", literals=["a", "b"]),
    "bucket": parameter("STRING", defaultValue="gs://{{kfp-default-bucket}}/{{kfp-project-id}}"),
}


def parameters_of(values: Tree) -> Tree:
    return run_parameters(Maker().plan({}, DECLARED), values, default_bucket="b", project_id="p")


def test_a_run_has_what_was_given_and_defaults() -> None:
    defaults = {"count": 3, "mode": "a", "bucket": "gs://b/p"}
    assert parameters_of({"text": "x"}) == {"text": "x", **defaults}
    assert parameters_of({"text": "x", "maybe": None, "count": 4.0}) == {"text": "x", **defaults, "count": 4}
    assert parameters_of({"text": "x", "maybe": [], "mode": "b"}) == {"text": "x", **defaults, "maybe": [], "mode": "b"}


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({}, "parameter 'text' is missing: give a STRING"),
        ({"text": None}, "parameter 'text' is missing"),
        ({"text": "x", "more": 1}, r"parameter\(s\) provided are not required by pipeline: \['more'\]"),
        ({"text": 1}, "input parameter 'text' type mismatch: expect STRING, got number"),
        ({"text": "x", "count": "1"}, "input parameter 'count' type mismatch: expect NUMBER_INTEGER, got string"),
        ({"text": "x", "count": 1.5}, "'count' type mismatch"),
        ({"text": "x", "mode": "c"}, r"input parameter 'mode' is \"c\"; it must be one of \[\"a\",\"b\"\]"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(values: Tree, why: str) -> None:
    with pytest.raises(InvalidParameters, match=why) as caught:
        parameters_of(values)
    assert caught.value.code == 400


# ---- the platform ------------------------------------------------------------------------------------------------


def platform(values: dict[str, Any], **kubernetes: Any) -> Tree:
    """What a task asks of its pod when the parameters of its dag have these values."""
    m = Maker()
    names = {name: parameter(isOptional=True) for name in ("a", "b")}
    plan = m.plan({"t": use(m.leaf("l", kubernetes=kubernetes))}, names)

    def value_of(source: Any) -> Any:
        return source.value if isinstance(source, Constant) else values.get(source.name)

    return resolved_platform(plan.dag.tasks["t"].platform, value_of)


@pytest.mark.parametrize(
    ("kubernetes", "result"),
    [
        ({"secretAsEnv": [{"secretName": "s", "keyToEnv": [{"secretKey": "k", "envVar": "E"}]}]}, None),
        (
            {"secretAsEnv": [{"secretName": "old", "secretNameParameter": given("a"), "optional": False}]},
            {"secretAsEnv": [{"secretName": "A", "optional": False}]},
        ),
        ({"secretAsVolume": [{"secretNameParameter": given("b"), "mountPath": "/m"}]}, {}),
        (
            {"configMapAsVolume": [{"configMapNameParameter": constant("c"), "mountPath": "/m"}]},
            {"configMapAsVolume": [{"configMapName": "c", "mountPath": "/m"}]},
        ),
        (
            {"pvcMount": [{"pvcNameParameter": given("a"), "mountPath": "/m", "subPath": "s"}]},
            {"pvcMount": [{"pvcName": "A", "mountPath": "/m", "subPath": "s"}]},
        ),
        ({"pvcMount": [{"constant": "p", "mountPath": "/m"}]}, {"pvcMount": [{"pvcName": "p", "mountPath": "/m"}]}),
        (
            {"pvcMount": [{"componentInputParameter": "a", "mountPath": "/m"}]},
            {"pvcMount": [{"pvcName": "A", "mountPath": "/m"}]},
        ),
        ({"nodeSelector": {"labels": {"l": "v"}}}, {"nodeSelector": {"l": "v"}}),
        (
            {"nodeSelector": {"labels": {"l": "v"}, "nodeSelectorJson": constant({"x": "y"})}},
            {"nodeSelector": {"x": "y"}},
        ),
        ({"nodeSelector": {"nodeSelectorJson": given("b")}}, {}),
        ({"tolerations": [{"key": "k", "operator": "Exists", "tolerationSeconds": "5"}]},
         {"tolerations": [{"key": "k", "operator": "Exists", "tolerationSeconds": 5}]}),
        ({"tolerations": [{"tolerationJson": constant([{"key": "a"}, {"key": "b"}])}, {"key": "c"}]},
         {"tolerations": [{"key": "a"}, {"key": "b"}, {"key": "c"}]}),
        ({"tolerations": [{"tolerationJson": constant('{"key": "a"}')}]}, {"tolerations": [{"key": "a"}]}),
        ({"nodeAffinity": [{"matchExpressions": [{"key": "k", "operator": "In"}], "weight": 3}]}, None),
        ({"imagePullPolicy": "Always", "activeDeadlineSeconds": "60"},
         {"imagePullPolicy": "Always", "activeDeadlineSeconds": 60}),
        ({"imagePullSecret": [{"secretNameParameter": given("a")}, {"secretNameParameter": given("b")}]},
         {"imagePullSecret": [{"secretName": "A"}]}),
        ({"podMetadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}}, None),
        ({"fieldPathAsEnv": [{"name": "N", "fieldPath": "metadata.name"}]}, None),
        ({"enabledSharedMemory": {"volumeName": "shm", "size": "1Gi"}}, None),
        ({"emptyDirMounts": [{"volumeName": "v", "mountPath": "/m", "medium": "Memory"}]}, None),
        ({"securityContext": {"runAsUser": "0", "runAsNonRoot": False}},
         {"securityContext": {"runAsUser": 0, "runAsNonRoot": False}}),
        ({"initContainers": [{"name": "i", "image": "x"}]}, None),
    ],
)  # fmt: skip
def test_a_platform_is_spelt_plainly(kubernetes: Tree, result: Tree | None) -> None:
    assert platform({"a": "A"}, **kubernetes) == (kubernetes if result is None else result)


def test_nothing_is_mounted_where_the_workspace_is() -> None:
    m = Maker()
    mount = {"emptyDirMounts": [{"volumeName": "v", "mountPath": "/kfp-workspace/x"}]}
    task = {"t": use(m.leaf("l", kubernetes=mount))}
    assert m.plan(task).config.workspace is None
    with pytest.raises(InvalidPipeline, match="task 't': emptyDirMounts is mounted at /kfp-workspace/x"):
        m.plan(task, config={"workspace": {"size": "1Gi"}})


def test_a_name_from_another_task_makes_the_task_wait_for_it() -> None:
    m = Maker()
    maker = m.leaf("maker", outputs={"name": "STRING"})
    mount = {
        "pvcMount": [{"taskOutputParameter": {"producerTask": "make", "outputParameterKey": "name"}, "mountPath": "/m"}]
    }
    plan = m.plan({"make": use(maker), "t": use(m.leaf("user", kubernetes=mount))})
    assert plan.dag.tasks["t"].upstream == ("make",)
