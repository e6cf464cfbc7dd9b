"""Log files in the format of the container runtime interface. Standard library only.

A line: `2026-11-24T07:08:19.000000123Z stdout F text`; `P` instead of `F` when the text goes on in the next line.
"""

import contextlib
import os
import time

from flowdeck.embedded.node.sandbox import files

LONGEST_LINE_BYTES = 16 * 1024
"""A longer line is cut into parts tagged `P`."""
MOST_UNWRITTEN_BYTES = 1 << 20
"""What is kept while the disk takes nothing; lines beyond that are lost."""


class LogFile:
    """One container's log: `path`, and `path.1`, `path.2`, ... for what was rotated away (1 is the youngest)."""

    def __init__(self, path: str, *, max_bytes: int, max_files: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._unwritten = bytearray()
        self._is_full = False
        self._open_lines: dict[int, bytearray] = {1: bytearray(), 2: bytearray()}
        self._open()

    def write(self, stream: int, data: bytes) -> None:
        """Takes what came from stdout (1) or stderr (2); a line is written when it is complete."""
        buffer = self._open_lines[stream]
        buffer += data
        out = bytearray()
        head = self._head(stream)
        start = 0
        while True:
            end = buffer.find(b"\n", start, start + LONGEST_LINE_BYTES + 1)
            if end >= 0:
                out += head + b"F " + buffer[start:end] + b"\n"
                start = end + 1
            elif len(buffer) - start >= LONGEST_LINE_BYTES:
                out += head + b"P " + buffer[start : start + LONGEST_LINE_BYTES] + b"\n"
                start += LONGEST_LINE_BYTES
            else:
                break
        del buffer[:start]
        self._append(bytes(out))

    def finish(self) -> None:
        """Writes what is left of lines without an end; waits for that while the disk is full."""
        for stream, buffer in self._open_lines.items():
            if buffer:
                self._append(self._head(stream) + b"F " + bytes(buffer) + b"\n")
                buffer.clear()
        while self._unwritten and self._is_full:
            time.sleep(files.ROOM_RETRY_S)
            self._append(b"")
        with contextlib.suppress(OSError):
            os.fsync(self._fd)

    def _head(self, stream: int) -> bytes:
        seconds, nanos = divmod(time.time_ns(), 1_000_000_000)
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        return f"{moment}.{nanos:09d}Z {'stdout' if stream == 1 else 'stderr'} ".encode()

    def _append(self, data: bytes) -> None:
        """Writes whole lines, and before them what a full disk did not take."""
        self._unwritten += data
        try:
            while self._unwritten:
                written = os.write(self._fd, self._unwritten)
                self._size += written
                del self._unwritten[:written]
        except OSError as error:
            self._is_full = files.is_full(error)
            if len(self._unwritten) > MOST_UNWRITTEN_BYTES:
                del self._unwritten[self._unwritten.rfind(b"\n", 0, MOST_UNWRITTEN_BYTES) + 1 :]
        if self._size >= self._max_bytes and not self._unwritten:
            self._rotate()

    def _rotate(self) -> None:
        os.close(self._fd)
        for number in range(self._max_files - 1, 0, -1):
            older = self._path if number == 1 else f"{self._path}.{number - 1}"
            if os.path.exists(older):
                os.replace(older, f"{self._path}.{number}")
        if self._max_files == 1:
            os.unlink(self._path)
        self._open()

    def _open(self) -> None:
        os.makedirs(os.path.dirname(self._path), exist_ok=True)
        self._fd = os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self._size = os.fstat(self._fd).st_size
