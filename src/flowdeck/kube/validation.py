"""Types, lists and paths, as a schema node wants them; what else it asks of a value stands in `checks.py`.

Source: kube-openapi (pkg/validation/errors, pkg/validation/validate), k8s.io/apiextensions-apiserver
(pkg/apiserver/validation/validation.go). Names in texts are paths like `spec.items[0].name`.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

from flowdeck.kube.errors import FieldError, duplicate, invalid, type_invalid

if TYPE_CHECKING:
    from flowdeck.kube.schema import Schema

Path: TypeAlias = "tuple[Path, str | int] | None"
"""Where we are: the way up and the last step; None at the root."""


class MapKey(str):
    """A step to a value of a map, shown as `[key]`."""

    __slots__ = ()


def text_of(path: Path) -> str:
    """`spec.items[0].name`; `<nil>` for the root."""
    steps: list[str | int] = []
    while path is not None:
        path, step = path
        steps.append(step)
    told = ""
    for step in reversed(steps):
        if isinstance(step, int | MapKey):
            told += f"[{step}]"
        else:
            told += f".{step}" if told else step
    return told or "<nil>"


def in_body(path: Path) -> str:
    """How upstream begins most sentences: `spec.replicas in body`."""
    return f"{text_of(path) if path else ''} in body"


def is_unchanged(old: Any, value: Any) -> bool:
    """Equal as JSON: Python takes `true` for 1. May say no when only the order of keys differs."""
    if type(old) is not type(value) or old != value:
        return False
    return not isinstance(value, dict | list) or orjson.dumps(old) == orjson.dumps(value)


def type_of(value: Any) -> str:
    """JSON's name for the type of a value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    return "object" if isinstance(value, dict) else "array"


def has_type(schema: "Schema", value: Any) -> bool:
    """True for a scalar (or null) that the schema's type allows."""
    kind = type(value)
    if value is None:
        return schema.is_nullable or schema.keeps_unknown or not (schema.type or schema.is_int_or_string)
    if schema.is_int_or_string:
        return kind is int or kind is str
    match schema.type:
        case "string":
            return kind is str
        case "integer":
            return kind is int or (kind is float and value.is_integer())
        case "number":
            return kind is int or kind is float
        case "boolean":
            return kind is bool
        case "":
            return True
    return False


def wrong_type(schema: "Schema", value: Any, path: Path, errors: list[FieldError]) -> None:
    expected = "integer,string" if schema.is_int_or_string else schema.type
    actual = type_of(value)
    errors.append(type_invalid(text_of(path), actual, f'{in_body(path)} must be of type {expected}: "{actual}"'))
    if actual == "number" and expected == "integer":
        errors.append(out_of_format(path, f"with format {schema.format}" if schema.format else "(default format)"))


def out_of_format(path: Path, format_: str) -> FieldError:
    """Upstream does not say of this error where it is."""
    return invalid("<nil>", "", f"Checked value must be of type integer {format_} in {text_of(path)}")


def check_list(
    schema: "Schema", values: list[Any], old: list[Any] | None, path: Path, errors: list[FieldError]
) -> None:
    """The items of a list, and that no two items of a set or map list are the same."""
    items = schema.items
    if items is not None:
        find = correlate(schema, old) if old else None
        for index, value in enumerate(values):
            items.check(value, find(value) if find else None, (path, index), errors)
    if schema.list_type == "set":
        _check_unique(values, path, errors)
    elif schema.is_map_list and not _are_keys_unique(schema.map_keys, values):
        _check_unique([_keys_of(schema, value) for value in values], path, errors)


def _are_keys_unique(keys: Sequence[str], values: list[Any]) -> bool:
    """A quick yes for the usual case."""
    try:
        if len(keys) == 1:
            key = keys[0]
            found = {value.get(key) for value in values}
        else:
            found = {tuple([value.get(key) for key in keys]) for value in values}
    except (AttributeError, TypeError):
        return False
    return len(found) == len(values)


def correlate(schema: "Schema", old: list[Any]) -> Callable[[Any], Any]:
    """Finds the old item that a new item of a map list stands for; None where there is none."""
    if not schema.is_map_list:
        return lambda _: None
    by_key = {hashable(_keys_of(schema, item)): item for item in old if isinstance(item, dict)}
    return lambda value: by_key.get(hashable(_keys_of(schema, value))) if isinstance(value, dict) else None


def _keys_of(schema: "Schema", item: Any) -> Any:
    """The keys of an item of a map list, as `{"name": "x"}`; what is no object is its own key."""
    if not isinstance(item, dict):
        return item
    return {key: item[key] for key in schema.map_keys if key in item}


def _check_unique(values: list[Any], path: Path, errors: list[FieldError]) -> None:
    seen: set[Any] = set()
    told: set[Any] = set()
    for index, value in enumerate(values):
        mark = hashable(value)
        if mark in seen and mark not in told:
            told.add(mark)
            errors.append(duplicate(text_of((path, index)), value))
        seen.add(mark)


def hashable(value: Any) -> Any:
    """Equal for values that are equal as JSON."""
    if isinstance(value, dict):
        return tuple(sorted((key, hashable(item)) for key, item in value.items()))
    if isinstance(value, list):
        return tuple(hashable(item) for item in value)
    return type_of(value), value
