"""Keeps each active run going: tells the engine what happened, writes that down, then does what the engine says.

Reads   runs, events, wishes (SQL); Pods of tasks
Writes  events, tasks and states of runs (SQL); Pods, PersistentVolumeClaims; files in the tasks' folders

A key is a run. What happened is on disk before anything follows from it, and doing an instruction twice is harmless; so
a run that is opened again after a crash goes on where it was.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Final

from sqlalchemy import Connection

from flowdeck.clock import Clock
from flowdeck.components.pipelines.engine.events import CacheAnswered, Event, RunStarted, TimePassed
from flowdeck.components.pipelines.engine.instructions import (
    AdoptPod,
    ForgetTasks,
    Instruction,
    LookUpCache,
    RecordRun,
    RecordTask,
    StartPod,
    StopPod,
    WakeAt,
)
from flowdeck.components.pipelines.engine.records import task_record
from flowdeck.components.pipelines.engine.run_state import RunState
from flowdeck.components.pipelines.engine.states import RunStatus
from flowdeck.components.pipelines.plan.compiler import compile_plan
from flowdeck.components.pipelines.runner.acts import Acts
from flowdeck.components.pipelines.runner.ended_pods import PREFIX, has_ended, key_of_pod
from flowdeck.components.pipelines.runner.pods import RUN_LABEL
from flowdeck.components.pipelines.store import runs
from flowdeck.components.pipelines.store.runs import Run
from flowdeck.controller.contract import DONE, Feeds, Maps, Result, look_again_in
from flowdeck.kube.errors import BadRequest, Conflict, NotFound
from flowdeck.kube.kinds import POD
from flowdeck.kube.objects import Kind, ObjectKey, Tree, key_of, labels_of
from flowdeck.sql.database import Database

AT_ONCE: Final = 16
"""Instructions of one run that are carried out together."""
MAX_UNWRITTEN: Final = 500
"""Events that wait for what follows from them before they are written down."""
_RECORDS: Final = (RecordRun, RecordTask, ForgetTasks)


@dataclass
class Opened:
    """A run that is worked on."""

    row: Run
    state: RunState
    number: int
    """Of the next event."""
    pods: dict[str, str] = field(default_factory=dict)
    """The task of each pod that is wanted, by the pod's name."""
    changed: set[str] = field(default_factory=set)
    """Names of pods that changed and were not looked at."""
    wake_at: float | None = None
    """Seconds since 1970."""


def nobody_to_tell(key: ObjectKey) -> None:
    """Where nothing follows from the end of a run."""


