"""`fsGroup`: gives a volume's files to a group.

Source: kubernetes/kubernetes (pkg/volume/volume_linux.go SetVolumeOwnership).
"""

import contextlib
import os
import stat
from pathlib import Path


def give_to_group(root: Path, group: int, *, read_only: bool, only_if_root_differs: bool) -> None:
    """Makes everything below `root` belong to `group`, readable (and writable) by it; folders hand it on."""
    meta = root.stat()
    if only_if_root_differs and meta.st_gid == group and meta.st_mode & stat.S_ISGID:
        return
    for folder, _, names in os.walk(root, topdown=False):
        for name in names:
            _give(Path(folder) / name, group, read_only, is_folder=False)
        _give(Path(folder), group, read_only, is_folder=True)


def _give(path: Path, group: int, read_only: bool, *, is_folder: bool) -> None:
    if path.is_symlink():
        return
    mode = path.stat().st_mode | (0o440 if read_only else 0o660)
    if is_folder:
        mode |= stat.S_ISGID | 0o110
    with contextlib.suppress(PermissionError):
        os.chown(path, -1, group)
        path.chmod(stat.S_IMODE(mode))
