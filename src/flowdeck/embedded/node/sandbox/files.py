"""Small files that survive a crash: written whole or not at all. Standard library only."""

import errno
import json
import os
import time
from typing import Any

ROOM_RETRY_S = 0.5
"""How often a full disk is tried again."""


def write_whole(path: str, tree: dict[str, Any], *, sync: bool = False) -> None:
    """Replaces a JSON file; after a crash the old or the new content is there, never a part.

    With `sync` it has outlived a power cut when this returns.
    """
    partial = f"{path}.{os.getpid()}.tmp"
    _write(partial, tree, 0o600, sync=sync)
    os.rename(partial, path)
    if sync:
        _sync_folder(path)


def is_full(error: OSError) -> bool:
    """Whether there was no room: on the disk, or in what this user may have of it."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def write_when_there_is_room(path: str, tree: dict[str, Any], *, sync: bool = False) -> None:
    """As `write_whole`; while the disk is full it waits: for what must not be lost."""
    while True:
        try:
            return write_whole(path, tree, sync=sync)
        except OSError as error:
            if not is_full(error):
                raise
        time.sleep(ROOM_RETRY_S)


def claim(path: str, tree: dict[str, Any]) -> bool:
    """Creates a JSON file, with its content, unless it exists; of several callers exactly one gets True."""
    partial = f"{path}.{os.getpid()}.tmp"
    try:
        _write(partial, tree, 0o600, sync=False)  # a power cut ends the claimer too
        os.link(partial, path)
    except FileExistsError:
        return False
    finally:
        os.unlink(partial)
    return True


def read(path: str) -> dict[str, Any] | None:
    """The file's tree, or None where there is no such file."""
    try:
        with open(path, "rb") as file:
            tree: dict[str, Any] = json.load(file)
            return tree
    except (FileNotFoundError, NotADirectoryError):
        return None


def _write(path: str, tree: dict[str, Any], mode: int, *, sync: bool) -> None:
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        data = memoryview(json.dumps(tree).encode())
        while data:  # a disk that is nearly full takes a part
            data = data[os.write(fd, data) :]
        if sync:
            os.fsync(fd)
    finally:
        os.close(fd)


def _sync_folder(path: str) -> None:
    fd = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
