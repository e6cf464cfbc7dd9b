"""Tells when something happens in a folder: by inotify on Linux, by looking ten times a second elsewhere."""

import asyncio
import ctypes
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_WANTED = 0x2 | 0x8 | 0x40 | 0x80 | 0x100 | 0x200  # modify, close after write, moved from, moved to, create, delete
_LOOK_EVERY_S = 0.1


class FolderEvents:
    """All watched folders of one process, on one inotify descriptor."""

    def __init__(self) -> None:
        self._inotify = -1
        self._libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
        self._events: dict[int, set[asyncio.Event]] = {}

    @contextmanager
    def watching(self, folder: Path) -> Iterator[asyncio.Event]:
        """An event that is set whenever something happened in the folder; whoever waits clears it."""
        event = asyncio.Event()
        watch = self._add(folder) if self._libc is not None else -1
        if watch < 0:  # not Linux, or the machine's limit of watches is reached
            ticking = asyncio.create_task(_tick(event))
            try:
                yield event
            finally:
                ticking.cancel()
            return
        self._events.setdefault(watch, set()).add(event)
        try:
            yield event
        finally:
            self._remove(watch, event)

    def _add(self, folder: Path) -> int:
        assert self._libc is not None
        if self._inotify < 0:
            self._inotify = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
            if self._inotify < 0:
                return -1
            asyncio.get_running_loop().add_reader(self._inotify, self._on_readable)
        watch: int = self._libc.inotify_add_watch(self._inotify, os.fsencode(folder), _WANTED)
        return watch

    def _remove(self, watch: int, event: asyncio.Event) -> None:
        assert self._libc is not None
        self._events[watch].discard(event)
        if not self._events[watch]:
            del self._events[watch]
            self._libc.inotify_rm_watch(self._inotify, watch)
        if not self._events:
            asyncio.get_running_loop().remove_reader(self._inotify)
            os.close(self._inotify)
            self._inotify = -1

    def _on_readable(self) -> None:
        try:
            data = os.read(self._inotify, 1 << 16)
        except BlockingIOError:
            return
        at = 0
        while at < len(data):
            watch, _, _, length = struct.unpack_from("iIII", data, at)
            at += 16 + length
            for event in self._events.get(watch, ()):
                event.set()


async def _tick(event: asyncio.Event) -> None:
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        event.set()