@dataclass(frozen=True, kw_only=True)
class RunController:
    """See the module's text. One process at a time: the one that controllers run in."""

    database: Database
    clock: Clock
    acts: Acts
    opened: dict[ObjectKey, Opened] = field(default_factory=dict)
    wanted: set[ObjectKey] = field(default_factory=set)
    """Runs that somebody may want something of: their wishes are read."""
    pokes: list[Callable[[ObjectKey], None]] = field(default_factory=list)
    """Called with a run that shall be looked at."""
    ended: Callable[[ObjectKey], None] = nobody_to_tell
    """Called with a run that has ended."""

    name: ClassVar[str] = "pipeline-run"
    kind: ClassVar[Kind | None] = None

    @property
    def watches(self) -> Sequence[Maps | Feeds]:
        return (Maps(POD, self.runs_of), Feeds(self.pokes.append))

    def look_at(self, run: Run) -> None:
        """A run is new, or somebody wants something of it."""
        self.want(ObjectKey(run.namespace, run.id))

    def want(self, key: ObjectKey) -> None:
        """The same, by its key."""
        self.wanted.add(key)
        self._poke(key)

    async def open_all(self) -> None:
        """Takes up the runs that nobody works on, or of which somebody wants something."""
        at_work = await self.database.read(runs.at_work)
        for key, is_wanted in at_work.items():
            if is_wanted or key not in self.opened:
                self.want(key)
        for key in self.opened.keys() - at_work.keys():
            self.want(key)

    async def end_orphans(self) -> None:
        """Looks at the runs of pods that go on though nobody works on their run: it may have been removed; and at pods
        that were not put away."""
        at_work = await self.database.read(runs.at_work)
        for pod in (await self.acts.client.list(POD, labels=RUN_LABEL)).items:
            key = ObjectKey(key_of(pod).namespace, labels_of(pod)[RUN_LABEL])
            if has_ended(pod):
                self._poke(key_of_pod(*key_of(pod)))
            elif key not in at_work:
                self._poke(key)

    async def reconcile(self, key: ObjectKey) -> Result:
        if key.name.startswith(PREFIX):
            return await self.acts.ended_pods.put_away(key)
        with ExitStack() as on_failure:
            # the state may be ahead of the log, or an instruction be undone: it is read anew, all of it done again
            on_failure.callback(self.opened.pop, key, None)
            result = await self._go_on(key)
            on_failure.pop_all()
        return result

    async def _go_on(self, key: ObjectKey) -> Result:
        opened = self.opened.get(key)
        was_over = False
        if opened is None:
            opened = await self._open(key)
            if opened is None:
                return DONE
            was_over = opened.state.is_finished
            self.wanted.add(key)
            await self._advance(opened, await self._begin(opened))
        try:
            if key in self.wanted:
                self.wanted.remove(key)
                await self._take_wishes(opened)
        except NotFound:  # it was removed
            del self.opened[key]
            await self.acts.pods.remove_all(key)
            return DONE
        if was_over and opened.state.is_finished:  # by its events, but not by its row
            await self.database.write(partial(self._show, opened=opened))
        await self._advance(opened, self._due(opened))
        while opened.changed:
            await self._look_at_pods(opened)
        if opened.state.is_finished:
            del self.opened[key]
            for name in opened.pods:
                self._poke(key_of_pod(key.namespace, name))
            if opened.state.status is RunStatus.SUCCEEDED and opened.state.plan.config.workspace is not None:
                await self.acts.pods.remove_workspace(key)
            self.ended(key)
            return DONE
        return DONE if opened.wake_at is None else look_again_in(opened.wake_at - self._now())

    async def _look_at_pods(self, opened: Opened) -> None:
        """At all that changed; what they say is written down together."""
        names = list(opened.changed)
        opened.changed.clear()
        happened: list[Event] = []
        for name in names:
            task = opened.pods.get(name, "")
            happened += await self.acts.pods.seen(opened.row, opened.state, task, name)
        await self._advance(opened, happened)
        for name in names:
            self._poke(key_of_pod(opened.row.namespace, name))

    def runs_of(self, pod: Tree) -> Iterable[ObjectKey]:
        """The run that a pod's change means something to; it is noted that the pod changed."""
        run_id = labels_of(pod).get(RUN_LABEL)
        if not run_id:
            return
        key = ObjectKey(key_of(pod).namespace, run_id)
        opened = self.opened.get(key)
        if opened is not None:
            opened.changed.add(key_of(pod).name)
            yield key

    # ----------------------------------------------------------------------------------------------------------

    def _poke(self, key: ObjectKey) -> None:
        for poke in self.pokes:
            poke(key)

    async def _open(self, key: ObjectKey) -> Opened | None:
        """Reads a run and all that happened to it; None when nobody needs to work on it. One that was removed stops."""

        def read(connection: Connection) -> tuple[Run, RunState, list[Event]]:
            row = runs.get(connection, key.name)
            plan = compile_plan(runs.document(connection, row.document))
            return row, RunState(row.for_engine, plan), runs.events(connection, key.name)

        try:
            row, state, happened = await self.database.read(read)
        except NotFound:
            await self.acts.pods.remove_all(key)
            return None
        if not row.is_active:
            return None
        for event in happened:
            state.apply(event)
        opened = Opened(row, state, len(happened))
        self.opened[key] = opened
        return opened

    async def _begin(self, opened: Opened) -> list[Event]:
        """Where a run that was just opened goes on from."""
        if opened.number == 0:
            return [RunStarted(at=self._now(), cause="created")]
        return await self._do(opened, opened.state.outstanding())

    async def _take_wishes(self, opened: Opened) -> None:
        found = await self.database.read(lambda connection: runs.wishes(connection, opened.row.id))
        for number, wish in found:
            try:
                told = opened.state.apply(wish)
            except (BadRequest, Conflict, NotFound):  # it was possible when the user asked: not any more
                await self.database.write(partial(self._refuse, opened=opened, number=number))
            else:
                await self._advance(opened, await self._note(opened, [wish], told, wishes=[number]))

    def _refuse(self, connection: Connection, opened: Opened, number: int) -> None:
        """A wish that cannot be fulfilled is forgotten; the run is shown as it is, not as it was wished. One that had
        ended does not end again.
        """
        runs.take_wishes(connection, [number])
        self._show(connection, opened)

    def _show(self, connection: Connection, opened: Opened) -> None:
        state = opened.state
        runs.record_state(connection, opened.row.id, state.status, state.error, self.clock.now())

    def _due(self, opened: Opened) -> list[Event]:
        if opened.wake_at is None or opened.wake_at > self._now():
            return []
        opened.wake_at = None
        return [TimePassed(at=self._now(), cause="timer")]

    async def _advance(self, opened: Opened, happened: Sequence[Event]) -> None:
        """Takes events until nothing follows from them.

        Questions to the cache change nothing, so what was asked is written down with the answers: a row of cached tasks
        is one write.
        """
        while happened:
            noted, told = list(happened), _told(opened.state, happened)
            while asked := _questions(noted, told):
                answers = await self._do(opened, asked)
                told = [*(each for each in told if not isinstance(each, LookUpCache)), *_told(opened.state, answers)]
                noted += answers
            happened = await self._note(opened, noted, told)

    async def _note(
        self, opened: Opened, happened: Sequence[Event], told: Sequence[Instruction], wishes: Sequence[int] = ()
    ) -> list[Event]:
        """Writes down what happened, then does what follows from it; gives what has happened by then.

        Raises `Conflict` when another process works on the run.
        """
        await self.database.write(partial(self._write, opened=opened, happened=happened, told=told, wishes=wishes))
        opened.number += len(happened)
        return await self._do(opened, told)

    def _write(
        self,
        connection: Connection,
        opened: Opened,
        happened: Sequence[Event],
        told: Sequence[Instruction],
        wishes: Sequence[int],
    ) -> None:
        run_id = opened.row.id
        runs.append(connection, run_id, opened.number, happened)
        if wishes:
            runs.take_wishes(connection, wishes)
        gone = [task for each in told if isinstance(each, ForgetTasks) for task in each.tasks]
        if gone:
            runs.forget_tasks(connection, run_id, gone)
        changed = dict.fromkeys(each.task for each in told if isinstance(each, RecordTask))
        runs.keep_tasks(connection, [task_record(opened.state, task) for task in changed if task in opened.state.tasks])
        for each in told:
            if isinstance(each, RecordRun):
                runs.record_state(connection, run_id, each.state, each.error, self.clock.now())
                if each.finished:
                    runs.note_end(connection, run_id, self.clock.now())

    async def _do(self, opened: Opened, told: Sequence[Instruction]) -> list[Event]:
        """Carries instructions out; gives what is known to have happened already."""
        todo: list[Instruction] = []
        for instruction in told:
            if isinstance(instruction, WakeAt):
                opened.wake_at = instruction.at
                continue
            if isinstance(instruction, StartPod | AdoptPod | StopPod):
                opened.pods[instruction.pod_name] = instruction.task
            if not isinstance(instruction, _RECORDS):
                todo.append(instruction)
        happened: list[Event] = []
        for at in range(0, len(todo), AT_ONCE):
            acts = (self.acts.do(opened.row, opened.state, each) for each in todo[at : at + AT_ONCE])
            for done in await asyncio.gather(*acts, return_exceptions=True):
                if isinstance(done, BaseException):
                    raise done
                happened += done
        return happened

    def _now(self) -> float:
        return self.clock.now().timestamp()


def _told(state: RunState, happened: Sequence[Event]) -> list[Instruction]:
    return [instruction for event in happened for instruction in state.apply(event)]


def _questions(noted: Sequence[Event], told: Sequence[Instruction]) -> list[Instruction]:
    """The questions to the cache in `told`, where nothing else is to be done and nothing was said that an answer may
    depend on: then they need not wait until all is written down."""
    if len(noted) > MAX_UNWRITTEN or not all(isinstance(each, RunStarted | CacheAnswered) for each in noted):
        return []
    if not all(isinstance(each, LookUpCache | RecordTask | RecordRun | WakeAt) for each in told):
        return []
    return [each for each in told if isinstance(each, LookUpCache)]
