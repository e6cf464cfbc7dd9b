"""A run that failed goes on: what is kept, what runs again, and what an edited pipeline changes."""

from typing import Any

import pytest

from flowdeck.components.pipelines.engine.events import (
    Failed,
    Outputs,
    PodStarted,
    RetryRequested,
    RunStarted,
    Succeeded,
    TerminateRequested,
    decode,
)
from flowdeck.components.pipelines.engine.instructions import (
    AdoptPod,
    ForgetTasks,
    LookUpCache,
    RecordRun,
    StartPod,
    StopPod,
    WakeAt,
)
from flowdeck.components.pipelines.engine.invariants import validate
from flowdeck.components.pipelines.engine.run_state import RunState
from flowdeck.components.pipelines.engine.states import RunStatus, State
from flowdeck.components.pipelines.errors import InvalidParameters, InvalidPipeline
from flowdeck.components.pipelines.ir.document import from_wire
from flowdeck.components.pipelines.plan.compiler import compile_plan
from flowdeck.kube.errors import Conflict, NotFound
from flowdeck.kube.objects import Tree
from tests.components.pipelines.executor import Executor
from tests.components.pipelines.makers import COMPLETED, NOW, Maker, a_run, constant, given, of, parameter, use

RETRY = RetryRequested(at=NOW)


class Broken:
    """A program whose leaves fail until they are mended."""

    def __init__(self, *labels: str) -> None:
        self.labels = set(labels)

    def __call__(self, label: str, execution: int, inputs: Tree) -> Tree | str:
        return "it broke" if label in self.labels else {"y": f"{label}-{execution}"}


def document(command: str = "run", **more: Any) -> Tree:
    """a -> b -> c, and an exit task; a loop of two."""
    m = Maker()
    leaf = m.leaf("leaf", {"x": parameter(isOptional=True)}, {"y": "STRING"})
    changed = {"container": {"image": "python:3.11", "command": [command]}}
    edited = m.leaf("edited", {"x": parameter(isOptional=True)}, {"y": "STRING"}, executor=changed)
    loop = m.dag(
        "loop", {"one": use(leaf, {"x": given("i")}), "two": use(edited, {"x": of("one", "y")})}, {"i": parameter()}
    )
    return m.document(
        {
            "a": use(leaf),
            "b": use(edited, {"x": of("a", "y")}),
            "c": use(leaf, {"x": of("b", "y")}),
            "loop": use(loop, parameterIterator={"itemInput": "i", "items": {"raw": '["p", "q"]'}}),
            "exit": use(leaf, after=["c", "loop"], triggerPolicy={"strategy": COMPLETED}),
            **more,
        }
    )


def finished(program: Broken, tree: Tree | None = None) -> Executor:
    state = RunState(a_run(), compile_plan(from_wire(tree or document())))
    return Executor(state, program).start().run()


def test_what_succeeded_is_kept_and_the_rest_runs_again() -> None:
    program = Broken("root.b", "root.loop[1].two")
    executor = finished(program)
    ids = {task.label: task.id for task in executor.state.tasks.values()}
    program.labels.clear()
    out = executor.send(RETRY)
    assert [each.state for each in out if isinstance(each, RecordRun)] == [RunStatus.PENDING, RunStatus.RUNNING]
    executor.run()
    assert executor.state.status is RunStatus.SUCCEEDED
    assert executor.executions == {
        "root.a": 1, "root.b": 2, "root.c": 1, "root.exit": 2, "root.loop[0].one": 1, "root.loop[0].two": 1,
        "root.loop[1].one": 1, "root.loop[1].two": 2,
    }  # fmt: skip
    assert {task.label: task.id for task in executor.state.tasks.values()} == ids


def test_a_run_that_was_terminated_can_be_retried() -> None:
    state = RunState(a_run(), compile_plan(from_wire(document())))
    executor = Executor(state, Broken()).start()
    executor.send(TerminateRequested(at=NOW))
    executor.run()
    executor.send(RETRY)
    executor.run()
    assert state.status is RunStatus.SUCCEEDED


def test_a_report_of_an_old_attempt_changes_nothing() -> None:
    executor = finished(Broken("root.b"))
    b = executor.by_label("root.b").id
    executor.send(RETRY)
    assert (executor.by_label("root.b").state, executor.by_label("root.b").attempt) == (State.STARTING, 2)
    for late in (Succeeded(at=NOW, task=b, attempt=1), Failed(at=NOW, task=b, attempt=1, message="late")):
        assert executor.send(late) == []
    assert [each.number for each in executor.state.attempts(b)] == [1, 2]


def test_from_a_chosen_task_all_that_follows_runs_again() -> None:
    executor = finished(Broken())
    executor.send(RetryRequested(at=NOW, task=executor.by_label("root.b").id))
    executor.run()
    again = {label for label, count in executor.executions.items() if count == 2}
    assert again == {"root.b", "root.c", "root.exit"}
    assert executor.by_label("root.c").parameters["x"] == "root.b-1"


def test_from_the_root_everything_runs_again() -> None:
    executor = finished(Broken())
    executor.send(RetryRequested(at=NOW, task=executor.by_label("root").id))
    executor.run()
    assert set(executor.executions.values()) == {2}
    assert executor.state.status is RunStatus.SUCCEEDED


