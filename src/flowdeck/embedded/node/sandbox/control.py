"""`control.sock` of a monitor, and what is said on it. Standard library only.

Lines of JSON; after `attach`, frames.

    the monitor tells   {"started", "pid"}, {"failed"}, {"ended": exit.json}
    it takes            {"signal": n}, {"namespaces": true} (answered with file descriptors), {"attach": true}
"""

import json
import os
import socket
import struct
from typing import Any, Protocol

STDIN, STDOUT, STDERR, CLOSE_STDIN, RESIZE = range(5)
"""First byte of a frame of an attached connection; then its length (4 bytes, big-endian), then the data."""


def frame(kind: int, data: bytes) -> bytes:
    return struct.pack("!BI", kind, len(data)) + data


class Controlled(Protocol):
    """The monitor, as its connections see it."""

    def signal(self, number: int) -> None: ...

    def send_namespaces(self, to: socket.socket) -> None: ...

    def put_in(self, data: bytes) -> None: ...

    def end_input(self) -> None: ...

    def resize(self, width: int, height: int) -> None: ...

    def forget(self, connection: "Connection") -> None: ...


class Connection:
    """Somebody who listens or commands."""

    def __init__(self, connected: socket.socket, monitor: Controlled) -> None:
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
        if kind == STDIN:
            self._monitor.put_in(data)
        elif kind == CLOSE_STDIN:
            self._monitor.end_input()
        elif kind == RESIZE:
            self._monitor.resize(*struct.unpack("!HH", data))


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
