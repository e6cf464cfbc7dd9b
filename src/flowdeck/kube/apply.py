"""Who owns which field (`metadata.managedFields`), kept on every write, and server-side apply.

`track` is called for each create, update and patch; `apply` computes the object that an apply patch makes. Both know
the object's kind by its `Schema` only. Source: k8s.io/apimachinery (pkg/util/managedfields), structured-merge-diff
(merge). Differs: all versions of a kind share their field paths, so ownership needs no conversion.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import orjson

from flowdeck.kube import fields, ownership
from flowdeck.kube.errors import BadRequest, Cause, Conflict, InternalError, Unclassified
from flowdeck.kube.fields import Fields
from flowdeck.kube.objects import Kind, Tree, annotations_of
from flowdeck.kube.schema import Schema
from flowdeck.kube.times import format_time

Operation = Literal["Apply", "Update"]

BEFORE_FIRST_APPLY = "before-first-apply"
"""Owns what was there before ownership was tracked."""
ANCIENT_CHANGES = "ancient-changes"
"""Owns what the oldest updaters owned once there are more than `MAX_UPDATERS`."""
MAX_UPDATERS = 10
KUBECTL = "kubectl"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

_NEVER_OWNED: Fields = {
    "f:apiVersion": {},
    "f:kind": {},
    "f:metadata": {
        ".": {},
        "f:clusterName": {},
        "f:creationTimestamp": {},
        "f:generation": {},
        "f:managedFields": {},
        "f:name": {},
        "f:namespace": {},
        "f:resourceVersion": {},
        "f:selfLink": {},
        "f:uid": {},
    },
}
STATUS_ONLY: Fields = {"f:status": {}}
"""Fields that writes of the main resource do not reach, where there is a status subresource."""
SPEC_ONLY: Fields = {"f:spec": {}}
"""Fields that writes of a built-in kind's status do not reach."""
ALL_BUT_STATUS: Fields = {"f:spec": {}, "f:metadata": {}}
"""Fields that writes of a custom kind's status do not reach."""


@dataclass(frozen=True, kw_only=True)
class Writer:
    """Who writes, by which way: the identity of an entry in managedFields, and the moment."""

    manager: str
    """`fieldManager` of the request; else the client's name, see `manager_of`."""
    api_version: str
    subresource: str = ""
    now: datetime
    ignored: Fields | None = None
    """Paths that this writer never comes to own (`STATUS_ONLY`, `ALL_BUT_STATUS`)."""


def manager_of(field_manager: str, user_agent: str) -> str:
    """The manager's name: the request's `fieldManager`, else the first part of the User-Agent (128 bytes at most)."""
    return field_manager or user_agent.partition("/")[0].encode()[:128].decode(errors="ignore") or "unknown"


@dataclass(frozen=True)
class _Entry:
    """One entry of managedFields."""

    manager: str
    operation: Operation
    api_version: str
    subresource: str
    time: str
    owned: Fields

    @property
    def identity(self) -> tuple[str, ...]:
        """Appliers are one whatever the version they apply in."""
        version = self.api_version if self.operation == "Update" else ""
        return self.manager, self.operation, version, self.subresource

    def to_tree(self) -> Tree:
        tree: Tree = {"manager": self.manager, "operation": self.operation, "apiVersion": self.api_version}
        if self.time:
            tree["time"] = self.time
        tree |= {"fieldsType": "FieldsV1", "fieldsV1": self.owned}
        if self.subresource:
            tree["subresource"] = self.subresource
        return tree

    def __str__(self) -> str:
        told = f'"{self.manager}"'
        if self.subresource:
            told += f' with subresource "{self.subresource}"'
        return f"{told} using {self.api_version}" if self.operation == "Update" else told


_Entries = dict[tuple[str, ...], _Entry]


