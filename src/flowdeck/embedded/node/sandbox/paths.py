"""Paths of somebody who must not get out: of a container in its root, of a user in a volume. Standard library only."""

import os

from flowdeck.embedded.node.sandbox import linux


def open_sub_path(volume: int, path: str) -> int:
    """Opens a path inside a volume and closes the volume; folders that are missing are made."""
    try:
        done = ""
        for part in [part for part in path.split("/") if part not in ("", ".")]:
            done = f"{done}/{part}" if done else part
            try:
                os.close(linux.open_beneath(volume, done, os.O_PATH | os.O_CLOEXEC))
            except FileNotFoundError:
                parent = linux.open_beneath(volume, os.path.dirname(done) or ".", os.O_RDONLY | os.O_DIRECTORY)
                os.mkdir(part, 0o750, dir_fd=parent)
                os.close(parent)
        return linux.open_beneath(volume, done or ".", os.O_PATH | os.O_CLOEXEC)
    finally:
        os.close(volume)


def resolve_inside(top: str, path: str, *, folder: bool, depth: int = 0) -> str:
    """The place that `path` means for somebody whose root is `top`; what is missing is made.

    Symbolic links are followed as that somebody would, so that none leads out.
    """
    if depth > 40:
        raise OSError(40, f"too many symbolic links in {path}")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    current = ""
    for index, part in enumerate(parts):
        if part == "..":
            current = current.rpartition("/")[0]
            continue
        step = f"{current}/{part}"
        real = top + step
        is_last = index == len(parts) - 1
        if os.path.islink(real):
            link = os.readlink(real)
            rest = "/".join(parts[index + 1 :])
            start = link if link.startswith("/") else f"{current}/{link}"
            return resolve_inside(top, f"{start}/{rest}", folder=folder, depth=depth + 1)
        if not os.path.lexists(real):
            if is_last and not folder:
                touch(real)
            else:
                os.mkdir(real, 0o755)
        current = step
    return top + current


def touch(path: str) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
