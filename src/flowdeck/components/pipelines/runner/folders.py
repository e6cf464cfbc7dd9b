"""The folder of a task's attempt: what its pod is told there, and what that leaves.

Users' programs write there, too: no link is followed, nothing is waited for, nothing is read without a limit.
"""

import os
import stat
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from flowdeck.artifacts.no_links import entered, inside
from flowdeck.components.pipelines.runner.outputs import BadOutput, Collected, Written
from flowdeck.kube.errors import BadRequest, NotFound
from flowdeck.kube.objects import Tree

LAUNCH = ".launch.json"
PARAMETERS = ".parameters"
"""The folder of output parameters, a file each."""
OUTPUT = "output_metadata.json"
"""What a Python component says of its outputs."""
MAX_OUTPUTS = 32 * 1024 * 1024
"""Bytes of all that a task hands on."""
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ANYBODY = 0o777
"""Programs may run as any user, and nobody but the pod and the platform comes by."""


@dataclass(frozen=True)
class Folder:
    """See the module's text. Raises `NotAFolder` where a link or a file is on the way to it."""

    root: Path
    """What only the platform writes to."""
    path: str
    """Below it; no part of it is `..`."""

    def lay_out(self, launch: Tree) -> None:
        """Makes the folder, with the launcher's document in it; whole or not at all. Raises `OSError`."""
        *above, name = self._parts
        with self._inside(above, make=True) as parent, _open_to_anybody(name, parent) as folder:
            with _open_to_anybody(PARAMETERS, folder):
                pass
            _keep(folder, LAUNCH, msgspec.json.encode(launch))

    def keep(self, name: str, data: bytes) -> None:
        """Puts a file there, whole or not at all. Raises `OSError`."""
        with self._inside(self._parts, make=True) as folder:
            _keep(folder, name, data)

    def kept(self, name: str) -> bytes:
        """What is in such a file. Raises `NotFound`."""
        try:
            with inside(self.root, self._parts) as folder:
                handle = os.open(name, _FILE, dir_fd=folder)
        except OSError as error:
            raise NotFound(f"there is no {name} in {self.path}") from error
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise NotFound(f"{name} in {self.path} is no file")
            return file.read()

    def collected(self, parameters: Collection[str]) -> Collected:
        """What the program of an attempt that ended well has left; `parameters` are those that it promised.

        Raises `BadOutput`.
        """
        try:
            with inside(self.root, self._parts) as folder:
                return _collected(folder, parameters)
        except FileNotFoundError as error:
            raise BadOutput(f"failed to read the outputs: {self.path} is gone") from error

    @property
    def _parts(self) -> list[str]:
        return [part for part in self.path.split("/") if part]

    @contextmanager
    def _inside(self, parts: Sequence[str], *, make: bool) -> Iterator[int]:
        try:
            with inside(self.root, parts, make=make) as folder:
                yield folder
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotAFolder(
                f"{self.path} cannot be made: {error.filename or error} on the way is no folder"
            ) from error


class NotAFolder(BadRequest):
    """A program has put something else where a folder would be."""


@contextmanager
def _open_to_anybody(name: str, parent: int) -> Iterator[int]:
    """A folder in another, made if it is missing, then with rights for anybody."""
    try:
        os.mkdir(name, dir_fd=parent)
    except FileExistsError:
        is_new = False
    else:
        is_new = True
    with entered(name, parent) as folder:
        if is_new:
            os.fchmod(folder, _ANYBODY)
        yield folder


def _keep(folder: int, name: str, data: bytes) -> None:
    draft = f"{name}.new"
    with suppress(FileNotFoundError):
        os.unlink(draft, dir_fd=folder)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=folder)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    os.replace(draft, name, src_dir_fd=folder, dst_dir_fd=folder)


def _collected(folder: int, parameters: Collection[str]) -> Collected:
    room = MAX_OUTPUTS
    texts: dict[str, str] = {}
    written = _read(folder, OUTPUT, room)
    room -= len(written or b"")
    with _opened(PARAMETERS, os.O_DIRECTORY, folder) as place:
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
def _opened(name: str, flags: int, folder: int) -> Iterator[int]:
    try:
        handle = os.open(name, _FILE | flags, dir_fd=folder)
    except OSError as error:
        raise BadOutput(f"failed to read the outputs: {name}: {error.strerror}") from error
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
