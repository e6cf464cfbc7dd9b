"""The file that a user uploads: plain text, zip or gzipped tar, told apart by its content.

`text_of` gives the document's text. Whatever an archive claims, no more than `MAX_SIZE` bytes are unpacked.
"""

import io
import lzma
import tarfile
import zipfile
import zlib
from pathlib import PurePosixPath

from flowdeck.components.pipelines.errors import InvalidPipeline

MAX_SIZE = 32 * 1024 * 1024
"""Bytes of a file, and of the document in it."""
DOCUMENT = "pipeline.yaml"
"""The member of an archive that wins."""
_PLAIN = (".yaml", ".yml", ".json")
_YAML = (".yaml", ".yml")
_BROKEN = (zlib.error, lzma.LZMAError, EOFError, OSError, ValueError)
_SAY = "upload the file that `kfp dsl compile` wrote"


def text_of(data: bytes, file_name: str) -> str:
    """The text of the document; raises `InvalidPipeline`."""
    if not data.strip():
        raise InvalidPipeline(f"Invalid input error: the pipeline file is empty; {_SAY}")
    if len(data) > MAX_SIZE:
        raise InvalidPipeline(f"Invalid input error: the pipeline file is larger than {MAX_SIZE} bytes")
    if data.startswith(b"PK"):
        return _decoded(_from_zip(data))
    if data.startswith(b"\x1f\x8b"):
        return _decoded(_from_tar(data))
    if not file_name.lower().endswith(_PLAIN):
        raise InvalidPipeline(
            f"Invalid input error: {file_name!r} is no pipeline: its name should end in .yaml, .yml or .json, "
            "or it should be a zip or tar.gz archive"
        )
    return _decoded(data)


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidPipeline(f"Invalid input error: the pipeline file is no text; {_SAY}") from error


def _from_zip(data: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            name = _chosen([info.filename for info in archive.infolist() if not info.is_dir()])
            with archive.open(name) as member:
                return _capped(member.read(MAX_SIZE + 1))
    except (zipfile.BadZipFile, *_BROKEN, NotImplementedError, RuntimeError) as error:
        raise InvalidPipeline(f"Invalid input error: the zip file cannot be read ({error}); {_SAY}") from error


def _from_tar(data: bytes) -> bytes:
    try:
        with tarfile.open(fileobj=_Unpacked(data), mode="r|") as archive:
            return _capped(_tar_member(archive))
    except (tarfile.TarError, *_BROKEN) as error:
        raise InvalidPipeline(f"Invalid input error: the tar.gz file cannot be read ({error}); {_SAY}") from error


def _tar_member(archive: tarfile.TarFile) -> bytes:
    """The document of an archive that is read once, front to back."""
    first: tuple[str, bytes] | None = None
    for member in archive:
        file = archive.extractfile(member) if member.isfile() else None
        if file is None or (first is not None and PurePosixPath(member.name).name != DOCUMENT):
            continue
        content = file.read(MAX_SIZE + 1)
        if PurePosixPath(member.name).name == DOCUMENT:
            return content
        first = (member.name, content)
    _chosen([first[0]] if first is not None else [])
    return first[1] if first is not None else b""


class _Unpacked(io.RawIOBase):
    """A gzipped file, unpacked as it is read, and no further than an honest archive would go."""

    def __init__(self, data: bytes) -> None:
        self._rest = data
        self._unpacker = zlib.decompressobj(wbits=31)
        self._given = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        wanted = size if size > 0 else MAX_SIZE
        found = self._unpacker.decompress(self._rest, wanted)
        self._rest = self._unpacker.unconsumed_tail
        self._given += len(found)
        if self._given > 2 * MAX_SIZE:
            raise _too_large()
        return found


def _chosen(names: list[str]) -> str:
    """Which member of an archive is the document."""
    if not names:
        raise InvalidPipeline(f"Invalid input error: the archive is empty; {_SAY}")
    name = next((name for name in names if PurePosixPath(name).name == DOCUMENT), names[0])
    if not name.lower().endswith(_YAML):
        raise InvalidPipeline(
            f"Invalid input error: the archive holds no {DOCUMENT}, and its first file {name!r} is no YAML; {_SAY}"
        )
    return name


def _capped(content: bytes) -> bytes:
    if len(content) > MAX_SIZE:
        raise _too_large()
    return content


def _too_large() -> InvalidPipeline:
    return InvalidPipeline(f"Invalid input error: the archive unpacks to more than {MAX_SIZE} bytes")