def _read(obj: Mapping[str, Any] | None) -> _Entries:
    found: _Entries = {}
    for tree in ((obj or {}).get("metadata") or {}).get("managedFields") or ():
        entry = _Entry(
            tree.get("manager", ""),
            tree.get("operation", "Update"),
            tree.get("apiVersion", ""),
            tree.get("subresource", ""),
            tree.get("time", ""),
            tree.get("fieldsV1") or {},
        )
        found[entry.identity] = entry
    return found


def _write(obj: Tree, entries: Iterable[_Entry]) -> None:
    kept = sorted(
        (entry for entry in entries if entry.owned),
        key=lambda e: (e.operation, e.time, e.manager, e.api_version, e.subresource),
    )
    meta = obj.setdefault("metadata", {})
    if kept:
        meta["managedFields"] = [entry.to_tree() for entry in kept]
    else:
        meta.pop("managedFields", None)


# -- create, update, patch


def track(obj: Tree, old: Tree | None, schema: Schema, writer: Writer) -> None:
    """Sets `obj.metadata.managedFields` for a write of `obj` over `old` (None for a create), in place.

    What `obj` brings itself as managedFields counts when it may (`[{}]` forgets all owners), else `old`'s do.
    """
    entries = _entries_to_start_from(obj, old, writer)
    if old is not None and not entries:
        # nobody owns anything: ownership begins with the first apply
        obj["metadata"].pop("managedFields", None)
        return
    changed, removed = _reached(writer, ownership.compare(schema, _without_managed(old or {}), _without_managed(obj)))
    touched = fields.union(changed, removed)
    if touched:
        entries = {key: _without(entry, touched) for key, entry in entries.items()}
    mine = _owned_by(changed, writer)
    if mine:
        _add(entries, mine, writer, _read(old))
    _write(obj, _capped(entries))


def _without(entry: _Entry, gone: Fields) -> _Entry:
    return replace(entry, owned=fields.difference(entry.owned, gone))


def _entries_to_start_from(obj: Tree, old: Tree | None, writer: Writer) -> _Entries:
    brought = (obj.get("metadata") or {}).get("managedFields")
    if brought == [{}] and not writer.subresource:
        return {}
    if brought and not writer.subresource and (old is None or brought != old["metadata"].get("managedFields")):
        return _read(obj)
    return _read(old)


def _add(entries: _Entries, mine: Fields, writer: Writer, before: _Entries) -> None:
    key = (writer.manager, "Update", writer.api_version, writer.subresource)
    had = entries.get(key)
    owned = fields.union(had.owned, mine) if had else mine
    previous = before.get(key)
    is_same = previous is not None and previous.owned == owned
    time = previous.time if is_same and previous else format_time(writer.now)
    if writer.subresource == "scale":
        time = ""  # upstream keeps these entries by other code, which stamps none
    entries[key] = _Entry(writer.manager, "Update", writer.api_version, writer.subresource, time, owned)


def _reached(writer: Writer, differences: tuple[Fields, Fields]) -> tuple[Fields, Fields]:
    """The differences that the write will make: what it does not reach is put back later."""
    if not writer.ignored:
        return differences
    changed, removed = differences
    return fields.without_trees(changed, writer.ignored), fields.without_trees(removed, writer.ignored)


def _owned_by(changed: Fields, writer: Writer) -> Fields:
    owned = fields.difference(changed, _NEVER_OWNED)
    return fields.without_trees(owned, writer.ignored) if writer.ignored else owned


def _without_managed(obj: Mapping[str, Any]) -> Tree:
    meta = obj.get("metadata")
    if meta and "managedFields" in meta:
        return {**obj, "metadata": {name: value for name, value in meta.items() if name != "managedFields"}}
    return dict(obj)


def _capped(entries: _Entries) -> Iterable[_Entry]:
    """At most `MAX_UPDATERS` updaters: the oldest are put together."""
    updaters = [entry for entry in entries.values() if entry.operation == "Update" and entry.owned]
    if len(updaters) <= MAX_UPDATERS:
        return entries.values()
    updaters.sort(key=lambda entry: entry.time)
    old = updaters[: len(updaters) - MAX_UPDATERS + 1]
    merged: Fields = {}
    for entry in old:
        merged = fields.union(merged, entry.owned)
    ancient = replace(old[-1], manager=ANCIENT_CHANGES, subresource="", owned=merged)
    gone = {entry.identity for entry in old}
    return [*(entry for key, entry in entries.items() if key not in gone), ancient]


