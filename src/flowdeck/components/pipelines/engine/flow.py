"""What follows from what: the moves of a run's tasks. Used by `RunState`, which turns events into the first of them.

A move changes one task. What follows from it stands in a queue and is worked off before the event is over, so depth
never becomes recursion. Each task counts the upstream tasks and children that it waits for; nothing is ever searched.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from flowdeck.components.pipelines.engine import launch
from flowdeck.components.pipelines.engine.inputs import (
    InputError,
    loop_items,
    with_item,
)
from flowdeck.components.pipelines.engine.instructions import (
    ForgetTasks,
    Instruction,
    RecordRun,
    RecordTask,
    StartPod,
    StopPod,
    WakeAt,
)
from flowdeck.components.pipelines.engine.outputs import dag_outputs, loop_outputs
from flowdeck.components.pipelines.engine.prepare import Preparation
from flowdeck.components.pipelines.engine.retry import Wish, can_go_on, go_on
from flowdeck.components.pipelines.engine.run import FailurePolicy, Run
from flowdeck.components.pipelines.engine.states import GOOD, RunStatus, State
from flowdeck.components.pipelines.engine.task_run import Attempt, TaskRun, stable_id
from flowdeck.components.pipelines.engine.timers import Timers
from flowdeck.components.pipelines.plan.types import Container, Dag, Plan, Task
from flowdeck.components.pipelines.values.conditions import ConditionError, compile_condition

OF_THE_RUN: Final = ""
"""Whose timer the time limit of the run is."""
FAILS_FAST: Final = "the run fails fast, and another task failed"
_ROOT: Final = "root"


class Flow:
    """The tasks of a run, and how they move."""

    def __init__(self, run: Run, plan: Plan) -> None:
        self.run = run
        self.prepare = Preparation(run, plan)
        self.status = RunStatus.PENDING
        self.error = ""
        self.stopping = ""
        """Why nothing may start any more; empty while it may."""
        self.root: TaskRun | None = None
        self.tasks: dict[str, TaskRun] = {}
        self.active: dict[str, TaskRun] = {}
        """What an instruction is out for, and what waits for a time."""
        self.attempts: dict[str, list[Attempt]] = {}
        """Of each task, also of those that were made anew."""
        self.timers = Timers()
        self.now = 0.0
        self.cause = ""
        self.out: list[Instruction] = []
        self._changed: dict[str, TaskRun] = {}
        self._todo: deque[tuple[Callable[[TaskRun], None], TaskRun]] = deque()
        self.wish = Wish()
        """Of the retry that the run goes on after."""

    # ---- one event ---------------------------------------------------------------------------------------------

    def enter(self, now: float, cause: str) -> None:
        """An event begins."""
        self.now, self.cause, self.out = now, cause, []
        self._changed = {}

    def leave(self) -> list[Instruction]:
        """Works off what follows; everything that the event wants done."""
        while self._todo:
            step, task = self._todo.popleft()
            step(task)
        self.out += [RecordTask(cause=self.cause, task=each.id, state=each.state) for each in self._changed.values()]
        if (at := self.timers.news()) is not None:
            self.out.append(WakeAt(cause=self.cause, at=at))
        return self.out

    def later(self, step: Callable[[TaskRun], None], task: TaskRun) -> None:
        """What follows, before the event is over."""
        self._todo.append((step, task))

    def changed(self, task: TaskRun) -> None:
        """It will be recorded."""
        self._changed[task.id] = task

    # ---- the run -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        self.record_run(RunStatus.RUNNING)
        self.add_deadline()
        self.root = TaskRun(stable_id(self.run.id, _ROOT), _ROOT, self.prepare.plan.root, None)
        self.tasks[self.root.id] = self.root
        self.root.parameters = self.run.parameters
        self._open_dag(self.root)

    def record_run(self, status: RunStatus, *, finished: bool = False) -> None:
        self.status = status
        self.out.append(RecordRun(cause=self.cause, state=status, error=self.error, finished=finished))

    def add_deadline(self) -> None:
        if self.deadline_s > 0:
            self.timers.add(self.now + self.deadline_s, OF_THE_RUN)

    @property
    def deadline_s(self) -> int:
        return self.run.options.deadline_s or self.prepare.plan.config.active_deadline_seconds

    def finish_run(self) -> None:
        failed = self.root is None or self.root.state is not State.SUCCEEDED
        self.error = (self.stopping or (self.root.message if self.root else "")) if failed else ""
        self.timers.clear()
        self.record_run(RunStatus.FAILED if failed else RunStatus.SUCCEEDED, finished=True)

    def stop_all(self, why: str) -> None:
        """Nothing starts any more, and what runs is stopped."""
        self.stopping = why
        for task in list(self.active.values()):
            self.stop(task, why)

    # ---- a task's turn -----------------------------------------------------------------------------------------

    def consider(self, task: TaskRun) -> None:
        """Its upstream has ended: it starts, or it does not, for a reason."""
        if why := self._held_back(task):
            self._never(task, why)
            return
        if why := _blocked(task):
            self.end(task, State.OMITTED, why)
            return
        try:
            self.prepare.take_inputs(task)
            if task.task.condition and not compile_condition(task.task.condition).holds(task.parameters):
                self.end(task, State.SKIPPED, "its condition is false")
                return
            if task.is_loop:
                task.items = loop_items(task.task, task.parameters, task.artifacts)
        except (InputError, ConditionError) as error:
            self.end(task, State.FAILED, str(error))
            return
        if task.is_loop:
            self._open_loop(task)
        else:
            self.begin(task)

    def begin(self, task: TaskRun) -> None:
        """Does what its component says, for the first time."""
        if task.is_dag:
            self._open_dag(task)
            return
        self._new_attempt(task)
        try:
            found = self.prepare.fingerprint(task)
        except InputError as error:
            self._could_not_begin(task, error)
            return
        task.fingerprint, task.fingerprint_parts = found.digest, found.parts
        if task.fingerprint:
            self.move(task, State.CACHING)
            self.active[task.id] = task
            self.out.append(self.prepare.look_up(task, self.cause))
        else:
            self.execute(task)

    def execute(self, task: TaskRun) -> None:
        """Carries out the task's current attempt."""
        try:
            instruction = self.prepare.instruction(task, self.cause)
        except InputError as error:
            self._could_not_begin(task, error)
            return
        if isinstance(instruction, StartPod):  # a pod that ends at once is never seen running
            self.attempts[task.id][-1].pod = instruction.pod_name
        self.move(task, State.STARTING if isinstance(instruction, StartPod) else State.RUNNING)
        self.active[task.id] = task
        self.out.append(instruction)

    def wait(self, task: TaskRun, why: str, until: float | None) -> None:
        """Its program does not start, or does at last: then there is no reason any more."""
        task.message = self.attempts[task.id][-1].message = why
        task.wake_at = until
        if until is not None:
            self.timers.add(until, task.id)
        self.changed(task)

    def execute_again(self, task: TaskRun) -> None:
        """Another attempt."""
        if task.is_dag:
            self._open_dag(task)
        else:
            self._new_attempt(task)
            self.execute(task)

    def resume(self, task: TaskRun) -> None:
        """The time of its next attempt has come."""
        if task.state is not State.BACKING_OFF:
            return
        task.wake_at = None
        self.active.pop(task.id, None)
        if self._held_back(task):
            self.end(task, State.FAILED, task.message)
        else:
            self.execute_again(task)

    # ---- a task's end ------------------------------------------------------------------------------------------

    def fail(self, task: TaskRun, message: str) -> None:
        """It failed: it is tried again after a while, or that is its end."""
        task.failures += 1
        if task.failures > task.retry.max_retries or self._held_back(task):
            self.end(task, State.FAILED, message)
            return
        self.drop_children(task)
        task.message = message
        self.move(task, State.BACKING_OFF)
        self.active[task.id] = task
        task.wake_at = self.now + task.retry.delay_s(task.failures)
        if task.wake_at <= self.now:
            self.later(self.resume, task)
        else:
            self.timers.add(task.wake_at, task.id)

    def end(self, task: TaskRun, state: State, message: str = "") -> None:
        """Its end; those that waited for it may have their turn."""
        task.message = message
        self.move(task, state)
        self.active.pop(task.id, None)
        parent = task.parent
        if parent is None:
            self.finish_run()
            return
        if state is State.FAILED:
            parent.failed = parent.failed or task.failed or task
            self._fail_fast(task)
        elif state is State.CANCELED:
            parent.canceled = True
        parent.open -= 1
        if parent.is_loop:
            self.next_iterations(parent)
        else:
            self._tell_downstream(task, parent)
        if parent.open == 0 and not parent.todo:
            self.later(self.close, parent)

    def stop(self, task: TaskRun, why: str) -> None:
        """It shall end soon; only a pod takes time for that."""
        if task.state in (State.STARTING, State.RUNNING) and isinstance(task.task.component.body, Container):
            task.message = why
            self.move(task, State.STOPPING)
            self.stop_pod(task)
        elif task.state is not State.STOPPING:
            self.end_attempt(task, State.CANCELED, why)
            self.end(task, State.CANCELED, why)

    def stop_pod(self, task: TaskRun) -> None:
        name = launch.pod_name(self.run, task.id, task.attempt)
        self.out.append(StopPod(cause=self.cause, task=task.id, attempt=task.attempt, pod_name=name))

    def move(self, task: TaskRun, state: State) -> None:
        task.move(state, self.now, self.cause)
        self._changed[task.id] = task

    def end_attempt(self, task: TaskRun, state: State, message: str = "") -> None:
        """Writes the end of the current attempt down."""
        if task.attempt:
            attempt = self.attempts[task.id][-1]
            attempt.ended_at, attempt.state, attempt.message = self.now, state, message

    def _never(self, task: TaskRun, why: str) -> None:
        if task.parent is not None:
            task.parent.canceled = True
        self.end(task, State.OMITTED, why)

    def _could_not_begin(self, task: TaskRun, error: InputError) -> None:
        self.end_attempt(task, State.FAILED, str(error))
        self.end(task, State.FAILED, str(error))

    def _tell_downstream(self, task: TaskRun, dag: TaskRun) -> None:
        for name in task.task.downstream:
            follower = dag.children[name]
            follower.waiting -= 1
            if follower.waiting == 0:
                self.later(self.consider, follower)

    # ---- dags and loops ----------------------------------------------------------------------------------------

    def _open_dag(self, dag: TaskRun) -> None:
        """Makes its tasks; those that wait for nothing have their turn."""
        self.move(dag, State.RUNNING)
        dag.failed, dag.canceled, dag.closed, dag.message = None, False, False, ""
        body = dag.task.component.body
        assert isinstance(body, Dag)
        dag.children = {name: self.make(task, dag, name) for name, task in body.tasks.items()}
        dag.open = len(dag.children)
        for child in dag.children.values():
            child.waiting = len(child.task.upstream)
            if child.waiting == 0:
                self.later(self.consider, child)
        if not dag.children:
            self.later(self.close, dag)

    def _open_loop(self, loop: TaskRun) -> None:
        self.move(loop, State.RUNNING)
        loop.todo = deque(range(len(loop.items or ())))
        self.next_iterations(loop)
        if loop.open == 0:
            self.later(self.close, loop)

    def next_iterations(self, loop: TaskRun) -> None:
        """Starts as many as may run at a time."""
        if loop.todo and self._held_back(loop):
            loop.todo.clear()
            loop.canceled = True
        limit = loop.task.parallelism or len(loop.items or ())
        while loop.todo and loop.open < limit:
            at = loop.todo.popleft()
            old = loop.children.get(at)
            loop.open += 1
            if old is not None and can_go_on(old, loop.task, self.wish):
                self.later(self._iteration_goes_on, old)
                continue
            if old is not None:
                self.forget(old)
            child = loop.children[at] = self.make(loop.task, loop, at)
            self.later(self._begin_iteration, child)

    def _begin_iteration(self, task: TaskRun) -> None:
        loop, iterator = task.parent, task.task.iterator
        assert loop is not None
        assert iterator is not None
        item = (loop.items or ())[task.iteration or 0]
        if why := self._held_back(task):
            self._never(task, why)
            return
        try:
            if iterator.over_artifacts:
                task.parameters, task.artifacts = loop.parameters, {**loop.artifacts, iterator.item_input: [item]}
            else:
                task.parameters = with_item(loop.parameters, task.task.component, iterator.item_input, item)
                task.artifacts = loop.artifacts
        except InputError as error:
            self.end(task, State.FAILED, str(error))
            return
        self.begin(task)

    def close(self, node: TaskRun) -> None:
        """All inside has ended."""
        if not node.is_loop:
            node.output_parameters, node.output_artifacts = dag_outputs(node)
        if node.failed is not None:
            self.fail(node, _failure(node.failed))
        elif node.canceled:
            self.end(node, State.CANCELED, self.stopping or FAILS_FAST)
        else:
            if node.is_loop:
                node.output_parameters, node.output_artifacts = loop_outputs(node)
            self.end(node, State.SUCCEEDED)

    def _iteration_goes_on(self, iteration: TaskRun) -> None:
        assert iteration.parent is not None
        go_on(self, iteration, iteration.parent.task)

    def make(self, task: Task, parent: TaskRun, place: str | int) -> TaskRun:
        is_iteration = isinstance(place, int)
        label = f"{parent.label}[{place}]" if is_iteration else f"{parent.label}.{place}"
        made = TaskRun(stable_id(self.run.id, label), label, task, parent, place if isinstance(place, int) else None)
        self.tasks[made.id] = made
        return made

    def forget(self, task: TaskRun) -> None:
        """It is no more, nor is anything inside."""
        gone, stack = [], [task]
        while stack:
            each = stack.pop()
            del self.tasks[each.id]
            self._changed.pop(each.id, None)
            gone.append(each.id)
            stack += each.children.values()
        self.out.append(ForgetTasks(cause=self.cause, tasks=gone))

    def drop_children(self, task: TaskRun) -> None:
        for child in task.children.values():
            self.forget(child)
        task.children = {}

    # ---- failing fast ------------------------------------------------------------------------------------------

    def _held_back(self, task: TaskRun) -> str:
        """Why it may not start; empty when it may."""
        if self.stopping or self.run.options.failure_policy is FailurePolicy.CONTINUE:
            return self.stopping
        node: TaskRun | None = task
        while node is not None:
            if node.closed:
                return FAILS_FAST
            if node.task.on_any_end:
                return ""
            node = node.parent
        return ""

    def _fail_fast(self, task: TaskRun) -> None:
        """Closes the run, or the part of it that will be tried again."""
        policy = self.run.options.failure_policy
        if policy is FailurePolicy.CONTINUE:
            return
        scope = task.parent
        while scope is not None and scope.parent is not None and not scope.may_retry:
            scope = scope.parent
        if scope is None or scope.closed:
            return
        scope.closed = True
        if policy is FailurePolicy.FAIL_FAST_AND_STOP:
            for other in list(self.active.values()):
                if self._held_back(other):
                    self.stop(other, FAILS_FAST)

    # ---- small things ------------------------------------------------------------------------------------------

    def _new_attempt(self, task: TaskRun) -> None:
        attempts = self.attempts.setdefault(task.id, [])
        task.attempt, task.wake_at = len(attempts) + 1, None
        attempts.append(Attempt(task.attempt, task.failures, self.now))


def _blocked(task: TaskRun) -> str:
    """The reason when an upstream task was not successful; empty when that does not matter."""
    if task.task.on_any_end or task.parent is None:
        return ""
    for name in task.task.upstream:
        upstream: Any = task.parent.children[name]
        if upstream.state not in GOOD:
            return f'upstream task "{name}" was {_ENDINGS[upstream.state]}'
    return ""


_ENDINGS: Final = {
    State.FAILED: "not successful",
    State.CANCELED: "canceled",
    State.SKIPPED: "skipped",
    State.OMITTED: "omitted",
}


def _failure(task: TaskRun) -> str:
    return f'task "{task.label.removeprefix(_ROOT + ".")}" failed: {task.message}'
