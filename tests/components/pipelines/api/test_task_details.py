"""Tasks as release 2.17 tells them: one entry for each task, dag, loop, iteration, and attempt that had a pod."""

from itertools import pairwise
from typing import Any

import pytest

from flowdeck.components.pipelines.api.task_details import number_of, task_details
from flowdeck.components.pipelines.engine.events import PodStarted, TerminateRequested
from flowdeck.components.pipelines.engine.records import task_record
from flowdeck.components.pipelines.engine.run_state import RunState
from flowdeck.components.pipelines.engine.states import State
from flowdeck.components.pipelines.plan.types import Plan
from flowdeck.kube.objects import Tree
from tests.components.pipelines.executor import Executor, Program, succeed
from tests.components.pipelines.makers import Maker, a_run, artifact, artifact_of, parameter, use, when

RETRIED: dict[str, Any] = {"retryPolicy": {"maxRetryCount": 1, "backoffDuration": "1s", "backoffFactor": 1.0}}


def details_of(executor: Executor) -> dict[str, Tree]:
    """By display name with the iteration before it; entries of attempts have theirs behind."""
    records = [
        task_record(executor.state, task.id)
        for task in executor.state.tasks.values()
        if task.state is not State.WAITING  # which nobody writes down
    ]
    labels = {record.id: record.label for record in records}
    found = task_details(records)
    assert len({entry["task_id"] for entry in found}) == len(found)
    return {labels.get(entry["task_id"], str(entry["display_name"])): entry for entry in found}


def run(plan: Plan, program: Program = succeed) -> dict[str, Tree]:
    return details_of(Executor(RunState(a_run(), plan), program).start().run())


@pytest.fixture
def whole() -> dict[str, Tree]:
    """A loop of two, a task that succeeds at its second attempt, a skipped one, one that is omitted."""
    m = Maker()
    leaf = m.leaf("leaf")
    loop = m.dag("for-loop-1", {"inner": use(leaf, taskInfo={"name": "inner"})}, {"i": parameter()})
    items = {"itemInput": "i", "items": {"raw": '["a", "b"]'}}
    plan = m.plan(
        {
            "for-loop-1": use(loop, parameterIterator=items, taskInfo={"name": "for-loop-1"}),
            "flaky": use(leaf, **RETRIED, taskInfo={"name": "flaky"}),
            "never": use(leaf, triggerPolicy=when("false"), taskInfo={"name": "never"}),
            "after": use(leaf, after=["never"], taskInfo={"name": "after"}),
        }
    )

    def program(label: str, execution: int, inputs: dict[str, Any]) -> dict[str, Any] | str:
        return "broken" if label == "root.flaky" and execution == 0 else {}

    return run(plan, program)


def test_every_task_has_an_entry_and_every_pod_one_more(whole: dict[str, Tree]) -> None:
    loop = "root.for-loop-1"
    tasks = {"root", loop, f"{loop}[0]", f"{loop}[1]", f"{loop}[0].inner", f"{loop}[1].inner"}
    tasks |= {"root.flaky", "root.never", "root.after"}
    assert set(whole) == tasks | {"flaky (attempt 1)", "flaky (attempt 2)", "inner (attempt 1)"}


def test_states_are_those_of_the_released_api(whole: dict[str, Tree]) -> None:
    assert whole["root"]["state"] == "SUCCEEDED"
    assert whole["root.flaky"]["state"] == "SUCCEEDED"
    assert whole["flaky (attempt 1)"]["state"] == "FAILED"
    assert whole["flaky (attempt 1)"]["error"]["message"] == "broken"
    assert "error" not in whole["root.flaky"]
    assert whole["root.never"]["state"] == "SKIPPED"
    assert "state" not in whole["root.after"]
    assert "never" in whole["root.after"]["error"]["message"]


def test_parents_and_children_find_each_other(whole: dict[str, Tree]) -> None:
    by_id = {entry["task_id"]: entry for entry in whole.values()}
    for entry in whole.values():
        for child in entry.get("child_tasks", []):
            if "task_id" in child:
                assert by_id[child["task_id"]]["parent_task_id"] == entry["task_id"]
    assert "parent_task_id" not in whole["root"]
    flaky = whole["root.flaky"]
    assert [child["pod_name"] for child in flaky["child_tasks"]] == [
        whole[f"flaky (attempt {number})"]["pod_name"] for number in (1, 2)
    ]
    assert flaky["pod_name"] == flaky["child_tasks"][-1]["pod_name"]
    assert flaky["executor_detail"] == {
        "main_job": whole["flaky (attempt 2)"]["task_id"],
        "failed_main_jobs": [whole["flaky (attempt 1)"]["task_id"]],
    }


def test_histories_have_no_state_twice_in_a_row(whole: dict[str, Tree]) -> None:
    states = [entry["state"] for entry in whole["root.flaky"]["state_history"]]
    assert all(one != other for one, other in pairwise(states))
    assert (states[0], states[-1]) == ("PENDING", "SUCCEEDED")
    assert [entry["state"] for entry in whole["root.never"]["state_history"]] == ["SKIPPED"]


def test_artifacts_are_told_by_numbers() -> None:
    m = Maker()
    make = m.leaf("make", artifacts_out={"model": artifact()})
    take = m.leaf("take", artifacts_in={"model": artifact()})
    told = run(m.plan({"make": use(make), "take": use(take, artifacts={"model": artifact_of("make", "model")})}))
    made = told["root.make"]["outputs"]["model"]["artifact_ids"]
    assert told["root.take"]["inputs"] == {"model": {"artifact_ids": made}}
    assert [0 < int(number) < 2**63 for number in made] == [True]
    assert told["root.make"]["execution_id"] == number_of(told["root.make"]["task_id"])


def test_what_a_termination_stops_is_canceled() -> None:
    m = Maker()
    executor = Executor(RunState(a_run(), m.plan({"a": use(m.leaf("leaf"), taskInfo={"name": "a"})}))).start()
    task = executor.by_label("root.a")
    executor.send(PodStarted(at=executor.now, task=task.id, attempt=1, pod="pod-1"))
    assert details_of(executor)["a (attempt 1)"]["state"] == "RUNNING"
    assert details_of(executor)["root.a"]["end_time"] == "1970-01-01T00:00:00Z"
    executor.send(TerminateRequested(at=executor.now))
    executor.run()
    told = details_of(executor)
    assert (told["root.a"]["state"], told["root"]["state"]) == ("CANCELED", "CANCELED")
    assert told["root.a"]["error"]["message"].startswith("Run was terminated")
