"""What can be done to the objects of a resource: create, update, patch, apply, delete.

Each write reads the head of the object, builds the new state, and stores it on the condition that the head is still the
same; a write that is not tied to a revision tries again when somebody was faster. Reading is in `listing.py`.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from random import Random
from typing import Any

from flowdeck.clock import Clock
from flowdeck.embedded.apiserver import deletion
from flowdeck.embedded.apiserver.admission.plugin import Plugins
from flowdeck.embedded.apiserver.bodies import PatchContent, unsupported_patch
from flowdeck.embedded.apiserver.contract import AdmissionRequest, Operation, Resource
from flowdeck.embedded.apiserver.deletion import DeleteOptions
from flowdeck.embedded.apiserver.registry import Registry
from flowdeck.embedded.apiserver.writes import (
    WriteOptions,
    check_uid,
    check_update,
    decoded,
    empty_metadata,
    finalizer_errors,
    is_same,
    keep_identity,
    ordered,
    read_object,
    refuse,
    undecodable,
)
from flowdeck.embedded.store.store import Entry, StaleError, Store, StoreKey
from flowdeck.kube import apply, patches, strategic
from flowdeck.kube.errors import (
    AlreadyExists,
    BadRequest,
    Unclassified,
    already_exists,
    conflict,
    invalid,
    invalid_object,
    not_found,
)
from flowdeck.kube.names import generate_name
from flowdeck.kube.objects import ObjectKey, Tree, copy_of, is_being_deleted
from flowdeck.kube.times import format_time

ATTEMPTS = 50
"""How often a write that is not tied to a revision is built anew because somebody was faster."""

_CUSTOM_PATCHES: Sequence[PatchContent] = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/apply-patch+yaml",
)
"""How custom kinds can be patched: strategic merge needs what only built-in kinds say of their lists."""
_MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


class Verbs:
    """The writing verbs, on every stored resource alike; what differs is in the resource's Strategy."""

    def __init__(self, store: Store, registry: Registry, clock: Clock, random: Random) -> None:
        self.store = store
        self.registry = registry
        self.clock = clock
        self.plugins = Plugins(())
        """Admission; set when the server is put together, since some plug-ins read through it."""
        self._random = random

    def find(self, resource: Resource, key: ObjectKey) -> Entry | None:
        return self.store.get(_store_key(resource, key))

    def get(self, resource: Resource, key: ObjectKey) -> Entry:
        entry = self.find(resource, key)
        if entry is None:
            raise not_found(resource.kind, key.name)
        return entry

    # ---- create ---------------------------------------------------------------------------------------------------

    async def create(self, resource: Resource, namespace: str, obj: Tree, options: WriteOptions) -> Tree:
        """Stores a new object. Raises `AlreadyExists`, `Invalid`, `Forbidden`, `BadRequest`."""
        obj = read_object(resource, namespace, "", obj, options)
        resource = self._as_stored(resource)
        meta = obj["metadata"]
        if meta.get("resourceVersion"):
            raise Unclassified("resourceVersion should not be set on objects to be created")
        if not meta.get("name") and meta.get("generateName"):
            for _ in range(8):
                try:
                    named = {**obj, "metadata": {**meta, "name": generate_name(meta["generateName"], self._random)}}
                    return await self._create(resource, copy_of(named), options)
                except AlreadyExists:
                    continue
        return await self._create(resource, obj, options)

    async def _create(self, resource: Resource, obj: Tree, options: WriteOptions, *, applied: bool = False) -> Tree:
        meta = obj["metadata"]
        key = ObjectKey(meta.get("namespace") or "", meta.get("name") or "")
        resource.strategy.default(obj)
        for server_set in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion"):
            meta.pop(server_set, None)
        now = self.clock.now()
        if not applied:
            # before admission and strategy, as upstream: what the server adds belongs to nobody
            apply.track(obj, None, resource.schema, self._writer(resource, options, now))
        with self._request("CREATE", resource, key, obj, None, options) as request:
            await self.plugins.mutate(request)
            obj = request.obj or obj
            self._prepare_new(resource, obj, now)
            refuse(resource, key.name, resource.strategy.validate(obj), resource.schema.validate(obj))
            await self.plugins.validate(request)
            options.warnings.extend(resource.strategy.warnings(obj, None))
            if options.dry_run:
                if there := self.store.head(_store_key(resource, key)):
                    raise already_exists(resource.kind, key.name, is_ending=is_being_deleted(there.tree))
                return obj
            try:
                return (await self.store.put(_store_key(resource, key), ordered(resource, obj), expected=None)).tree
            except StaleError as error:
                there = self.store.head(_store_key(resource, key))
                is_ending = there is not None and is_being_deleted(there.tree)
                raise already_exists(resource.kind, key.name, is_ending=is_ending) from error

    def _prepare_new(self, resource: Resource, obj: Tree, now: datetime) -> None:
        meta = obj["metadata"]
        meta["uid"] = _new_uid(self._random)
        meta["creationTimestamp"] = format_time(now)
        resource.strategy.prepare_create(obj)

    # ---- update ---------------------------------------------------------------------------------------------------

    async def update(
        self, resource: Resource, key: ObjectKey, obj: Tree, options: WriteOptions, *, subresource: str = ""
    ) -> tuple[Tree, bool]:
        """Replaces an object, or its status; says also whether it was created (where the kind allows it).

        Raises `NotFound`, `Conflict`, `Invalid`, `Forbidden`.
        """
        obj = read_object(resource, key.namespace, key.name, obj, options)
        resource = self._as_stored(resource)
        if resource.creates_on_update and not subresource and self.store.head(_store_key(resource, key)) is None:
            check_uid(resource, key, obj, "")
            return await self._create(resource, obj, options), True

        async def build(head: Entry) -> Tree:
            check_update(resource, key, obj, head.tree)
            return copy_of(obj)

        return await self.change(resource, key, build, options, subresource=subresource), False

    async def change(
        self,
        resource: Resource,
        key: ObjectKey,
        build: Callable[[Entry], Awaitable[Tree]],
        options: WriteOptions,
        *,
        subresource: str = "",
        applied: bool = False,
    ) -> Tree:
        """Reads the head, lets `build` make the new object of it (a fresh tree), and stores that.

        Built again when somebody was faster, unless the new object carries a resourceVersion: then `Conflict`.
        `applied` says that `build` has set the managed fields itself (server-side apply).
        """
        for _ in range(ATTEMPTS):
            head = self.store.head(_store_key(resource, key))
            if head is None:
                raise not_found(resource.kind, key.name)
            new = await build(head)
            asked_for = new["metadata"].get("resourceVersion")
            if asked_for not in (None, "", "0", str(head.revision)):
                raise conflict(resource.kind, key.name, _MODIFIED)
            try:
                return await self._store_change(resource, key, head, new, options, subresource, applied)
            except StaleError:
                continue
        raise conflict(resource.kind, key.name, _MODIFIED)

    async def _store_change(
        self,
        resource: Resource,
        key: ObjectKey,
        head: Entry,
        new: Tree,
        options: WriteOptions,
        subresource: str,
        applied: bool,
    ) -> Tree:
        old = head.tree
        keep_identity(resource, key, new, old)
        resource.strategy.default(new)
        if not applied:
            writer = self._writer(resource, options, self.clock.now(), subresource)
            apply.track(new, old, resource.schema, writer)
        with self._request("UPDATE", resource, key, new, old, options, subresource) as request:
            await self.plugins.mutate(request)
            new = request.obj or new
            if subresource == "status":
                resource.strategy.prepare_status(new, old)
                found = resource.strategy.validate_status(new, old)
            else:
                resource.strategy.prepare_update(new, old)
                found = resource.strategy.validate_update(new, old)
            refuse(resource, key.name, finalizer_errors(new, old), found, resource.schema.validate(new, old))
            await self.plugins.validate(request)
            options.warnings.extend(resource.strategy.warnings(new, old))
            new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
            if is_same(new, old):
                return old
            if options.dry_run:
                return new
            if deletion.is_finished(new):
                await self.store.delete(head.key, expected=head, last=ordered(resource, new))
                return new  # at the revision before, as upstream: only watchers are told of the last one
            return (await self._store(resource, head, new)).tree

    async def _store(self, resource: Resource, head: Entry, new: Tree) -> Entry:
        return await self.store.put(head.key, ordered(resource, new), expected=head)

    # ---- patch ----------------------------------------------------------------------------------------------------

    async def patch(
        self,
        resource: Resource,
        key: ObjectKey,
        content: PatchContent,
        patch: Any,
        options: WriteOptions,
        *,
        subresource: str = "",
    ) -> tuple[Tree, bool]:
        """Changes parts of an object; says also whether it was created (only apply does)."""
        if content == "application/apply-patch+yaml":
            return await self._apply(resource, key, patch, options, subresource)
        if resource.is_custom and "strategic" in content:
            raise unsupported_patch(_CUSTOM_PATCHES)

        async def build(head: Entry) -> Tree:
            current = self.in_version(resource, head.tree)
            match content:
                case "application/json-patch+json":
                    new = patches.apply_json_patch(current, patch)
                case "application/merge-patch+json":
                    new = patches.apply_merge_patch(current, patch)
                case _:
                    new = strategic.apply_strategic_patch(current, patch, resource.schema)
            try:
                # what is refused is shown as it was made, unknown fields and all
                checked = copy_of(new) if options.field_validation == "Strict" and isinstance(new, dict) else new
                return self._read_patched(resource, key, current, checked, options)
            except BadRequest as error:
                raise undecodable(error, new, patch if "strategic" in content else None) from error

        return await self.change(self._as_stored(resource), key, build, options, subresource=subresource), False

    async def _apply(
        self, resource: Resource, key: ObjectKey, config: Tree, options: WriteOptions, subresource: str
    ) -> tuple[Tree, bool]:
        if isinstance(config, dict) and isinstance(config.get("metadata") or {}, dict):
            apply.check_config(config, resource.kind, resource.schema, key.name)
        empty = empty_metadata(config)
        config = read_object(resource, key.namespace, key.name, config, options, is_applied=True)
        config = {**config, "metadata": {**config["metadata"], **empty}}
        resource = self._as_stored(resource)
        for _ in range(ATTEMPTS):
            if self.store.head(_store_key(resource, key)) is None:
                if subresource:
                    raise not_found(resource.kind, key.name)
                if config["metadata"].get("uid"):
                    sent = config["metadata"]["uid"]
                    why = f"uid mismatch: the provided object specified uid {sent}, and no existing object was found"
                    raise conflict(resource.kind, key.name, why)
                try:
                    return await self._create_applied(resource, config, options), True
                except AlreadyExists:
                    continue

            async def build(head: Entry) -> Tree:
                current = self.in_version(resource, head.tree)
                writer = self._writer(resource, options, self.clock.now(), subresource)
                return decoded(resource, apply.apply(current, config, resource.schema, writer, force=options.force))

            return (
                await self.change(resource, key, build, options, subresource=subresource, applied=True),
                False,
            )
        raise conflict(resource.kind, key.name, _MODIFIED)

    async def _create_applied(self, resource: Resource, config: Tree, options: WriteOptions) -> Tree:
        obj = apply.apply(None, config, resource.schema, self._writer(resource, options, self.clock.now()))
        return await self._create(resource, decoded(resource, obj), options, applied=True)

    def _writer(self, resource: Resource, options: WriteOptions, now: datetime, subresource: str = "") -> apply.Writer:
        has_status = "status" in resource.subresources
        for_status = apply.ALL_BUT_STATUS if resource.is_custom else apply.SPEC_ONLY
        ignored = for_status if subresource == "status" else apply.STATUS_ONLY
        return apply.Writer(
            manager=options.manager,
            api_version=resource.kind.api_version,
            subresource=subresource,
            now=now,
            ignored=ignored if has_status else None,
        )

    def _read_patched(self, resource: Resource, key: ObjectKey, current: Tree, new: Any, options: WriteOptions) -> Tree:
        """Checks what a patch has made, as if it had been sent whole; identity and revision may be left out."""
        if not isinstance(new, dict):
            raise invalid_object(resource.kind, key.name, [invalid("", new, "must be an object")])
        meta = new.get("metadata")
        if isinstance(meta, dict) and current["metadata"].get("resourceVersion") == meta.get("resourceVersion"):
            new = {**new, "metadata": {k: v for k, v in meta.items() if k != "resourceVersion"}}
        old = None if resource.is_custom else current  # a custom kind's schema may have changed since
        return read_object(resource, key.namespace, key.name, new, options, old)

    # ---- delete ---------------------------------------------------------------------------------------------------

    async def delete(
        self, resource: Resource, key: ObjectKey, wanted: DeleteOptions, options: WriteOptions
    ) -> tuple[Tree, bool]:
        """Deletes an object, or starts to: gives its last state, and whether it is gone by now.

        It stays while it has finalizers or (pods) grace. Raises `NotFound`, `Conflict` on a precondition.
        """
        for _ in range(ATTEMPTS):
            head = self.store.head(_store_key(resource, key))
            if head is None:
                raise not_found(resource.kind, key.name)
            deletion.check_preconditions(resource.kind, head.tree, wanted)
            with self._request("DELETE", resource, key, None, head.tree, options) as request:
                request.options = wanted.to_tree()
                await self.plugins.validate(request)
            plan = deletion.plan(resource.kind, head.tree, wanted, self.clock.now())
            try:
                marked = plan.marked or head.tree
                if options.dry_run:
                    return marked, plan.is_final
                if plan.is_final:
                    last = None if plan.marked is None else ordered(resource, plan.marked)
                    return (await self.store.delete(head.key, expected=head, last=last)).tree, True
                return (head if marked == head.tree else await self._store(resource, head, marked)).tree, False
            except StaleError:
                continue
        raise conflict(resource.kind, key.name, _MODIFIED)

    def _request(
        self,
        operation: Operation,
        resource: Resource,
        key: ObjectKey,
        obj: Tree | None,
        old: Tree | None,
        options: WriteOptions,
        subresource: str = "",
    ) -> AdmissionRequest:
        return AdmissionRequest(
            user=options.user,
            operation=operation,
            resource=resource,
            subresource=subresource,
            key=key,
            obj=obj,
            old=old,
            dry_run=options.dry_run,
            warnings=options.warnings,
        )

    def _as_stored(self, resource: Resource) -> Resource:
        """The resource in whose version objects are stored, where a version is more than a name."""
        if resource.conversion is None:
            return resource
        kind = resource.kind
        return self.registry.find(kind.group, resource.storage_version, kind.plural) or resource

    @staticmethod
    def in_version(resource: Resource, obj: Tree) -> Tree:
        """A stored object as this version of its resource shows it."""
        if obj.get("apiVersion") == resource.kind.api_version:
            return obj
        if resource.conversion is not None:
            return resource.conversion.from_storage(obj)
        return {**obj, "apiVersion": resource.kind.api_version}


def _new_uid(random: Random) -> str:
    """A UUID of version 4."""
    text = f"{random.getrandbits(128):032x}"
    variant = "89ab"[int(text[16], 16) & 3]
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"


def _store_key(resource: Resource, key: ObjectKey) -> StoreKey:
    return StoreKey(resource.kind.resource, key.namespace, key.name)
