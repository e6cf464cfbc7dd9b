"""Keeps the containers of one pod: starts, watches, probes and stops them. The acting side of `Start` and `Stop`."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from flowdeck.embedded.node.contract import Image, ImageError
from flowdeck.embedded.node.environment import ConfigError
from flowdeck.embedded.node.pods import attempts
from flowdeck.embedded.node.pods.acting import Tell
from flowdeck.embedded.node.pods.build import build
from flowdeck.embedded.node.pods.means import Means
from flowdeck.embedded.node.pods.place import PodPlace
from flowdeck.embedded.node.pods.probes import ProbeFailed, Reach, ask, probe_until
from flowdeck.embedded.node.pods.seen import Busy, ContainerSeen, Run, Waiting
from flowdeck.embedded.node.pods.spec import pull_policy_of
from flowdeck.embedded.node.sandbox import files
from flowdeck.embedded.node.sandbox.client import Running, StartError, visit
from flowdeck.embedded.node.sandbox.driver import lost
from flowdeck.kube.errors import ApiError
from flowdeck.kube.objects import Tree, get_in

CONFIG_RETRY_S = 2.0
PULL_RETRY_S = (10.0, 300.0)
"""First and longest wait before a failed pull is tried again."""
KILL_AGAIN_S = 5.0
_LONGEST_OUTPUT = 10 * 1024


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
        self._probers: list[asyncio.Task[None]] = []
        self._pull_failures = 0

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
                self._begin_probing(run, already_started=True)

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
            image = await self._image()
            if image is not None:
                await self._launch(image, attempt, back_off_s)
        except ConfigError as error:
            self._wait(error.reason, str(error), CONFIG_RETRY_S)
            self.tell("Warning", "Failed", f"Error: {error}")
        except (StartError, OSError, ApiError) as error:
            self._wait("CreateContainerError", str(error), CONFIG_RETRY_S)
            self.tell("Warning", "Failed", f"Error: {error}")
        finally:
            self._see(busy=None, progress="")

    def _wait(self, reason: str, message: str, seconds: float) -> None:
        self._see(
            waiting=Waiting(reason=reason, message=message, until=self.means.clock.now() + timedelta(seconds=seconds))
        )

    async def _image(self) -> Image | None:
        """The container's image, pulled if need be; None (and a waiting reason) when it cannot be had."""
        reference = self.container.get("image") or ""
        policy = pull_policy_of(self.container)
        try:
            ready = self.means.images.find(reference)
            if ready is not None and policy != "Always":
                self.tell("Normal", "Pulled", f'Container image "{reference}" already present on machine')
                return ready
            if policy == "Never":
                text = f'Container image "{reference}" is not present with pull policy of Never'
                self.tell("Warning", "ErrImageNeverPull", text)
                raise ImageError("ErrImageNeverPull", text)
            return await self._pull(reference)
        except ImageError as error:
            self._pull_has_failed(reference, error)
            return None

    async def _pull(self, reference: str) -> Image:
        self.tell("Normal", "Pulling", f'Pulling image "{reference}"')
        began = self.means.clock.monotonic()
        image = await self.means.images.pull(reference, on_progress=self._on_progress)
        took = f"{self.means.clock.monotonic() - began:.3f}s"
        self.tell("Normal", "Pulled", f'Successfully pulled image "{reference}" in {took} ({took} including waiting)')
        self._pull_failures = 0
        return image

    def _on_progress(self, message: str, *, is_notice: bool = False) -> None:
        self._see(progress=f"Pulling the image: {message}")
        if is_notice:
            self.tell("Warning", "Pulling", message)

    def _pull_has_failed(self, reference: str, error: ImageError) -> None:
        pause = min(PULL_RETRY_S[1], PULL_RETRY_S[0] * 2.0**self._pull_failures)
        self._pull_failures += 1
        reason, message = error.reason, str(error)
        if reason == "ErrImagePull":
            self.tell("Warning", "Failed", f'Failed to pull image "{reference}": {message}')
            if self._pull_failures > 1:
                self.tell("Normal", "BackOff", f'Back-off pulling image "{reference}"')
                reason, message = "ImagePullBackOff", f'Back-off pulling image "{reference}": ErrImagePull: {message}'
        self.tell("Warning", "Failed", f"Error: {reason}")
        self._wait(reason, message, pause)

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
            self._begin_probing(run, already_started=False)

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
        self._stop_probing()
        self._running = None
        self._record_end(attempt, self.seen.previous)
        self._ended.set()

    # ---- hooks and probes -----------------------------------------------------------------------------------------

    async def _after_start(self, run: Run) -> None:
        hook = get_in(self.container, "lifecycle", "postStart")
        if hook:
            try:
                await self._run_hook(hook)
            except ProbeFailed as error:
                self.tell("Warning", "FailedPostStartHook", f"PostStartHook failed: {error}")
                self._see(unhealthy=f"FailedPostStartHook: container {self.name} will be restarted")
                return
        if self.seen.run == run:
            self._begin_probing(run, already_started=False)

    async def _run_hook(self, hook: Tree) -> None:
        if sleep := hook.get("sleep"):
            await self.means.clock.sleep(float(sleep.get("seconds") or 0))
        else:
            await ask(hook, self.container, self.place.ip, self.reach)

    @property
    def reach(self) -> Reach:
        return _ContainerReach(self)

    def _begin_probing(self, run: Run, *, already_started: bool) -> None:
        startup = self.container.get("startupProbe")
        if startup and not (already_started and not self._is_young(run, startup)):
            self._probe("Startup", startup, run, self._on_startup, stop_at=True)
        else:
            self._is_up(run)

    def _is_young(self, run: Run, startup: Tree) -> bool:
        """After we came back: whether the startup probe may still be undecided."""
        longest = (startup.get("periodSeconds") or 10) * (startup.get("failureThreshold") or 3)
        longest += startup.get("initialDelaySeconds") or 0
        return run.started_at is None or self.means.clock.now() - run.started_at < timedelta(seconds=longest)

    def _is_up(self, run: Run) -> None:
        readiness = self.container.get("readinessProbe")
        self._see(is_started=True, is_ready=self.seen.is_ready or not readiness)
        if readiness:
            self._probe("Readiness", readiness, run, self._on_readiness, stop_at=None)
        if liveness := self.container.get("livenessProbe"):
            self._probe("Liveness", liveness, run, self._on_liveness, stop_at=False)

    def _on_startup(self, healthy: bool, text: str) -> None:
        if healthy and self.seen.run:
            self._is_up(self.seen.run)
        elif not healthy:
            self._see(unhealthy=f"Container {self.name} failed startup probe, will be restarted")

    def _on_readiness(self, healthy: bool, text: str) -> None:
        self._see(is_ready=healthy)

    def _on_liveness(self, healthy: bool, text: str) -> None:
        if not healthy:
            self._see(unhealthy=f"Container {self.name} failed liveness probe, will be restarted")

    def _probe(
        self, word: str, probe: Tree, run: Run, on_verdict: Callable[[bool, str], None], *, stop_at: bool | None
    ) -> None:
        now = self.means.clock.now()
        age_s = (now - run.started_at).total_seconds() if run.started_at else 0.0

        async def on_answer(healthy: bool, text: str) -> None:
            if not healthy:
                self.tell("Warning", "Unhealthy", f"{word} probe failed: {text}")

        task = self.tasks.create_task(
            probe_until(
                probe,
                started_at_s=self.means.clock.monotonic() - age_s,
                clock=self.means.clock,
                ask_once=lambda: ask(probe, self.container, self.place.ip, self.reach),
                on_answer=on_answer,
                on_verdict=on_verdict,
                stop_at=stop_at,
            ),
            name=f"{word} probe {self.name}",
        )
        self._probers.append(task)

    def _stop_probing(self) -> None:
        for prober in self._probers:
            prober.cancel()
        self._probers.clear()

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
                await self._run_hook(hook)
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


@dataclass(frozen=True)
class _ContainerReach:
    """How probes and hooks reach one container."""

    keeper: Keeper

    async def dial(self, host: str, port: int) -> socket.socket:
        return await self.keeper.means.dial(host, port)

    async def execute(self, command: Sequence[str]) -> tuple[int, bytes]:
        folder = self.keeper.folder
        if folder is None:
            raise ProbeFailed("the container does not run")
        streams = visit(self.keeper.means.zygote, folder, command, tty=False, stdin=False)
        output = bytearray()
        try:
            async for _, data in streams.output():
                output += data[: _LONGEST_OUTPUT - len(output)]
            code = await streams.wait()
        finally:
            await streams.kill()
        if streams.failure:
            raise ProbeFailed(streams.failure)
        return code, bytes(output)
