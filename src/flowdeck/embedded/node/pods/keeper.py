"""Keeps one container of a pod: starts it, waits for its end, stops it. The acting side of `Start` and `Stop`."""

import asyncio
import contextlib
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from flowdeck.embedded.node.contract import Image
from flowdeck.embedded.node.environment import ConfigError
from flowdeck.embedded.node.pods import attempts
from flowdeck.embedded.node.pods.acting import Tell
from flowdeck.embedded.node.pods.additions import additions_of
from flowdeck.embedded.node.pods.build import build
from flowdeck.embedded.node.pods.means import Means
from flowdeck.embedded.node.pods.place import PodPlace
from flowdeck.embedded.node.pods.probes import ProbeFailed
from flowdeck.embedded.node.pods.probing import ContainerReach, Probing
from flowdeck.embedded.node.pods.pull import Pull
from flowdeck.embedded.node.pods.seen import Busy, ContainerSeen, Run, Waiting
from flowdeck.embedded.node.sandbox import files
from flowdeck.embedded.node.sandbox.client import Running, StartError
from flowdeck.embedded.node.sandbox.driver import lost
from flowdeck.kube.errors import ApiError
from flowdeck.kube.objects import Tree, get_in

CONFIG_RETRY_S = 2.0
KILL_AGAIN_S = 5.0