# -- apply


def apply(live: Tree | None, config: Tree, schema: Schema, writer: Writer, *, force: bool = False) -> Tree:
    """The object after `config` was applied over `live` (None: it is new), with managedFields; inputs stay as they are.

    Not yet defaulted or validated. When the result equals `live`, nothing has to be written. Raises `Conflict` with a
    cause for each field that others own and that would change, unless forced. `config` was checked by `check_config`.
    """
    try:
        return _apply(live, config, schema, writer, force=force)
    except Conflict as error:
        if force or live is None or not _are_by_client_side_apply(error, live, schema, writer):
            raise
    return _apply(live, config, schema, writer, force=True)


def _apply(live: Tree | None, config: Tree, schema: Schema, writer: Writer, *, force: bool) -> Tree:
    entries = _entries_before_apply(live, schema, writer)
    before = _without_managed(live or {})
    key = (writer.manager, "Apply", "", writer.subresource)
    last = entries.get(key)
    mine = _owned_by(_fields_applied(config, schema), writer)
    entries[key] = _Entry(writer.manager, "Apply", writer.api_version, writer.subresource, "", mine)
    merged: Tree = ownership.merge(schema, before, config)
    if last is not None and last.owned:
        merged = _without_abandoned(merged, schema, last.owned, entries.values())
    differences = ownership.compare(schema, before, merged)
    changed, removed = _reached(writer, differences)
    is_reordered = not any(differences) and merged != before
    entries = _yield_to(entries, key, changed, removed, force=force)
    result = {**merged, "metadata": dict(merged.get("metadata") or {})}
    if changed or removed or is_reordered:
        entries[key] = replace(entries[key], time=format_time(writer.now))
    else:  # upstream stamps only what changed the object
        entries[key] = replace(entries[key], time=last.time if last is not None else "")
    _keep_last_applied(result, live, config, writer)
    _write(result, _capped(entries))
    return _unshared(result)


def _entries_before_apply(live: Tree | None, schema: Schema, writer: Writer) -> _Entries:
    entries = _read(live)
    if live is not None and not entries:
        there = fields.difference(ownership.compare(schema, {}, _without_managed(live))[0], _NEVER_OWNED)
        when = str(live["metadata"].get("creationTimestamp") or format_time(writer.now))
        entry = _Entry(BEFORE_FIRST_APPLY, "Update", writer.api_version, "", when, there)
        entries[entry.identity] = entry
    return entries


def check_config(config: Tree, kind: Kind, schema: Schema, name: str) -> None:
    """Refuses what cannot be applied to the object `name` of a kind, as it was sent (apply drops no unknown fields).

    Raises `BadRequest`, and `Unclassified` for the first field that its schema does not know, or not so.
    """
    version, sent = str(config.get("apiVersion") or ""), str(config.get("kind") or "")
    if (version, sent) != (kind.api_version, kind.kind):
        raise BadRequest(f"invalid object type: {_with_slash(version)}, Kind={sent}")
    if (config.get("metadata") or {}).get("managedFields") is not None:
        raise BadRequest("metadata.managedFields must be nil")
    if unknown := schema.unknown(config):
        raise _untyped(config, f".{unknown}: field not declared in schema")
    if wrong := ownership.wrong_type(schema, config):
        raise _untyped(config, wrong)
    _fields_applied(config, schema)
    if not (config.get("metadata") or {}).get("name"):
        raise BadRequest(f"the name of the object ({name} based on URL) was undeterminable: name must be provided")


def _with_slash(version: str) -> str:
    """`/v1`, `apps/v1`: how Go prints a group and version."""
    return version if "/" in version else f"/{version}"


