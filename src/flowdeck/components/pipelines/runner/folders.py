"""The folder of a task's attempt: what its pod is told there, and what that leaves.

Users' programs write there, too: no link is followed, nothing is waited for, nothing is read without a limit.
"""

import os
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from flowdeck.components.pipelines.runner.outputs import BadOutput, Collected, Written
from flowdeck.kube.errors import NotFound
from flowdeck.kube.objects import Tree

LAUNCH = ".launch.json"
PARAMETERS = ".parameters"
"""The folder of output parameters, a file each."""
OUTPUT = "output_metadata.json"
"""What a Python component says of its outputs."""
MAX_OUTPUTS = 32 * 1024 * 1024
"""Bytes of all that a task hands on."""
_ANYBODY = 0o777
"""Programs may run as any user, and nobody but the pod and the platform comes by."""


def lay_out(folder: Path, launch: Tree) -> None:
    """Makes the folder, with the launcher's document in it; whole or not at all. Raises `OSError`."""
    for each in (folder, folder / PARAMETERS):
        each.parent.mkdir(parents=True, exist_ok=True)
        try:
            each.mkdir()
        except FileExistsError:
            continue
        each.chmod(_ANYBODY)
    keep(folder, LAUNCH, msgspec.json.encode(launch))


def keep(folder: Path, name: str, data: bytes) -> None:
    """Puts a file there, whole or not at all. Raises `OSError`."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f"{name}.new"
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644), "wb") as file:
        file.write(data)
    draft.replace(folder / name)


def kept(folder: Path, name: str) -> bytes:
    """What is in such a file. Raises `NotFound`."""
    try:
        handle = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise NotFound(f"there is no {name} in {folder.name}") from error
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise NotFound(f"{name} in {folder.name} is no file")
        return file.read()


def collected(folder: Path, parameters: Collection[str]) -> Collected:
    """What the program of an attempt that ended well has left; `parameters` are those that it promised.

    Raises `BadOutput`.
    """
    room = MAX_OUTPUTS
    texts: dict[str, str] = {}
    with _opened(folder, os.O_DIRECTORY) as root:
        written = _read(root, OUTPUT, room)
        room -= len(written or b"")
        with _opened(PARAMETERS, os.O_DIRECTORY, root) as place:
            for name in parameters:
                data = _read(place, name, room)
                if data is not None:
                    room -= len(data)
                    texts[name] = data.decode(errors="replace")
    if written is None:
        return Collected(None, texts)
    try:
        return Collected(msgspec.json.decode(written, type=Written), texts)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadOutput(f"failed to read the outputs: {OUTPUT}: {error}") from error


@contextmanager
def _opened(path: str | Path, flags: int, folder: int | None = None) -> Iterator[int]:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | flags, dir_fd=folder)
    except OSError as error:
        raise BadOutput(f"failed to read the outputs: {os.path.basename(path)}: {error.strerror}") from error
    try:
        yield handle
    finally:
        os.close(handle)


def _read(folder: int, name: str, room: int) -> bytes | None:
    """A file's content; None when there is none. Raises `BadOutput`."""
    if "/" in name or name in (".", ".."):
        raise BadOutput(f"failed to read the outputs: {name!r} is no name of a file")
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    with _opened(name, 0, folder) as handle:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise BadOutput(f"failed to read the outputs: {name} is no file")
        with os.fdopen(os.dup(handle), "rb") as file:
            data = file.read(room + 1)
    if len(data) > room:
        raise BadOutput(f"failed to read the outputs: more than {MAX_OUTPUTS} bytes; large data belongs into artifacts")
    return data
