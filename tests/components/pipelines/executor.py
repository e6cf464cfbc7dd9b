"""Carries the instructions of a run out in memory, in an order that somebody picks; a stand-in for node and cluster."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from flowdeck.components.pipelines.engine.events import (
    CacheAnswered,
    Event,
    Failed,
    Lost,
    Outputs,
    PodStarted,
    RunStarted,
    Succeeded,
    TimePassed,
    decode,
    encode,
)
from flowdeck.components.pipelines.engine.instructions import (
    AdoptPod,
    CreatePvc,
    DeletePvc,
    ForgetTasks,
    ImportArtifact,
    Instruction,
    LookUpCache,
    RecordRun,
    RecordTask,
    StartPod,
    StopPod,
    WakeAt,
)
from flowdeck.components.pipelines.engine.invariants import validate
from flowdeck.components.pipelines.engine.run_state import MAX_LOST, RunState
from flowdeck.components.pipelines.engine.states import State
from tests.components.pipelines.makers import NOW

Program = Callable[[str, int, dict[str, Any]], dict[str, Any] | str]
"""`(label, execution, inputs)` -> output parameters, or the text of a failure. Executions of a label count from 0."""


def succeed(label: str, execution: int, inputs: dict[str, Any]) -> dict[str, Any] | str:
    return {}


@dataclass
class Executor:
    """One run and its small world."""

    state: RunState
    program: Program = succeed
    rng: random.Random = field(default_factory=lambda: random.Random(0))
    checks: bool = True
    loses: float = 0.0
    """How often a pod is lost."""
    cache: dict[str, Outputs] = field(default_factory=dict)
    now: float = NOW
    pending: list[Event] = field(default_factory=list)
    wake: float | None = None
    log: list[bytes] = field(default_factory=list)
    done: list[Instruction] = field(default_factory=list)
    """All instructions, in their order."""
    executions: dict[str, int] = field(default_factory=dict)
    pods: dict[tuple[str, int], dict[str, Any] | str | None] = field(default_factory=dict)
    """Of each attempt, what becomes of it."""
    labels: dict[str, str] = field(default_factory=dict)
    """Of all tasks that had a pod, also of those that are no more."""

    def __post_init__(self) -> None:
        self.plan = self.state.plan

    def start(self) -> "Executor":
        self.send(RunStarted(at=self.now))
        return self

    def send(self, event: Event) -> list[Instruction]:
        """Gives an event to the run, and takes the instructions."""
        self.log.append(encode(event))
        assert decode(self.log[-1]) == event
        instructions = self.state.apply(event)
        if self.checks:
            validate(self.state)
        for instruction in instructions:
            self.take(instruction)
        self.done += instructions
        return instructions

    def run(self) -> "Executor":
        """Until the run is finished."""
        while not self.state.is_finished:
            self.step()
        return self

    def step(self) -> None:
        """One event that is due, any of them; time passes when there is none."""
        if self.pending:
            at = self.rng.randrange(len(self.pending))
            self.pending[at], self.pending[-1] = self.pending[-1], self.pending[at]
            event = self.pending.pop()
            self.send(event)
            return
        assert self.wake is not None, "the run waits for nothing"
        self.now, self.wake = max(self.now, self.wake), None
        self.send(TimePassed(at=self.now))

    def take(self, instruction: Instruction) -> None:
        match instruction:
            case StartPod():
                self._start(instruction)
            case LookUpCache():
                found = self.cache.get(instruction.fingerprint)
                self._later(CacheAnswered, instruction, outputs=found, why="miss" if found is None else "hit")
            case ImportArtifact():
                self._later(Succeeded, instruction, outputs=Outputs(artifacts={"artifact": [instruction.artifact]}))
            case CreatePvc():
                self._later(Succeeded, instruction, outputs=Outputs(parameters={"name": instruction.name}))
            case DeletePvc():
                self._later(Succeeded, instruction)
            case StopPod():
                self.pending = [event for event in self.pending if not _is_of(event, instruction)]
                self._later(Failed, instruction, message="stopped")
            case WakeAt():
                self.wake = instruction.at
            case RecordTask():
                self._store(instruction)
            case AdoptPod():
                self._adopt(instruction)
            case RecordRun() | ForgetTasks():
                pass

    def _store(self, instruction: RecordTask) -> None:
        """What a task made goes into the cache once it succeeded."""
        task = self.state.tasks[instruction.task]
        if instruction.state is State.SUCCEEDED and task.fingerprint:
            self.cache[task.fingerprint] = Outputs(dict(task.output_parameters), dict(task.output_artifacts))

    def crash(self) -> None:
        """Everything is lost but the log and the pods: a new state, and what it says is under way."""
        self.state = RunState(self.state.run, self.plan)
        self.pending, self.wake = [], None
        for line in self.log:
            self.state.apply(decode(line))
        validate(self.state)
        for instruction in self.state.outstanding():
            self.take(instruction)

    def _start(self, instruction: StartPod) -> None:
        """Once for each attempt, however often it is told."""
        key = (instruction.task, instruction.attempt)
        if key not in self.pods:
            self.pods[key] = self._executed(instruction)
        self._later(PodStarted, instruction, pod=instruction.pod_name)
        self._adopt(instruction)

    def _adopt(self, instruction: StartPod | AdoptPod) -> None:
        """Its end will be reported."""
        result = self.pods[instruction.task, instruction.attempt]
        if isinstance(result, str):
            self._later(Failed, instruction, message=result)
        elif result is None:
            self._later(Lost, instruction, message="the node is gone")
        else:
            self._later(Succeeded, instruction, outputs=Outputs(parameters=result))

    def _executed(self, instruction: StartPod) -> dict[str, Any] | str | None:
        """What becomes of a pod; None when it is lost."""
        label = self.labels[instruction.task] = self.state.tasks[instruction.task].label
        if self.loses and self.state.tasks[instruction.task].losses < MAX_LOST and self.rng.random() < self.loses:
            return None
        execution = self.executions.get(label, 0)
        self.executions[label] = execution + 1
        return self.program(label, execution, instruction.executor_input["inputs"])

    def _later(self, event: type, instruction: Any, **more: Any) -> None:
        self.pending.append(event(at=self.now, task=instruction.task, attempt=instruction.attempt, **more))

    # ---- what tests look at ----------------------------------------------------------------------------------------

    def states(self) -> dict[str, str]:
        """Label -> state, of all tasks."""
        return {task.label: task.state.value for task in self.state.tasks.values()}

    def by_label(self, label: str) -> Any:
        return next(task for task in self.state.tasks.values() if task.label == label)

    def of(self, kind: type) -> list[Any]:
        """The instructions of one kind, so far."""
        return [instruction for instruction in self.done if isinstance(instruction, kind)]

    def started(self) -> list[str]:
        """Labels of the pods, in the order of their starts."""
        return [self.labels[each.task] for each in self.of(StartPod)]


def _is_of(event: Any, instruction: StopPod) -> bool:
    return bool(getattr(event, "task", None) == instruction.task and event.attempt == instruction.attempt)
