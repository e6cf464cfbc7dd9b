"""Runs a platform of one's own beside a test, script or notebook, as processes of their own."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from flowdeck.client.http import HttpClient
from flowdeck.client.kubeconfig import load_kubeconfig
from flowdeck.clock import SystemClock
from flowdeck.state import StateFile


class PlatformError(Exception):
    """The platform did not start or stop; the text has its output."""


@dataclass(frozen=True)
class RunningPlatform:
    """A running platform."""

    data: Path
    """Its data folder."""

    @property
    def state(self) -> StateFile:
        return msgspec.json.decode((self.data / "state.json").read_bytes(), type=StateFile)

    @property
    def server(self) -> str:
        """URL of the API server."""
        return self.state.server

    @property
    def kubeconfig(self) -> Path:
        return self.data / "kubeconfig"

    @property
    def pids(self) -> dict[str, int]:
        return self.state.pids

    def client(self) -> HttpClient:
        """A client as administrator; close it, or use it as an async context manager."""
        return HttpClient(load_kubeconfig(self.kubeconfig), SystemClock())

    def start(self, *options: str) -> None:
        """Starts it (again) on its data folder, on the port that it had, or on any free one."""
        port = "0"
        if self.kubeconfig.exists():
            port = load_kubeconfig(self.kubeconfig).server.rpartition(":")[2]
        _flowdeck("up", "--data", str(self.data), "--port", port, "--detach", *options)

    def stop(self, *, pods: bool = True) -> None:
        """Stops it, and its pods unless they shall go on."""
        _flowdeck("down", "--data", str(self.data), *(["--pods"] if pods else []))


def _flowdeck(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", "flowdeck.cli.main", *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise PlatformError(f"flowdeck {' '.join(arguments)} failed ({done.returncode}):\n{done.stdout}{done.stderr}")
    return done.stdout


@contextmanager
def platform(data: Path | None = None, *, options: Sequence[str] = ()) -> Iterator[RunningPlatform]:
    """A platform on a free port, ready to use; stopped with its pods at the end.

    `data` keeps its state between uses; without it everything is gone afterwards. `options` go to `flowdeck up`.
    """
    with tempfile.TemporaryDirectory(prefix="flowdeck-", ignore_cleanup_errors=True) as folder:
        running = RunningPlatform(Path(data or folder).absolute())
        running.start(*options)
        try:
            yield running
        finally:
            running.stop()
