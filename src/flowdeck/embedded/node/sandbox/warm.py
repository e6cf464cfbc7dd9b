"""Which warm fork servers a node keeps, and which containers start from them.

A server is worth its memory when its environment is used again and again: it is started at the second use within a
while (or at the first, where the table of images says so), ends when it was idle for long, and when there are too many
the one that was used longest ago goes. Nothing depends on one: it may die at any moment, and then, as whenever a
command needs anything of its own at the interpreter's start, the ordinary start is taken.
"""

import contextlib
import json
import os
import re
import shutil
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from flowdeck.clock import Clock
from flowdeck.embedded.node.sandbox import files, rooted
from flowdeck.embedded.node.sandbox.client import Zygote
from flowdeck.embedded.node.sandbox.plan import ContainerSpec
from flowdeck.embedded.node.sandbox.shell import command_of
from flowdeck.kube.objects import Tree

log = structlog.get_logger()

_PYTHON = re.compile(r"python(3(\.\d+)?)?")
_OWN_INTERPRETER = re.compile(
    r"PYTHON.*|LD_.*|MALLOC_.*|GLIBC_.*|LANG|LANGUAGE|LC_.*|OMP_.*|GOMP_.*|KMP_.*|MKL_.*|OPENBLAS_.*|GOTO_.*|BLIS_.*"
    r"|NPY_.*|NUMEXPR_.*|SKLEARN_.*|JOBLIB_.*|LOKY_.*|XGBOOST_.*|TORCH.*|PYTORCH_.*|CUDA_.*|NVIDIA_.*|NCCL_.*|XLA_.*"
    r"|JAX_(?!COORDINATOR|NUM_PROCESSES|PROCESS_ID).*|TF_.*|ATEN_.*|HIP_.*|ROCR_.*|ONEDNN_.*|DNNL_.*"
)
"""Variables that the interpreter, the C library or the preloaded modules read once, when they start."""
_OWN_SHELL = re.compile(r"BASH.*|ENV|SHELLOPTS|POSIXLY_CORRECT")
"""Variables that change what a shell does before its script."""


@dataclass(frozen=True, kw_only=True)
class WarmSettings:
    """How many warm servers there are, and for how long; times in seconds, sizes in bytes."""

    most: int = 2
    """Servers kept at once; 0: none."""
    most_bytes: int = 1 << 30
    """Memory of all servers together."""
    window_s: float = 600.0
    """Two uses of an environment within that time start its server."""
    idle_s: float = 900.0
    """A server that nobody used for so long ends."""


@dataclass
class _Server:
    control: socket.socket
    stamp: tuple[int, int]
    """What the environment was like when the server was started."""
    used_at: float
    keep: bool
    pid: int = 0
    is_ready: bool = False


