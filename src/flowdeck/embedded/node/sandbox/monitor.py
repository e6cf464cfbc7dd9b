"""The monitor of one container: starts it, keeps its log, waits for it, writes down how it ended.

A fork of the zygote that outlives everybody else; standard library only. In its folder, one per (pod, container,
attempt), are

    plan.json      what to run; written by the node before
    claim          who is the monitor; made exclusively, so a container cannot be started twice
    state.json     {pid, started_at}: the command runs
    exit.json      {exit_code, reason, message, started_at, finished_at}: it ended; on disk before anybody is told
    control.sock   who listens or commands; see `control.py`
"""

import contextlib
import fcntl
import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

from flowdeck.embedded.node.sandbox import child, files
from flowdeck.embedded.node.sandbox.control import Connection, frame, namespaces_of_container
from flowdeck.embedded.node.sandbox.identity import identity
from flowdeck.embedded.node.sandbox.log import LogFile
from flowdeck.embedded.node.sandbox.processes import anonymous_bytes, descendants
from flowdeck.embedded.node.sandbox.standard_input import StandardInput

DRAIN_S = 1.0
"""How long output may still come after the end of a container without namespaces, whose orphans may hold the pipes."""


def main(folder: str, first: socket.socket, warm: list[int]) -> NoReturn:
    """Runs in a fresh fork; `first` is the connection of whoever asked for the container.

    `warm` may have a connection to a warm server's fork (plan.json has `warm`, then).
    """
    os.setsid()
    child.reset_signals()
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    os.chdir(folder)
    if not files.claim("claim", identity()):
        os._exit(0)
    plan = files.read("plan.json")
    if plan is None:
        os._exit(1)
    try:
        Monitor(plan, first, warm).run()
    except BaseException as error:
        files.write_when_there_is_room(
            "exit.json", _ended(137, "ContainerStatusUnknown", f"the monitor failed: {error!r}", None)
        )
        raise
    os._exit(0)


def _ended(code: int, reason: str, message: str, started_at: float | None) -> dict[str, Any]:
    return {
        "exit_code": code, "reason": reason, "message": message, "started_at": started_at, "finished_at": _now(),
    }  # fmt: skip


def _now() -> float:
    return time.time_ns() / 1e9


