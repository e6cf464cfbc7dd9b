"""The way to a folder that programs of users can write to: no link is followed."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextlib.contextmanager
def inside(root: Path, folders: Sequence[str], *, make: bool = False) -> Iterator[int]:
    """The descriptor of a folder below `root`, which is trusted; `make` makes what is missing, `root` too.

    Raises `FileNotFoundError` also where a link or a file is on the way.
    """
    if make:
        root.mkdir(parents=True, exist_ok=True)
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in folders:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, dir_fd=handle)
            try:
                inner = os.open(name, _FOLDER, dir_fd=handle)
            except OSError as error:
                raise FileNotFoundError(name) from error
            os.close(handle)
            handle = inner
        yield handle
    finally:
        os.close(handle)


@contextlib.contextmanager
def entered(name: str, folder: int) -> Iterator[int]:
    """The descriptor of a folder in another. Raises `OSError`, also for a link."""
    handle = os.open(name, _FOLDER, dir_fd=folder)
    try:
        yield handle
    finally:
        os.close(handle)
