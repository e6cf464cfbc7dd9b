"""Asks the probes of one container while it runs, and its lifecycle hooks; `probes.py` is how one is asked."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from flowdeck.embedded.node.pods.acting import Tell
from flowdeck.embedded.node.pods.means import Means
from flowdeck.embedded.node.pods.place import PodPlace
from flowdeck.embedded.node.pods.probes import ProbeFailed, ask, probe_until
from flowdeck.embedded.node.pods.seen import Run
from flowdeck.embedded.node.sandbox.client import visit
from flowdeck.kube.objects import Tree

_LONGEST_OUTPUT = 10 * 1024


@dataclass(frozen=True)
class ContainerReach:
    """How probes and hooks reach one container; implements `Reach`."""

    means: Means
    folder: Callable[[], Path | None]
    """Where the newest attempt's monitor works."""

    async def dial(self, host: str, port: int) -> socket.socket:
        return await self.means.dial(host, port)

    async def execute(self, command: Sequence[str]) -> tuple[int, bytes]:
        folder = self.folder()
        if folder is None:
            raise ProbeFailed("the container does not run")
        streams = visit(self.means.zygote, folder, command, tty=False, stdin=False)
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


@dataclass
class Probing:
    """One container's, from the start of an attempt to its end: startup first, then readiness and liveness."""

    container: Tree
    place: PodPlace
    means: Means
    reach: ContainerReach
    tell: Tell
    see: Callable[..., None]
    """Notes changes of what is seen of the container (`ContainerSeen`)."""
    tasks: asyncio.TaskGroup
    _probers: list[asyncio.Task[None]] = field(default_factory=list)

    def begin(self, run: Run, *, already_started: bool) -> None:
        """`already_started`: an earlier process of this node saw it start."""
        startup = self.container.get("startupProbe")
        if not startup or (already_started and not self._is_young(run, startup)):
            self._is_up(run)
            return

        def on_verdict(healthy: bool, text: str) -> None:
            if healthy:
                self._is_up(run)
            else:
                self.see(unhealthy=f"Container {self.container['name']} failed startup probe, will be restarted")

        self._probe("Startup", startup, run, on_verdict, stop_at=True)

    def end(self) -> None:
        """Asks no more."""
        for prober in self._probers:
            prober.cancel()
        self._probers.clear()

    async def run_hook(self, hook: Tree) -> None:
        """Runs a `postStart` or `preStop` hook. Raises `ProbeFailed`."""
        if sleep := hook.get("sleep"):
            await self.means.clock.sleep(float(sleep.get("seconds") or 0))
        else:
            await self._ask(hook)

    async def _ask(self, handler: Tree) -> None:
        await ask(handler, self.container, self.place.ip, self.reach)

    def _is_young(self, run: Run, startup: Tree) -> bool:
        """After we came back: whether the startup probe may still be undecided."""
        longest = (startup.get("periodSeconds") or 10) * (startup.get("failureThreshold") or 3)
        longest += startup.get("initialDelaySeconds") or 0
        return run.started_at is None or self.means.clock.now() - run.started_at < timedelta(seconds=longest)

    def _is_up(self, run: Run) -> None:
        readiness = self.container.get("readinessProbe")
        self.see(is_started=True, is_ready=not readiness)
        if readiness:
            self._probe("Readiness", readiness, run, self._on_readiness, stop_at=None)
        if liveness := self.container.get("livenessProbe"):
            self._probe("Liveness", liveness, run, self._on_liveness, stop_at=False)

    def _on_readiness(self, healthy: bool, text: str) -> None:
        self.see(is_ready=healthy)

    def _on_liveness(self, healthy: bool, text: str) -> None:
        if not healthy:
            self.see(unhealthy=f"Container {self.container['name']} failed liveness probe, will be restarted")

    def _probe(
        self, word: str, probe: Tree, run: Run, on_verdict: Callable[[bool, str], None], *, stop_at: bool | None
    ) -> None:
        now = self.means.clock.now()
        age_s = (now - run.started_at).total_seconds() if run.started_at else 0.0

        async def on_answer(healthy: bool, text: str) -> None:
            if not healthy:
                self.tell("Warning", "Unhealthy", f"{word} probe failed: {text}")

        asking = probe_until(
            probe,
            started_at_s=self.means.clock.monotonic() - age_s,
            clock=self.means.clock,
            ask_once=lambda: self._ask(probe),
            on_answer=on_answer,
            on_verdict=on_verdict,
            stop_at=stop_at,
        )
        self._probers.append(self.tasks.create_task(asking, name=f"{word} probe {self.container['name']}"))