class Monitor:
    """One container from start to end."""

    def __init__(self, plan: dict[str, Any], first: socket.socket, warm: list[int]) -> None:
        self._plan = plan
        self._warm = warm
        self._is_among_others = plan["driver"] == "plain" or plan["share_processes"] or bool(plan["target"])
        """Others' processes are in the same process namespace, so the kernel does not end ours with the first."""
        self._log = LogFile(plan["log"], max_bytes=plan["log_max_bytes"], max_files=plan["log_max_files"])
        self._selector = selectors.DefaultSelector()
        self._connections = {Connection(first, self)}
        self._sources: set[int] = set()
        self._namespaces: list[int] = []
        self._stdin = StandardInput(self._selector)
        self._terminal: int | None = None
        self._pid = 0
        self._started_at: float | None = None
        self._exit_code: int | None = None
        self._failure = ""
        self._killed_for_memory = False

    def run(self) -> None:
        self._listen()
        for connection in self._connections:
            self._watch(connection.socket.fileno(), connection.on_readable)
        self._start()
        self._tell({"started": True, "pid": self._pid} if not self._failure else {"failed": self._failure})
        while self._exit_code is None or self._sources:
            self._turn(None if self._exit_code is None else DRAIN_S)
        self._finish()

    # start

    def _listen(self) -> None:
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with contextlib.suppress(FileNotFoundError):
            os.unlink("control.sock")
        os.umask(0o077)
        self._server.bind("control.sock")  # the working directory is short, the folder's path may not be
        self._server.listen(64)
        self._watch(self._server.fileno(), self._on_connect)
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        self._watch(wake_read, lambda: self._on_child(wake_read))

    def _start(self) -> None:
        stdin, outs = self._pipes()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        namespaced = self._plan["driver"] == "namespaces"
        pod: list[int] = []
        try:
            self._hold()
            if namespaced:
                pod = self._enter_pod()
            elif sys.platform == "linux":
                from flowdeck.embedded.node.sandbox import linux

                linux.become_subreaper()
            self._pid = os.fork()
        except OSError as error:
            self._failure, self._exit_code = f"cannot enter the pod: {error}", child.COULD_NOT_START
            return
        if self._pid == 0:
            ours.close()
            stdio = [stdin, outs[1], outs[3]]
            if namespaced:
                child.run_init(self._plan, pod, stdio, theirs)
            child.run_plain(self._plan, stdio, theirs)
        theirs.close()
        self._await_start(ours, [stdin, outs[1], outs[3]])
        for fd in {stdin, outs[1], outs[3], *pod}:
            os.close(fd)
        for stream, fd in ((1, outs[0]), (2, outs[2])):
            self._add_source(stream, fd)

    def _hold(self) -> None:
        """Locks what must not be deleted while the container runs; the kernel lets go when this process ends."""
        for path in self._plan["holds"]:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def _pipes(self) -> tuple[int, list[int]]:
        outs = [*os.pipe(), *os.pipe()]
        if self._plan["stdin"] and not self._plan["tty"]:
            stdin, ours = os.pipe()
            self._stdin.open(ours)
            return stdin, outs
        return os.open("/dev/null", os.O_RDWR), outs

    def _enter_pod(self) -> list[int]:
        """Joins what gives the right to make a process namespace; returns what the child must join."""
        from flowdeck.embedded.node.sandbox import isolation, linux

        holder = int(self._plan["holder"]["pid"])
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("-900")
        user = isolation.open_namespaces(holder, ["user"])
        pod = isolation.open_namespaces(holder, ["net", "ipc", "uts", "mnt"])
        if self._plan["share_processes"]:
            shared = isolation.open_namespaces(holder, ["pid_for_children"])
            isolation.enter(user)
            isolation.enter(shared)
        elif self._plan["target"]:
            *_, processes = namespaces_of_container(os.path.relpath(self._plan["target"]))
            isolation.enter(user)
            isolation.enter([processes])
        else:
            isolation.enter(user)
            linux.unshare(linux.CLONE_NEWPID)
        return pod

    def _await_start(self, channel: socket.socket, stdio: list[int]) -> None:
        """Reads what the child tells until its command runs (then the channel closes) or cannot."""
        told = b""
        while True:
            more, fds, _, _ = socket.recv_fds(channel, 65536, 16)
            if not more:
                break
            *lines, told = (told + more).split(b"\n")
            for message in map(json.loads, lines):
                if "failed" in message:
                    self._failure = message["failed"]
                elif "inside" in message:
                    self._namespaces = list(fds)
                elif "confined" in message:
                    channel.send(json.dumps({"command": self._start_warm(message["command"], stdio)}).encode())
                elif "terminal" in message:
                    self._terminal = fds[-1]
                    self._stdin.open(os.dup(fds[-1]))
        channel.close()
        if not self._failure:
            if self._terminal is not None:
                self._add_source(1, self._terminal)
            self._started_at = _now()
            files.write_when_there_is_room("state.json", {**identity(self._pid), "started_at": self._started_at})

    def _start_warm(self, command: dict[str, Any], stdio: list[int]) -> int:
        """The command's number in the container; 0 when its init must start it."""
        from flowdeck.embedded.node.sandbox import warm_start

        fork = socket.socket(fileno=self._warm.pop())
        return warm_start.start(self._plan | command, self._pid, self._namespaces, stdio, fork)

    # the loop

    def _watch(self, fd: int, action: Callable[[], None]) -> None:
        self._selector.register(fd, selectors.EVENT_READ, action)

    def _turn(self, timeout_s: float | None) -> None:
        if timeout_s is None and self._plan["memory_limit"]:
            timeout_s = 0.5
        events = self._selector.select(timeout_s)
        if not events and self._exit_code is not None:
            for fd in list(self._sources):
                self._drop_source(fd)
        for key, _ in events:
            key.data()
        if self._plan["memory_limit"] and self._exit_code is None:
            self._check_memory()

    def _add_source(self, stream: int, fd: int) -> None:
        self._sources.add(fd)
        self._watch(fd, lambda: self._on_output(stream, fd))

    def _drop_source(self, fd: int) -> None:
        self._sources.discard(fd)
        self._selector.unregister(fd)
        os.close(fd)
        if fd == self._terminal:
            self._terminal = None

    def _on_output(self, stream: int, fd: int) -> None:
        try:
            data = os.read(fd, 65536)
        except BlockingIOError:
            return
        except OSError:  # the other side of a terminal is gone
            data = b""
        if not data:
            self._drop_source(fd)
            return
        self._log.write(stream, data)
        for connection in list(self._connections):
            if connection.is_attached:
                connection.send(frame(stream, data))

    def _on_connect(self) -> None:
        accepted, _ = self._server.accept()
        connection = Connection(accepted, self)
        self._connections.add(connection)
        self._watch(accepted.fileno(), connection.on_readable)
        if self._started_at is not None:
            connection.tell({"started": True, "pid": self._pid})

    def put_in(self, data: bytes) -> None:
        self._stdin.put(data)

    def end_input(self) -> None:
        """A terminal stays open."""
        if self._terminal is None:
            self._stdin.end()

    def resize(self, width: int, height: int) -> None:
        if self._terminal is not None:
            child.resize(self._terminal, width, height)

    def forget(self, connection: Connection) -> None:
        if connection in self._connections:
            self._connections.discard(connection)
            self._selector.unregister(connection.socket.fileno())
            connection.socket.close()

    def _on_child(self, wake: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(wake, 4096)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._pid:
                self._exit_code = child.exit_code_of(status)
                self._end_the_rest()

    # the end

    def signal(self, number: int) -> None:
        """Sends a signal to the command; SIGKILL ends everything in the container."""
        if self._exit_code is not None:
            return
        if number == signal.SIGKILL:
            self._kill_descendants()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, number)

    def _end_the_rest(self) -> None:
        if self._is_among_others:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._pid, signal.SIGKILL)
            self._kill_descendants()

    def _kill_descendants(self) -> None:
        if self._is_among_others:
            for pid in descendants(os.getpid()):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)

    def _check_memory(self) -> None:
        """Stands in for a memory control group where there is none."""
        used = sum(anonymous_bytes(pid) for pid in descendants(os.getpid()))
        if used > self._plan["memory_limit"]:
            self._killed_for_memory = True
            self.signal(signal.SIGKILL)

    def _was_out_of_memory(self) -> bool:
        for path, key in self._plan["oom_counters"]:
            with contextlib.suppress(OSError), open(path, encoding="ascii") as file:
                counts = dict(line.split() for line in file if len(line.split()) == 2)
                if int(counts.get(key, "0")) > 0:
                    return True
        return self._killed_for_memory

    def _finish(self) -> None:
        self._log.finish()
        code = self._exit_code if self._exit_code is not None else child.COULD_NOT_START
        if self._failure:
            ended = _ended(child.COULD_NOT_START, "StartError", self._failure, None)
        elif code != 0 and self._was_out_of_memory():
            ended = _ended(code, "OOMKilled", "", self._started_at)
        else:
            ended = _ended(code, "Completed" if code == 0 else "Error", "", self._started_at)
        files.write_when_there_is_room("exit.json", ended, sync=True)
        self._tell({"ended": ended})

    def _tell(self, message: dict[str, Any]) -> None:
        for connection in list(self._connections):
            connection.tell(message)

    def send_namespaces(self, to: socket.socket) -> None:
        socket.send_fds(to, [b'{"namespaces": true}\n'], self._namespaces)
