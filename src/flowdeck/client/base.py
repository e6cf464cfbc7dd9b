"""The promise of a client: `Reader`, `Writer`, `StatusWriter`, and `Client`, which is their sum.

Every method raises the `ApiError` that the server answered. Trees that come back from a `Reader` are shared with
others: read-only. All methods may be cancelled; a cancelled write may or may not have happened.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, Protocol, TypedDict, Unpack

from flowdeck.kube.objects import Kind, ObjectKey, Tree


class PatchType(StrEnum):
    """The content types of PATCH."""

    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"


Propagation = Literal["Background", "Foreground", "Orphan"]


@dataclass(frozen=True)
class ObjectList:
    """One consistent page of a collection, sorted by namespace and name."""

    items: Sequence[Tree]
    resource_version: str
    """Revision at which the list was read: where a watch goes on."""
    continue_token: str = ""
    """Not empty when there is a next page."""


@dataclass(frozen=True)
class WatchEvent:
    """One change; for `BOOKMARK` the object carries only its resourceVersion."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: Tree


class Selection(TypedDict, total=False):
    """Which objects of a kind: those that all that is said holds for."""

    namespace: str
    """`""`: of all namespaces."""
    labels: str
    """A selector in its text form: `app=web,tier!=cache`."""
    fields: str
    """`spec.nodeName=n1`."""


class Page(Selection, total=False):
    """Which part of a list."""

    limit: int
    """Objects at most; 0: all."""
    continue_token: str
    """Of the page before."""


class Deletion(TypedDict, total=False):
    """How an object is deleted."""

    propagation: Propagation | None
    """What becomes of its dependents; None: as the kind has it."""
    uid: str
    """Only the object with that uid, else `Conflict`."""
    resource_version: str
    """Only the object at that revision, else `Conflict`."""
    grace_period_s: int | None
    missing_ok: bool
    """No `NotFound` where there is none."""


class Reader(Protocol):
    """Reads objects."""

    async def get(self, kind: Kind, key: ObjectKey) -> Tree:
        """The object; raises `NotFound`."""
        ...

    async def find(self, kind: Kind, key: ObjectKey) -> Tree | None:
        """The object, or None where there is none."""
        ...

    async def list(self, kind: Kind, **which: Unpack[Page]) -> ObjectList:
        """The objects of a kind that are wanted."""
        ...

    async def owned(self, kind: Kind, owner: Tree) -> Sequence[Tree]:
        """The objects of `kind` whose controller is `owner` (by uid), in the owner's namespace, sorted by name."""
        ...

    def watch(
        self, kind: Kind, *, resource_version: str, **which: Unpack[Selection]
    ) -> AbstractAsyncContextManager[AsyncIterator[WatchEvent]]:
        """Changes after a revision, as they happen; ends quietly when the server ends it.

        Raises `Expired` (at the start or between events) when the revision is compacted away: list again.
        """
        ...


class Writer(Protocol):
    """Changes objects."""

    async def create(self, kind: Kind, obj: Tree, *, dry_run: bool = False) -> Tree:
        """Stores a new object; its namespace is the one in its metadata. Raises `AlreadyExists`, `Invalid`, ..."""
        ...

    async def create_sub(self, kind: Kind, key: ObjectKey, subresource: str, obj: Tree) -> Tree:
        """POST on a subresource: `token`, `eviction`, `binding`."""
        ...

    async def update(self, kind: Kind, obj: Tree, *, dry_run: bool = False) -> Tree:
        """Replaces an object; with a resourceVersion in its metadata it raises `Conflict` when that is stale."""
        ...

    async def patch(
        self,
        kind: Kind,
        key: ObjectKey,
        patch: Tree | Sequence[Tree],
        *,
        type: PatchType = PatchType.MERGE,
        subresource: str = "",
    ) -> Tree:
        """Changes parts of an object. A resourceVersion inside a merge patch makes it conditional."""
        ...

    async def apply(self, kind: Kind, obj: Tree, *, manager: str, force: bool = True, subresource: str = "") -> Tree:
        """Server-side apply: makes the fields in `obj` ours and as given; creates the object when it is missing."""
        ...

    async def delete(self, kind: Kind, key: ObjectKey, **how: Unpack[Deletion]) -> Tree | None:
        """The object as it stays (marked, while it has finalizers or grace), None when it is gone."""
        ...

    async def delete_all(
        self, kind: Kind, *, propagation: Propagation | None = None, **which: Unpack[Selection]
    ) -> None:
        """DELETE on a collection."""
        ...


class StatusWriter(Protocol):
    """Changes `status`, which other writes leave alone."""

    async def update_status(self, kind: Kind, obj: Tree) -> Tree: ...

    async def patch_status(self, kind: Kind, key: ObjectKey, patch: Tree) -> Tree:
        """A merge patch on the status subresource; `{"status": {...}}`, and metadata.resourceVersion if wanted."""
        ...


class Client(Reader, Writer, StatusWriter, Protocol):
    """All of it."""

    async def raw(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> bytes:
        """One plain request, for what has no verb here: `/version`, `.../log`, `.../proxy/...`."""
        ...

    def stream(
        self, path: str, *, query: Mapping[str, str] | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """A GET whose body comes piece by piece: `.../log?follow=true`."""
        ...