def _fields_applied(config: Tree, schema: Schema) -> Fields:
    try:
        return ownership.fields_of(schema, config)
    except InternalError as error:
        raise _untyped(config, error.message) from error


def _untyped(config: Tree, why: str) -> Unclassified:
    meta = config.get("metadata") or {}
    told = f"{meta.get('namespace') or ''}/{meta.get('name')}; {_with_slash(str(config.get('apiVersion')))}"
    return Unclassified(f"failed to create typed patch object ({told}, Kind={config.get('kind')}): {why}")


def _without_abandoned(merged: Tree, schema: Schema, last: Fields, entries: Iterable[_Entry]) -> Tree:
    """Takes away what the applier applied the last time, does not apply any more, and nobody else owns."""
    owned: Fields = {}
    for entry in entries:
        owned = fields.union(owned, entry.owned)
    doomed = fields.difference(ownership.with_parents(last), ownership.with_parents(owned))
    doomed = fields.difference(doomed, _NEVER_OWNED)
    left: Tree = ownership.remove(schema, merged, doomed)
    return left


def _yield_to(entries: _Entries, key: tuple[str, ...], changed: Fields, removed: Fields, *, force: bool) -> _Entries:
    """The entries after the others lost what changes; raises `Conflict` when they may not."""
    lost = {
        other: common
        for other, entry in entries.items()
        if other != key and (common := fields.intersection(entry.owned, changed))
    }
    if lost and not force:
        raise _conflict([(entries[other], common) for other, common in lost.items()])
    gone = fields.union(changed, removed)
    return {other: entry if other == key else _without(entry, gone) for other, entry in entries.items()}


def _conflict(lost: Iterable[tuple[_Entry, Fields]]) -> Conflict:
    told = [(str(entry), path) for entry, owned in lost for path in fields.paths(owned)]
    found = sorted(told, key=lambda pair: pair[0])
    causes = [Cause("FieldManagerConflict", f"conflict with {who}", path) for who, path in found]
    if len(found) == 1:
        return Conflict(f"Apply failed with 1 conflict: conflict with {found[0][0]}: {found[0][1]}", causes)
    lines: list[str] = []
    for who in dict.fromkeys(who for who, _ in found):
        lines.append(f"conflicts with {who}:")
        lines += [f"- {path}" for other, path in found if other == who]
    return Conflict(f"Apply failed with {len(found)} conflicts: " + "\n".join(lines), causes)


def _are_by_client_side_apply(error: Conflict, live: Tree, schema: Schema, writer: Writer) -> bool:
    """All conflicts are about what `kubectl apply` without `--server-side` had applied: kubectl takes it over."""
    text = annotations_of(live).get(LAST_APPLIED)
    if writer.manager != KUBECTL or not text:
        return False
    try:
        applied = orjson.loads(text)
        before = set(fields.paths(ownership.fields_of(schema, applied)))
    except (orjson.JSONDecodeError, InternalError):
        return False
    return all(cause.field in before for cause in error.causes)


def _keep_last_applied(result: Tree, live: Tree | None, config: Tree, writer: Writer) -> None:
    """kubectl's record of what was applied follows, so that one may go back to client-side apply."""
    if writer.manager == KUBECTL and live is not None and LAST_APPLIED in annotations_of(live):
        meta = config.get("metadata") or {}
        notes = {name: text for name, text in (meta.get("annotations") or {}).items() if name != LAST_APPLIED}
        bare = {name: value for name, value in meta.items() if name != "annotations"}
        record = {**config, "metadata": {**bare, "annotations": notes} if notes else bare}
        text = orjson.dumps(record, option=orjson.OPT_SORT_KEYS).decode() + "\n"
        result["metadata"]["annotations"] = {**(result["metadata"].get("annotations") or {}), LAST_APPLIED: text}


def _unshared(obj: Tree) -> Tree:
    copy: Tree = orjson.loads(orjson.dumps(obj))
    return copy
