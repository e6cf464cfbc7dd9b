"""How a value is checked against one schema node, in the words of kube-openapi's validator.

Source: kube-openapi (pkg/validation/errors, pkg/validation/validate), k8s.io/apiextensions-apiserver
(pkg/apiserver/validation/validation.go). Names in texts are paths like `spec.items[0].name`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
import orjson

from flowdeck.kube.errors import (
    FieldError,
    duplicate,
    invalid,
    not_supported,
    required,
    too_long,
    too_many,
    type_invalid,
)
from flowdeck.kube.formats import FORMATS
from flowdeck.kube.objects import Tree
from flowdeck.kube.regex import compile_go

if TYPE_CHECKING:
    from flowdeck.kube.schema import Schema

Path: TypeAlias = "tuple[Path, str | int] | None"
"""Where we are: the way up and the last step; None at the root."""
Check = Callable[[Any, Path, list[FieldError]], None]
Checks = Sequence[Check]

_BOUNDS = frozenset(
    {
        "allOf", "anyOf", "enum", "exclusiveMaximum", "exclusiveMinimum", "format", "maxItems", "maxLength",
        "maxProperties", "maximum", "minItems", "minLength", "minProperties", "minimum", "multipleOf", "not", "oneOf",
        "pattern", "required",
    }
)  # fmt: skip
_COMBINING = frozenset({"allOf", "anyOf", "oneOf"})
_INT_RANGE = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}


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


def _in_body(path: Path) -> str:
    return f"{text_of(path) if path else ''} in body"


def is_unchanged(old: Any, value: Any) -> bool:
    """Equal as JSON: Python takes `true` for 1. May say no when only the order of keys differs."""
    if type(old) is not type(value) or old != value:
        return False
    return not isinstance(value, dict | list) or orjson.dumps(old) == orjson.dumps(value)


def is_unbounded(tree: Tree) -> bool:
    """The type is all that the schema asks for."""
    return _BOUNDS.isdisjoint(tree)


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
    errors.append(type_invalid(text_of(path), actual, f'{_in_body(path)} must be of type {expected}: "{actual}"'))
    if actual == "number" and expected == "integer":
        errors.append(_out_of_format(path, f"with format {schema.format}" if schema.format else "(default format)"))


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
    by_key = {_hashable(_keys_of(schema, item)): item for item in old if isinstance(item, dict)}
    return lambda value: by_key.get(_hashable(_keys_of(schema, value))) if isinstance(value, dict) else None


def _keys_of(schema: "Schema", item: Any) -> Any:
    """The keys of an item of a map list, as `{"name": "x"}`; what is no object is its own key."""
    if not isinstance(item, dict):
        return item
    return {key: item[key] for key in schema.map_keys if key in item}


def _check_unique(values: list[Any], path: Path, errors: list[FieldError]) -> None:
    seen: set[Any] = set()
    told: set[Any] = set()
    for index, value in enumerate(values):
        mark = _hashable(value)
        if mark in seen and mark not in told:
            told.add(mark)
            errors.append(duplicate(text_of((path, index)), value))
        seen.add(mark)


def _hashable(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple(sorted((key, _hashable(item)) for key, item in value.items()))
    if isinstance(value, list):
        return tuple(_hashable(item) for item in value)
    return type_of(value), value


# -- what a node asks for, one small check each


def checks_of(schema: "Schema") -> Checks:
    """The checks that the bounds of a node ask for, in upstream's order."""
    tree = schema.tree
    found: list[Check] = []
    if schema.is_quantity:
        return found
    if schema.is_embedded and not schema.is_root:
        found.append(_check_embedded)
    if ("not" in tree or not _COMBINING.isdisjoint(tree)) and not schema.is_int_or_string:
        found.append(_combined(schema))
    elif schema.is_int_or_string and "allOf" in tree:
        found += [check for part in tree["allOf"] if "anyOf" not in part for check in checks_of(schema.branch(part))]
    texts = [make(tree) for word, make in _OF_TEXTS.items() if word in tree]
    if texts:
        found.append(texts[0] if len(texts) == 1 else _first_of(texts))
    for word, make in _MAKERS.items():
        if word in tree:
            found.append(make(tree))
    if (schema.type == "string" or not schema.type) and tree.get("format") in FORMATS:
        found.append(_format(tree["format"]))
    if schema.type == "integer" and tree.get("format") in _INT_RANGE:
        found.append(_range(tree["format"]))
    return found