@dataclass
class Keeper:
    """One container. Changes `seen`, and calls `changed` each time it did."""

    pod: Tree
    container: Tree
    place: PodPlace
    means: Means
    tell: Tell
    changed: Callable[[], None]
    tasks: asyncio.TaskGroup

    def __post_init__(self) -> None:
        self.name: str = self.container["name"]
        self.seen = ContainerSeen()
        self._running: Running | None = None
        self._ended = asyncio.Event()
        self._stop_at = 0.0
        self._hurry = asyncio.Event()
        additions = additions_of(self.pod, self.name)
        self._pull = Pull(self.container, additions, self.means, self.tell, lambda told: self._see(progress=told))
        reach = ContainerReach(self.means, lambda: self.folder)
        self._probing = Probing(self.container, self.place, self.means, reach, self.tell, self._see, self.tasks)

    # ---- state ----------------------------------------------------------------------------------------------------

    def _see(self, **changes: object) -> None:
        before = self.seen
        self.seen = replace(self.seen, **changes)  # type: ignore[arg-type]
        if self.seen != before:
            self.changed()

    async def recall(self) -> None:
        """Finds again what an earlier process of this node started."""
        numbers = attempts.attempts_of(self.place.folder, self.name)[-2:]
        for number in numbers:
            found = await attempts.recall(self.place.folder, self.name, number)
            if found is None:
                continue
            run, running = found
            self._see(previous=self.seen.run, run=run)
            self._keep_gpus(number)
            if running is not None:
                await running.started()
                self._attend(running, number)
                self._probing.begin(run, already_started=True)

    def _keep_gpus(self, number: int) -> None:
        plan = files.read(str(attempts.attempt_folder(self.place.folder, self.name, number) / "plan.json"))
        if plan and plan["about"]["gpus"]:
            self.means.gpus.keep(f"{self.pod['metadata']['uid']}/{self.name}", plan["about"]["gpus"])

    # ---- start ----------------------------------------------------------------------------------------------------

    def start(self, attempt: int, back_off_s: float) -> None:
        """Begins to start the next attempt, unless something is being done already."""
        if self.seen.busy is None:
            self._see(busy=Busy.STARTING)
            self.tasks.create_task(self._start(attempt, back_off_s), name=f"start {self.name}")

    async def _start(self, attempt: int, back_off_s: float) -> None:
        try:
            if attempt > 0 and back_off_s:
                meta = self.pod["metadata"]
                self.tell(
                    "Warning", "BackOff",
                    f"Back-off restarting failed container {self.name} in pod "
                    f"{meta['name']}_{meta['namespace']}({meta['uid']})",
                )  # fmt: skip
            image = await self._pull.image()
            if isinstance(image, Waiting):
                self._see(waiting=image)
            else:
                await self._launch(image, attempt, back_off_s)
        except (ConfigError, StartError, OSError, ApiError) as error:
            self._has_failed(error)
        finally:
            self._see(busy=None, progress="")

    def _has_failed(self, error: Exception) -> None:
        reason = error.reason if isinstance(error, ConfigError) else "CreateContainerError"
        again = self.means.clock.now() + timedelta(seconds=CONFIG_RETRY_S)
        self._see(waiting=Waiting(reason=reason, message=str(error), until=again))
        self.tell("Warning", "Failed", f"Error: {error}")

    async def _launch(self, image: Image, attempt: int, back_off_s: float) -> None:
        facts = await self.place.facts_for(self.container)
        await asyncio.to_thread(attempts.forget_old, self.place.folder, self.name, attempt)
        spec = build(
            self.pod, self.container, attempt, back_off_s,
            image=image, facts=facts, place=self.place.ready(), means=self.means,
        )  # fmt: skip
        self.tell("Normal", "Created", f"Created container: {self.name}")
        running = await self.means.driver.start(spec)
        try:
            failure = await running.started()
        except StartError:
            running.close()
            await self._adopt(attempt)
            return
        plan = files.read(str(spec.folder / "plan.json")) or {}
        previous = self.seen.run
        if failure:
            await running.ended()
            running.close()
            self._record_end(attempt, previous)
            self.tell("Warning", "Failed", f"Error: {failure}")
            return
        state = files.read(str(spec.folder / "state.json")) or {}
        run = attempts.run_of(plan, attempt, started_at=state.get("started_at"))
        self._see(
            run=run, previous=previous, waiting=None, unhealthy="", is_started=False, is_ready=False,
        )  # fmt: skip
        self._attend(running, attempt)
        self.tell("Normal", "Started", f"Started container {self.name}")
        self.tasks.create_task(self._after_start(run), name=f"post start {self.name}")

    async def _adopt(self, attempt: int) -> None:
        """Another monitor has the claim, or ours died at once: what is on disk is what happened."""
        found = await attempts.recall(self.place.folder, self.name, attempt)
        if found is None:
            raise StartError("the container's monitor did not start")
        run, running = found
        self._see(previous=self.seen.run, run=run, waiting=None)
        if running is not None:
            await running.started()
            self._attend(running, attempt)
            self._probing.begin(run, already_started=False)

    def _record_end(self, attempt: int, previous: Run | None) -> None:
        folder = attempts.attempt_folder(self.place.folder, self.name, attempt)
        plan = files.read(str(folder / "plan.json")) or {}
        ended = files.read(str(folder / "exit.json")) or lost(folder, files.read(str(folder / "claim")) or {"boot": ""})
        self._see(
            run=attempts.ended_run(folder, plan, attempt, ended), previous=previous, waiting=None, unhealthy="",
            is_started=False, is_ready=False,
        )  # fmt: skip

    def _attend(self, running: Running, attempt: int) -> None:
        """Waits for the end of a running container."""
        self._running = running
        self._ended = asyncio.Event()
        self.tasks.create_task(self._await_end(running, attempt), name=f"end {self.name}")

    async def _await_end(self, running: Running, attempt: int) -> None:
        try:
            await running.ended()
        finally:
            running.close()
        self._probing.end()
        self._running = None
        self._record_end(attempt, self.seen.previous)
        self._ended.set()

    async def _after_start(self, run: Run) -> None:
        hook = get_in(self.container, "lifecycle", "postStart")
        if hook:
            try:
                await self._probing.run_hook(hook)
            except ProbeFailed as error:
                self.tell("Warning", "FailedPostStartHook", f"PostStartHook failed: {error}")
                self._see(unhealthy=f"FailedPostStartHook: container {self.name} will be restarted")
                return
        if self.seen.run == run:
            self._probing.begin(run, already_started=False)

    # ---- stop -----------------------------------------------------------------------------------------------------

    def stop(self, grace_s: float, message: str) -> None:
        """Begins to stop the container; asked again while it stops, a shorter grace counts."""
        if self._running is None:
            return
        stop_at = self.means.clock.monotonic() + grace_s
        if self.seen.busy is Busy.STOPPING:
            if stop_at < self._stop_at - 0.01:
                self._stop_at = stop_at
                self._hurry.set()
            return
        self._stop_at = stop_at
        self._hurry = asyncio.Event()
        self._see(busy=Busy.STOPPING)
        self.tell("Normal", "Killing", message)
        self.tasks.create_task(self._stop(self._running), name=f"stop {self.name}")

    async def _stop(self, running: Running) -> None:
        try:
            if hook := get_in(self.container, "lifecycle", "preStop"):
                await self._pre_stop(hook)
            if not self._ended.is_set():
                running.signal(_stop_signal(self.container))
                await self._wait_for_end()
            while not self._ended.is_set():
                running.signal(signal.SIGKILL)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(KILL_AGAIN_S):
                        await self._ended.wait()
        finally:
            self._see(busy=None)

    async def _pre_stop(self, hook: Tree) -> None:
        """The hook's time is part of the pod's grace."""
        try:
            async with asyncio.timeout(max(0.0, self._stop_at - self.means.clock.monotonic())):
                await self._probing.run_hook(hook)
        except (TimeoutError, ProbeFailed) as error:
            told = str(error) or "it took longer than the grace period"
            self.tell("Warning", "FailedPreStopHook", f"PreStopHook failed: {told}")

    async def _wait_for_end(self) -> None:
        """Until the container ended or its grace, which may become shorter, is over."""
        while not self._ended.is_set():
            left = self._stop_at - self.means.clock.monotonic()
            if left <= 0:
                return
            self._hurry.clear()
            waits = [asyncio.ensure_future(self._ended.wait()), asyncio.ensure_future(self._hurry.wait())]
            await asyncio.wait(waits, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()

    # ---- for the Runtime ------------------------------------------------------------------------------------------

    @property
    def folder(self) -> Path | None:
        """Where the newest attempt's monitor works."""
        run = self.seen.run
        return attempts.attempt_folder(self.place.folder, self.name, run.attempt) if run else None

    @property
    def pid(self) -> int:
        return self._running.pid if self._running else 0


def _stop_signal(container: Tree) -> int:
    wanted = get_in(container, "lifecycle", "stopSignal")
    number = getattr(signal, wanted, None) if wanted else None
    return int(number) if number is not None else signal.SIGTERM
