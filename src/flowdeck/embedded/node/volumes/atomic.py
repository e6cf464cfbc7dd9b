"""Folders whose content changes all at once: `..data` is a symbolic link that is swapped.

    ..2026_11_24_07_08_19.000000000/   the files
    ..data -> ..2026_11_24_...         swapped by a rename
    token -> ..data/token              what containers open
Source: kubernetes/kubernetes (pkg/volume/util/atomic_writer.go).
"""

import os
import shutil
import time
from pathlib import Path

from flowdeck.embedded.node.volumes.payload import File, Payload

_DATA = "..data"


def write_all(folder: Path, payload: Payload, *, owner: int = -1, group: int = -1) -> bool:
    """Makes the folder hold exactly that payload; False when it did already. Readers never see a mixture."""
    folder.mkdir(parents=True, exist_ok=True)
    if _current(folder) == dict(payload):
        return False
    stamp = time.strftime("..%Y_%m_%d_%H_%M_%S", time.gmtime()) + f".{time.time_ns() % 10**9:09d}"
    fresh = folder / stamp
    _write(fresh, payload, owner, group)
    before = os.readlink(folder / _DATA) if (folder / _DATA).is_symlink() else None
    swap = folder / "..data_tmp"
    swap.unlink(missing_ok=True)
    swap.symlink_to(stamp)
    swap.rename(folder / _DATA)
    _link_names(folder, payload)
    for old in folder.iterdir():
        if old.name.startswith("..") and old.name not in (_DATA, stamp) and (before is None or old.is_dir()):
            shutil.rmtree(old, ignore_errors=True)
    return True


def _current(folder: Path) -> dict[str, File] | None:
    data = folder / _DATA
    if not data.is_symlink():
        return None
    found = {}
    for path in data.rglob("*"):
        if path.is_file():
            found[str(path.relative_to(data))] = File(path.read_bytes(), path.stat().st_mode & 0o7777)
    return found


def _write(folder: Path, payload: Payload, owner: int, group: int) -> None:
    folder.mkdir(mode=0o755)
    for name, file in payload.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
        if owner >= 0 or group >= 0:
            os.chown(path, owner, group)
        path.chmod(file.mode)


def _link_names(folder: Path, payload: Payload) -> None:
    tops = {name.split("/")[0] for name in payload}
    for top in tops:
        link = folder / top
        if not link.is_symlink():
            link.symlink_to(f"{_DATA}/{top}")
    for entry in folder.iterdir():
        if entry.is_symlink() and not entry.name.startswith("..") and entry.name not in tops:
            entry.unlink()
