"""`Client` on the embedded API server, in the same process: no HTTP, no serialisation of what is read.

Authentication and authorization are left out (the platform's own controllers use it); admission is not.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from flowdeck.client.base import ObjectList, PatchType, Propagation, WatchEvent
from flowdeck.embedded.apiserver.contract import SYSTEM, Answer, Resource, User
from flowdeck.embedded.apiserver.deletion import DeleteOptions
from flowdeck.embedded.apiserver.listing import SelectedWatch, Selection, read_page
from flowdeck.embedded.apiserver.verbs import Verbs
from flowdeck.embedded.apiserver.writes import WriteOptions
from flowdeck.kube.errors import NotFound, not_found
from flowdeck.kube.objects import Kind, ObjectKey, Tree, controller_of, copy_of, key_of, uid_of

Call = Callable[[str, str, Mapping[str, str], bytes, User, str], Awaitable[bytes]]
"""`(method, path, query, body, user, content type)`: one request through the server's pipeline, without HTTP."""
Ask = Callable[[str, str, Mapping[str, str], bytes, User, str], Awaitable[Answer]]


@dataclass(frozen=True)
class DirectClient:
    """See the module's text; implements `Client`."""

    verbs: Verbs
    call: Call
    """For subresources and everything that is no plain verb."""
    ask: Ask
    """The same, for answers that come piece by piece."""
    manager: str = "flowdeck"
    """Field manager of what it writes."""
    user: User = SYSTEM

    def _resource(self, kind: Kind) -> Resource:
        resource = self.verbs.registry.of_kind(kind)
        if resource is None:
            raise NotFound("the server could not find the requested resource", group=kind.group, kind=kind.plural)
        return resource

    def _options(self, *, dry_run: bool = False, manager: str = "", force: bool = False) -> WriteOptions:
        return WriteOptions(user=self.user, manager=manager or self.manager, dry_run=dry_run, force=force)

    # ---- Reader ---------------------------------------------------------------------------------------------------

    async def get(self, kind: Kind, key: ObjectKey) -> Tree:
        obj = await self.find(kind, key)
        if obj is None:
            raise not_found(kind, key.name)
        return obj

    async def find(self, kind: Kind, key: ObjectKey) -> Tree | None:
        resource = self._resource(kind)
        entry = self.verbs.find(resource, key)
        return None if entry is None else self.verbs.in_version(resource, entry.tree)

    async def list(
        self,
        kind: Kind,
        *,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
        limit: int = 0,
        continue_token: str = "",
    ) -> ObjectList:
        resource = self._resource(kind)
        selection = Selection.parse(resource, namespace, labels, fields)
        page = read_page(self.verbs.store, kind.resource, selection, limit=limit, continue_token=continue_token)
        items = [self.verbs.in_version(resource, entry.tree) for entry in page.entries]
        return ObjectList(items, str(page.revision), page.continue_token)

    async def owned(self, kind: Kind, owner: Tree) -> Sequence[Tree]:
        found = await self.list(kind, namespace=key_of(owner).namespace)
        return [obj for obj in found.items if (controller_of(obj) or {}).get("uid") == uid_of(owner)]

    @asynccontextmanager
    async def watch(
        self, kind: Kind, *, namespace: str = "", labels: str = "", fields: str = "", resource_version: str
    ) -> AsyncIterator[AsyncIterator[WatchEvent]]:
        resource = self._resource(kind)
        selection = Selection.parse(resource, namespace, labels, fields)
        watch = SelectedWatch(self.verbs.store, kind.resource, selection, int(resource_version))
        try:
            yield self._events(resource, watch)
        finally:
            watch.close()

    async def _events(self, resource: Resource, watch: SelectedWatch) -> AsyncIterator[WatchEvent]:
        while True:
            for event in await watch.next():
                yield WatchEvent(event.type, self.verbs.in_version(resource, event.entry.tree))

    # ---- Writer, StatusWriter -------------------------------------------------------------------------------------

    async def create(self, kind: Kind, obj: Tree, *, dry_run: bool = False) -> Tree:
        namespace = obj["metadata"].get("namespace") or ""
        resource = self._resource(kind)
        if resource.virtual is not None:  # a review: answered, not stored
            answer: Tree = orjson.loads(await self.raw("POST", kind.url(namespace=namespace), body=obj))
            return answer
        return await self.verbs.create(resource, namespace, copy_of(obj), self._options(dry_run=dry_run))

    async def create_sub(self, kind: Kind, key: ObjectKey, subresource: str, obj: Tree) -> Tree:
        answer = await self.raw("POST", kind.url(key, subresource=subresource), body=obj)
        created: Tree = orjson.loads(answer)
        return created

    async def update(self, kind: Kind, obj: Tree, *, dry_run: bool = False) -> Tree:
        resource, options = self._resource(kind), self._options(dry_run=dry_run)
        updated, _ = await self.verbs.update(resource, key_of(obj), copy_of(obj), options)
        return updated

    async def patch(
        self,
        kind: Kind,
        key: ObjectKey,
        patch: Tree | Sequence[Tree],
        *,
        type: PatchType = PatchType.MERGE,
        subresource: str = "",
    ) -> Tree:
        if subresource not in ("", "status"):
            query = {"fieldManager": self.manager}
            path = kind.url(key, subresource=subresource)
            answer = await self.call("PATCH", path, query, orjson.dumps(patch), self.user, type.value)
            changed: Tree = orjson.loads(answer)
            return changed
        content: Literal[
            "application/json-patch+json",
            "application/merge-patch+json",
            "application/strategic-merge-patch+json",
        ] = type.value
        obj, _ = await self.verbs.patch(
            self._resource(kind), key, content, patch, self._options(), subresource=subresource
        )
        return obj

    async def apply(self, kind: Kind, obj: Tree, *, manager: str, force: bool = True, subresource: str = "") -> Tree:
        applied, _ = await self.verbs.patch(
            self._resource(kind),
            key_of(obj),
            "application/apply-patch+yaml",
            copy_of(obj),
            self._options(manager=manager, force=force),
            subresource=subresource,
        )
        return applied

    async def delete(
        self,
        kind: Kind,
        key: ObjectKey,
        *,
        propagation: Propagation | None = None,
        uid: str = "",
        resource_version: str = "",
        grace_period_s: int | None = None,
        missing_ok: bool = False,
    ) -> Tree | None:
        wanted = DeleteOptions(
            propagation=propagation or "", grace_period_s=grace_period_s, uid=uid, resource_version=resource_version
        )
        try:
            left, is_gone = await self.verbs.delete(self._resource(kind), key, wanted, self._options())
        except NotFound:
            if missing_ok:
                return None
            raise
        return None if is_gone else left

    async def delete_all(
        self,
        kind: Kind,
        *,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
        propagation: Propagation | None = None,
    ) -> None:
        found = await self.list(kind, namespace=namespace, labels=labels, fields=fields)
        for obj in found.items:
            await self.delete(kind, key_of(obj), propagation=propagation, missing_ok=True)

    async def update_status(self, kind: Kind, obj: Tree) -> Tree:
        resource = self._resource(kind)
        updated, _ = await self.verbs.update(resource, key_of(obj), copy_of(obj), self._options(), subresource="status")
        return updated

    async def patch_status(self, kind: Kind, key: ObjectKey, patch: Tree) -> Tree:
        return await self.patch(kind, key, patch, subresource="status")

    async def raw(self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Any = None) -> bytes:
        content = b"" if body is None else orjson.dumps(body)
        return await self.call(method, path, query or {}, content, self.user, "application/json")

    @asynccontextmanager
    async def stream(self, path: str, *, query: Mapping[str, str] | None = None) -> AsyncIterator[AsyncIterator[bytes]]:
        answer = await self.ask("GET", path, query or {}, b"", self.user, "application/json")
        pieces = _pieces(answer)
        try:
            yield pieces
        finally:
            await pieces.aclose()


async def _pieces(answer: Answer) -> AsyncGenerator[bytes, None]:
    if answer.stream is None:
        yield answer.raw if answer.raw is not None else orjson.dumps(answer.obj)
        return
    async for piece in answer.stream:
        yield piece
