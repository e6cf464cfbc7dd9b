"""A run as a state machine: `apply(event)` changes the state and says what to do. No I/O, no clock, no randomness.

    state = RunState(run, plan)
    for event in log: state.apply(event)          # the same state, on every machine
    todo = state.outstanding()                    # what is under way: do it again, doing it twice is harmless
    todo = state.apply(Succeeded(at=..., task=..., attempt=..., outputs=...))

The states, and which may follow which, are in `states.py`; what follows from what, in `flow.py`.
"""

from collections.abc import Mapping, Sequence

from flowdeck.components.pipelines.engine.events import (
    CacheAnswered,
    Event,
    Failed,
    Lost,
    Outputs,
    PodStarted,
    Report,
    RetryRequested,
    RunStarted,
    Succeeded,
    TerminateRequested,
    TimePassed,
    Waits,
)
from flowdeck.components.pipelines.engine.flow import OF_THE_RUN, Flow
from flowdeck.components.pipelines.engine.instructions import AdoptPod, Instruction, StopPod, WakeAt
from flowdeck.components.pipelines.engine.launch import pod_name
from flowdeck.components.pipelines.engine.outputs import OutputError, declared_outputs, with_ids
from flowdeck.components.pipelines.engine.retry import go_on, wish_for
from flowdeck.components.pipelines.engine.run import Run
from flowdeck.components.pipelines.engine.states import RUN_FINISHED, RunStatus, State
from flowdeck.components.pipelines.engine.task_run import Attempt, TaskRun
from flowdeck.components.pipelines.ir.document import from_wire
from flowdeck.components.pipelines.plan.compiler import compile_plan
from flowdeck.components.pipelines.plan.parameters import run_parameters
from flowdeck.components.pipelines.plan.types import Container, Plan
from flowdeck.components.pipelines.values.artifacts import Artifact
from flowdeck.kube.errors import Conflict, NotFound

TERMINATED = "Run was terminated"
"""How `error.message` of a terminated run starts."""
MAX_LOST = 5
"""Pods of one task that may be lost in a row before it counts as a failure."""