@dataclass
class WarmServers:
    """The warm servers of one node process; they end with it."""

    zygote: Zygote
    folder: Path
    """Where they have their roots; below the node's folder."""
    hidden: Sequence[str]
    settings: WarmSettings
    clock: Clock
    _servers: dict[Path, _Server] = field(default_factory=dict)
    _last_use: dict[Path, float] = field(default_factory=dict)
    _hopeless: dict[Path, tuple[int, int]] = field(default_factory=dict)
    """Environments whose modules cannot be preloaded, as they were then."""

    def fork(self, spec: ContainerSpec) -> socket.socket | None:
        """A connection to a fresh fork for this container; None: there is none, or it may not be used."""
        environment = spec.shared_environment
        if environment is None or not self.settings.most or not can_start_warm(spec):
            return None
        now = self.clock.monotonic()
        last, self._last_use[environment] = self._last_use.get(environment), now
        server = self._current(environment)
        if server is not None:
            server.used_at = now
            return self._ask(environment, server)
        if spec.keep_warm or (last is not None and now - last <= self.settings.window_s):
            self._start(environment, spec)
        return None

    def close(self) -> None:
        for environment in list(self._servers):
            self._end(environment)

    def memory_bytes(self) -> int:
        """What all servers have resident."""
        return sum(_resident_bytes(server.pid) for server in self._servers.values())

    def _current(self, environment: Path) -> _Server | None:
        """The server of the environment as it is now; a dead or an outdated one is let go."""
        server = self._servers.get(environment)
        if server is None:
            return None
        if server.stamp != _stamp(environment) or not self._listen(environment, server):
            self._end(environment)
            return None
        return server

    def _listen(self, environment: Path, server: _Server) -> bool:
        """Takes in what the server has told; False when it is gone."""
        try:
            told = server.control.recv(4096)
        except BlockingIOError:
            return True
        except OSError:
            return False
        for message in map(json.loads, told.splitlines()):
            server.pid = message.get("pid", server.pid)
            server.is_ready = server.is_ready or "ready" in message
            if "failed" in message:
                log.warning("no warm start", environment=str(environment), reason=message["failed"])
                self._hopeless[environment] = server.stamp
                return False
        return bool(told)

    def _ask(self, environment: Path, server: _Server) -> socket.socket | None:
        if not server.is_ready:
            return None
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            try:
                socket.send_fds(server.control, [b"."], [theirs.fileno()])
            except OSError:
                ours.close()
                self._end(environment)
                return None
        return ours

    def _start(self, environment: Path, spec: ContainerSpec) -> None:
        stamp = _stamp(environment)
        if self._hopeless.get(environment) == stamp:
            return
        self._make_room()
        folder = self.folder / environment.name
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        files.write_whole(str(folder / "plan.json"), self._plan(environment, folder, spec))
        control = self.zygote.request("warm", folder)
        self._servers[environment] = _Server(control, stamp, self.clock.monotonic(), spec.keep_warm)

    def _make_room(self) -> None:
        """Ends servers until one more may be started: those used longest ago, kept ones last."""
        for environment in list(self._servers):
            self._current(environment)
        while self._servers and (
            len(self._servers) >= self.settings.most or self.memory_bytes() > self.settings.most_bytes
        ):
            self._end(min(self._servers, key=lambda each: (self._servers[each].keep, self._servers[each].used_at)))

    def _end(self, environment: Path) -> None:
        self._servers.pop(environment).control.close()

    def _plan(self, environment: Path, folder: Path, spec: ContainerSpec) -> Tree:
        """A container's plan, of nobody's container."""
        stand_in = ContainerSpec(
            id="0" * 64, folder=folder, pod_folder=folder, argv=(), env={}, environment=environment,
            log=folder / "log", log_max_bytes=0, log_max_files=1,
        )  # fmt: skip
        plan = rooted.to_plan(stand_in, holder={}, hidden=self.hidden, rootless=False)
        python = f"{environment}/bin/python"
        serve = {
            "preload": list(spec.preload),
            "env": dict(spec.preload_env),
            "idle_s": 0 if spec.keep_warm else self.settings.idle_s,
        }
        plan["root"]["proc"] = "hidepid=4"  # processes that it may not look into are not there
        return plan | {"python": python, "serve": serve}


def can_start_warm(spec: ContainerSpec) -> bool:
    """True for `python SCRIPT ...`, `-m MODULE ...`, `-c CODE ...` that needs nothing of its own before that. Pure.

    It may stand at the end of a shell's script (`shell.py`).
    """
    command = command_of(spec.argv)
    return (
        bool(spec.preload)
        and len(command.argv) > 1
        and _PYTHON.fullmatch(os.path.basename(command.argv[0])) is not None
        and (command.argv[0].startswith("/") or "/" not in command.argv[0])
        and _names_code(command.argv[1:])
        and not (spec.tty or spec.stdin or spec.share_processes or spec.target or spec.image_root)
        and not any(_OWN_INTERPRETER.fullmatch(name) for name in spec.env)
        and not (command.prelude and any(_OWN_SHELL.fullmatch(name) for name in spec.env))
    )


def _names_code(words: Sequence[str]) -> bool:
    return len(words) > 1 if words[0] in ("-c", "-m") else not words[0].startswith("-") and words[0] != ""


def _stamp(environment: Path) -> tuple[int, int]:
    """Changes when packages of the environment come or go."""
    try:
        packages = next((environment / "lib").glob("python3.*")) / "site-packages"
        found = packages.stat()
    except (StopIteration, OSError):
        return (0, 0)
    return (found.st_ino, found.st_mtime_ns)


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if pid else 0
    except (OSError, IndexError):
        return 0
