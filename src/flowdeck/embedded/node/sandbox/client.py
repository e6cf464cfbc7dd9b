"""The node's side of the zygote, of monitors and of visitors."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from flowdeck.embedded.node.sandbox import control as wire
from flowdeck.kube.objects import Tree

_BOOT = "import sys; sys.path.insert(0, {root!r}); from flowdeck.embedded.node.sandbox.zygote import main; main()"


class StartError(Exception):
    """A pod's or a container's process could not be started by us (not: its command failed)."""


class Zygote:
    """Starts the small processes; is started again when it was killed."""

    def __init__(self, log_file: Path) -> None:
        self._log_file = log_file
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def request(self, do: str, folder: Path, fds: Sequence[int] = (), **more: object) -> socket.socket:
        """Asks for a fork; returns our end of its channel. `fds` go with it (and stay ours to close)."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        message = json.dumps({"do": do, "folder": str(folder), "fds": 1 + len(fds), **more}).encode() + b"\n"
        with theirs:
            try:
                socket.send_fds(self._running(), [message], [theirs.fileno(), *fds])
            except (BrokenPipeError, ConnectionResetError):
                self.stop()
                socket.send_fds(self._running(), [message], [theirs.fileno(), *fds])
        ours.setblocking(False)
        return ours

    def start(self) -> None:
        self._running()

    def _running(self) -> socket.socket:
        if self._socket is None or self._process is None or self._process.poll() is not None:
            self._start()
        assert self._socket is not None
        return self._socket

    def _start(self) -> None:
        self.stop()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        root = str(Path(__file__).resolve().parents[4])
        self._log_file.parent.mkdir(parents=True, exist_ok=True)
        with theirs, self._log_file.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _BOOT.format(root=root)],
                stdin=theirs.fileno(),
                stdout=errors,
                stderr=errors,
                env={},
                start_new_session=True,
            )
        self._socket = ours

    def stop(self) -> None:
        """Ends the zygote; what it started lives on."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            self._process.wait(timeout=10)
            self._process = None


class Running:
    """A connection to the monitor of one container."""

    def __init__(self, folder: Path, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.folder = folder
        self.pid = 0
        """The container's first process, in the machine's numbers."""
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, folder: Path, connected: socket.socket) -> "Running":
        reader, writer = await asyncio.open_connection(sock=connected, limit=1 << 20)
        return cls(folder, reader, writer)

    async def started(self) -> str:
        """Waits until the command runs (returns `""`) or cannot (returns why).

        Raises `StartError` when the monitor says nothing: another one has the claim, or it died.
        """
        told = await self.told()
        if told is None:
            raise StartError("the monitor ended before it started the container")
        if "started" in told:
            self.pid = int(told["pid"])
        return str(told.get("failed", ""))

    async def ended(self) -> Tree | None:
        """Waits for the end; None when the monitor is gone without a word."""
        while (told := await self.told()) is not None:
            if "ended" in told:
                return dict(told["ended"])
        return None

    def signal(self, number: int) -> None:
        """Sends a signal to the command, through its parent: it cannot hit anybody else."""
        self._writer.write(json.dumps({"signal": number}).encode() + b"\n")

    async def told(self) -> Tree | None:
        """The next message; None when the other side is gone."""
        try:
            line = await self._reader.readline()
        except ConnectionResetError:
            return None
        return json.loads(line) if line else None

    def close(self) -> None:
        self._writer.close()


def socket_path(folder: Path, fd: int) -> str:
    """Where a monitor listens; by way of an open descriptor of its folder, since such names must be short."""
    return f"/proc/self/fd/{fd}/control.sock" if sys.platform == "linux" else str(folder / "control.sock")


async def connect(folder: Path) -> socket.socket | None:
    """A connection to a running monitor; None when nobody listens."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connected.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(connected, socket_path(folder, fd))
    except (ConnectionRefusedError, FileNotFoundError):
        connected.close()
        return None
    finally:
        os.close(fd)
    return connected


