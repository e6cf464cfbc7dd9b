"""What is kept when a run is retried, and what runs again.

Kept: tasks that ended well (skipped counts), that the edited pipeline did not change, whose upstream is kept, and that
nobody asked to run again. A dag or loop that is not kept as a whole goes on inside, if its own inputs are what they
were; everything else is made anew.
"""

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowdeck.components.pipelines.engine.states import GOOD, State
from flowdeck.components.pipelines.engine.task_run import TaskRun
from flowdeck.components.pipelines.plan.types import Dag, Task

if TYPE_CHECKING:
    from flowdeck.components.pipelines.engine.flow import Flow

_KEPT = GOOD | {State.SKIPPED}


@dataclass(frozen=True)
class Wish:
    """What somebody asked for."""

    task: str = ""
    """The id of the task to run again; empty: what failed."""
    touched: frozenset[str] = frozenset()
    """That task, and the dags and loops around it."""


def wish_for(task: TaskRun | None) -> Wish:
    touched = set()
    node = task
    while node is not None:
        touched.add(node.id)
        node = node.parent
    return Wish(task.id if task is not None else "", frozenset(touched))


def is_kept(task: TaskRun, new: Task, wish: Wish) -> bool:
    """Whether a task stays as it is, in a dag where its upstream does."""
    return task.state in _KEPT and task.id not in wish.touched and (task.task is new or task.task == new)


def can_go_on(task: TaskRun, new: Task, wish: Wish) -> bool:
    """Whether a dag or loop, with inputs that are what they were, goes on inside."""
    begun = task.items is not None if task.is_loop else task.is_dag and bool(task.children)
    return begun and task.id != wish.task and (task.task is new or _same_use(task.task, new))


def _same_use(old: Task, new: Task) -> bool:
    """Whether two tasks give their component the same inputs, whatever is inside."""
    return (
        isinstance(new.component.body, Dag)
        and isinstance(old.component.body, Dag)
        and old.component.parameters == new.component.parameters
        and old.component.artifacts == new.component.artifacts
        and (old.parameters, old.artifacts) == (new.parameters, new.artifacts)
        and (old.condition, old.iterator, old.on_any_end) == (new.condition, new.iterator, new.on_any_end)
    )


def go_on(flow: "Flow", node: TaskRun, task: Task) -> None:
    """A dag or loop runs again, but for what is kept inside; `flow.wish` says what was asked for."""
    node.task = task
    node.failed, node.canceled, node.closed, node.failures = None, False, False, 0
    node.message, node.output_parameters, node.output_artifacts = "", {}, {}
    flow.move(node, State.RUNNING)
    if node.is_loop:
        _loop_goes_on(flow, node)
    else:
        _dag_goes_on(flow, node)
    if node.open == 0 and not node.todo:
        flow.later(flow.close, node)


def _dag_goes_on(flow: "Flow", dag: TaskRun) -> None:
    body = dag.task.component.body
    assert isinstance(body, Dag)
    old, dag.children = dag.children, {}
    kept: set[str] = set()
    again: list[TaskRun] = []
    for name, task in body.tasks.items():
        child = old.pop(name, None)
        missing = sum(upstream not in kept for upstream in task.upstream)
        if child is not None and not missing and is_kept(child, task, flow.wish):
            child.task = task
            kept.add(name)
        elif child is not None and not missing and can_go_on(child, task, flow.wish):
            again.append(child)
        else:
            if child is not None:
                flow.forget(child)
            child = flow.make(task, dag, name)
            child.waiting = missing
            if not missing:
                flow.later(flow.consider, child)
        dag.children[name] = child
    for gone in old.values():
        flow.forget(gone)
    dag.open = len(dag.children) - len(kept)
    for child in again:
        go_on(flow, child, body.tasks[child.task.name])


def _loop_goes_on(flow: "Flow", loop: TaskRun) -> None:
    loop.open = 0
    loop.todo = deque(
        at
        for at in range(len(loop.items or ()))
        if at not in loop.children or not is_kept(loop.children[at], loop.task, flow.wish)
    )
    flow.next_iterations(loop)
