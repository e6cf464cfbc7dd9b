"""The folder of a task's attempt on this machine: what its launcher is told there, and what that leaves.

Users' programs write there, too: no link is followed, nothing is waited for, nothing is read without a limit.
"""

import os
import stat
from pathlib import Path

import msgspec

from flowdeck.components.pipelines.runner.outputs import BadOutput, Collected
from flowdeck.kube.objects import Tree

LAUNCH = ".launch.json"
OUTPUTS = ".outputs.json"
MAX_OUTPUTS = 32 * 1024 * 1024
"""Bytes of all that a task hands on."""


def lay_out(folder: Path, launch: Tree) -> None:
    """Makes the folder, with the launcher's document in it; whole or not at all. Raises `OSError`."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f"{LAUNCH}.new"
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644), "wb") as file:
        file.write(msgspec.json.encode(launch))
    draft.replace(folder / LAUNCH)


def outputs_in(folder: Path) -> Collected:
    """What the launcher of an attempt that ended well has left. Raises `BadOutput`."""
    try:
        handle = os.open(folder / OUTPUTS, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise BadOutput(f"failed to read the outputs: {OUTPUTS}: {error.strerror}") from error
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise BadOutput(f"failed to read the outputs: {OUTPUTS} is no file")
        data = file.read(MAX_OUTPUTS + 1)
    if len(data) > MAX_OUTPUTS:
        raise BadOutput(f"failed to read the outputs: more than {MAX_OUTPUTS} bytes; large data belongs into artifacts")
    try:
        return msgspec.json.decode(data, type=Collected)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadOutput(f"failed to read the outputs: {error}") from error
