"""JSON patch (RFC 6902) and JSON merge patch (RFC 7386), with the API server's limits and error texts.

Patches never change their input. Strategic merge patch stands in `strategic.py`, server-side apply in `apply.py`.
Source: k8s.io/apiserver (pkg/endpoints/handlers/patch.go); negative indices count from the end, as its library does.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from flowdeck.kube.errors import BadRequest, Invalid, RequestEntityTooLarge
from flowdeck.kube.objects import Tree, copy_of

MAX_OPERATIONS = 10_000
MAX_COPIED_BYTES = 3 * 1024 * 1024
REJECTED = "the server rejected our request due to an error in our request"
"""All that the API says when a JSON patch cannot be applied, a failed `test` included."""


class _Unfit(Exception):
    """An operation does not fit the object."""


def apply_json_patch(obj: Tree, patch: Any) -> Tree:
    """The object after all operations.

    Raises `BadRequest` for what is no patch, `RequestEntityTooLarge` over `MAX_OPERATIONS`, `Invalid` when an
    operation does not fit the object or a `test` fails.
    """
    operations = _operations(patch)
    result: Any = copy_of(obj)
    size = 0
    try:
        for operation in operations:
            if operation["op"] == "copy":
                size += len(orjson.dumps(_find(result, _steps(operation, "from"))))
                if size > MAX_COPIED_BYTES:
                    raise _Unfit("copies too much")
            result = _apply(result, operation)
    except _Unfit as error:
        raise Invalid(REJECTED) from error
    if not isinstance(result, dict):
        raise BadRequest(f"json: cannot unmarshal {json_type(result)} into Go value of type map[string]interface {{}}")
    return result


def _operations(patch: Any) -> Sequence[Tree]:
    if not isinstance(patch, list):
        told = f"json: cannot unmarshal {json_type(patch)} into Go value of type []handlers.jsonPatchOp"
        raise BadRequest(f"error decoding patch: {told}")
    if len(patch) > MAX_OPERATIONS:
        told = f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(patch)}"
        raise RequestEntityTooLarge(f"Request entity too large: {told}")
    for operation in patch:
        if not isinstance(operation, dict):
            told = f"json: cannot unmarshal {json_type(operation)} into Go value of type handlers.jsonPatchOp"
            raise BadRequest(f"error decoding patch: {told}")
        if operation.get("op") not in ("add", "remove", "replace", "move", "copy", "test"):
            raise Invalid(REJECTED)
    return patch


def _apply(doc: Any, operation: Tree) -> Any:
    steps = _steps(operation, "path")
    match operation["op"]:
        case "add":
            return _add(doc, steps, copied(_value(operation)))
        case "remove":
            _remove(doc, steps)
        case "replace":
            _find(doc, steps)
            return _replace(doc, steps, copied(_value(operation)))
        case "move":
            source = _steps(operation, "from")
            value = _get(doc, source)
            if steps[: len(source)] == source and len(steps) > len(source):
                raise _Unfit("a value cannot move into itself")
            _remove(doc, source)
            return _add(doc, steps, value)
        case "copy":
            return _add(doc, steps, copied(_find(doc, _steps(operation, "from"))))
        case _:
            if not _is_equal(_find(doc, steps), operation.get("value")):
                raise _Unfit("test failed")
    return doc


def _value(operation: Tree) -> Any:
    if "value" not in operation:
        raise _Unfit("no value")
    return operation["value"]


def _steps(operation: Tree, word: str) -> list[str]:
    pointer = operation.get(word)
    if not isinstance(pointer, str) or (pointer and not pointer.startswith("/")):
        raise _Unfit(f"{word} is no JSON pointer")
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def _index(values: list[Any], step: str, *, end: int) -> int:
    """An index between 0 and `end`, negative ones counted from the end."""
    digits = step.removeprefix("-")
    if not digits.isascii() or not digits.isdigit():
        raise _Unfit(f"{step} is no index")
    index = int(step)
    if index < 0:
        index += end
    if not 0 <= index < end:
        raise _Unfit(f"{step} is out of bounds")
    return index


def _get(doc: Any, steps: Sequence[str]) -> Any:
    for step in steps:
        if isinstance(doc, dict) and step in doc:
            doc = doc[step]
        elif isinstance(doc, list):
            doc = doc[_index(doc, step, end=len(doc))]
        else:
            raise _Unfit(f"{step} is missing")
    return doc


def _find(doc: Any, steps: Sequence[str]) -> Any:
    """The value; None where only the last step is missing: upstream's `test`, `replace`, `copy` take that for null."""
    if not steps:
        return doc
    parent = _get(doc, steps[:-1])
    if isinstance(parent, dict):
        return parent.get(steps[-1])
    return _get(parent, steps[-1:])


def _add(doc: Any, steps: Sequence[str], value: Any) -> Any:
    if not steps:
        return value
    parent, last = _get(doc, steps[:-1]), steps[-1]
    if isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list):
        parent.insert(len(parent) if last == "-" else _index(parent, last, end=len(parent) + 1), value)
    else:
        raise _Unfit(f"{last} has no parent")
    return doc


def _replace(doc: Any, steps: Sequence[str], value: Any) -> Any:
    if not steps:
        return value
    parent, last = _get(doc, steps[:-1]), steps[-1]
    parent[last if isinstance(parent, dict) else _index(parent, last, end=len(parent))] = value
    return doc


def _remove(doc: Any, steps: Sequence[str]) -> None:
    if not steps:
        raise _Unfit("the whole object cannot be removed")
    _get(doc, steps)
    parent, last = _get(doc, steps[:-1]), steps[-1]
    del parent[last if isinstance(parent, dict) else _index(parent, last, end=len(parent))]


def _is_equal(one: Any, other: Any) -> bool:
    """Equal as JSON: `true` is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_equal, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def apply_merge_patch(obj: Tree, patch: Any) -> Tree:
    """The object with `patch` merged in: objects key by key, null removes, everything else replaces.

    Raises `BadRequest` when the patch is no object.
    """
    if patch is None:
        raise BadRequest("Invalid JSON Patch")
    if not isinstance(patch, dict):
        told = f"json: cannot unmarshal {json_type(patch)} into Go value of type map[string]interface {{}}"
        raise BadRequest(f"error decoding patch: {told}")
    result = copy_of(obj)
    _merge(result, patch)
    return result


def _merge(target: Tree, patch: Tree) -> None:
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            inner = target.get(key)
            if not isinstance(inner, dict):
                inner = target[key] = {}
            _merge(inner, value)
        else:
            target[key] = copied(value)


def copied(value: Any) -> Any:
    """A deep copy of any JSON value; scalars as they are."""
    return orjson.loads(orjson.dumps(value)) if isinstance(value, dict | list) else value


def json_type(value: Any) -> str:
    """What Go's decoder calls a value."""
    names = {dict: "object", list: "array", str: "string", bool: "bool", type(None): "null"}
    return names.get(type(value), "number")
