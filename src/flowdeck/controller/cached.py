"""A client whose reads come from informers and that sees its own writes.

Reads of kinds without an informer go to the server. A read waits until the informer has seen the last write of that
kind that went through this client (`raw` apart), so a controller never acts on a world older than its own deeds.
"""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Unpack

from flowdeck.client.base import Client, Deletion, ObjectList, Page, PatchType, Propagation, Selection, WatchEvent
from flowdeck.controller.informer import Informer, Informers
from flowdeck.kube.errors import not_found
from flowdeck.kube.objects import Kind, ObjectKey, Tree, key_of, labels_of, uid_of
from flowdeck.kube.selectors import FieldSelector, LabelSelector, parse_field_selector, parse_label_selector

ASKING: ContextVar[str] = ContextVar("asking", default="")
"""Name of the controller that asks; empty outside of reconciles."""


@dataclass
class CachedClient:
    """See the module's text; implements `Client`."""

    live: Client
    """Where writes go, and reads of what is not cached."""
    informers: Informers
    asked: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Requests that went to the server: how many, by controller, verb and resource (`pods`, `pods/status`)."""
    _written: dict[Kind, int] = field(default_factory=lambda: defaultdict(int))

    def _ask(self, verb: str, kind: Kind, subresource: str = "") -> Client:
        """The server, for one request."""
        self.asked[ASKING.get(), verb, f"{kind.plural}/{subresource}" if subresource else kind.plural] += 1
        return self.live

    async def _cache(self, kind: Kind) -> Informer | None:
        informer = self.informers.of(kind)
        if informer is None:
            return None
        await informer.wait_synced()
        await informer.wait_for(self._written[kind])
        return informer

    def _note(self, kind: Kind, obj: Tree) -> Tree:
        self._written[kind] = max(self._written[kind], int(obj["metadata"].get("resourceVersion") or 0))
        return obj

    async def _shown(self, kind: Kind, key: ObjectKey) -> Tree | None:
        """What a read of an object would give, if its kind is cached."""
        cache = await self._cache(kind)
        return cache.find(key) if cache else None

    def _note_left(self, kind: Kind, known: Tree | None, left: Tree | None) -> None:
        """Notes what a deletion left of an object: the object, marked, or nothing."""
        cache = self.informers.of(kind)
        if left is not None:
            self._note(kind, left)
        elif cache and known:
            cache.forget(known)

    async def _note_effect(self, kind: Kind, known: Sequence[Tree]) -> None:
        """Notes what became of objects by a write that does not answer with them."""
        if self.informers.of(kind):
            for obj in known:
                self._note_left(kind, obj, await self._ask("get", kind).find(kind, key_of(obj)))

    # ---- Reader ---------------------------------------------------------------------------------------------------

    async def get(self, kind: Kind, key: ObjectKey) -> Tree:
        obj = await self.find(kind, key)
        if obj is None:
            raise not_found(kind, key.name)
        return obj

    async def find(self, kind: Kind, key: ObjectKey) -> Tree | None:
        cache = await self._cache(kind)
        return await self._ask("get", kind).find(kind, key) if cache is None else cache.find(key)

    async def list(self, kind: Kind, **which: Unpack[Page]) -> ObjectList:
        cache = await self._cache(kind)
        if cache is None or which.get("limit") or which.get("continue_token"):
            return await self._ask("list", kind).list(kind, **which)
        selector = parse_label_selector(which.get("labels", ""))
        field_selector = parse_field_selector(which.get("fields", ""))
        items = _candidates(cache, which.get("namespace", ""), selector, field_selector)
        if not selector.is_everything:
            items = [obj for obj in items if selector.matches(labels_of(obj))]
        if field_selector.terms:
            items = [obj for obj in items if field_selector.matches(obj)]
        return ObjectList(items, str(cache.revision))

    async def owned(self, kind: Kind, owner: Tree) -> Sequence[Tree]:
        cache = await self._cache(kind)
        return await self._ask("list", kind).owned(kind, owner) if cache is None else cache.owned(uid_of(owner))

    def watch(
        self, kind: Kind, *, resource_version: str, **which: Unpack[Selection]
    ) -> AbstractAsyncContextManager[AsyncIterator[WatchEvent]]:
        return self._ask("watch", kind).watch(kind, resource_version=resource_version, **which)

    # ---- Writer, StatusWriter -------------------------------------------------------------------------------------

    async def create(self, kind: Kind, obj: Tree, *, dry_run: bool = False) -> Tree:
        created = await self._ask("create", kind).create(kind, obj, dry_run=dry_run)
        return created if dry_run else self._note(kind, created)

    async def create_sub(self, kind: Kind, key: ObjectKey, subresource: str, obj: Tree) -> Tree:
        known = await self._shown(kind, key)
        answer = await self._ask("create", kind, subresource).create_sub(kind, key, subresource, obj)
        await self._note_effect(kind, [known] if known else [])
        return answer

    async def update(self, kind: Kind, obj: Tree, *, dry_run: bool = False) -> Tree:
        updated = await self._ask("update", kind).update(kind, obj, dry_run=dry_run)
        return updated if dry_run else self._note(kind, updated)

    async def patch(
        self,
        kind: Kind,
        key: ObjectKey,
        patch: Tree | Sequence[Tree],
        *,
        type: PatchType = PatchType.MERGE,
        subresource: str = "",
    ) -> Tree:
        server = self._ask("patch", kind, subresource)
        return self._note(kind, await server.patch(kind, key, patch, type=type, subresource=subresource))

    async def apply(self, kind: Kind, obj: Tree, *, manager: str, force: bool = True, subresource: str = "") -> Tree:
        server = self._ask("apply", kind, subresource)
        return self._note(kind, await server.apply(kind, obj, manager=manager, force=force, subresource=subresource))

    async def delete(self, kind: Kind, key: ObjectKey, **how: Unpack[Deletion]) -> Tree | None:
        known = await self._shown(kind, key)
        left = await self._ask("delete", kind).delete(kind, key, **how)
        self._note_left(kind, known, left)
        return left

    async def delete_all(
        self, kind: Kind, *, propagation: Propagation | None = None, **which: Unpack[Selection]
    ) -> None:
        known = await self.list(kind, **which)
        await self._ask("deletecollection", kind).delete_all(kind, propagation=propagation, **which)
        await self._note_effect(kind, known.items)

    async def update_status(self, kind: Kind, obj: Tree) -> Tree:
        return self._note(kind, await self._ask("update", kind, "status").update_status(kind, obj))

    async def patch_status(self, kind: Kind, key: ObjectKey, patch: Tree) -> Tree:
        return self._note(kind, await self._ask("patch", kind, "status").patch_status(kind, key, patch))

    async def raw(self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Any = None) -> bytes:
        return await self.live.raw(method, path, query=query, body=body)

    def stream(
        self, path: str, *, query: Mapping[str, str] | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        return self.live.stream(path, query=query)


def _candidates(cache: Informer, namespace: str, labels: LabelSelector, fields: FieldSelector) -> Sequence[Tree]:
    """The fewest objects that an index can narrow the question down to."""
    for path, is_equal, value in fields.terms:
        if is_equal:
            return _in_namespace(cache.with_field(path, value), namespace)
    for requirement in labels.requirements:
        if requirement.operator == "In" and len(requirement.values) == 1:
            return _in_namespace(cache.labelled(requirement.key, requirement.values[0]), namespace)
    return cache.list(namespace)


def _in_namespace(found: Sequence[Tree], namespace: str) -> Sequence[Tree]:
    return [obj for obj in found if obj["metadata"].get("namespace") == namespace] if namespace else found
