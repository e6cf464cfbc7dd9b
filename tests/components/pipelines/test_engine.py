"""What becomes of a run's tasks, one behaviour at a time; random pipelines are in `test_random_dags.py`."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from flowdeck.components.pipelines.engine.events import (
    CacheAnswered,
    Failed,
    Lost,
    Outputs,
    PodStarted,
    Succeeded,
    TerminateRequested,
    TimePassed,
    Waits,
)
from flowdeck.components.pipelines.engine.instructions import (
    CreatePvc,
    DeletePvc,
    ImportArtifact,
    LookUpCache,
    RecordRun,
    RecordTask,
    StartPod,
    StopPod,
    WakeAt,
)
from flowdeck.components.pipelines.engine.run_state import RunState
from flowdeck.components.pipelines.engine.states import RunStatus, State
from flowdeck.components.pipelines.plan.types import Plan
from flowdeck.kube.objects import Tree
from tests.components.pipelines.executor import Executor, succeed
from tests.components.pipelines.makers import (
    COMPLETED,
    NOW,
    Maker,
    a_run,
    artifact,
    artifact_of,
    constant,
    given,
    of,
    one_of,
    parameter,
    status_of,
    use,
    value_from,
    when,
)

ANY_END = {"triggerPolicy": {"strategy": COMPLETED}}


def fails(*labels: str) -> Callable[[str, int, Tree], Tree | str]:
    return lambda label, execution, inputs: "it broke" if label in labels else {}


def run(plan: Plan, program: Any = succeed, parameters: Mapping[str, Any] | None = None, **options: Any) -> Executor:
    """The run at its end."""
    return Executor(RunState(a_run(parameters, **options), plan), program).start().run()


def begun(plan: Plan, parameters: Mapping[str, Any] | None = None, **options: Any) -> Executor:
    """The run at its start; events are sent by hand."""
    executor = Executor(RunState(a_run(parameters, **options), plan))
    executor.start()
    return executor


def chain(m: Maker, **second: Any) -> Plan:
    leaf = m.leaf("leaf")
    return m.plan({"a": use(leaf), "b": use(leaf, after=["a"], **second), "c": use(leaf)})


# ---- readiness ---------------------------------------------------------------------------------------------------


def test_a_task_starts_when_its_upstream_is_successful() -> None:
    executor = run(chain(Maker()))
    assert executor.state.status is RunStatus.SUCCEEDED
    assert executor.started().index("root.a") < executor.started().index("root.b")
    assert set(executor.states().values()) == {"SUCCEEDED"}


def test_below_a_failure_tasks_are_omitted_with_a_reason_and_other_branches_go_on() -> None:
    executor = run(chain(Maker()), fails("root.a"))
    assert executor.states() == {"root": "FAILED", "root.a": "FAILED", "root.b": "OMITTED", "root.c": "SUCCEEDED"}
    assert executor.by_label("root.b").message == 'upstream task "a" was not successful'
    assert executor.state.error == 'task "a" failed: it broke'


def test_a_task_that_ignores_its_upstreams_failure_runs_and_the_run_still_fails() -> None:
    executor = run(chain(Maker(), **ANY_END), fails("root.a"))
    assert executor.states()["root.b"] == "SUCCEEDED"
    assert executor.state.status is RunStatus.FAILED


def test_a_missing_output_becomes_the_default_or_absence_or_a_failure_in_words() -> None:
    m = Maker()
    giver = m.leaf("giver", outputs={"x": "STRING"}, artifacts_out={"d": artifact()})
    taker = m.leaf(
        "taker",
        {"x": parameter(defaultValue="d"), "y": parameter(isOptional=True)},
        artifacts_in={"d": artifact(isOptional=True)},
    )
    strict = m.leaf("strict", {"x": parameter()})
    sources = {"x": of("giver", "x"), "y": of("giver", "x")}
    plan = m.plan(
        {
            "giver": use(giver),
            "taker": use(taker, sources, artifacts={"d": artifact_of("giver", "d")}, **ANY_END),
            "strict": use(strict, {"x": of("giver", "x")}, **ANY_END),
        }
    )
    executor = run(plan, fails("root.giver"))
    pod = executor.of(StartPod)[-1]
    assert pod.executor_input["inputs"] == {"parameterValues": {"x": "d"}}
    message = executor.by_label("root.strict").message
    assert message == 'input parameter "x": no output found: task "giver" gave no "x"; give it a default'


def test_a_wrong_type_fails_the_task_in_words() -> None:
    m = Maker()
    giver = m.leaf("giver", outputs={"x": "STRING"})
    taker = m.leaf("taker", {"n": parameter("NUMBER_INTEGER")})
    plan = m.plan({"giver": use(giver), "taker": use(taker, {"n": of("giver", "x")})})
    executor = run(plan, lambda label, execution, inputs: {"x": "5"})
    wanted = 'input parameter "n" type mismatch: expect NUMBER_INTEGER, got string'
    assert executor.by_label("root.taker").message == wanted


def test_a_string_takes_any_value_as_text() -> None:
    m = Maker()
    giver = m.leaf("giver", outputs={"s": "STRUCT"})
    plan = m.plan({"giver": use(giver), "t": use(m.leaf("t", {"x": parameter()}), {"x": of("giver", "s")})})
    executor = run(plan, lambda label, execution, inputs: {"s": {"a": 1.0}} if label == "root.giver" else {})
    assert executor.of(StartPod)[-1].executor_input["inputs"]["parameterValues"] == {"x": '{"a":1}'}


# ---- conditions --------------------------------------------------------------------------------------------------


def branches(m: Maker) -> Plan:
    """If, elif, else over `flip`, with one of their outputs."""
    side = m.leaf("side", outputs={"y": "STRING"})
    inputs = {"c": parameter()}
    heads, tails = "inputs.parameter_values['c'] == 'heads'", "inputs.parameter_values['c'] == 'tails'"
    made = {"y": ("STRING", value_from("side", "y"))}
    tasks = {}
    for at, condition in enumerate((heads, f"!({heads}) && {tails}", f"!({heads}) && !({tails})"), start=2):
        inner = m.dag(f"condition-{at}", {"side": use(side)}, inputs, made)
        tasks[f"condition-{at}"] = use(inner, {"c": given("c")}, triggerPolicy=when(condition))
    either = one_of(*((name, "y") for name in tasks))
    outer = m.dag("condition-branches-1", tasks, inputs, {"y": ("STRING", either)})
    last = m.leaf("last", {"y": parameter()})
    after = m.leaf("after")
    return m.plan(
        {
            "condition-branches-1": use(outer, {"c": given("flip")}),
            "last": use(last, {"y": of("condition-branches-1", "y")}),
            "after": use(after, after=["condition-branches-1"]),
        },
        {"flip": parameter()},
    )


@pytest.mark.parametrize(
    ("flip", "branch"), [("heads", "condition-2"), ("tails", "condition-3"), ("edge", "condition-4")]
)
def test_one_branch_runs_and_its_output_is_the_one(flip: str, branch: str) -> None:
    executor = run(branches(Maker()), lambda label, execution, inputs: {"y": label}, {"flip": flip})
    states = executor.states()
    taken = [name for name in states if name.startswith("root.condition-b") and name.count(".") == 2]
    assert {name for name in taken if states[name] == "SUCCEEDED"} == {f"root.condition-branches-1.{branch}"}
    assert {states[name] for name in taken} == {"SUCCEEDED", "SKIPPED"}
    assert executor.by_label("root.last").parameters == {"y": f"root.condition-branches-1.{branch}.side"}
    assert states["root.after"] == "SUCCEEDED"


def test_below_a_skipped_task_all_is_omitted_and_the_run_succeeds() -> None:
    m = Maker()
    leaf = m.leaf("leaf")
    plan = m.plan(
        {
            "a": use(leaf, triggerPolicy=when("1 == 2")),
            "b": use(leaf, after=["a"]),
            "c": use(leaf, after=["b"]),
            "exit": use(leaf, after=["a"], **ANY_END),
        }
    )
    executor = run(plan)
    assert executor.states() == {
        "root": "SUCCEEDED", "root.a": "SKIPPED", "root.b": "OMITTED", "root.c": "OMITTED", "root.exit": "SUCCEEDED",
    }  # fmt: skip
    assert executor.by_label("root.b").message == 'upstream task "a" was skipped'
    assert executor.by_label("root.c").message == 'upstream task "b" was omitted'


def test_a_condition_on_an_importer_counts() -> None:
    m = Maker()
    importer = m.leaf(
        "imp", artifacts_out={"artifact": artifact()}, executor={"importer": {"artifactUri": {"constant": "gs://b/k"}}}
    )
    plan = m.plan({"yes": use(importer, triggerPolicy=when("true")), "no": use(importer, triggerPolicy=when("false"))})
    executor = run(plan)
    assert executor.states() == {"root": "SUCCEEDED", "root.yes": "SUCCEEDED", "root.no": "SKIPPED"}


# ---- loops -------------------------------------------------------------------------------------------------------


def loop_of(m: Maker, items: Tree, **more: Any) -> Plan:
    leaf = m.leaf("leaf", {"x": parameter()}, {"y": "STRING"})
    body = m.dag("for-loop-1", {"leaf": use(leaf, {"x": given("item")})}, {"item": parameter()},
                 {"ys": ("STRING", value_from("leaf", "y"))})  # fmt: skip
    last = m.leaf("last", {"ys": parameter("LIST")})
    inputs = {} if "raw" in items else {"items": given("items")}
    return m.plan(
        {
            "for-loop-1": use(body, inputs, parameterIterator={"itemInput": "item", "items": items}, **more),
            "last": use(last, {"ys": of("for-loop-1", "ys")}),
        },
        {"items": parameter("STRING", isOptional=True)},
    )


def doubled(label: str, execution: int, inputs: Tree) -> Tree:
    return {"y": inputs["parameterValues"].get("x", "") * 2}


@pytest.mark.parametrize(
    ("items", "given_items", "collected"),
    [
        pytest.param({"raw": '["a", "b", "c"]'}, None, ["aa", "bb", "cc"], id="raw"),
        pytest.param({"raw": "[]"}, None, [], id="no-items"),
        pytest.param({"inputParameter": "items"}, '["d", 1]', ["dd", "11"], id="json-in-a-text"),
    ],
)
def test_a_loop_runs_once_for_each_item_and_collects_in_order(
    items: Tree, given_items: Any, collected: list[str]
) -> None:
    parameters = {"items": given_items} if given_items else {}
    executor = run(loop_of(Maker(), items), doubled, parameters)
    assert executor.state.status is RunStatus.SUCCEEDED
    assert executor.by_label("root.last").parameters["ys"] == collected
    assert len(executor.by_label("root.for-loop-1").children) == len(collected)


@pytest.mark.parametrize("items", ['{"a": 1}', "no json"])
def test_a_loop_over_what_is_no_list_fails_in_words(items: str) -> None:
    executor = run(loop_of(Maker(), {"inputParameter": "items"}), doubled, {"items": items})
    assert "should hold" in executor.by_label("root.for-loop-1").message
    assert executor.state.status is RunStatus.FAILED


def test_no_more_iterations_run_than_the_limit() -> None:
    m = Maker()
    plan = loop_of(m, {"raw": str(list(range(50)))}, iteratorPolicy={"parallelismLimit": 10})
    executor = Executor(RunState(a_run(), plan), doubled).start()
    most = 0
    while not executor.state.is_finished:
        most = max(most, len(executor.state.active))
        executor.step()
    assert most == 10
    assert executor.by_label("root.last").parameters["ys"] == [f"{at}{at}" for at in range(50)]


def test_the_other_iterations_go_on_when_one_fails_and_the_loop_has_no_outputs() -> None:
    program = lambda label, execution, inputs: "broke" if "[1]" in label else doubled(label, execution, inputs)  # noqa: E731
    executor = run(loop_of(Maker(), {"raw": '["a", "b", "c"]'}), program)
    states = executor.states()
    assert [states[f"root.for-loop-1[{at}]"] for at in range(3)] == ["SUCCEEDED", "FAILED", "SUCCEEDED"]
    assert (states["root.for-loop-1"], states["root.last"]) == ("FAILED", "OMITTED")
    assert executor.state.error == 'task "for-loop-1[1].leaf" failed: broke'


def test_skipped_iterations_contribute_nothing_and_artifacts_of_nested_loops_are_one_list() -> None:
    m = Maker()
    leaf = m.leaf("leaf", {"x": parameter("NUMBER_INTEGER")}, {"y": "NUMBER_INTEGER"}, artifacts_out={"d": artifact()})
    inputs = {"i": parameter("NUMBER_INTEGER")}
    d = {"d": (artifact(isArtifactList=True), [("inner", "d")])}
    y = {"y": ("NUMBER_INTEGER", value_from("leaf", "y"))}
    one = m.dag(
        "one", {"leaf": use(leaf, {"x": given("i")})}, inputs, y, artifacts_out={"d": (artifact(), [("leaf", "d")])}
    )
    condition = m.dag(
        "maybe",
        {"inner": use(one, {"i": given("i")}, triggerPolicy=when("int(inputs.parameter_values['i']) != 1"))},
        inputs, {"y": ("NUMBER_INTEGER", value_from("inner", "y"))}, artifacts_out=d,
    )  # fmt: skip
    items = {"itemInput": "i", "items": {"raw": "[0, 1, 2]"}}
    outer = m.dag(
        "outer", {"inner": use(condition, parameterIterator=items)}, {"o": parameter()},
        {"y": ("LIST", value_from("inner", "y"))}, artifacts_out=d,
    )  # fmt: skip
    last = m.leaf("last", {"ys": parameter("LIST")}, artifacts_in={"ds": artifact(isArtifactList=True)})
    plan = m.plan(
        {
            "outer": use(outer, parameterIterator={"itemInput": "o", "items": {"raw": '["a", "b"]'}}),
            "last": use(last, {"ys": of("outer", "y")}, artifacts={"ds": artifact_of("outer", "d")}),
        }
    )
    executor = run(
        plan, lambda label, execution, inputs: {"y": inputs["parameterValues"]["x"]} if "leaf" in label else {}
    )
    task = executor.by_label("root.last")
    assert task.parameters["ys"] == [[0, 2], [0, 2]]
    made = [
        executor.by_label(f"root.outer[{o}].inner[{i}].inner.leaf").output_artifacts["d"][0]
        for o in (0, 1)
        for i in (0, 2)
    ]
    assert task.artifacts["ds"] == made


def test_a_loop_over_artifacts_gives_each_iteration_one() -> None:
    m = Maker()
    giver = m.leaf("giver", {"x": parameter()}, artifacts_out={"d": artifact()})
    taker = m.leaf("taker", artifacts_in={"one": artifact()})
    plan = m.plan(
        {
            "giver": use(giver, parameterIterator={"itemInput": "x", "items": {"raw": '["a", "b"]'}}),
            "taker": use(
                taker,
                artifacts={"all": artifact_of("giver", "d")},
                artifactIterator={"itemInput": "one", "items": {"inputArtifact": "all"}},
            ),
        }
    )
    executor = run(plan)
    given_ones = [executor.by_label(f"root.taker[{at}]").artifacts["one"] for at in (0, 1)]
    assert given_ones == [executor.by_label(f"root.giver[{at}]").output_artifacts["d"] for at in (0, 1)]


def test_raw_items_may_mention_inputs() -> None:
    m = Maker()
    leaf = m.leaf("leaf", {"x": parameter()})
    raw = "[\"{{$.inputs.parameters['p']}}\", \"b-{{$.inputs.parameters['p']}}\"]"
    plan = m.plan(
        {"l": use(leaf, {"p": given("p")}, parameterIterator={"itemInput": "x", "items": {"raw": raw}})},
        {"p": parameter()},
    )
    executor = run(plan, parameters={"p": 'a"'})
    assert [executor.by_label(f"root.l[{at}]").parameters["x"] for at in (0, 1)] == ['a"', 'b-a"']


# ---- exit handlers -----------------------------------------------------------------------------------------------


def with_exit(m: Maker) -> Plan:
    body = m.dag("exit-handler-1", {"a": use(m.leaf("a")), "b": use("comp-a")})
    status = m.leaf("exit", {"s": parameter("TASK_FINAL_STATUS")})
    return m.plan(
        {
            "exit-handler-1": use(body),
            "other": use(m.leaf("other")),
            "exit": use(status, {"s": status_of("exit-handler-1")}, after=["exit-handler-1", "other"], **ANY_END),
        }
    )


def test_an_exit_task_runs_once_and_is_told_of_success() -> None:
    executor = run(with_exit(Maker()))
    assert executor.started().count("root.exit") == 1
    assert executor.by_label("root.exit").parameters["s"] == {
        "state": "COMPLETE",
        "error": {"code": 0, "message": ""},
        "pipelineTaskName": "exit-handler-1",
        "pipelineJobResourceName": "pipe-abcde",
    }


def test_an_exit_task_is_told_of_a_failure_and_the_run_fails() -> None:
    executor = run(with_exit(Maker()), fails("root.exit-handler-1.b"), success_word="SUCCEEDED")
    status = executor.by_label("root.exit").parameters["s"]
    assert status["state"] == "FAILED"
    assert status["error"] == {"code": 2, "message": 'task "exit-handler-1.b" failed: it broke'}
    assert executor.started().count("root.exit") == 1
    assert executor.state.status is RunStatus.FAILED


def test_the_word_of_success_can_be_the_next_releases() -> None:
    assert (
        run(with_exit(Maker()), success_word="SUCCEEDED").by_label("root.exit").parameters["s"]["state"] == "SUCCEEDED"
    )


def test_an_exit_task_may_be_a_pipeline_and_runs_even_when_a_run_fails_fast() -> None:
    m = Maker()
    clean = m.dag("clean", {"x": use(m.leaf("x")), "y": use("comp-x", after=["x"])})
    body = m.dag("exit-handler-1", {"a": use(m.leaf("a")), "b": use("comp-a", after=["a"])})
    plan = m.plan(
        {
            "exit-handler-1": use(body),
            "clean": use(clean, after=["exit-handler-1"], **ANY_END),
            "z": use("comp-a", after=["clean"]),
        }
    )
    executor = run(plan, fails("root.exit-handler-1.a"), failure_policy="fail_fast")
    states = executor.states()
    assert (states["root.clean"], states["root.clean.y"], states["root.z"]) == ("SUCCEEDED", "SUCCEEDED", "OMITTED")
    assert executor.by_label("root.exit-handler-1.b").message.startswith("the run fails fast")


def test_a_run_that_fails_fast_can_stop_what_runs() -> None:
    m = Maker()
    leaf = m.leaf("leaf")
    executor = begun(m.plan({"a": use(leaf), "b": use(leaf)}), failure_policy="fail_fast_and_stop")
    a, b = (executor.by_label(f"root.{name}") for name in "ab")
    executor.send(PodStarted(at=NOW, task=b.id, attempt=1))
    out = executor.send(Failed(at=NOW, task=a.id, attempt=1, message="broke"))
    assert StopPod(task=b.id, attempt=1, pod_name=executor.of(StartPod)[1].pod_name) in out
    executor.send(Failed(at=NOW, task=b.id, attempt=1, message="stopped"))
    assert executor.states() == {"root": "FAILED", "root.a": "FAILED", "root.b": "CANCELED"}


# ---- retries -----------------------------------------------------------------------------------------------------


def test_a_task_is_tried_again_after_longer_and_longer_times() -> None:
    m = Maker()
    policy = {"maxRetryCount": 2, "backoffDuration": "5s", "backoffFactor": 3}
    executor = run(m.plan({"a": use(m.leaf("leaf"), retryPolicy=policy)}), fails("root.a"))
    assert [each.at - NOW for each in executor.of(WakeAt)] == [5, 20]
    assert [(each.attempt, each.retry_index) for each in executor.of(StartPod)] == [(1, 0), (2, 1), (3, 2)]
    assert len({each.pod_name for each in executor.of(StartPod)}) == 3
    assert [each.state for each in executor.state.attempts(executor.by_label("root.a").id)] == [State.FAILED] * 3


def test_a_retry_that_helps_makes_the_run_succeed() -> None:
    m = Maker()
    plan = m.plan({"a": use(m.leaf("leaf"), retryPolicy={"maxRetryCount": 1})})
    executor = run(plan, lambda label, execution, inputs: {} if execution else "broke")
    assert executor.state.status is RunStatus.SUCCEEDED
    assert executor.by_label("root.a").message == ""


def test_a_dag_with_retries_is_run_anew_as_a_whole() -> None:
    m = Maker()
    leaf = m.leaf("leaf")
    dag = m.dag("dag", {"a": use(leaf), "b": use(leaf, after=["a"])})
    program = lambda label, execution, inputs: "broke" if label.endswith("b") and execution < 2 else {}  # noqa: E731
    executor = run(m.plan({"d": use(dag, retryPolicy={"maxRetryCount": 2, "backoffDuration": "1s"})}), program)
    assert executor.state.status is RunStatus.SUCCEEDED
    assert executor.executions == {"root.d.a": 3, "root.d.b": 3}
    assert [each.at - NOW for each in executor.of(WakeAt)] == [1, 3]


def test_a_lost_pod_starts_again_without_using_up_a_retry() -> None:
    m = Maker()
    executor = begun(m.plan({"a": use(m.leaf("leaf"))}))
    a = executor.by_label("root.a")
    out = executor.send(Lost(at=NOW, task=a.id, attempt=1, message="the node is gone"))
    assert [(each.attempt, each.retry_index) for each in out if isinstance(each, StartPod)] == [(2, 0)]
    executor.send(Succeeded(at=NOW, task=a.id, attempt=1))
    assert a.state is State.STARTING  # what comes late changes nothing
    for attempt in range(2, 7):
        executor.send(Lost(at=NOW, task=a.id, attempt=attempt, message="the node is gone"))
    assert (a.state, a.message) == (State.FAILED, "the node is gone")


def test_who_waits_too_long_for_its_pod_is_tried_again_as_after_any_failure() -> None:
    m = Maker()
    policy = {"maxRetryCount": 1, "backoffDuration": "0s"}
    executor = begun(m.plan({"a": use(m.leaf("leaf"), retryPolicy=policy)}))
    a = executor.by_label("root.a")
    out = executor.send(Waits(at=NOW, task=a.id, attempt=1, message="no image", until=NOW + 60))
    assert [each.at for each in out if isinstance(each, WakeAt)] == [NOW + 60]
    assert (a.state, a.message) == (State.STARTING, "no image")
    executor.send(TimePassed(at=NOW + 59))
    assert a.attempt == 1
    out = executor.send(TimePassed(at=NOW + 60))
    assert [each.attempt for each in out if isinstance(each, StopPod)] == [1]
    assert [(each.attempt, each.retry_index) for each in out if isinstance(each, StartPod)] == [(2, 1)]
    executor.send(Waits(at=NOW + 61, task=a.id, attempt=2, message="no room"))
    executor.send(TimePassed(at=NOW + 500))
    assert (a.state, a.message) == (State.STARTING, "no room"), "that may take as long as it takes"
    executor.send(Waits(at=NOW + 501, task=a.id, attempt=2, message="no image", until=NOW + 600))
    executor.send(TimePassed(at=NOW + 600))
    assert (a.state, a.message) == (State.FAILED, "no image")


def test_a_pod_that_starts_at_last_waits_no_more() -> None:
    m = Maker()
    executor = begun(m.plan({"a": use(m.leaf("leaf"))}))
    a = executor.by_label("root.a")
    executor.send(Waits(at=NOW, task=a.id, attempt=1, message="no image", until=NOW + 60))
    executor.send(PodStarted(at=NOW + 1, task=a.id, attempt=1))
    executor.send(TimePassed(at=NOW + 60))
    assert (a.state, a.message) == (State.RUNNING, "")


# ---- the end of a run --------------------------------------------------------------------------------------------


def test_a_terminated_run_stops_its_pods_starts_nothing_and_ends_failed() -> None:
    executor = begun(chain(Maker(), **ANY_END))
    a, c = executor.by_label("root.a"), executor.by_label("root.c")
    out = executor.send(TerminateRequested(at=NOW, cause="request-7"))
    assert {each.task for each in out if isinstance(each, StopPod)} == {a.id, c.id}
    assert RecordRun(cause="request-7", state=RunStatus.CANCELING) in out
    assert all(each.cause == "request-7" for each in out)
    assert executor.send(TerminateRequested(at=NOW)) == []
    executor.send(Succeeded(at=NOW, task=c.id, attempt=1))
    out = executor.send(Failed(at=NOW, task=a.id, attempt=1, message="killed"))
    assert executor.states() == {"root": "CANCELED", "root.a": "CANCELED", "root.b": "OMITTED", "root.c": "SUCCEEDED"}
    assert RecordRun(state=RunStatus.FAILED, error="Run was terminated", finished=True) in out
    assert executor.send(TerminateRequested(at=NOW)) == []


def test_a_run_can_be_terminated_before_it_starts() -> None:
    state = RunState(a_run(), chain(Maker()))
    executor = Executor(state)
    executor.send(TerminateRequested(at=NOW))
    assert (state.status, state.error) == (RunStatus.FAILED, "Run was terminated")
    executor.start()
    assert state.root is None


def test_a_run_past_its_time_limit_fails_and_says_so() -> None:
    m = Maker()
    plan = m.plan({"a": use(m.leaf("leaf"))}, config={"activeDeadlineSeconds": 60})
    executor = begun(plan)
    assert WakeAt(at=NOW + 60) in executor.done
    executor.send(TimePassed(at=NOW + 60))
    executor.send(Failed(at=NOW + 61, task=executor.by_label("root.a").id, attempt=1, message="killed"))
    assert executor.state.error == "Run exceeded its time limit of 60 seconds"
    assert begun(plan, deadline_s=5).of(WakeAt) == [WakeAt(at=NOW + 5)]


def test_an_empty_pipeline_succeeds() -> None:
    assert run(Maker().plan({})).state.status is RunStatus.SUCCEEDED


# ---- cache, importers, claims ------------------------------------------------------------------------------------

CACHED = {"cachingOptions": {"enableCache": True}}


def test_a_task_that_is_cached_asks_first() -> None:
    m = Maker()
    leaf = m.leaf("leaf", outputs={"y": "STRING"}, artifacts_out={"d": artifact()})
    executor = begun(m.plan({"a": use(leaf, **CACHED), "b": use(leaf)}))
    a = executor.by_label("root.a")
    (asked,) = executor.of(LookUpCache)
    assert (asked.task, asked.fingerprint) == (a.id, a.fingerprint)
    assert executor.started() == ["root.b"]
    found = a.task.component.output_artifacts["d"].type
    old = Outputs({"y": "old"}, {"d": [_artifact("old-id", found)]})
    executor.send(CacheAnswered(at=NOW, task=a.id, attempt=1, outputs=old, why="as in run r"))
    assert (a.state, a.output_parameters, a.cache_note) == (State.CACHED, {"y": "old"}, "as in run r")
    assert a.output_artifacts["d"][0].id == "old-id"
    assert (a.began_at, a.ended_at) == (NOW, NOW)


def _artifact(artifact_id: str, kind: Any) -> Any:
    from flowdeck.components.pipelines.values.artifacts import Artifact

    return Artifact(id=artifact_id, uri="minio://b/old", type=kind)


@pytest.mark.parametrize("outputs", [None, Outputs()], ids=["miss", "entry-lacks-an-output"])
def test_after_a_miss_the_pod_starts(outputs: Outputs | None) -> None:
    m = Maker()
    executor = begun(m.plan({"a": use(m.leaf("leaf", outputs={"y": "STRING"}), **CACHED)}))
    a = executor.by_label("root.a")
    executor.send(CacheAnswered(at=NOW, task=a.id, attempt=1, outputs=outputs, why="the command differs"))
    assert (a.state, a.cache_note) == (State.STARTING, "the command differs")
    executor.send(CacheAnswered(at=NOW, task=a.id, attempt=1, outputs=Outputs({"y": "x"})))
    assert a.state is State.STARTING


def test_the_servers_switch_turns_the_cache_off() -> None:
    m = Maker()
    assert begun(m.plan({"a": use(m.leaf("leaf"), **CACHED)}), caching=False).of(LookUpCache) == []


def test_an_importer_names_its_artifact() -> None:
    m = Maker()
    spec = {
        "artifactUri": {"runtimeParameter": "uri"},
        "typeSchema": {"schemaTitle": "system.Dataset", "schemaVersion": "0.0.1"},
        "metadata": {"k": "{{$.inputs.parameters['v']}}", "n": 1},
        "reimport": True,
    }
    importer = m.leaf(
        "imp",
        {"uri": parameter(), "v": parameter()},
        artifacts_out={"artifact": artifact()},
        executor={"importer": spec},
    )
    taker = m.leaf("taker", artifacts_in={"d": artifact()})
    plan = m.plan(
        {
            "i": use(importer, {"uri": constant("gs://b/k"), "v": constant("w")}, **CACHED),
            "t": use(taker, artifacts={"d": artifact_of("i", "artifact")}),
        }
    )
    executor = run(plan)
    (imported,) = executor.of(ImportArtifact)
    assert (imported.artifact.uri, imported.artifact.metadata) == ("gs://b/k", {"k": "w", "n": 1})
    assert (imported.reimport, imported.download_to_workspace) == (True, False)
    assert executor.by_label("root.t").artifacts["d"] == [imported.artifact]


def pvc(m: Maker, image: str, parameters: Tree, **more: Any) -> Plan:
    declared = {
        "pvc_name": parameter(isOptional=True), "pvc_name_suffix": parameter(isOptional=True),
        "access_modes": parameter("LIST", isOptional=True), "size": parameter(isOptional=True),
        "storage_class_name": parameter(isOptional=True), "volume_name": parameter(isOptional=True),
        "annotations": parameter("STRUCT", isOptional=True), "data_source": parameter("STRUCT", isOptional=True),
    }  # fmt: skip
    outputs = {"name": "STRING"} if image.endswith("createpvc") else {}
    component = m.leaf("pvc", declared, outputs, executor={"container": {"image": image}})
    return m.plan({"p": use(component, {key: constant(value) for key, value in parameters.items()}, **more)})


def test_a_claim_is_made_as_asked() -> None:
    asked = {"pvc_name": "data", "access_modes": ["ReadWriteOnce"], "size": "5Gi", "storage_class_name": ""}
    executor = run(pvc(Maker(), "argostub/createpvc", {**asked, "annotations": {"a": "b"}}))
    (made,) = executor.of(CreatePvc)
    assert made.name == "data"
    assert made.spec == {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}, "storageClassName": "",
    }  # fmt: skip
    assert made.annotations == {"a": "b"}
    assert executor.by_label("root.p").output_parameters == {"name": "data"}


def test_a_claim_without_a_name_gets_one_with_the_suffix() -> None:
    executor = run(pvc(Maker(), "argostub/createpvc", {"pvc_name_suffix": "-data", "size": "1Gi"}, **CACHED))
    (made,) = executor.of(CreatePvc)
    assert len(made.name) == 36 + len("-data")
    assert made.name.endswith("-data")
    assert executor.of(LookUpCache) == []


def test_a_claim_with_a_fixed_name_is_cached_and_one_with_both_is_refused() -> None:
    assert (
        len(run(pvc(Maker(), "argostub/createpvc", {"pvc_name": "data", "size": "1"}, **CACHED)).of(LookUpCache)) == 1
    )
    executor = run(pvc(Maker(), "argostub/createpvc", {"pvc_name": "a", "pvc_name_suffix": "b"}))
    assert executor.by_label("root.p").message == "give pvc_name or pvc_name_suffix, not both"


def test_a_claim_is_deleted_by_name() -> None:
    executor = run(pvc(Maker(), "argostub/deletepvc", {"pvc_name": "data"}, **CACHED))
    assert [each.name for each in executor.of(DeletePvc)] == ["data"]
    assert executor.of(LookUpCache) == []


# ---- outputs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "why"),
    [
        ({}, 'failed to read output parameter "n": the task did not write it'),
        ({"n": None}, 'failed to read output parameter "n": the task did not write it'),
        ({"n": "x"}, 'output parameter "n" type mismatch: expect NUMBER_INTEGER, got string'),
    ],
)
def test_a_task_that_does_not_make_what_it_declares_fails(made: Tree, why: str) -> None:
    m = Maker()
    plan = m.plan({"a": use(m.leaf("leaf", outputs={"n": "NUMBER_INTEGER"}))})
    executor = run(plan, lambda label, execution, inputs: made)
    assert executor.by_label("root.a").message == why


def test_artifacts_that_a_task_made_of_its_own_accord_get_ids() -> None:
    m = Maker()
    leaf = m.leaf("leaf", artifacts_out={"d": artifact(isArtifactList=True)})
    executor = begun(m.plan({"a": use(leaf)}))
    a = executor.by_label("root.a")
    made = [_artifact("", a.task.component.output_artifacts["d"].type) for _ in range(2)]
    executor.send(Succeeded(at=NOW, task=a.id, attempt=1, outputs=Outputs({}, {"d": made})))
    assert len({each.id for each in a.output_artifacts["d"]} - {""}) == 2


def test_the_outputs_of_a_pipeline_are_those_of_its_root() -> None:
    m = Maker()
    leaf = m.leaf("leaf", outputs={"y": "STRING"})
    plan = m.plan({"a": use(leaf)}, outputs={"out": ("STRING", value_from("a", "y"))})
    executor = run(plan, lambda label, execution, inputs: {"y": "v"})
    assert executor.state.root is not None
    assert executor.state.root.output_parameters == {"out": "v"}


# ---- what is told ------------------------------------------------------------------------------------------------


def test_each_change_is_recorded_once_an_event() -> None:
    executor = begun(chain(Maker()))
    a = executor.by_label("root.a")
    out = executor.send(Succeeded(at=NOW, task=a.id, attempt=1, cause="pod-9"))
    recorded = [
        (executor.state.tasks[each.task].label, each.state.value) for each in out if isinstance(each, RecordTask)
    ]
    assert recorded == [("root.a", "SUCCEEDED"), ("root.b", "STARTING")]
    assert {each.cause for each in out} == {"pod-9"}
    assert a.cause == "pod-9"


def test_a_loop_of_thousands_costs_no_more_for_each() -> None:
    """Ten times the iterations are ten times the instructions, and nothing looks at all tasks."""
    for count in (100, 1000):
        executor = Executor(
            RunState(a_run(), loop_of(Maker(), {"raw": str(list(range(count)))})), doubled, checks=False
        )
        executor.start().run()
        assert executor.state.status is RunStatus.SUCCEEDED
        assert len(executor.log) <= 3 + 2 * count
        assert len(executor.done) <= 7 * count + 20
