"""Strategic merge patch: a merge patch that knows which lists are merged by key, with directives.

    $patch: replace | delete            on an object, or as an item of a merged list
    $retainKeys: [...]                  drops all other keys of the object first
    $deleteFromPrimitiveList/<field>    takes values out of a merged list of scalars
    $setElementOrder/<field>            the order that a merged list shall have

Source: k8s.io/apimachinery (pkg/util/strategicpatch). Which lists merge, and by which key, comes from the `Schema`.
"""

from collections.abc import Callable, Sequence
from typing import Any

from flowdeck.kube.errors import BadRequest
from flowdeck.kube.objects import Tree, copy_of
from flowdeck.kube.patches import json_type
from flowdeck.kube.schema import Schema

_PATCH = "$patch"
_RETAIN = "$retainKeys"
_DELETE = "$deleteFromPrimitiveList/"
_ORDER = "$setElementOrder/"


def apply_strategic_patch(obj: Tree, patch: Any, schema: Schema) -> Tree:
    """The object with `patch` merged in; the input stays as it is. Raises `BadRequest` on a bad directive."""
    if patch is None:
        return copy_of(obj)
    if not isinstance(patch, dict):
        raise BadRequest(f"json: cannot unmarshal {json_type(patch)} into Go value of type map[string]interface {{}}")
    return _merge_object(copy_of(obj), patch, schema)


def _merge_object(target: Tree, patch: Tree, schema: Schema | None) -> Tree:
    """Merges into `target` and gives back the result, which may be another object."""
    if _PATCH in patch:
        match patch[_PATCH]:
            case "replace":
                return {key: _without_directives(value) for key, value in patch.items() if not key.startswith("$")}
            case "delete":
                return {}
            case other:
                raise BadRequest(f"unknown patch type: {other!r}")
    if _RETAIN in patch:
        _retain(target, patch)
    orders = {key.removeprefix(_ORDER): value for key, value in patch.items() if key.startswith(_ORDER)}
    before = {name: list(target[name]) for name in orders if isinstance(target.get(name), list)}
    for key, value in patch.items():
        if key.startswith(_DELETE):
            _delete_scalars(target, key.removeprefix(_DELETE), value)
        elif not key.startswith("$"):
            _merge_field(target, key, value, schema.property(key) if schema else None)
    for name, order in orders.items():
        if isinstance(target.get(name), list):
            child = schema.property(name) if schema else None
            target[name] = _in_order(target[name], order, before.get(name, []), _key_of(child))
    return target


def _retain(target: Tree, patch: Tree) -> None:
    kept = patch[_RETAIN]
    if not isinstance(kept, list) or any(not key.startswith("$") and key not in kept for key in patch):
        raise BadRequest("invalid patch format of retainKeys")
    for key in [key for key in target if key not in kept]:
        del target[key]


def _delete_scalars(target: Tree, name: str, values: Any) -> None:
    if not isinstance(values, list):
        raise BadRequest("invalid patch format of primitive list")
    if isinstance(target.get(name), list):
        target[name] = [item for item in target[name] if item not in values]


def _merge_field(target: Tree, key: str, value: Any, schema: Schema | None) -> None:
    if value is None:
        target.pop(key, None)
        return
    old = target.get(key)
    if isinstance(value, dict) and isinstance(old, dict) and not _is_replaced(schema):
        target[key] = _merge_object(old, value, schema)
    elif isinstance(value, list) and isinstance(old, list) and schema and "merge" in schema.patch_strategies:
        target[key] = _merge_list(old, value, schema)
    else:
        target[key] = _without_directives(value)


def _is_replaced(schema: Schema | None) -> bool:
    return schema is not None and "replace" in schema.patch_strategies


def _key_of(schema: Schema | None) -> str:
    return schema.merge_key if schema else ""


def _merge_list(old: list[Any], patch: list[Any], schema: Schema) -> list[Any]:
    key = schema.merge_key
    if not key:
        merged = old + [item for at, item in enumerate(patch) if item not in old and item not in patch[:at]]
        return _in_order(merged, patch, old, key)
    for item in patch:
        if not isinstance(item, dict):
            raise BadRequest(f"expected a list of objects to merge by {key}")
    if any(item.get(_PATCH) == "replace" for item in patch):
        return [_without_directives(item) for item in patch if item.get(_PATCH) != "replace"]
    doomed = [_merge_value(item, key) for item in patch if item.get(_PATCH) == "delete"]
    merged = [item for item in old if item.get(key) not in doomed]
    wanted = [item for item in patch if item.get(_PATCH) != "delete"]
    for item in wanted:
        value = _merge_value(item, key)
        at = next((at for at, existing in enumerate(merged) if existing.get(key) == value), None)
        if at is None:
            merged.append(_without_directives(item))
        else:
            merged[at] = _merge_object(merged[at], item, schema.items)
    return _in_order(merged, wanted, old, key)


def _merge_value(item: Tree, key: str) -> Any:
    if key not in item:
        raise BadRequest(f"map: {item} does not contain declared merge key: {key}")
    return item[key]


def _in_order(merged: list[Any], order: Sequence[Any], before: Sequence[Any], key: str) -> list[Any]:
    """Items that `order` names in its order, the others where they stood before, relative to them."""
    identity: Callable[[Any], Any] = (lambda item: item.get(key)) if key else (lambda item: item)
    wanted = [identity(item) for item in order]
    place = [identity(item) for item in before]
    named = sorted((item for item in merged if identity(item) in wanted), key=lambda item: wanted.index(identity(item)))
    others = [item for item in merged if identity(item) not in wanted]
    others.sort(key=lambda item: place.index(identity(item)) if identity(item) in place else len(place))
    result: list[Any] = []
    while named and others:
        mine, theirs = identity(others[0]), identity(named[0])
        is_before = mine in place and theirs in place and place.index(mine) < place.index(theirs)
        result.append((others if is_before else named).pop(0))
    return result + named + others


def _without_directives(value: Any) -> Any:
    """A part of the patch that meets nothing to merge with: copied, without directives and nulls."""
    if isinstance(value, dict):
        return {
            key: _without_directives(item)
            for key, item in value.items()
            if item is not None and not key.startswith(("$patch", "$retainKeys", _DELETE, _ORDER))
        }
    if isinstance(value, list):
        return [_without_directives(item) for item in value if not (isinstance(item, dict) and _PATCH in item)]
    return value
