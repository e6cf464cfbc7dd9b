"""A bucket that is a folder.

Programs of users write below it, too: no link is followed, nothing but a file is read. (obstore's own store of files
follows links.)
"""

import asyncio
import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import AsyncIterator, Generator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from flowdeck.artifacts.bucket import CHUNK_BYTES, Found
from flowdeck.artifacts.no_links import entered, inside

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DRAFT = ".flowdeck-draft-"
"""How names of files begin that are not all there yet."""
_DEEPEST = 100
"""Folders in each other."""
_BATCH = 1000


@dataclass(frozen=True)
class FolderBucket:
    """See `bucket.Bucket`."""

    folder: Path
    """That the buckets are in."""
    name: str

    async def put(self, key: str, data: bytes | Path) -> None:
        await asyncio.to_thread(self._put, key, data)

    async def chunks(self, key: str, begin: int, end: int | None) -> AsyncIterator[bytes]:
        file = await asyncio.to_thread(self._open, key)
        try:
            at, last = begin, os.fstat(file.fileno()).st_size if end is None else end
            while at < last:
                chunk = await asyncio.to_thread(os.pread, file.fileno(), min(CHUNK_BYTES, last - at), at)
                if not chunk:
                    return
                at += len(chunk)
                yield chunk
        finally:
            file.close()

    async def find(self, key: str) -> Found:
        def look() -> Found:
            with self._open(key) as file:
                return _found(key, os.fstat(file.fileno()))

        return await asyncio.to_thread(look)

    async def list(self, prefix: str) -> AsyncIterator[Found]:
        walk = self._walk(prefix)
        with contextlib.closing(walk):
            while batch := await asyncio.to_thread(lambda: list(islice(walk, _BATCH))):
                for found in batch:
                    yield found

    async def delete(self, key: str) -> None:
        await asyncio.to_thread(self._delete, key)

    # ----------------------------------------------------------------------------------------------------------

    def _put(self, key: str, data: bytes | Path) -> None:
        *folders, name = key.split("/")
        draft = f"{_DRAFT}{secrets.token_hex(8)}"
        with inside(self.folder, [self.name, *folders], make=True) as folder:
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=folder)
            with contextlib.ExitStack() as on_failure:
                on_failure.callback(os.unlink, draft, dir_fd=folder)
                with os.fdopen(handle, "wb") as target:
                    if isinstance(data, bytes):
                        target.write(data)
                    else:
                        with data.open("rb") as source:
                            shutil.copyfileobj(source, target, CHUNK_BYTES)
                os.replace(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
                on_failure.pop_all()

    def _open(self, key: str) -> BinaryIO:
        *folders, name = key.split("/")
        with inside(self.folder, [self.name, *folders]) as folder:
            try:
                file = os.fdopen(os.open(name, _FILE, dir_fd=folder), "rb")
            except OSError as error:
                raise FileNotFoundError(key) from error
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            raise FileNotFoundError(key)
        return file

    def _walk(self, prefix: str) -> Generator[Found, None, None]:
        folders = prefix.split("/") if prefix else []
        try:
            with inside(self.folder, [self.name, *folders]) as folder:
                yield from _below(folder, prefix, _DEEPEST)
        except FileNotFoundError:
            return

    def _delete(self, key: str) -> None:
        """With the folders that are empty then."""
        parts = key.split("/")
        with inside(self.folder, [self.name, *parts[:-1]]) as folder:
            try:
                os.unlink(parts[-1], dir_fd=folder)
            except IsADirectoryError as error:
                raise FileNotFoundError(key) from error
        with contextlib.suppress(OSError):
            for depth in range(len(parts) - 1, 0, -1):
                with inside(self.folder, [self.name, *parts[: depth - 1]]) as folder:
                    os.rmdir(parts[depth - 1], dir_fd=folder)


def _below(folder: int, prefix: str, deepest: int) -> Iterator[Found]:
    """The files in a folder and below, by their keys."""
    if deepest == 0:
        raise OSError(f"{prefix} has more than {_DEEPEST} folders in each other")
    with os.scandir(folder) as entries:
        known = [(entry.name, entry.is_dir(follow_symlinks=False), entry) for entry in entries]
    for name, is_folder, entry in sorted(known, key=lambda each: f"{each[0]}/" if each[1] else each[0]):
        key = f"{prefix}/{name}" if prefix else name
        if is_folder:
            with entered(name, folder) as inner:
                yield from _below(inner, key, deepest - 1)
        elif entry.is_file(follow_symlinks=False) and not name.startswith(_DRAFT):
            yield _found(key, os.stat(name, dir_fd=folder, follow_symlinks=False))


def _found(key: str, status: os.stat_result) -> Found:
    return Found(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))
