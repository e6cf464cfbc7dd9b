"""What must hold between two events, whatever happened. Tests ask after each step; it looks at everything."""

from collections.abc import Iterator

from flowdeck.components.pipelines.engine.run_state import RunState
from flowdeck.components.pipelines.engine.states import State
from flowdeck.components.pipelines.engine.task_run import TaskRun

_UNDER_WAY = frozenset({State.CACHING, State.STARTING, State.RUNNING, State.STOPPING, State.BACKING_OFF})


def validate(state: RunState) -> None:
    """Raises `AssertionError` with all that is wrong."""
    problems = list(_problems(state))
    assert not problems, "\n".join(problems)


def _problems(state: RunState) -> Iterator[str]:
    root = state.root
    if root is None:
        if state.tasks or state.active:
            yield "tasks without a root"
        return
    reachable = {task.id: task for task in _all(root)}
    if reachable != dict(state.tasks):
        yield f"known tasks are not those that are there: {set(reachable) ^ set(state.tasks)}"
    if root.has_ended != state.is_finished:
        yield f"the run is {state.status}, its root {root.state}"
    if bool(state.active) == state.is_finished:
        yield f"the run is {state.status} with {len(state.active)} active tasks"
    for task in reachable.values():
        yield from _task_problems(state, task)
    for task in state.active.values():
        if reachable.get(task.id) is not task:
            yield f"{task!r} is active, and not there"


def _task_problems(state: RunState, task: TaskRun) -> Iterator[str]:
    is_nest = task.is_dag or task.is_loop
    active = task.state in _UNDER_WAY and (not is_nest or task.state is State.BACKING_OFF)
    if active != (task.id in state.active):
        yield f"{task!r} is {'not ' if active else ''}active"
    if task.state is State.BACKING_OFF and task.wake_at is None:
        yield f"{task!r} has no time to go on"
    running = [child for child in task.children.values() if not child.has_ended]
    if is_nest and task.open != len(running):
        yield f"{task!r} counts {task.open} open children, and has {running}"
    if is_nest and task.state is State.RUNNING and not running:
        yield f"{task!r} runs, with nothing inside"
    if running and task.state is not State.RUNNING:
        yield f"{task!r} has children that run: {running}"
    if task.is_loop:
        limit = task.task.parallelism
        if limit and len(running) > limit:
            yield f"{task!r} runs {len(running)} iterations, and may run {limit}"
        if task.has_ended and task.todo:
            yield f"{task!r} ended with iterations to do"
    elif task.is_dag:
        for child in task.children.values():
            yield from _waiting_problems(task, child)


def _waiting_problems(dag: TaskRun, child: TaskRun) -> Iterator[str]:
    missing = [name for name in child.task.upstream if not dag.children[name].has_ended]
    if child.waiting != len(missing):
        yield f"{child!r} counts {child.waiting} upstream tasks, and waits for {missing}"
    if missing and child.state is not State.WAITING:
        yield f"{child!r} did not wait for {missing}"
    if not missing and child.state is State.WAITING:
        yield f"{child!r} waits for nothing"


def _all(task: TaskRun) -> Iterator[TaskRun]:
    yield task
    for child in task.children.values():
        yield from _all(child)