def _first_of(checks: Checks) -> Check:
    """Of a text no more than one thing is said."""

    def check(value: Any, path: Path, errors: list[FieldError]) -> None:
        before = len(errors)
        for each in checks:
            each(value, path, errors)
            if len(errors) > before:
                return

    return check


def _max_length(tree: Tree) -> Check:
    limit = tree["maxLength"]

    def check(value: Any, path: Path, errors: list[FieldError]) -> None:
        if type(value) is str and len(value) > limit:
            errors.append(too_long(text_of(path), limit))

    return check


def _min_length(tree: Tree) -> Check:
    limit = tree["minLength"]

    def check(value: Any, path: Path, errors: list[FieldError]) -> None:
        if type(value) is str and len(value) < limit:
            errors.append(invalid(text_of(path), value, f"{_in_body(path)} should be at least {limit} chars long"))

    return check


def _pattern(tree: Tree) -> Check:
    pattern = tree["pattern"]
    search = compile_go(pattern).search

    def check(value: Any, path: Path, errors: list[FieldError]) -> None:
        if type(value) is str and search(value) is None:
            errors.append(invalid(text_of(path), value, f"{_in_body(path)} should match '{pattern}'"))

    return check


def _format(name: str) -> Check:
    fits = FORMATS[name]

    def check(value: Any, path: Path, errors: list[FieldError]) -> None:
        if type(value) is str and not fits(value):
            detail = f"{_in_body(path)} must be of type {name}: {msgspec.json.encode(value).decode()}"
            errors.append(type_invalid(text_of(path), value, detail))

    return check


def _range(name: str) -> Check:
    low, high = _INT_RANGE[name]

    def check(value: Any, path: Path, errors: list[FieldError]) -> None:
        if type(value) is int and not low <= value <= high:
            errors.append(_out_of_format(path, f"with format {name}"))

    return check


def _out_of_format(path: Path, format_: str) -> FieldError:
    """Upstream does not say of this error where it is."""
    return invalid("<nil>", "", f"Checked value must be of type integer {format_} in {text_of(path)}")


def _number(word: str, exclusive: str, fits: Callable[[Any, Any, bool], bool], told: str) -> Callable[[Tree], Check]:
    def make(tree: Tree) -> Check:
        bound, strict = tree[word], bool(tree.get(exclusive))
        text = f"should be {told} than {'' if strict else 'or equal to '}{_go_number(bound)}"

        def check(value: Any, path: Path, errors: list[FieldError]) -> None:
            if (type(value) is int or type(value) is float) and not fits(value, bound, strict):
                errors.append(invalid(text_of(path), value, f"{_in_body(path)} {text}"))

        return check

    return make


def _multiple(tree: Tree) -> Check:
    factor = tree["multipleOf"]

    def check(value: Any, path: Path, errors: list[FieldError]) -> None:
        if type(value) in (int, float) and not math.isclose(value / factor, round(value / factor), abs_tol=1e-9):
            detail = f"{_in_body(path)} should be a multiple of {_go_number(factor)}"
            errors.append(invalid(text_of(path), value, detail))

    return check


def _max_size(word: str, kind: type[list[Any]] | type[dict[str, Any]]) -> Callable[[Tree], Check]:
    def make(tree: Tree) -> Check:
        limit = tree[word]

        def check(value: Any, path: Path, errors: list[FieldError]) -> None:
            if isinstance(value, kind) and len(value) > limit:
                errors.append(too_many(text_of(path), len(value), limit))

        return check

    return make


def _min_size(word: str, kind: type[list[Any]] | type[dict[str, Any]], noun: str) -> Callable[[Tree], Check]:
    def make(tree: Tree) -> Check:
        limit = tree[word]

        def check(value: Any, path: Path, errors: list[FieldError]) -> None:
            if isinstance(value, kind) and len(value) < limit:
                detail = f"{_in_body(path)} should have at least {limit} {noun}"
                errors.append(invalid(text_of(path), len(value), detail))

        return check

    return make


