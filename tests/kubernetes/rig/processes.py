"""Processes that end with us: each leads a group of its own, and dies with this process, however that ends."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

STOP_S = 10.0
LOOK_S = 0.02


class DidNotStart(Exception):
    """A program ended, or was not ready in time; the text has the end of its log."""


@dataclass
class Processes:
    """What was started, in order. Start from the main thread: what is started dies with the thread that did it."""

    logs: Path
    """Folder for `NAME.log`."""
    running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def start(self, name: str, command: Sequence[str | Path], *, env: Mapping[str, str] | None = None) -> None:
        """Starts it, with its output in the log. `env`: more variables."""
        self.logs.mkdir(parents=True, exist_ok=True)
        dies_with_us = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
        with (self.logs / f"{name}.log").open("ab") as output:
            self.running[name] = subprocess.Popen(
                [*dies_with_us, *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**os.environ, **(env or {})},
            )

    def pid(self, name: str) -> int:
        return self.running[name].pid

    def wait_until(self, name: str, is_ready: Callable[[], bool], within_s: float) -> None:
        """Blocks until it is ready. Raises `DidNotStart`."""
        deadline = time.monotonic() + within_s
        while not is_ready():
            code = self.running[name].poll()
            if code is not None:
                raise DidNotStart(f"{name} ended with {code}:\n{self.end_of_log(name)}")
            if time.monotonic() > deadline:
                raise DidNotStart(f"{name} was not ready within {within_s:.0f} s:\n{self.end_of_log(name)}")
            time.sleep(LOOK_S)

    def end_of_log(self, name: str) -> str:
        return (self.logs / f"{name}.log").read_text(errors="replace")[-4000:]

    def kill(self, name: str) -> None:
        """Ends it at once, as a power cut would."""
        self._signal(name, signal.SIGKILL)
        self.running.pop(name).wait()

    def stop(self, name: str) -> None:
        """Ends it, with all that it started; nothing happens where it was killed before."""
        if name not in self.running:
            return
        self._signal(name, signal.SIGTERM)
        process = self.running[name]
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_S)
        finally:
            self.kill(name)

    def stop_all(self) -> None:
        """Ends all, the last started first."""
        for name in reversed(list(self.running)):
            self.stop(name)

    def _signal(self, name: str, number: int) -> None:
        try:
            os.killpg(self.running[name].pid, number)
        except ProcessLookupError:
            return
