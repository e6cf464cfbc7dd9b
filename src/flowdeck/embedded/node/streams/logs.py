"""A container's log, read from its files: the last lines, since when, with times, followed until the container ends.

The files are in the format of the container runtime interface, oldest first, the last one still growing:
`2026-11-24T07:08:19.000000123Z stdout F text` (`P`: the text goes on in the next line).
Source: kubernetes/kubernetes (pkg/kubelet/kuberuntime/logs).
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from flowdeck.embedded.node.streams.file_events import FolderEvents

_CHUNK_BYTES = 1 << 16
_LOOK_AGAIN_S = 1.0
"""How long a follower waits for news before it asks whether the container still runs."""


@dataclass(frozen=True, kw_only=True)
class LogOptions:
    """What a client asked for."""

    follow: bool = False
    tail_lines: int | None = None
    limit_bytes: int | None = None
    since: datetime | None = None
    timestamps: bool = False
    stream: str = ""
    """`stdout`, `stderr`, or empty for both."""


Ended = Callable[[Path], Awaitable[bool]]
"""Whether nothing more will be written to that file: the container has ended, or another attempt has taken over."""


async def read_log(
    files: Sequence[Path], options: LogOptions, *, ended: Ended, events: FolderEvents
) -> AsyncGenerator[bytes, None]:
    """The log as a client gets it, in pieces of whole lines as they come."""
    left = options.limit_bytes
    async with contextlib.aclosing(_pieces(files, options, ended, events)) as pieces:
        async for piece in pieces:
            if left is not None:
                piece = piece[:left]
                left -= len(piece)
            if piece:
                yield piece
            if left == 0:
                return


async def _pieces(
    files: Sequence[Path], options: LogOptions, ended: Ended, events: FolderEvents
) -> AsyncGenerator[bytes, None]:
    if not files:
        return
    lines = _Lines(options)
    opened = [handle for path in files if (handle := _open(path))]
    try:
        first, offset = _start(opened, options.tail_lines)
        for handle in opened[first:]:
            handle.seek(offset)
            offset = 0
            for piece in _rest(handle, lines):
                yield piece
        if options.follow and opened:
            async with contextlib.aclosing(_growth(opened, files[-1], lines, ended, events)) as growth:
                async for piece in growth:
                    yield piece
        yield lines.finish()
    finally:
        for handle in opened:
            handle.close()


async def _growth(
    opened: list[BinaryIO], path: Path, lines: "_Lines", ended: Ended, events: FolderEvents
) -> AsyncGenerator[bytes, None]:
    """What comes after the end, over rotations, until the container has ended and all is read."""
    with events.watching(path.parent) as news:
        while True:
            news.clear()
            is_over = await ended(path)
            for piece in _rest(opened[-1], lines):
                yield piece
            if successors := _successors(opened[-1], path):
                for piece in _rest(opened[-1], lines):  # what came between the last look and the rotation
                    yield piece
                opened += successors
                for handle in successors[:-1]:
                    for piece in _rest(handle, lines):
                        yield piece
                continue
            if is_over:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_AGAIN_S):
                    await news.wait()


class _Lines:
    """Turns bytes of a log file into what the client sees."""

    def __init__(self, options: LogOptions) -> None:
        self._since = options.since.timestamp() if options.since else None
        self._timestamps = options.timestamps
        self._stream = options.stream.encode()
        self._unread = b""
        self._is_inside = False
        """The line before was only a part."""

    def take(self, data: bytes) -> bytes:
        *whole, self._unread = (self._unread + data).split(b"\n")
        return b"".join(filter(None, map(self._shown, whole)))

    def finish(self) -> bytes:
        last, self._unread = self._unread, b""
        return self._shown(last) if last else b""

    def _shown(self, line: bytes) -> bytes:
        moment, _, rest = line.partition(b" ")
        stream, _, rest = rest.partition(b" ")
        tag, _, text = rest.partition(b" ")
        if self._stream and stream != self._stream:
            return b""
        if self._since is not None and _seconds(moment) < self._since:
            return b""
        start = moment + b" " if self._timestamps and not self._is_inside else b""
        self._is_inside = tag == b"P"
        return start + text + (b"" if self._is_inside else b"\n")


def _seconds(moment: bytes) -> float:
    try:
        return datetime.fromisoformat(moment.decode()).timestamp()
    except ValueError:
        return float("inf")  # a torn line is rather shown than lost


def _rest(handle: BinaryIO, lines: _Lines) -> Iterator[bytes]:
    while data := handle.read(_CHUNK_BYTES):
        if piece := lines.take(data):
            yield piece


def _start(opened: Sequence[BinaryIO], tail_lines: int | None) -> tuple[int, int]:
    """Index of the file and offset in it where the last `tail_lines` lines begin."""
    if tail_lines is None:
        return 0, 0
    if tail_lines == 0:
        return len(opened) - 1, _size(opened[-1]) if opened else 0
    missing = tail_lines
    for index in range(len(opened) - 1, -1, -1):
        offset, missing = _offset_of_tail(opened[index], missing)
        if missing == 0:
            return index, offset
    return 0, 0


def _offset_of_tail(handle: BinaryIO, wanted: int) -> tuple[int, int]:
    """Where the last `wanted` whole lines of a file begin, and how many are missing to that number."""
    end = _size(handle)
    buffer = b""
    while end > 0:
        start = max(0, end - _CHUNK_BYTES)
        handle.seek(start)
        buffer = handle.read(end - start) + buffer
        end = start
        begins = _line_begins(buffer, is_whole=start == 0)
        if len(begins) >= wanted:
            return start + begins[-wanted], 0
    begins = _line_begins(buffer, is_whole=True)
    return 0, wanted - len(begins)


def _line_begins(buffer: bytes, *, is_whole: bool) -> list[int]:
    """Offsets at which a line of the container begins: not those that go on with a part."""
    begins = []
    at = 0 if is_whole else buffer.find(b"\n") + 1
    is_inside = not is_whole  # unknown: the line that the buffer begins with may be a part
    while at < len(buffer) and not (at == 0 and not is_whole):
        end = buffer.find(b"\n", at)
        line = buffer[at : end if end >= 0 else len(buffer)]
        if not is_inside:
            begins.append(at)
        is_inside = line.split(b" ", 3)[2:3] == [b"P"]
        if end < 0:
            break
        at = end + 1
    return begins


def _size(handle: BinaryIO) -> int:
    return os.fstat(handle.fileno()).st_size


def _open(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb", buffering=0)
    except FileNotFoundError:
        return None


def _successors(handle: BinaryIO, path: Path) -> list[BinaryIO]:
    """The files that came after `handle` by rotation (`path.2`, `path.1`, `path`), oldest first; none: not rotated."""
    me = os.fstat(handle.fileno()).st_ino
    found: list[BinaryIO] = []
    number = 0
    while younger := _open(path if number == 0 else path.with_name(f"{path.name}.{number}")):
        if os.fstat(younger.fileno()).st_ino == me:
            younger.close()
            return found
        found.insert(0, younger)
        number += 1
    return found if number else []
