"""A platform that is killed: its processes by what they are, `kill -9`, and starting it again."""

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TypeVar

import psutil

from flowdeck.client.http import HttpClient
from flowdeck.kube.errors import ApiError
from flowdeck.testing.platform import RunningPlatform

T = TypeVar("T")
KINDS = ("api", "node", "both", "start")
"""What is killed: the API process, the node process, both at once, or both and then the platform while it starts."""
PATIENCE_S = 60.0


@dataclass
class Victim:
    """A platform on a data folder, with a driver; `kills` counts what was done to it."""

    data: Path
    driver: str
    kills: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))

    def __post_init__(self) -> None:
        self.platform = RunningPlatform(self.data)

    async def start(self) -> None:
        await asyncio.to_thread(self.platform.start, "--driver", self.driver)

    def client(self) -> HttpClient:
        return self.platform.client()

    @property
    def api(self) -> psutil.Process:
        return psutil.Process(self.platform.pids["api"])

    def node(self) -> psutil.Process | None:
        """The node process, if there is one at this moment."""
        children = self.api.children()
        return next((child for child in children if "flowdeck.embedded.node" in _words(child)), None)

    async def kill(self, kind: str, chance: Random) -> None:
        """Kills, and sees to it that the platform runs (or is about to) again."""
        self.kills[kind] += 1
        api, node = self.api, self.node()
        if kind != "api" and node is not None:
            _kill(node)
        if kind == "node":
            return
        _kill(api)
        if kind == "start":
            await self._start_and_kill(chance.uniform(0, 1.5))
        await self.start()

    async def _start_and_kill(self, after_s: float) -> None:
        port = self.platform.server.rpartition(":")[2]
        command = [sys.executable, "-m", "flowdeck.cli.main", "up", "--data", str(self.data), "--port", port]
        with (self.data / "logs" / "flowdeck.log").open("ab") as output:
            command += ["--driver", self.driver]
            starting = await asyncio.create_subprocess_exec(*command, stdout=output, stderr=output)
        await asyncio.sleep(after_s)
        with contextlib.suppress(ProcessLookupError):
            starting.kill()
        await starting.wait()


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _kill(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()


async def persist(work: Callable[[], Awaitable[T]]) -> T:
    """The answer of `work`, which is asked again while the platform is not there to give it."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    while True:
        try:
            return await work()
        except (ApiError, OSError) as error:
            if asyncio.get_running_loop().time() > deadline or getattr(error, "code", 503) < 500:
                raise
        await asyncio.sleep(0.1)


def run_down(data: Path) -> None:
    """`flowdeck down --pods`, after which nothing may be left."""
    RunningPlatform(data).stop()