class RunState:
    """One run. `apply` is the only way to change it."""

    def __init__(self, run: Run, plan: Plan) -> None:
        self.run = run
        self._flow = Flow(run, plan)

    # ---- what there is to see ----------------------------------------------------------------------------------

    @property
    def plan(self) -> Plan:
        """The pipeline; another one after a retry with an edited document."""
        return self._flow.prepare.plan

    @property
    def status(self) -> RunStatus:
        return self._flow.status

    @property
    def error(self) -> str:
        """Why it failed; empty when it did not."""
        return self._flow.error

    @property
    def is_finished(self) -> bool:
        return self.status in RUN_FINISHED

    @property
    def root(self) -> TaskRun | None:
        """None before the run has started."""
        return self._flow.root

    @property
    def tasks(self) -> Mapping[str, TaskRun]:
        """All tasks by id, also those whose turn has not come. Iterations of loops appear when they start."""
        return self._flow.tasks

    @property
    def active(self) -> Mapping[str, TaskRun]:
        """The tasks that an instruction is out for, and those that wait for their next attempt."""
        return self._flow.active

    def attempts(self, task: str) -> Sequence[Attempt]:
        """Of a task, by its id, from the first; those before a retry as well."""
        return self._flow.attempts.get(task, ())

    def outstanding(self) -> list[Instruction]:
        """What is under way: for who has replayed the log, and does not know what was done."""
        flow = self._flow
        found = [self._outstanding(task) for task in flow.active.values() if task.state is not State.BACKING_OFF]
        at = flow.timers.next
        return found if at is None else [*found, WakeAt(at=at)]

    def _outstanding(self, task: TaskRun) -> Instruction:
        flow = self._flow
        if task.state is State.CACHING:
            return flow.prepare.look_up(task, task.cause)
        name = pod_name(self.run, task.id, task.attempt)
        if task.state is State.STOPPING:
            return StopPod(cause=task.cause, task=task.id, attempt=task.attempt, pod_name=name)
        if task.state is State.RUNNING and isinstance(task.task.component.body, Container):
            return AdoptPod(cause=task.cause, task=task.id, attempt=task.attempt, pod_name=name)
        return flow.prepare.instruction(task, task.cause)

    def announced(self, task: TaskRun) -> dict[str, list[Artifact]]:
        """The artifacts that the current attempt of a task is told to make."""
        return self._flow.prepare.announced(task)

    # ---- events ------------------------------------------------------------------------------------------------

    def apply(self, event: Event) -> list[Instruction]:
        """Takes one event, and says what to do.

        A report of an attempt that is over, and a wish that is fulfilled already, change nothing. Raises `Conflict`,
        `NotFound`, `InvalidPipeline` or `InvalidParameters` for a retry that cannot be; nothing has changed then,
        and the event does not belong into the log.
        """
        flow = self._flow
        if isinstance(event, RetryRequested):
            return self._retry(event)
        flow.enter(event.at, event.cause)
        match event:
            case RunStarted():
                if flow.status is RunStatus.PENDING:
                    flow.start()
            case TerminateRequested():
                self._terminate()
            case TimePassed():
                self._wake(event.at)
            case _:
                task = flow.active.get(event.task)
                if task is not None and task.attempt == event.attempt:
                    self._report(task, event)
        return flow.leave()

    def _report(self, task: TaskRun, event: Report) -> None:
        flow = self._flow
        asks_cache = task.state is State.CACHING
        match event:
            case CacheAnswered():
                if asks_cache:
                    self._cache_answered(task, event)
            case _ if asks_cache or task.state is State.BACKING_OFF:
                return
            case Waits():
                if task.state is State.STARTING:
                    flow.wait(task, event.message, event.until)
            case PodStarted():
                attempt = flow.attempts[task.id][-1]
                attempt.pod, attempt.uid = event.pod, event.uid
                flow.changed(task)
                if task.state is State.STARTING:
                    flow.wait(task, "", None)
                    flow.move(task, State.RUNNING)
            case Succeeded():
                self._succeeded(task, event.outputs)
            case Failed():
                self._failed(task, event.message)
            case Lost():
                self._lost(task, event.message)

    def _cache_answered(self, task: TaskRun, event: CacheAnswered) -> None:
        task.cache_note = event.why
        if event.outputs is None or self._outputs_problem(task, event.outputs):
            self._flow.execute(task)
            return
        self._flow.end_attempt(task, State.CACHED)
        self._flow.end(task, State.CACHED)

    def _succeeded(self, task: TaskRun, outputs: Outputs) -> None:
        if problem := self._outputs_problem(task, outputs):
            self._failed(task, problem)
            return
        self._flow.end_attempt(task, State.SUCCEEDED)
        self._flow.end(task, State.SUCCEEDED)

    def _outputs_problem(self, task: TaskRun, outputs: Outputs) -> str:
        """Takes the outputs; what is wrong with them, or nothing."""
        component = task.task.component
        try:
            parameters, artifacts = declared_outputs(component, outputs, self._flow.prepare.announced(task))
        except OutputError as error:
            return str(error)
        task.output_parameters = parameters
        task.output_artifacts = with_ids(self.run.id, task, artifacts)
        return ""

    def _failed(self, task: TaskRun, message: str) -> None:
        flow = self._flow
        task.losses = 0
        if task.state is State.STOPPING:
            flow.end_attempt(task, State.CANCELED, task.message)
            flow.end(task, State.CANCELED, task.message)
            return
        flow.end_attempt(task, State.FAILED, message)
        flow.fail(task, message)

    def _lost(self, task: TaskRun, message: str) -> None:
        task.losses += 1
        if task.state is State.STOPPING or task.losses > MAX_LOST:
            self._failed(task, message)
            return
        self._flow.end_attempt(task, State.FAILED, message)
        self._flow.execute_again(task)

    def _terminate(self) -> None:
        flow = self._flow
        if self.is_finished or flow.status is RunStatus.CANCELING:
            return
        if flow.root is None:
            flow.stopping = TERMINATED
            flow.finish_run()
            return
        flow.record_run(RunStatus.CANCELING)
        flow.stop_all(TERMINATED)

    def _wake(self, now: float) -> None:
        flow = self._flow
        for at, task_id in flow.timers.due(now):
            task = flow.active.get(task_id)
            if task_id == OF_THE_RUN and not flow.stopping:
                flow.stop_all(f"Run exceeded its time limit of {flow.deadline_s} seconds")
            elif task is None or task.wake_at != at:
                continue
            elif task.state is State.STARTING:
                flow.stop_pod(task)
                self._failed(task, task.message)
            else:
                flow.resume(task)

    def _retry(self, event: RetryRequested) -> list[Instruction]:
        flow = self._flow
        if flow.root is None or not (self.status is RunStatus.FAILED or (self.is_finished and event.task)):
            raise Conflict(f'run "{self.run.id}" cannot be retried: it is {self.status}; only a failed run can')
        if event.task and event.task not in flow.tasks:
            raise NotFound(f'run "{self.run.id}" has no task "{event.task}"')
        plan = self.plan if event.document is None else compile_plan(from_wire(event.document))
        given = {name: value for name, value in flow.root.parameters.items() if name in plan.inputs}
        parameters = run_parameters(plan, given)

        flow.enter(event.at, event.cause)
        flow.prepare.plan, flow.stopping, flow.error = plan, "", ""
        flow.root.parameters = parameters
        flow.record_run(RunStatus.PENDING)
        flow.record_run(RunStatus.RUNNING)
        flow.add_deadline()
        flow.wish = wish_for(flow.tasks.get(event.task))
        if event.task == flow.root.id:
            flow.root.task = plan.root
            flow.drop_children(flow.root)
            flow.execute_again(flow.root)
        else:
            go_on(flow, flow.root, plan.root)
        return flow.leave()
