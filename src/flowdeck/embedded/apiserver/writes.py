"""What all writes share: how one is to be done, the object from outside checked, identity kept, no-ops seen."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from flowdeck.embedded.apiserver.bodies import refuse_types
from flowdeck.embedded.apiserver.contract import Resource, User
from flowdeck.embedded.apiserver.deletion import SCHEME
from flowdeck.kube.errors import (
    ApiError,
    BadRequest,
    FieldError,
    Invalid,
    Unclassified,
    conflict,
    forbidden,
    invalid,
    invalid_object,
)
from flowdeck.kube.objects import ObjectKey, Tree
from flowdeck.kube.ownership import go_value

_SET_BY_SERVER = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")


@dataclass(frozen=True, kw_only=True)
class WriteOptions:
    """How a write is to be done; the query parameters of the wire."""

    user: User
    manager: str = "unknown"
    """Who the changed fields belong to (`fieldManager`)."""
    dry_run: bool = False
    field_validation: Literal["Ignore", "Warn", "Strict"] = "Warn"
    """What to do about unknown fields: drop, drop and warn, refuse."""
    force: bool = False
    """Server-side apply: take fields over from other managers."""
    warnings: list[str] = field(default_factory=list)
    """Collects the texts for `Warning` headers."""


def read_object(
    resource: Resource,
    namespace: str,
    name: str,
    obj: Any,
    options: WriteOptions,
    old: Tree | None = None,
    *,
    is_applied: bool = False,
) -> Tree:
    """Checks an object from outside against the URL it was sent to, and drops what its schema does not know.

    Gives a tree whose top level and metadata are fresh, in the stored version; raises `BadRequest`. What is as in
    `old` was checked before. One that `is_applied` keeps its fields as they are: it is a part of an object.
    """
    if not isinstance(obj, dict):
        raise BadRequest(f"the object provided is unrecognized (must be of type {resource.kind.kind})")
    meta = obj.get("metadata")
    fresh = {} if meta is None else dict(meta) if isinstance(meta, dict) else meta
    tree: Tree = {**obj, "metadata": fresh}
    _check_type(resource, tree)
    if not (is_applied and isinstance(fresh, dict)):
        _check_fields(resource, tree, options, old)
    _check_place(resource, namespace, name, tree)
    return tree if resource.conversion is None else resource.conversion.to_storage(tree)


def _check_type(resource: Resource, obj: Tree) -> None:
    kind = resource.kind
    if resource.is_custom and not (obj.get("kind") and obj.get("apiVersion")):
        missing = "Kind" if not obj.get("kind") else "apiVersion"
        raise BadRequest(f"Object '{missing}' is missing in the object provided")
    sent, version = str(obj.get("kind") or kind.kind), str(obj.get("apiVersion") or kind.api_version)
    obj |= {"kind": sent, "apiVersion": version}
    if (sent, version) == (kind.kind, kind.api_version):
        return
    if resource.is_custom and sent != kind.kind:
        name = (obj.get("metadata") or {}).get("name") or ""
        raise invalid_object(replace(kind, kind=sent), name, [invalid("kind", sent, f"must be {kind.kind}")])
    if resource.is_custom:
        told = f"the API version in the data ({version}) does not match the expected API version ({kind.api_version})"
        raise BadRequest(told)
    what = f'{sent} in version "{version.rpartition("/")[2]}" cannot be handled as a {kind.kind}'
    raise BadRequest(f'{what}: no kind "{sent}" is registered for version "{version}" in scheme "{SCHEME}"')


def _check_fields(resource: Resource, obj: Tree, options: WriteOptions, old: Tree | None) -> None:
    refuse_types(resource.kind, resource.schema.type_errors(obj, old))
    unknown = resource.schema.prune(obj, old)
    if unknown and options.field_validation == "Strict":
        told = ", ".join(f'unknown field "{path}"' for path in unknown)
        refuse_types(resource.kind, [f"strict decoding error: {told}"])
    if unknown and options.field_validation == "Warn":
        options.warnings.extend(f'unknown field "{path}"' for path in unknown)


_LEFT_OUT_WHEN_EMPTY = ("labels", "annotations", "finalizers", "ownerReferences")


def empty_metadata(obj: Any) -> Tree:
    """The empty fields of metadata that are not stored; who applies them owns them all the same."""
    meta = obj.get("metadata") if isinstance(obj, dict) else None
    if not isinstance(meta, dict):
        return {}
    return {name: meta[name] for name in _LEFT_OUT_WHEN_EMPTY if meta.get(name) in ({}, [])}


def without_empty_metadata(obj: Tree) -> Tree:
    """The object, changed: without those."""
    for name in _LEFT_OUT_WHEN_EMPTY:
        if name in obj["metadata"] and not obj["metadata"][name]:
            del obj["metadata"][name]
    return obj


def decoded(resource: Resource, obj: Tree) -> Tree:
    """What an apply has made, changed: as if it had been read from outside. Raises `Unclassified`."""
    if wrong := resource.schema.type_errors(obj):
        kind, meta = resource.kind, obj["metadata"]
        version = kind.api_version if kind.group else f"/{kind.version}"
        which = f"{version}, Kind={kind.kind}"
        why = ("error decoding from json: " if wrong[0].startswith("illegal base64") else "") + wrong[0]
        raise Unclassified(
            f"failed to convert new object ({meta.get('namespace') or ''}/{meta['name']}; {which}) to proper version: "
            f"unable to convert unstructured object to {which}: {why}"
        )
    resource.schema.prune(obj)
    return without_empty_metadata(obj)


def _check_place(resource: Resource, namespace: str, name: str, obj: Tree) -> None:
    meta = without_empty_metadata(obj)["metadata"]
    if resource.kind.namespaced:
        if meta.get("namespace", namespace) not in ("", namespace):
            raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
        meta["namespace"] = namespace
    elif meta.get("namespace"):
        raise BadRequest("namespace is not allowed on this type")
    if name and not meta.get("name"):
        raise BadRequest(f"the name of the object ({name} based on URL) was undeterminable: name must be provided")
    if name and meta["name"] != name:
        raise BadRequest(f"the name of the object ({meta['name']}) does not match the name on the URL ({name})")


def refuse(resource: Resource, name: str, *found: Sequence[FieldError]) -> None:
    """Raises `Invalid` where errors were found."""
    errors = [error for group in found for error in group]
    if errors:
        raise invalid_object(resource.kind, name, errors)


def ordered(resource: Resource, obj: Tree) -> Tree:
    """The object as it is stored: kind and storage version first, so that lists can cut them off."""
    kind = resource.kind
    version = f"{kind.group}/{resource.storage_version}" if kind.group else resource.storage_version
    return {"kind": kind.kind, "apiVersion": version} | {**obj, "kind": kind.kind, "apiVersion": version}


_HANDLED = " cannot be handled as a "


def undecodable(error: BadRequest, patched: Tree, patch: Any = None) -> ApiError:
    """The answer to a patch whose result is no object of the kind; it shows the result, or a strategic `patch`."""
    _, handled, rest = error.message.partition(_HANDLED)
    if not handled:
        return error
    shown = json.dumps(patched, separators=(",", ":"), sort_keys=True) if patch is None else go_value(patch)
    told = invalid("patch", shown, rest.partition(": ")[2] or error.message)
    return Invalid(f' "" is invalid: {told}', [told.to_cause()])


def check_update(resource: Resource, key: ObjectKey, new: Tree, old: Tree) -> None:
    """What the sender of a whole object must know of the one that is there: its revision, its uid.

    Raises `Invalid`, `Conflict`, and `Unclassified` for a revision that is none.
    """
    meta, kind = new["metadata"], resource.kind
    revision = meta.get("resourceVersion") or ""
    if not revision and resource.needs_revision:
        error = invalid("metadata.resourceVersion", 0, "must be specified for an update")
        raise invalid_object(replace(kind, kind=kind.plural), key.name, [error])
    if revision and not revision.isdigit():
        raise Unclassified(f'strconv.ParseUint: parsing "{revision}": invalid syntax')
    check_uid(resource, key, new, old["metadata"]["uid"])


def check_uid(resource: Resource, key: ObjectKey, obj: Tree, uid: str) -> None:
    """Raises `Conflict` where an object is written that is not the one that is there (`""`: none is)."""
    kind, sent = resource.kind, obj["metadata"].get("uid")
    if sent not in (None, "", uid):
        path = "/".join(filter(None, ("/registry", kind.group if resource.is_custom else "", kind.plural, *key)))
        raise conflict(
            kind,
            key.name,
            f"StorageError: invalid object, Code: 4, Key: {path}, ResourceVersion: 0, AdditionalErrorMsg: Precondition "
            f"failed: UID in precondition: {sent}, UID in object meta: {uid}",
        )


def keep_identity(resource: Resource, key: ObjectKey, new: Tree, old: Tree) -> None:
    """What an update cannot change: uid and mark of deletion (checked), marks of creation (kept)."""
    meta, was = new["metadata"], old["metadata"]
    changed = [
        invalid(f"metadata.{name}", meta[name], "field is immutable")
        for name in ("uid", "deletionTimestamp")
        if meta.get(name) not in (None, "", was.get(name))
    ]
    refuse(resource, key.name, changed)
    for name in _SET_BY_SERVER:
        meta.pop(name, None)
        if name in was:
            meta[name] = was[name]
    meta.pop("selfLink", None)


def finalizer_errors(new: Tree, old: Tree) -> Sequence[FieldError]:
    """Once deletion has begun, finalizers can only be taken away."""
    meta, was = new["metadata"], old["metadata"]
    if not was.get("deletionTimestamp"):
        return ()
    added = [f for f in meta.get("finalizers") or () if f not in (was.get("finalizers") or ())]
    if not added:
        return ()
    listed = ", ".join(f'"{name}"' for name in added)
    return [
        forbidden(
            "metadata.finalizers",
            f"no new finalizers can be added if the object is being deleted, found new finalizers []string{{{listed}}}",
        )
    ]


def is_same(new: Tree, old: Tree) -> bool:
    """Whether a write would change nothing (times in managedFields do not count)."""
    meta, was = dict(new["metadata"]), dict(old["metadata"])
    if _untimed(meta.pop("managedFields", None)) != _untimed(was.pop("managedFields", None)):
        return False
    return meta == was and {**new, "metadata": 0, "apiVersion": 0} == {**old, "metadata": 0, "apiVersion": 0}


def _untimed(managed_fields: Sequence[Tree] | None) -> Sequence[Tree]:
    return [{**entry, "time": None} for entry in managed_fields or ()]
