"""Unpacks a layer of an image over the layers below it; whatever it holds, nothing outside the root is touched.

Source: opencontainers/image-spec (layer.md: whiteouts).
"""

import os
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from flowdeck.embedded.node.sandbox.paths import resolve_inside

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
MOST_BYTES = 64 * 1024**3
MOST_ENTRIES = 2_000_000


@dataclass
class Unpacked:
    """A root folder that grows, layer by layer."""

    root: Path
    size_bytes: int = 0
    entries: int = 0

    def count(self, member: tarfile.TarInfo) -> None:
        """Raises `ValueError` for what no image holds."""
        self.size_bytes += member.size
        self.entries += 1
        if self.size_bytes > MOST_BYTES or self.entries > MOST_ENTRIES:
            raise ValueError("the image is too large")


def unpack_layer(raw: IO[bytes], unpacked: Unpacked) -> None:
    """Raises `ValueError`, `OSError`, `tarfile.TarError`."""
    magic = raw.read(4)
    raw.seek(0)
    if magic == b"\x28\xb5\x2f\xfd":
        raise ValueError("a layer is compressed with zstd; save the image with gzip or without compression")
    own: set[str] = set()
    with tarfile.open(fileobj=raw, mode="r:*") as layer:
        for member in layer:
            unpacked.count(member)
            _place(layer, member, unpacked.root, own)


def _place(layer: tarfile.TarFile, member: tarfile.TarInfo, root: Path, own: set[str]) -> None:
    name = _safe(member.name)
    if not name:
        return
    folder, _, base = name.rpartition("/")
    parent = resolve_inside(str(root), folder, folder=True)
    if base == _OPAQUE:
        _clear(parent, own)
        return
    if base.startswith(_WHITEOUT):
        _remove(os.path.join(parent, base.removeprefix(_WHITEOUT)))
        return
    target = os.path.join(parent, base)
    own.add(target)
    _make(layer, member, target, root)


def _make(layer: tarfile.TarFile, member: tarfile.TarInfo, target: str, root: Path) -> None:
    if member.isdir():
        if os.path.islink(target) or not os.path.isdir(target):
            _remove(target)
            os.mkdir(target, 0o755)
    elif member.issym():
        _remove(target)
        os.symlink(member.linkname, target)
    elif member.islnk():
        folder, _, base = _safe(member.linkname).rpartition("/")
        source = os.path.join(resolve_inside(str(root), folder, folder=True), base)
        _remove(target)
        os.link(source, target, follow_symlinks=False)
        return
    elif member.isfile():
        _remove(target)
        _write(layer, member, target)
    else:
        return  # devices and pipes: a container gets its own
    _dress(member, target)


def _write(layer: tarfile.TarFile, member: tarfile.TarInfo, target: str) -> None:
    content = layer.extractfile(member)
    assert content is not None
    with os.fdopen(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600), "wb") as file:
        shutil.copyfileobj(content, file, 1 << 20)


def _dress(member: tarfile.TarInfo, target: str) -> None:
    """Owner (as root), mode without set-user-id, time."""
    if os.geteuid() == 0:
        os.chown(target, member.uid, member.gid, follow_symlinks=False)
    if not member.issym():
        os.chmod(target, member.mode & 0o1777 | (0o700 if member.isdir() else 0o400))
        os.utime(target, (member.mtime, member.mtime))


def _safe(name: str) -> str:
    """A member's path below the root; raises `ValueError` for one that leads out."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in name:
        raise ValueError(f"a path that leads out of the image: {name!r}")
    return "/".join(parts)


def _remove(target: str) -> None:
    if os.path.isdir(target) and not os.path.islink(target):
        shutil.rmtree(target)
    elif os.path.lexists(target):
        os.unlink(target)


def _clear(folder: str, own: set[str]) -> None:
    """Takes away what the layers below put into a folder."""
    for entry in os.listdir(folder):
        path = os.path.join(folder, entry)
        if path not in own:
            _remove(path)
