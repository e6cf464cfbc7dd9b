"""An expression as a tree, read from the form in which the C++ library writes what it has parsed.

Source: google/cel-spec (proto/cel/expr/syntax.proto). Macros are expanded: `all` and its like are comprehensions.
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flowdeck.kube.protobuf import wire


@dataclass(frozen=True)
class Expr:
    """One node; `id` is its own within the expression."""

    id: int


@dataclass(frozen=True)
class Literal(Expr):
    kind: str
    """`null`, `bool`, `int`, `uint`, `double`, `string`, `bytes`."""
    value: Any


@dataclass(frozen=True)
class Ident(Expr):
    name: str


@dataclass(frozen=True)
class Select(Expr):
    operand: Expr
    field: str
    is_test: bool
    """Written as `has(...)`."""


@dataclass(frozen=True)
class Call(Expr):
    target: Expr | None
    function: str
    args: tuple[Expr, ...]


@dataclass(frozen=True)
class ListOf(Expr):
    elements: tuple[Expr, ...]
    optional: tuple[int, ...]
    """Which elements are written `?x`."""


@dataclass(frozen=True)
class Entry:
    """An entry of a map, or a field of a message."""

    id: int
    key: Expr | None
    field: str
    value: Expr
    is_optional: bool


@dataclass(frozen=True)
class Struct(Expr):
    """A map, or with a name a message."""

    name: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Comprehension(Expr):
    variable: str
    range: Expr
    accumulator: str
    start: Expr
    condition: Expr
    step: Expr
    result: Expr
    second: str
    """The second variable, `""` where there is none."""

    @property
    def is_binding(self) -> bool:
        """Whether it only gives a name to a value."""
        is_empty = isinstance(self.range, ListOf) and not self.range.elements
        return is_empty and isinstance(self.condition, Literal) and self.condition.value is False


@dataclass(frozen=True)
class Parsed:
    root: Expr
    positions: Mapping[int, int]
    """Id -> the character at which a node is shown to stand."""


def read(data: bytes) -> Parsed:
    """What `Expression.serialize()` of an unchecked expression gives."""
    body = dict(wire(dict(wire(data))[2]))  # type: ignore[arg-type]
    return Parsed(_expr(_data(body[2])), dict(_positions(_data(body[3]))))


def children_of(expr: Expr) -> Iterator[Expr]:
    match expr:
        case Select():
            yield expr.operand
        case Call():
            yield from (expr.target, *expr.args) if expr.target is not None else expr.args
        case ListOf():
            yield from expr.elements
        case Struct():
            for entry in expr.entries:
                yield from (entry.key, entry.value) if entry.key is not None else (entry.value,)
        case Comprehension():
            yield from (expr.range, expr.start, expr.condition, expr.step, expr.result)


def _data(value: int | bytes) -> bytes:
    assert isinstance(value, bytes)
    return value


def _positions(info: bytes) -> Iterator[tuple[int, int]]:
    for number, value in wire(info):
        if number == 4:
            entry = dict(wire(_data(value)))
            yield int(entry[1]), int(entry.get(2, 0))


def _expr(data: bytes) -> Expr:
    fields = list(wire(data))
    own = next((int(value) for number, value in fields if number == 2), 0)
    for number, value in fields:
        if number in _READERS:
            return _READERS[number](own, _data(value))
    return Literal(own, "null", None)


def _all(data: bytes, wanted: int) -> list[bytes]:
    return [_data(value) for number, value in wire(data) if number == wanted]


def _text(data: bytes, wanted: int) -> str:
    return next((value.decode() for value in _all(data, wanted)), "")


def _flag(data: bytes, wanted: int) -> bool:
    return any(number == wanted and value for number, value in wire(data))


def _literal(own: int, data: bytes) -> Expr:
    for number, value in wire(data):
        match number, value:
            case 2, int():
                return Literal(own, "bool", bool(value))
            case 3, int():
                return Literal(own, "int", value - (1 << 64) if value >> 63 else value)
            case 4, int():
                return Literal(own, "uint", value)
            case 5, bytes():
                return Literal(own, "double", struct.unpack("<d", value)[0])
            case 6, bytes():
                return Literal(own, "string", value.decode())
            case 7, bytes():
                return Literal(own, "bytes", value)
    return Literal(own, "null", None)


def _select(own: int, data: bytes) -> Expr:
    return Select(own, _expr(_all(data, 1)[0]), _text(data, 2), _flag(data, 3))


def _call(own: int, data: bytes) -> Expr:
    target = _all(data, 1)
    return Call(own, _expr(target[0]) if target else None, _text(data, 2), tuple(map(_expr, _all(data, 3))))


def _list(own: int, data: bytes) -> Expr:
    packed = b"".join(_all(data, 2))  # small numbers, a byte each up to 127 elements
    return ListOf(own, tuple(map(_expr, _all(data, 1))), tuple(packed))


def _struct(own: int, data: bytes) -> Expr:
    return Struct(own, _text(data, 1), tuple(map(_entry, _all(data, 2))))


def _entry(data: bytes) -> Entry:
    own = next((int(value) for number, value in wire(data) if number == 1), 0)
    keys = _all(data, 3)
    return Entry(own, _expr(keys[0]) if keys else None, _text(data, 2), _expr(_all(data, 4)[0]), _flag(data, 5))


def _comprehension(own: int, data: bytes) -> Expr:
    range_, start, condition, step, result = (_expr(_all(data, number)[0]) for number in (2, 4, 5, 6, 7))
    return Comprehension(own, _text(data, 1), range_, _text(data, 3), start, condition, step, result, _text(data, 8))


_READERS: Mapping[int, Callable[[int, bytes], Expr]] = {
    3: _literal,
    4: lambda own, data: Ident(own, _text(data, 1)),
    5: _select,
    6: _call,
    7: _list,
    8: _struct,
    9: _comprehension,
}
