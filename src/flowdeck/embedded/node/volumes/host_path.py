"""hostPath volumes: a path of the machine, of the type that was asked for.

Source: kubernetes/kubernetes (pkg/volume/hostpath/host_path.go).
"""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from flowdeck.embedded.node.volumes.payload import VolumeError

_CHECKS = {
    "Directory": (stat.S_ISDIR, "a directory"),
    "File": (stat.S_ISREG, "a file"),
    "Socket": (stat.S_ISSOCK, "a socket"),
    "CharDevice": (stat.S_ISCHR, "a character device"),
    "BlockDevice": (stat.S_ISBLK, "a block device"),
}


def host_path(path: str, kind: str, *, hidden: Sequence[Path], allowed: Sequence[Path] = ()) -> Path:
    """The path, made or checked as `kind` says; raises `VolumeError`, also for what no pod may see."""
    place = Path(os.path.realpath(path))
    if any(place.is_relative_to(os.path.realpath(folder)) for folder in hidden) and not any(
        place.is_relative_to(os.path.realpath(folder)) for folder in allowed
    ):
        raise VolumeError(f"hostPath {path} belongs to the platform: no pod may see it")
    try:
        if kind == "DirectoryOrCreate":
            place.mkdir(mode=0o755, parents=True, exist_ok=True)
        elif kind == "FileOrCreate":
            place.touch(mode=0o644, exist_ok=True)
    except OSError as error:
        raise VolumeError(f"hostPath {path} cannot be made: {error.strerror}") from error
    wanted = {"DirectoryOrCreate": "Directory", "FileOrCreate": "File"}.get(kind, kind)
    if wanted in _CHECKS:
        check, told = _CHECKS[wanted]
        if not place.exists() or not check(place.stat().st_mode):
            raise VolumeError(f"hostPath type check failed: {path} is not {told}")
    elif not place.exists():
        place.mkdir(mode=0o755, parents=True, exist_ok=True)  # type "": a container runtime makes a folder
    return place
