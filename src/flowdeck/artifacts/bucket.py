"""What a bucket does, and one that is an object store's."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import obstore

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Found:
    """One object."""

    key: str
    size: int
    """Bytes."""
    modified: datetime


class Bucket(Protocol):
    """Raises `FileNotFoundError`, `OSError` or what obstore raises."""

    async def put(self, key: str, data: bytes | Path) -> None:
        """All or nothing."""
        ...

    def chunks(self, key: str, begin: int, end: int | None) -> AsyncIterator[bytes]:
        """The bytes from `begin` on, up to `end`, which is not included; None: all."""
        ...

    async def find(self, key: str) -> Found: ...

    def list(self, prefix: str) -> AsyncIterator[Found]:
        """What is below, by key; nothing is below an object itself. Empty: all."""
        ...

    async def delete(self, key: str) -> None: ...


@dataclass(frozen=True)
class StoreBucket:
    """By way of obstore."""

    store: Any

    async def put(self, key: str, data: bytes | Path) -> None:
        await obstore.put_async(self.store, key, data)

    async def chunks(self, key: str, begin: int, end: int | None) -> AsyncIterator[bytes]:
        options: Any = None
        if begin or end is not None:
            options = {"range": {"offset": begin} if end is None else (begin, end)}
        found = await obstore.get_async(self.store, key, options=options)
        async for chunk in found.stream(min_chunk_size=CHUNK_BYTES):
            yield bytes(chunk)

    async def find(self, key: str) -> Found:
        return _found(await obstore.head_async(self.store, key))

    async def list(self, prefix: str) -> AsyncIterator[Found]:
        async for batch in obstore.list(self.store, prefix or None):
            for meta in sorted(batch, key=lambda meta: meta["path"]):
                yield _found(meta)

    async def delete(self, key: str) -> None:
        await obstore.delete_async(self.store, key)


def _found(meta: Any) -> Found:
    return Found(meta["path"], meta["size"], meta["last_modified"])
