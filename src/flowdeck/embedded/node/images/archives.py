"""Images from files: `docker save` and OCI archives, found by name and unpacked once, for the namespaces driver.

folder/<digest of the file's path>/rootfs        the unpacked layers
folder/<digest of the file's path>/image.json    written last: without it the folder is a ruin
"""

import asyncio
import hashlib
import json
import os
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from flowdeck.embedded.node.contract import Image, ImageError
from flowdeck.embedded.node.images.layers import Unpacked, unpack_layer
from flowdeck.embedded.node.images.table import Row

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_LONGEST_JSON_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class _Manifest:
    """Where in the archive the parts of one image are."""

    config: str
    layers: Sequence[str]


class Archives:
    """The unpacked archives below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._turn = asyncio.Lock()

    def find(self, reference: str, row: Row) -> Image | None:
        """The image, unless it must be unpacked first (never yet, or the file has changed)."""
        place = self._place(row)
        try:
            tree = json.loads((place / "image.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        if tree["stamp"] != (_stamp(Path(row.archive)) or tree["stamp"]):
            return None
        return _image(reference, row, place / "rootfs", tree)

    async def unpack(self, reference: str, row: Row) -> Image:
        """Raises `ImageError` (`ErrImagePull`) for what is no image of this machine's sort."""
        async with self._turn:
            if ready := self.find(reference, row):
                return ready
            try:
                await asyncio.to_thread(self._unpack, reference, row)
            except (OSError, tarfile.TarError, ValueError, KeyError, IndexError, TypeError) as error:
                raise ImageError("ErrImagePull", f"cannot unpack {row.archive}: {error}") from error
        ready = self.find(reference, row)
        assert ready is not None
        return ready

    def _place(self, row: Row) -> Path:
        return self._folder / hashlib.sha256(row.archive.encode()).hexdigest()[:32]

    def _unpack(self, reference: str, row: Row) -> None:
        place, file = self._place(row), Path(row.archive)
        shutil.rmtree(place, ignore_errors=True)
        root = place / "rootfs"
        root.mkdir(mode=0o755, parents=True)
        stamp = _stamp(file)
        with tarfile.open(file) as archive:
            manifest = _manifest(archive, reference)
            config = _json(archive, manifest.config)
            unpacked = Unpacked(root)
            for layer in manifest.layers:
                with _opened(archive, layer) as raw:
                    unpack_layer(raw, unpacked)
        tree = {
            "stamp": stamp,
            "digest": hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest(),
            "sizeBytes": unpacked.size_bytes,
            "config": config.get("config") or {},
        }
        draft = place / "image.draft"
        draft.write_text(json.dumps(tree))
        draft.replace(place / "image.json")


def _image(reference: str, row: Row, root: Path, tree: dict[str, Any]) -> Image:
    config = tree["config"]
    pairs = [entry.partition("=") for entry in config.get("Env") or ()]
    return Image(
        reference=reference,
        digest=f"flowdeck://sha256:{tree['digest']}",
        root=root,
        entrypoint=row.entrypoint or tuple(config.get("Entrypoint") or ()),
        command=row.command or tuple(config.get("Cmd") or ()),
        env={name: value for name, _, value in pairs} | row.env,
        working_dir=row.working_dir or config.get("WorkingDir") or "",
        user=config.get("User") or "",
    )


def _stamp(file: Path) -> list[int] | None:
    try:
        meta = file.stat()
    except FileNotFoundError:
        return None
    return [meta.st_mtime_ns, meta.st_size]


def _manifest(archive: tarfile.TarFile, reference: str) -> _Manifest:
    names = set(archive.getnames())
    if "manifest.json" in names:
        return _docker_manifest(_json(archive, "manifest.json"), reference)
    if "index.json" in names:
        return _oci_manifest(archive, _json(archive, "index.json"), reference)
    raise ValueError("neither a docker-save nor an OCI archive: it has no manifest.json and no index.json")


def _docker_manifest(entries: Any, reference: str) -> _Manifest:
    named = [entry for entry in entries if reference in (entry.get("RepoTags") or ())]
    entry = (named or entries)[0]
    return _Manifest(entry["Config"], entry["Layers"])


def _oci_manifest(archive: tarfile.TarFile, index: Any, reference: str) -> _Manifest:
    """Follows indexes down to the manifest for this machine's architecture."""
    for _ in range(4):
        if "layers" in index:
            layers = [_blob(layer["digest"]) for layer in index["layers"]]
            return _Manifest(_blob(index["config"]["digest"]), layers)
        index = _json(archive, _blob(_chosen(index["manifests"], reference)["digest"]))
    raise ValueError("indexes within indexes")


def _chosen(manifests: Sequence[Any], reference: str) -> Any:
    wanted = _ARCHITECTURES.get(os.uname().machine, os.uname().machine)
    fitting = [
        each for each in manifests if (each.get("platform") or {}).get("architecture", wanted) in (wanted, "unknown")
    ]
    if not fitting:
        raise ValueError(f"it has no image for {wanted}")
    tag = reference.rpartition(":")[2]
    named = [
        each
        for each in fitting
        if (each.get("annotations") or {}).get("org.opencontainers.image.ref.name") in (reference, tag)
    ]
    return (named or fitting)[0]


def _blob(digest: str) -> str:
    algorithm, _, value = digest.partition(":")
    if not (algorithm.isalnum() and value.isalnum()):
        raise ValueError(f"a bad digest: {digest!r}")
    return f"blobs/{algorithm}/{value}"


@contextmanager
def _opened(archive: tarfile.TarFile, name: str) -> Iterator[IO[bytes]]:
    """A file of the archive; docker-save once wrote layers as symbolic links to each other."""
    member = archive.getmember(name)
    for _ in range(8):
        if not member.issym():
            break
        member = archive.getmember(os.path.normpath(os.path.join(os.path.dirname(member.name), member.linkname)))
    raw = archive.extractfile(member)
    if raw is None:
        raise ValueError(f"{name} is no file")
    with raw:
        yield raw


def _json(archive: tarfile.TarFile, name: str) -> Any:
    with _opened(archive, name) as raw:
        data = raw.read(_LONGEST_JSON_BYTES + 1)
    if len(data) > _LONGEST_JSON_BYTES:
        raise ValueError(f"{name} is too long")
    if name.startswith("blobs/sha256/") and hashlib.sha256(data).hexdigest() != name.rpartition("/")[2]:
        raise ValueError(f"{name} is not what its digest says")
    return json.loads(data)