def test_from_a_task_inside_a_loop_the_other_iterations_are_kept() -> None:
    executor = finished(Broken())
    executor.send(RetryRequested(at=NOW, task=executor.by_label("root.loop[1].two").id))
    executor.run()
    again = {label for label, count in executor.executions.items() if count == 2}
    assert again == {"root.loop[1].two", "root.exit"}
    executor.send(RetryRequested(at=NOW, task=executor.by_label("root.loop[0]").id))
    executor.run()
    assert executor.executions["root.loop[0].one"] == 2
    assert executor.executions["root.loop[1].one"] == 1


def test_with_an_edited_document_what_changed_runs_again_with_all_that_follows() -> None:
    program = Broken("root.c")
    executor = finished(program)
    program.labels.clear()
    executor.send(RetryRequested(at=NOW, document=document("run-better")))
    executor.run()
    assert executor.state.status is RunStatus.SUCCEEDED
    assert executor.executions == {
        "root.a": 1, "root.b": 2, "root.c": 2, "root.exit": 2, "root.loop[0].one": 1, "root.loop[0].two": 2,
        "root.loop[1].one": 1, "root.loop[1].two": 2,
    }  # fmt: skip
    assert executor.of(StartPod)[-1].command == ["run", "leaf"]


def test_tasks_that_an_edited_document_brings_or_takes_come_and_go() -> None:
    executor = finished(Broken("root.c"))
    c = executor.by_label("root.c").id
    tree = document(new=use("comp-leaf", {"x": constant("n")}))
    del tree["root"]["dag"]["tasks"]["c"]
    tree["root"]["dag"]["tasks"]["exit"]["dependentTasks"] = ["loop"]
    out = executor.send(RetryRequested(at=NOW, document=tree))
    assert any(isinstance(each, ForgetTasks) and c in each.tasks for each in out)
    executor.run()
    assert executor.state.status is RunStatus.SUCCEEDED
    assert executor.states()["root.new"] == "SUCCEEDED"
    assert "root.c" not in executor.states()


@pytest.mark.parametrize(
    ("event", "error"),
    [
        pytest.param(RETRY, Conflict, id="not-failed"),
        pytest.param(RetryRequested(at=NOW, task="gone"), NotFound, id="no-such-task"),
        pytest.param(
            RetryRequested(at=NOW, task="a", document={"pipelineInfo": {}}), InvalidPipeline, id="bad-document"
        ),
    ],
)
def test_a_retry_that_cannot_be_changes_nothing(event: RetryRequested, error: type[Exception]) -> None:
    executor = finished(Broken())
    if event.task == "a":
        event = RetryRequested(at=NOW, task=executor.by_label("root.a").id, document=event.document)
    before = executor.states()
    with pytest.raises(error):
        executor.state.apply(event)
    assert executor.states() == before
    assert executor.state.status is RunStatus.SUCCEEDED


def test_an_edited_document_whose_parameters_are_missing_is_refused() -> None:
    executor = finished(Broken("root.a"))
    tree = document()
    tree["root"]["inputDefinitions"] = {"parameters": {"p": parameter()}}
    with pytest.raises(InvalidParameters, match="parameter 'p' is missing"):
        executor.state.apply(RetryRequested(at=NOW, document=tree))


def test_a_running_run_is_not_retried() -> None:
    executor = Executor(RunState(a_run(), compile_plan(from_wire(document())))).start()
    with pytest.raises(Conflict, match="it is RUNNING; only a failed run can"):
        executor.state.apply(RETRY)


# ---- after a crash -----------------------------------------------------------------------------------------------


def test_a_replayed_log_makes_the_same_state_and_tells_what_is_under_way() -> None:
    m = Maker()
    leaf = m.leaf("leaf")
    tasks = {name: use(leaf) for name in ("starting", "running", "stopping")}
    tasks["caching"] = use(leaf, cachingOptions={"enableCache": True})
    tasks["waiting"] = use(leaf, retryPolicy={"maxRetryCount": 1, "backoffDuration": "5s"})
    plan = m.plan(tasks)
    executor = Executor(RunState(a_run(), plan)).start()
    ids = {name: executor.by_label(f"root.{name}").id for name in tasks}
    executor.send(PodStarted(at=NOW, task=ids["running"], attempt=1))
    executor.send(Failed(at=NOW, task=ids["waiting"], attempt=1, message="broke"))

    again = RunState(a_run(), plan)
    for line in executor.log:
        again.apply(decode(line))
    validate(again)
    assert {task.label: task.state for task in again.tasks.values()} == {
        task.label: task.state for task in executor.state.tasks.values()
    }
    found = {getattr(each, "task", "timer"): type(each) for each in again.outstanding()}
    assert found == {
        ids["starting"]: StartPod, ids["running"]: AdoptPod, ids["stopping"]: StartPod, ids["caching"]: LookUpCache,
        "timer": WakeAt,
    }  # fmt: skip
    started = {each.task: each for each in executor.of(StartPod)}
    assert all(started[each.task] == each for each in again.outstanding() if isinstance(each, StartPod))

    again.apply(TerminateRequested(at=NOW))
    assert {type(each) for each in again.outstanding()} == {StopPod, WakeAt}


def test_events_are_json_and_come_back() -> None:
    executor = finished(Broken("root.b"))
    events = [decode(line) for line in executor.log]
    assert isinstance(events[0], RunStarted)
    assert b'"event":"run-started"' in executor.log[0]
    assert any(isinstance(event, Succeeded) and event.outputs == Outputs({"y": "root.a-0"}) for event in events)
