"""What stands before the heavy parts are loaded: the data folder's lock, keys, the port, kubeconfigs, the node process.

Quick to import, so that the node process is on its way while this one still loads the API server.
"""

import contextlib
import errno
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flowdeck.clock import SystemClock
from flowdeck.components.training.settings import PROGRESS_NAMES
from flowdeck.embedded.apiserver import pki
from flowdeck.locks import try_lock
from flowdeck.settings import Settings
from flowdeck.state import read_state

STOP_S = 20.0
"""How long the node process may take to end; its pods go on anyway."""
OURS = frozenset({"lock", "pki", "node", "logs", "store.db", "images.toml"})
"""Names in a data folder: one of them is in each that was ever used."""
LOCK_S = 0.5
"""How long a folder must be found in use: a look at who has it holds it for a moment, and so does a program that a
platform was just starting when it was killed."""


class DataFolderInUse(Exception):
    """Another platform runs on this data folder."""

    def __init__(self, data: Path) -> None:
        super().__init__(
            f"a platform is running on {data} already: use it (flowdeck status --data {data}), stop it "
            f"(flowdeck down --data {data}), or choose another folder with --data"
        )


class ForeignFolder(Exception):
    """The folder holds something else: making it private would lock its owner's other programs out."""

    def __init__(self, data: Path) -> None:
        super().__init__(f"{data} is no data folder of Flowdeck and not empty: name a new or an empty one with --data")


class CannotListen(Exception):
    """The API server's address cannot be had."""

    def __init__(self, where: str, error: OSError) -> None:
        if error.errno == errno.EADDRINUSE:
            super().__init__(f"{where} is in use: choose another port with --port (0: any free one)")
        else:
            super().__init__(f"cannot listen on {where}: {error.strerror}: choose others with --host and --port")


@dataclass
class NodeProcess:
    """The node process that we keep. Its standard input is a pipe of ours: when we are killed it ends as well."""

    command: Sequence[str]
    log: Path
    running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.log.parent.mkdir(mode=0o700, exist_ok=True)
        with self.log.open("ab") as output:
            self.running = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=output, stderr=output)

    @property
    def pid(self) -> int:
        return self.running.pid if self.running else 0

    def wait(self) -> int:
        """Blocks until it ends; gives its exit code."""
        assert self.running is not None
        return self.running.wait()

    def stop(self) -> None:
        """Ends it, not its pods."""
        if self.running is None:
            return
        self.running.terminate()
        try:
            self.running.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.running.kill()
            self.running.wait()


@dataclass(frozen=True)
class Foundation:
    """See the module's text."""

    keys: pki.Pki
    listener: socket.socket
    """Bound and listening; connections wait until the API server takes them."""
    server: str
    """URL of the API server."""
    node: NodeProcess | None


@contextlib.contextmanager
def laid(settings: Settings) -> Iterator[Foundation]:
    """Lays it, for as long as the context lasts.

    Raises `DataFolderInUse`, `ForeignFolder`, `CannotListen`, and `OSError` where the data folder cannot be written.
    """
    data = settings.data
    with _locked(data):
        clock = SystemClock()
        names = (*settings.server.names, *PROGRESS_NAMES)
        keys = pki.prepare(data / "pki", node=settings.node.name, now=clock.now(), names=names)
        with _listening(settings.server.host, settings.server.port) as listener:
            server = f"https://{settings.server.host}:{listener.getsockname()[1]}"
            _write_kubeconfigs(data, keys, server)
            node = NodeProcess(_node_command(settings), data / "logs" / "node.log") if settings.node.enabled else None
            if node is not None:
                node.start()
            try:
                yield Foundation(keys, listener, server, node)
            finally:
                if node is not None:
                    node.stop()


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), backlog=2048)
    except OSError as error:
        raise CannotListen(f"{host}:{port}", error) from error


def prepare(data: Path) -> None:
    """Makes the data folder, private. Raises `ForeignFolder`, `OSError`."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = {path.name for path in data.iterdir() if not path.name.startswith(".")} - {"lost+found"}
    if found and not found & OURS:
        raise ForeignFolder(data)
    data.chmod(0o700)


def is_in_use(data: Path) -> bool:
    """Whether a platform runs there, and is no dead one whose lock is about to go."""
    deadline = time.monotonic() + LOCK_S
    while read_state(data) is not None:
        if time.monotonic() > deadline:
            return True
        time.sleep(0.01)
    return False


@contextlib.contextmanager
def _locked(data: Path) -> Iterator[None]:
    prepare(data)
    deadline = time.monotonic() + LOCK_S
    while (file := try_lock(data / "lock")) is None:
        if time.monotonic() > deadline:
            raise DataFolderInUse(data)
        time.sleep(0.01)
    with file:
        (data / "state.json").unlink(missing_ok=True)  # of one that was killed
        yield


def _write_kubeconfigs(data: Path, keys: pki.Pki, server: str) -> None:
    pki.write_kubeconfig(data / "kubeconfig", server=server, pki=keys, certificate=keys.admin)
    node = data / "node"
    node.mkdir(mode=0o700, exist_ok=True)
    pki.write_kubeconfig(node / "kubeconfig", server=server, pki=keys, certificate=keys.node, user="node")


def _node_command(settings: Settings) -> Sequence[str]:
    command = [sys.executable, "-m", "flowdeck.embedded.node"]
    command += ["--kubeconfig", str(settings.data / "node" / "kubeconfig"), "--data", str(settings.data / "node")]
    command += ["--name", settings.node.name, "--driver", settings.node.driver, "--until-eof"]
    command += ["--pki", str(settings.data / "pki")]
    command += [f"--find-links={place}" for place in settings.node.find_links]
    command += [f"--index-url={settings.node.index_url}"] if settings.node.index_url else []
    command += ["--offline"] if settings.node.offline else []
    command += [f"--warm-servers={settings.node.warm_servers}", f"--pods={settings.node.pods}"]
    command += [f"--simulated-run-seconds={settings.node.simulated_run_s}"]
    return command
