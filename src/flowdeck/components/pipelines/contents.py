"""What is behind artifacts: their content in the artifact store, to be looked at, downloaded and removed."""

import re
import tarfile
import zlib
from collections.abc import AsyncIterator

from starlette.responses import Response, StreamingResponse

from flowdeck.artifacts.artifacts import Artifacts, Info
from flowdeck.components.pipelines.runner.homes import Homes
from flowdeck.components.pipelines.store.artifacts import Artifact
from flowdeck.kube.errors import ApiError, NotFound

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_UNSAFE = re.compile(r"[^\w.-]+")
_BLOCK = tarfile.BLOCKSIZE


class RangeNotSatisfiable(ApiError):
    code = 416
    reason = "BadRequest"


async def size_of(store: Artifacts, uri: str) -> int | None:
    """Bytes of a file, or of all files of a folder; None when there is nothing."""
    found = await store.find(uri)
    if found is not None:
        return found.size
    sizes = [info.size async for info in store.list(uri)]
    return sum(sizes) if sizes else None


async def is_there(store: Artifacts, uri: str) -> bool:
    """Whether there is a file, or a file below."""
    if await store.find(uri) is not None:
        return True
    async for _ in store.list(uri):
        return True
    return False


async def download(store: Artifacts, uri: str, wanted: str) -> Response:
    """A file, or the part of it that `wanted` names (the header `Range`), or a folder as `.tar.gz`.

    Never shown by browsers as a page: programs of users wrote it. Raises `NotFound`, `RangeNotSatisfiable`.
    """
    name = _UNSAFE.sub("-", uri.rstrip("/").rpartition("/")[2]) or "artifact"
    file = await store.find(uri)
    if file is not None:
        return _file(store, file, name, wanted)
    if not await is_there(store, uri):
        raise NotFound(f"ResourceNotFoundError: content of {uri} not found.")
    return StreamingResponse(
        tarball(store, uri, name), headers=_headers(f"{name}.tar.gz"), media_type="application/gzip"
    )


def _file(store: Artifacts, file: Info, name: str, wanted: str) -> Response:
    begin, end = _part(wanted, file.size)
    headers = {**_headers(name), "accept-ranges": "bytes", "content-length": str(end - begin)}
    if (begin, end) != (0, file.size):
        headers["content-range"] = f"bytes {begin}-{end - 1}/{file.size}"
    return StreamingResponse(
        store.chunks(file.uri, begin, end),
        status_code=206 if "content-range" in headers else 200,
        headers=headers,
        media_type="application/octet-stream",
    )


def _headers(name: str) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="{name}"', "x-content-type-options": "nosniff"}


def _part(wanted: str, size: int) -> tuple[int, int]:
    """From which byte to before which one. What is no single range means all, as HTTP wants it."""
    match = _RANGE.fullmatch(wanted.strip())
    if match is None or not (match[1] or match[2]):
        return 0, size
    if not match[1]:
        return max(0, size - int(match[2])), size
    begin, end = int(match[1]), min(size, int(match[2]) + 1 if match[2] else size)
    if begin >= end:
        raise RangeNotSatisfiable(f"there are {size} bytes: {wanted!r} names none of them")
    return begin, end


async def tarball(store: Artifacts, uri: str, name: str) -> AsyncIterator[bytes]:
    """All files below a URI, in a folder called `name`, as a compressed tar archive, piece by piece."""
    packer = zlib.compressobj(wbits=31)
    async for info in store.list(uri):
        head = tarfile.TarInfo(f"{name}{info.uri.removeprefix(uri.rstrip('/'))}")
        head.size, head.mtime = info.size, int(info.modified.timestamp())
        yield packer.compress(head.tobuf())
        async for chunk in store.chunks(info.uri, 0, info.size):
            yield packer.compress(chunk)
        yield packer.compress(b"\0" * (-info.size % _BLOCK))
    yield packer.compress(b"\0" * (2 * _BLOCK)) + packer.flush()


async def remove_content(homes: Homes, artifact: Artifact) -> None:
    """If a task made it; there or not. Raises `ServiceUnavailable`, `BadRequest`."""
    if not artifact.is_ours or not artifact.uri:
        return
    store, uri = await homes.contents(artifact.namespace, artifact.uri)
    await store.delete(uri)
    async for info in store.list(uri):
        await store.delete(info.uri)