class AttachedStreams:
    """`Streams` of a container's main process, by way of its monitor."""

    failure = ""

    def __init__(self, folder: Path, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._folder = folder
        self._reader = reader
        self._writer = writer

    @classmethod
    async def to(cls, folder: Path) -> "AttachedStreams | None":
        connected = await connect(folder)
        if connected is None:
            return None
        reader, writer = await asyncio.open_connection(sock=connected, limit=1 << 20)
        await reader.readline()  # what every connection is told first
        writer.write(b'{"attach": true}\n')
        return cls(folder, reader, writer)

    async def write_stdin(self, data: bytes) -> None:
        self._writer.write(wire.frame(wire.STDIN, data))
        await self._writer.drain()

    async def close_stdin(self) -> None:
        self._writer.write(wire.frame(wire.CLOSE_STDIN, b""))

    async def resize(self, width: int, height: int) -> None:
        self._writer.write(wire.frame(wire.RESIZE, width.to_bytes(2, "big") + height.to_bytes(2, "big")))

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        try:
            while True:
                head = await self._reader.readexactly(5)
                yield head[0], await self._reader.readexactly(int.from_bytes(head[1:], "big"))
        except (asyncio.IncompleteReadError, ConnectionResetError):
            self._writer.close()

    async def wait(self) -> int:
        from flowdeck.embedded.node.sandbox import files

        ended = files.read(str(self._folder / "exit.json"))
        return int(ended["exit_code"]) if ended else 0

    async def kill(self) -> None:
        """Lets go; the container goes on."""
        self._writer.close()


class VisitorStreams:
    """`Streams` of one more command in a running container."""

    def __init__(self, channel: socket.socket, ours: Sequence[int], *, tty: bool) -> None:
        self._channel = channel
        self._stdin: int | None = ours[0] if ours[0] >= 0 else None
        self._outs = {} if tty else {1: ours[1], 2: ours[2]}
        self._tty = tty
        self._exit_code: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.failure = ""
        """Why the command did not start, if it did not."""
        self._terminal_ready = asyncio.Event()
        self._pumps: list[asyncio.Task[None]] = []
        self._told = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        """Follows what the visitor tells on its channel until it ends."""
        readable = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._channel, readable.set)
        code = 137
        try:
            while True:
                await readable.wait()
                readable.clear()
                try:
                    data, fds, _, _ = socket.recv_fds(self._channel, 65536, 4)
                except BlockingIOError:
                    continue
                if not data:
                    return
                for line in data.splitlines():
                    message = json.loads(line)
                    self.failure = message.get("failed", self.failure)
                    code = int(message.get("exit_code", code))
                if fds:
                    self._stdin = fds[0]
                    self._outs = {1: os.dup(fds[0])}
                    self._terminal_ready.set()
        finally:
            loop.remove_reader(self._channel)
            self._channel.close()
            self._terminal_ready.set()
            if not self._exit_code.done():
                self._exit_code.set_result(code)

    async def write_stdin(self, data: bytes) -> None:
        if self._tty:
            await self._terminal_ready.wait()
        if self._stdin is None:
            return
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._stdin, view) :]
            except BlockingIOError:
                await _writable(self._stdin)
            except OSError:
                return

    async def close_stdin(self) -> None:
        if self._tty:
            await self.write_stdin(b"\x04")
        elif self._stdin is not None:
            os.close(self._stdin)
            self._stdin = None

    async def resize(self, width: int, height: int) -> None:
        from flowdeck.embedded.node.sandbox import child

        await self._terminal_ready.wait()
        if self._stdin is not None:
            child.resize(self._stdin, width, height)

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        if self._tty:
            await self._terminal_ready.wait()
        queue: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue(maxsize=16)
        self._pumps = [asyncio.create_task(_pump(stream, fd, queue)) for stream, fd in self._outs.items()]
        open_streams = len(self._pumps)
        while open_streams:
            stream, data = await queue.get()
            if data:
                yield stream, data
            else:
                open_streams -= 1

    async def wait(self) -> int:
        return await asyncio.shield(self._exit_code)

    async def kill(self) -> None:
        """Ends the command if it still runs (the visitor sees the channel end), and lets go of everything."""
        if not self._exit_code.done():
            with contextlib.suppress(OSError):
                self._channel.shutdown(socket.SHUT_WR)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.shield(self._told)
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        for fd in {*self._outs.values(), *([self._stdin] if self._stdin is not None else [])}:
            with contextlib.suppress(OSError):
                os.close(fd)
        self._outs, self._stdin = {}, None


async def _pump(stream: int, fd: int, queue: "asyncio.Queue[tuple[int, bytes]]") -> None:
    """Moves one stream's bytes to the queue; an empty piece says that it ended."""
    os.set_blocking(fd, False)
    data = b"."
    while data:
        try:
            data = os.read(fd, 65536)
        except BlockingIOError:
            await _readable(fd)
            continue
        except OSError:  # a terminal whose last user is gone
            data = b""
        await queue.put((stream, data))


async def _readable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(fd, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(fd)


async def _writable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(fd, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(fd)


def visit(zygote: Zygote, folder: Path, argv: Sequence[str], *, tty: bool, stdin: bool) -> VisitorStreams:
    """Starts a command in the container whose monitor works in `folder`."""
    theirs: list[int] = []
    ours = [-1, -1, -1]
    if stdin and not tty:
        read_end, ours[0] = os.pipe()
        os.set_blocking(ours[0], False)
        theirs.append(read_end)
    else:
        theirs.append(os.open("/dev/null", os.O_RDONLY))
    for number in (1, 2):
        if tty:
            theirs.append(os.open("/dev/null", os.O_WRONLY))
        else:
            ours[number], write_end = os.pipe()
            theirs.append(write_end)
    try:
        channel = zygote.request("visit", folder, theirs, argv=list(argv), tty=tty)
    finally:
        for fd in theirs:
            os.close(fd)
    return VisitorStreams(channel, ours, tty=tty)
