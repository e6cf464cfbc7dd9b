"""The monitor of one container: starts it, keeps its log, waits for it, writes down how it ended.

A fork of the zygote that outlives everybody else; standard library only. In its folder, one per (pod, container,
attempt), are

    plan.json      what to run; written by the node before
    claim          who is the monitor; made exclusively, so a container cannot be started twice
    state.json     {pid, started_at}: the command runs
    exit.json      {exit_code, reason, message, started_at, finished_at}: it ended; on disk before anybody is told
    control.sock   lines of JSON; see `_Connection`
"""

import contextlib
import fcntl
import json
import os
import selectors
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

from flowdeck.embedded.node.sandbox import child, files
from flowdeck.embedded.node.sandbox.identity import identity
from flowdeck.embedded.node.sandbox.log import LogFile

DRAIN_S = 1.0
"""How long output may still come after the end of a container without namespaces, whose orphans may hold the pipes."""

MOST_INPUT_BYTES = 1 << 20
"""What is kept of input that the command does not read."""

STDIN, STDOUT, STDERR, CLOSE_STDIN, RESIZE = range(5)
"""First byte of a frame of an attached connection; then its length (4 bytes, big-endian), then the data."""


def frame(kind: int, data: bytes) -> bytes:
    return struct.pack("!BI", kind, len(data)) + data


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
        self._connections = {_Connection(first, self)}
        self._sources: set[int] = set()
        self._namespaces: list[int] = []
        self.stdin: int | None = None
        self._input = bytearray()
        """Sent by attached connections, not yet taken by the command."""
        self._input_ends = False
        self._waits_for_input = False
        self.terminal: int | None = None
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
            stdin, self.stdin = os.pipe()
            os.set_blocking(self.stdin, False)
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
                    self.terminal, self.stdin = fds[-1], os.dup(fds[-1])
                    os.set_blocking(self.stdin, False)
        channel.close()
        if not self._failure:
            if self.terminal is not None:
                self._add_source(1, self.terminal)
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
        if fd == self.terminal:
            self.terminal = None

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
        connection = _Connection(accepted, self)
        self._connections.add(connection)
        self._watch(accepted.fileno(), connection.on_readable)
        if self._started_at is not None:
            connection.tell({"started": True, "pid": self._pid})

    def put_in(self, data: bytes) -> None:
        """Hands input to the command, as fast as it takes it; what comes when there is no end of it is dropped."""
        if self.stdin is not None and len(self._input) < MOST_INPUT_BYTES:
            self._input += data
            self._pass_input()

    def end_input(self) -> None:
        """Closes the command's standard input once it has read what was sent; a terminal stays open."""
        if self.terminal is None:
            self._input_ends = True
            self._pass_input()

    def _pass_input(self) -> None:
        if self.stdin is None:
            return
        try:
            while self._input:
                del self._input[: os.write(self.stdin, self._input)]
        except BlockingIOError:
            pass
        except OSError:  # nobody reads any more
            self._input.clear()
        self._watch_input(bool(self._input))
        if self._input_ends and not self._input:
            os.close(self.stdin)
            self.stdin = None

    def _watch_input(self, wanted: bool) -> None:
        if wanted is not self._waits_for_input and self.stdin is not None:
            self._waits_for_input = wanted
            if wanted:
                self._selector.register(self.stdin, selectors.EVENT_WRITE, self._pass_input)
            else:
                self._selector.unregister(self.stdin)

    def forget(self, connection: "_Connection") -> None:
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
        used = sum(_resident_bytes(pid) for pid in descendants(os.getpid()))
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


class _Connection:
    """Somebody who listens or commands. Lines of JSON; after `attach`, frames.

    We tell   {"started", "pid"}, {"failed"}, {"ended": exit.json}
    We take   {"signal": n}, {"namespaces": true} (answered with file descriptors), {"attach": true}
    """

    def __init__(self, connected: socket.socket, monitor: Monitor) -> None:
        self.socket = connected
        self.is_attached = False
        self._monitor = monitor
        self._received = bytearray()
        connected.setblocking(True)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)

    def tell(self, message: dict[str, Any]) -> None:
        if not self.is_attached:
            self.send(json.dumps(message).encode() + b"\n")

    def send(self, data: bytes) -> None:
        """Whoever does not read for so long that the buffer is full, loses the connection, not the container."""
        try:
            sent = self.socket.send(data, socket.MSG_DONTWAIT)
        except OSError:
            sent = -1
        if sent != len(data):
            self._monitor.forget(self)

    def on_readable(self) -> None:
        try:
            data = self.socket.recv(65536)
        except OSError:
            data = b""
        if not data:
            self._monitor.forget(self)
            return
        self._received += data
        while not self.is_attached and b"\n" in self._received:
            line, _, rest = bytes(self._received).partition(b"\n")
            self._received[:] = rest
            self._obey(json.loads(line))
        if self.is_attached:
            self._take_frames()

    def _obey(self, command: dict[str, Any]) -> None:
        if "signal" in command:
            self._monitor.signal(int(command["signal"]))
        elif "namespaces" in command:
            self._monitor.send_namespaces(self.socket)
        elif "attach" in command:
            self.is_attached = True

    def _take_frames(self) -> None:
        while len(self._received) >= 5:
            kind, length = struct.unpack("!BI", self._received[:5])
            if len(self._received) < 5 + length:
                return
            data = bytes(self._received[5 : 5 + length])
            del self._received[: 5 + length]
            self._take_frame(kind, data)

    def _take_frame(self, kind: int, data: bytes) -> None:
        monitor = self._monitor
        if kind == STDIN:
            monitor.put_in(data)
        elif kind == CLOSE_STDIN:
            monitor.end_input()
        elif kind == RESIZE and monitor.terminal is not None:
            width, height = struct.unpack("!HH", data)
            child.resize(monitor.terminal, width, height)


def namespaces_of_container(folder: str) -> list[int]:
    """Asked of the monitor that works there, which got them from the container's first process: no number can be mixed
    up. The path must be short, as such names must be."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as monitor:
        monitor.connect(os.path.join(folder, "control.sock"))
        monitor.send(b'{"namespaces": true}\n')
        while True:
            _, fds, _, _ = socket.recv_fds(monitor, 4096, 16)
            if fds:
                return list(fds)


def descendants(pid: int) -> list[int]:
    """All processes below one, children before grandchildren (Linux; elsewhere nothing is known)."""
    found: list[int] = []
    queue = [pid]
    while queue:
        parent = queue.pop()
        with contextlib.suppress(OSError), open(f"/proc/{parent}/task/{parent}/children", encoding="ascii") as file:
            children = [int(word) for word in file.read().split()]
            found += children
            queue += children
    return found


def _resident_bytes(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            fields = file.read().split()
            return (int(fields[1]) - int(fields[2])) * 4096
    except OSError:
        return 0