def _enum(tree: Tree) -> Check:
    values = tree["enum"]
    told = [value if isinstance(value, str) else msgspec.json.encode(value).decode() for value in values]
    texts = frozenset(value for value in values if isinstance(value, str))

    def check(value: Any, path: Path, errors: list[FieldError]) -> None:
        if (value not in texts) if type(value) is str else (_hashable(value) not in map(_hashable, values)):
            errors.append(not_supported(text_of(path), value, told))

    return check


def _required(tree: Tree) -> Check:
    names = tree["required"]
    wanted = frozenset(names)

    def check(value: Any, path: Path, errors: list[FieldError]) -> None:
        if type(value) is dict and not wanted <= value.keys():
            errors += [required(text_of((path, name))) for name in names if name not in value]

    return check


def _check_embedded(value: Any, path: Path, errors: list[FieldError]) -> None:
    if type(value) is dict:
        errors += [required(text_of((path, name))) for name in ("apiVersion", "kind") if not value.get(name)]


def _shortest(found: list[list[FieldError]]) -> list[FieldError]:
    return min(found, key=lambda errors: len(errors))


def _combined(schema: "Schema") -> Check:
    """`allOf`, `anyOf`, `oneOf`, `not`."""
    tree = schema.tree
    parts = {word: [schema.branch(part) for part in tree.get(word) or ()] for word in _COMBINING}
    refused = schema.branch(tree["not"]) if tree.get("not") else None

    def check(value: Any, path: Path, errors: list[FieldError]) -> None:
        if parts["anyOf"]:
            found = _tried(parts["anyOf"], value, path)
            if all(found):
                errors.append(_must(path, "must validate at least one schema (anyOf)"))
                errors += _shortest(found)
        if parts["oneOf"]:
            found = _tried(parts["oneOf"], value, path)
            fitting = sum(1 for errors_of_one in found if not errors_of_one)
            if fitting != 1:
                told = "none valid" if not fitting else f"{fitting} valid alternatives"
                errors.append(_must(path, f"must validate one and only one schema (oneOf). Found {told}"))
                if not fitting:
                    errors += _shortest(found)
        if parts["allOf"]:
            failed = [error for one in _tried(parts["allOf"], value, path) for error in one]
            if failed:
                errors += [*failed, _must(path, "must validate all the schemas (allOf)")]
        if refused is not None and not _tried([refused], value, path)[0]:
            errors.append(_must(path, "must not validate the schema (not)"))

    return check


def _tried(branches: "Sequence[Schema]", value: Any, path: Path) -> list[list[FieldError]]:
    found: list[list[FieldError]] = []
    for branch in branches:
        errors: list[FieldError] = []
        branch.check(value, None, path, errors)
        found.append(errors)
    return found


def _must(path: Path, text: str) -> FieldError:
    """Upstream does not say of this error where it is."""
    return invalid("<nil>", "", f'"{text_of(path) if path else ""}" {text}')


def _go_number(value: float) -> str:
    return str(int(value)) if isinstance(value, int) or value.is_integer() else repr(value)


_OF_TEXTS: Mapping[str, Callable[[Tree], Check]] = {
    "maxLength": _max_length,
    "minLength": _min_length,
    "pattern": _pattern,
}
_MAKERS: Mapping[str, Callable[[Tree], Check]] = {
    "maximum": _number("maximum", "exclusiveMaximum", lambda v, b, strict: v < b if strict else v <= b, "less"),
    "minimum": _number("minimum", "exclusiveMinimum", lambda v, b, strict: v > b if strict else v >= b, "greater"),
    "multipleOf": _multiple,
    "maxItems": _max_size("maxItems", list),
    "minItems": _min_size("minItems", list, "items"),
    "maxProperties": _max_size("maxProperties", dict),
    "minProperties": _min_size("minProperties", dict, "properties"),
    "enum": _enum,
    "required": _required,
}
