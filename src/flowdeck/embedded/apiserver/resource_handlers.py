"""HTTP on resources: each verb reads its query and body, makes one call, and renders.

Objects are rendered in the form that the `Accept` header asks for: as they are, as a Table, as their metadata only.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, cast

import orjson

from flowdeck.clock import Clock
from flowdeck.embedded.apiserver.bodies import body_of, patch_of
from flowdeck.embedded.apiserver.contract import Answer, RequestInfo, Resource
from flowdeck.embedded.apiserver.deletion import DeleteOptions
from flowdeck.embedded.apiserver.forms import MetadataOnly, Negotiator, Tabular, Whole
from flowdeck.embedded.apiserver.listing import Event, Page, SelectedWatch, Selection, read_page
from flowdeck.embedded.apiserver.negotiation import JSON, YAML, encode
from flowdeck.embedded.apiserver.registry import Registry
from flowdeck.embedded.apiserver.request import is_true
from flowdeck.embedded.apiserver.verbs import Verbs
from flowdeck.embedded.apiserver.writes import WriteOptions
from flowdeck.embedded.store.store import Entry
from flowdeck.kube.errors import (
    BadRequest,
    Expired,
    MethodNotAllowed,
    NotFound,
    Timeout,
    page_not_found,
)
from flowdeck.kube.objects import ObjectKey, Tree, key_of

WATCH_S = (1800, 3600)
"""A watch without `timeoutSeconds` ends at a random moment between these, as upstream's do."""
BOOKMARK_EVERY_S = 60.0
RETURNS_DELETED = frozenset(
    {
        "pods",
        "services",
        "serviceaccounts",
        "podtemplates",
        "resourcequotas",
        "persistentvolumes",
        "persistentvolumeclaims",
    }
)
"""Core resources whose DELETE answers the object, not a Status. Source: pkg/registry/core/*/storage."""
_MAX_NUMBER = 2**63 - 1

Form = Whole | MetadataOnly | Tabular


