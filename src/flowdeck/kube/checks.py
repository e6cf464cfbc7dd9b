"""What a schema node asks of a value beside its type, one small check each, in the words of kube-openapi's validator.

Source: kube-openapi (pkg/validation/errors, pkg/validation/validate). Names in texts are paths: `spec.items[0].name`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from flowdeck.kube.errors import FieldError, invalid, not_supported, required, too_long, too_many, type_invalid
from flowdeck.kube.formats import FORMATS
from flowdeck.kube.objects import Tree
from flowdeck.kube.regex import compile_go
from flowdeck.kube.validation import Path, hashable, in_body, out_of_format, text_of

if TYPE_CHECKING:
    from flowdeck.kube.schema import Schema

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


def is_unbounded(tree: Tree) -> bool:
    """The type is all that the schema asks for."""
    return _BOUNDS.isdisjoint(tree)


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
            errors.append(invalid(text_of(path), value, f"{in_body(path)} should be at least {limit} chars long"))

    return check


def _pattern(tree: Tree) -> Check:
    pattern = tree["pattern"]
    search = compile_go(pattern).search

    def check(value: Any, path: Path, errors: list[FieldError]) -> None:
        if type(value) is str and search(value) is None:
            errors.append(invalid(text_of(path), value, f"{in_body(path)} should match '{pattern}'"))

    return check


def _format(name: str) -> Check:
    fits = FORMATS[name]

    def check(value: Any, path: Path, errors: list[FieldError]) -> None:
        if type(value) is str and not fits(value):
            detail = f"{in_body(path)} must be of type {name}: {msgspec.json.encode(value).decode()}"
            errors.append(type_invalid(text_of(path), value, detail))

    return check


def _range(name: str) -> Check:
    low, high = _INT_RANGE[name]

    def check(value: Any, path: Path, errors: list[FieldError]) -> None:
        if type(value) is int and not low <= value <= high:
            errors.append(out_of_format(path, f"with format {name}"))

    return check


def _number(word: str, exclusive: str, fits: Callable[[Any, Any, bool], bool], told: str) -> Callable[[Tree], Check]:
    def make(tree: Tree) -> Check:
        bound, strict = tree[word], bool(tree.get(exclusive))
        text = f"should be {told} than {'' if strict else 'or equal to '}{_go_number(bound)}"

        def check(value: Any, path: Path, errors: list[FieldError]) -> None:
            if (type(value) is int or type(value) is float) and not fits(value, bound, strict):
                errors.append(invalid(text_of(path), value, f"{in_body(path)} {text}"))

        return check

    return make


def _multiple(tree: Tree) -> Check:
    factor = tree["multipleOf"]

    def check(value: Any, path: Path, errors: list[FieldError]) -> None:
        if type(value) in (int, float) and not _is_multiple(value, factor):
            detail = f"{in_body(path)} should be a multiple of {_go_number(factor)}"
            errors.append(invalid(text_of(path), value, detail))

    return check


def _is_multiple(value: float, factor: float) -> bool:
    """Of 0 and of less nothing is one; of integers, and of floats so large that they have no fraction, it is exact."""
    if factor <= 0:
        return False
    if isinstance(value, int) and float(factor).is_integer():
        return value % int(factor) == 0
    try:
        times = value / factor
        return math.isclose(times, round(times), abs_tol=1e-9)
    except OverflowError:
        return True


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
                detail = f"{in_body(path)} should have at least {limit} {noun}"
                errors.append(invalid(text_of(path), len(value), detail))

        return check

    return make


def _enum(tree: Tree) -> Check:
    values = tree["enum"]
    told = [value if isinstance(value, str) else msgspec.json.encode(value).decode() for value in values]
    texts = frozenset(value for value in values if isinstance(value, str))

    def check(value: Any, path: Path, errors: list[FieldError]) -> None:
        if (value not in texts) if type(value) is str else (hashable(value) not in map(hashable, values)):
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