@dataclass
class ResourceHandlers:
    """Answers requests on stored resources."""

    registry: Registry
    verbs: Verbs
    negotiate: Negotiator
    clock: Clock
    random: Random

    async def answer(self, info: RequestInfo) -> Answer:
        """Answers a request on a resource or its `status`. Raises the `ApiError` to answer."""
        resource = _resource(info)
        if info.subresource and info.subresource not in resource.subresources:
            raise page_not_found()
        handler = self._handler(info)
        allowed = resource.subresources[info.subresource].verbs if info.subresource else resource.verbs
        if handler is None or info.verb not in allowed:
            raise MethodNotAllowed(
                "the server does not allow this method on the requested resource",
            )
        answer = await handler(info, resource)
        if resource.deprecation:
            answer.warnings = [resource.deprecation, *answer.warnings]
        return answer

    def _handler(self, info: RequestInfo) -> Callable[[RequestInfo, Resource], Awaitable[Answer]] | None:
        return {
            "get": self._get,
            "list": self._list,
            "watch": self._watch,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_all,
        }.get(info.verb)

    # ---- reads ----------------------------------------------------------------------------------------------------

    async def _get(self, info: RequestInfo, resource: Resource) -> Answer:
        form = self.negotiate(info, resource)
        entry = self.verbs.get(resource, _key(info))
        if form.is_plain and _is_stored_as_served(resource):
            return Answer(raw=entry.raw)
        return self._rendered(form, resource, entry.tree)

    def _rendered(self, form: Form, resource: Resource, obj: Tree, code: int = 200) -> Answer:
        return _encoded(form, form.one(self.verbs.in_version(resource, obj)), code)

    async def _list(self, info: RequestInfo, resource: Resource) -> Answer:
        form = self.negotiate(info, resource)
        page = await self._read_page(info, resource)
        metadata: Tree = {"resourceVersion": str(page.revision)}
        if page.continue_token:
            metadata["continue"] = page.continue_token
            if page.remaining is not None:
                metadata["remainingItemCount"] = page.remaining
        if form.is_plain:
            return Answer(raw=_encode_list(resource, page.entries, metadata))
        objects = [self.verbs.in_version(resource, entry.tree) for entry in page.entries]
        return _encoded(form, form.page(objects, metadata))

    async def _read_page(self, info: RequestInfo, resource: Resource) -> Page:
        selection = _selection(info, resource)
        revision = _revision(info)
        match = info.query.get("resourceVersionMatch", "")
        if match and not info.query.get("resourceVersion"):
            raise BadRequest("resourceVersionMatch is forbidden unless resourceVersion is provided")
        limit = _number(info, "limit")
        if revision > self.verbs.store.revision:
            await self._wait_for(revision)
        exact = match == "Exact" or (bool(limit) and revision > 0 and match != "NotOlderThan")
        return read_page(
            self.verbs.store,
            resource.kind.resource,
            selection,
            limit=limit,
            continue_token=info.query.get("continue", ""),
            at=revision if exact else 0,
        )

    async def _wait_for(self, revision: int) -> None:
        """A revision that is not there yet (a client that has seen another server's): a moment, then an error."""
        for _ in range(30):
            if self.verbs.store.revision >= revision:
                return
            await self.clock.sleep(0.1)
        error = Timeout(f"Too large resource version: {revision}, current: {self.verbs.store.revision}")
        error.retry_after_s = 1
        raise error

    async def _watch(self, info: RequestInfo, resource: Resource) -> Answer:
        form = self.negotiate(info, resource)
        selection = _selection(info, resource)
        if info.key and info.key.name:
            selection = Selection.parse(
                resource, selection.namespace, info.query.get("labelSelector", ""), f"metadata.name={info.key.name}"
            )
        revision = _revision(info)
        initial: Sequence[Entry] = ()
        wants_initial = is_true(info.query.get("sendInitialEvents", ""))
        if wants_initial or (revision == 0 and "sendInitialEvents" not in info.query):
            page = read_page(self.verbs.store, resource.kind.resource, selection)
            initial, revision = page.entries, page.revision
        elif revision == 0:
            revision = self.verbs.store.revision
        try:
            watch = SelectedWatch(self.verbs.store, resource.kind.resource, selection, revision)
        except Expired as error:
            return Answer(stream=_just(_frame("ERROR", orjson.dumps(error.to_status()))))
        seconds = _number(info, "timeoutSeconds") or self.random.randint(*WATCH_S)
        frames = _Frames(resource, form)
        stream = self._stream(
            watch, frames, initial, revision, seconds, is_true(info.query.get("allowWatchBookmarks", "")), wants_initial
        )
        return Answer(stream=stream, content_type=JSON)

    async def _stream(
        self,
        watch: SelectedWatch,
        frames: "_Frames",
        initial: Sequence[Entry],
        revision: int,
        seconds: float,
        bookmarks: bool,
        mark_initial: bool,
    ) -> AsyncIterator[bytes]:
        """The frames of one watch, until its time is over."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        try:
            if initial:
                yield b"".join(frames.event(Event("ADDED", entry)) for entry in initial)
            else:
                yield b""
            if mark_initial:
                yield frames.bookmark(revision, is_end_of_initial=True)
            while (left := end - loop.time()) > 0:
                try:
                    async with asyncio.timeout(min(left, BOOKMARK_EVERY_S)):
                        events = await watch.next()
                except TimeoutError:
                    if bookmarks:
                        yield frames.bookmark(self.verbs.store.revision)
                    continue
                except Expired as error:
                    yield _frame("ERROR", orjson.dumps(error.to_status()))
                    return
                if events:
                    yield b"".join(map(frames.event, events))
        finally:
            watch.close()

    # ---- writes ---------------------------------------------------------------------------------------------------

    async def _create(self, info: RequestInfo, resource: Resource) -> Answer:
        form = self.negotiate(info, resource)
        options = write_options(info)
        if info.key and info.key.name:
            raise MethodNotAllowed("the server does not allow this method on the requested resource")
        obj = await self.verbs.create(resource, _key(info).namespace, body_of(info), options)
        answer = self._rendered(form, resource, obj, 201)
        answer.warnings = options.warnings
        return answer

    async def _update(self, info: RequestInfo, resource: Resource) -> Answer:
        form = self.negotiate(info, resource)
        options = write_options(info)
        obj = await self.verbs.update(resource, _key(info), body_of(info), options, subresource=info.subresource)
        answer = self._rendered(form, resource, obj)
        answer.warnings = options.warnings
        return answer

    async def _patch(self, info: RequestInfo, resource: Resource) -> Answer:
        form = self.negotiate(info, resource)
        content, patch = patch_of(info)
        if content == "application/apply-patch+yaml" and not info.query.get("fieldManager"):
            raise BadRequest(
                'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch'
            )
        options = write_options(info)
        obj, created = await self.verbs.patch(
            resource, _key(info), content, patch, options, subresource=info.subresource
        )
        answer = self._rendered(form, resource, obj, 201 if created else 200)
        answer.warnings = options.warnings
        return answer

    async def _delete(self, info: RequestInfo, resource: Resource) -> Answer:
        form = self.negotiate(info, resource)
        wanted, options = _delete_options(info)
        obj, is_gone = await self.verbs.delete(resource, _key(info), wanted, options)
        if not is_gone or (resource.kind.group == "" and resource.kind.plural in RETURNS_DELETED):
            return self._rendered(form, resource, obj)
        return Answer(obj=_deleted_status(resource, obj))

    async def _delete_all(self, info: RequestInfo, resource: Resource) -> Answer:
        wanted, options = _delete_options(info)
        page = await self._read_page(info, resource)
        deleted: list[Tree] = []
        for entry in page.entries:
            try:
                obj, _ = await self.verbs.delete(resource, key_of(entry.tree), wanted, options)
            except NotFound:
                continue
            deleted.append(self.verbs.in_version(resource, obj))
        return Answer(obj=_list_tree(resource, deleted, {"resourceVersion": str(page.revision)}))


def write_options(info: RequestInfo) -> WriteOptions:
    """How a write is to be done, as its query says. Raises `BadRequest`."""
    validation = info.query.get("fieldValidation") or "Warn"
    if validation not in ("Ignore", "Warn", "Strict"):
        raise BadRequest(
            f'fieldValidation: Unsupported value: "{validation}": supported values: "Ignore", "Strict", "Warn"'
        )
    dry_run = info.queries.get("dryRun") or []
    if any(value != "All" for value in dry_run):
        raise BadRequest(f'dryRun: Unsupported value: "{dry_run[0]}": supported values: "All"')
    manager = info.query.get("fieldManager") or _manager_of(info.headers.get("user-agent", ""))
    if len(manager) > 128:
        raise BadRequest("fieldManager: Too long: may not be more than 128 bytes")
    return WriteOptions(
        user=info.user,
        manager=manager,
        dry_run=bool(dry_run),
        field_validation=cast(Any, validation),
        force=is_true(info.query.get("force", "")),
    )


class _Frames:
    """Renders watch events of one resource in one form."""

    def __init__(self, resource: Resource, form: Form) -> None:
        self._resource = resource
        self._form = form
        self._is_raw = form.is_plain and _is_stored_as_served(resource)

    def event(self, event: Event) -> bytes:
        if self._is_raw:
            return _frame(event.type, event.entry.raw)
        obj = Verbs.in_version(self._resource, event.entry.tree)
        return _frame(event.type, orjson.dumps(self._form.event(obj)))

    def bookmark(self, revision: int, *, is_end_of_initial: bool = False) -> bytes:
        metadata: Tree = {"resourceVersion": str(revision), "creationTimestamp": None}
        if is_end_of_initial:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        kind = self._resource.kind
        obj: Tree = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata}
        return _frame("BOOKMARK", orjson.dumps(self._form.event(obj)))


def _encoded(form: Form, obj: Tree, code: int = 200) -> Answer:
    if form.content_type == JSON:
        return Answer(obj=obj, code=code)
    return Answer(raw=encode(obj, YAML), code=code, content_type=YAML)


def _frame(type_: str, obj: bytes) -> bytes:
    return b'{"type":"' + type_.encode() + b'","object":' + obj + b"}\n"


async def _just(frame: bytes) -> AsyncIterator[bytes]:
    yield frame


def _encode_list(resource: Resource, entries: Sequence[Entry], metadata: Tree) -> bytes:
    """A list from the stored bytes. Items of built-in kinds carry no kind and apiVersion, as upstream."""
    if resource.is_custom:
        items = [entry.raw if _is_stored_as_served(resource) else _in_version(resource, entry) for entry in entries]
    else:
        cut = len(_stored_prefix(resource))
        items = [b"{" + entry.raw[cut:] for entry in entries]
    head = orjson.dumps(
        {"kind": resource.kind.kind + "List", "apiVersion": resource.kind.api_version, "metadata": metadata}
    )
    return head[:-1] + b',"items":[' + b",".join(items) + b"]}"


def _in_version(resource: Resource, entry: Entry) -> bytes:
    return orjson.dumps(Verbs.in_version(resource, entry.tree))


def _stored_prefix(resource: Resource) -> bytes:
    kind = resource.kind
    version = f"{kind.group}/{resource.storage_version}" if kind.group else resource.storage_version
    return orjson.dumps({"kind": kind.kind, "apiVersion": version})[:-1] + b","


def _list_tree(resource: Resource, objects: Sequence[Tree], metadata: Tree) -> Tree:
    kind = resource.kind
    return {"kind": kind.kind + "List", "apiVersion": kind.api_version, "metadata": metadata, "items": list(objects)}


def _is_stored_as_served(resource: Resource) -> bool:
    return resource.storage_version == resource.kind.version


def _deleted_status(resource: Resource, obj: Tree) -> Tree:
    details = {"name": obj["metadata"]["name"], "kind": resource.kind.plural, "uid": obj["metadata"]["uid"]}
    if resource.kind.group:
        details["group"] = resource.kind.group
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def _resource(info: RequestInfo) -> Resource:
    assert info.resource is not None
    return info.resource


def _key(info: RequestInfo) -> ObjectKey:
    assert info.key is not None
    return info.key


def _delete_options(info: RequestInfo) -> tuple[DeleteOptions, WriteOptions]:
    """From body and query; `dryRun` may stand in either."""
    body = body_of(info) if info.body else None
    options = write_options(info)
    if isinstance(body, dict) and body.get("dryRun"):
        options = replace(options, dry_run=True)
    return DeleteOptions.parse(body, info.query), options


def _selection(info: RequestInfo, resource: Resource) -> Selection:
    return Selection.parse(
        resource,
        info.key.namespace if info.key else "",
        info.query.get("labelSelector", ""),
        info.query.get("fieldSelector", ""),
    )


def _revision(info: RequestInfo) -> int:
    text = info.query.get("resourceVersion", "")
    try:
        revision = int(text or 0)
    except ValueError:
        revision = -1
    if revision < 0:
        raise BadRequest(
            f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
        )
    return revision


def _number(info: RequestInfo, name: str) -> int:
    text = info.query.get(name, "")
    try:
        return min(max(0, int(text or 0)), _MAX_NUMBER)
    except ValueError as error:
        raise BadRequest(f'{name}: Invalid value: "{text}": must be a whole number') from error


def _manager_of(user_agent: str) -> str:
    """Without `fieldManager`, changes belong to the program that made them: `kubectl/v1.32 (...)` -> `kubectl`."""
    return user_agent.partition("/")[0][:128] or "unknown"
