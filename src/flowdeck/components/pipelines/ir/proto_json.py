"""Protobuf's JSON, strictly, into msgspec structs: what `protojson.Unmarshal` takes and refuses.

A struct stands for a message: its fields are `snake_case` and read from `snake_case` or `lowerCamelCase`; an unknown
one is refused with its path. Enums come by name or number, integers as numbers or texts, durations as `"1.5s"`
(read into seconds). `null` is the same as nothing, but for a `Value`, where it is a value.
`ONEOFS` of a struct names the fields of which one at most may be there.

The annotation says how a field is read: `str`, `bool`, `int`, `float`, an `IntEnum`, another struct,
`list[T]`, `dict[str, T]`, `Value`, `JsonObject`, `Duration`; `T | None` tells "not there".

Source: protobuf, ProtoJSON format.
"""

import re
import types
import typing
from collections.abc import Callable
from enum import IntEnum
from functools import cache
from typing import Annotated, Any, ClassVar, TypeVar, Union

import msgspec

from flowdeck.components.pipelines.errors import InvalidPipeline

Value = Annotated[Any, "value"]
"""A `google.protobuf.Value`: any JSON; `UNSET` when it is not there."""
JsonObject = Annotated[dict[str, Any], "object"]
"""A `google.protobuf.Struct`."""
Duration = Annotated[float, "duration"]
"""A `google.protobuf.Duration`, in seconds."""

_Read = Callable[[Any, str], Any]
_DURATION = re.compile(r"(-?\d+(?:\.\d{1,9})?)s")
_INTEGER = re.compile(r"-?\d+")
_SPECIAL_FLOATS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class Message(msgspec.Struct, kw_only=True):
    """A protobuf message, read-only; see the module."""

    ONEOFS: ClassVar[tuple[tuple[str, ...], ...]] = ()
    LENIENT: ClassVar[bool] = False
    """Whether unknown fields are passed over, in this message and those below."""


M = TypeVar("M", bound=Message)


def decode(message: type[M], tree: Any, path: str, *, lenient: bool = False) -> M:
    """The message in a JSON tree; raises `InvalidPipeline` with the path of what is wrong.

    `lenient` passes unknown fields over.
    """
    result: M = _reader_of(message, lenient)(tree, path)
    return result


@cache
def _reader_of(annotation: Any, lenient: bool) -> _Read:
    """How a value of this annotation is read."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return {"value": _any, "object": _object, "duration": _duration}[annotation.__metadata__[0]]
    if origin in (Union, types.UnionType):
        (inner,) = (a for a in arguments if a is not type(None))
        return _reader_of(inner, lenient)
    if origin is list:
        return _list_reader(_reader_of(arguments[0], lenient))
    if origin is dict:
        return _map_reader(_reader_of(arguments[1], lenient))
    if isinstance(annotation, type) and issubclass(annotation, IntEnum):
        return _enum_reader(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Message):
        return _message_reader(annotation, lenient)
    return {str: _text, bool: _bool, int: _int, float: _float}[annotation]


def _message_reader(message: type[Message], lenient: bool) -> _Read:
    fields: dict[str, tuple[str, _Read, bool]] = {}
    hints = typing.get_type_hints(message, include_extras=True)

    def load() -> None:  # when first used: messages may hold themselves
        for field in message.__struct_fields__:
            hint = hints[field]
            entry = (field, _reader_of(hint, lenient or message.LENIENT), hint == Value)
            fields[field] = fields[_camel(field)] = entry

    def read(value: Any, path: str) -> Any:
        if not fields:
            load()
        if not isinstance(value, dict):
            raise _wrong(path, "an object", value)
        found: dict[str, Any] = {}
        for name, inner in value.items():
            if name not in fields:
                if lenient or message.LENIENT:
                    continue
                raise InvalidPipeline(f"{_at(path, name)}: unknown field; check its spelling, or update this server")
            field, read_field, takes_null = fields[name]
            if inner is None and not takes_null:
                continue
            if field in found:
                raise InvalidPipeline(f"{_at(path, name)}: the field is there twice, in both spellings")
            found[field] = read_field(inner, _at(path, name))
        for names in message.ONEOFS:
            given = [_camel(name) for name in names if name in found]
            if len(given) > 1:
                raise InvalidPipeline(f"{path or 'the document'}: only one of {', '.join(given)} may be given")
        return message(**found)

    return read


def _list_reader(read: _Read) -> _Read:
    def read_list(value: Any, path: str) -> list[Any]:
        if not isinstance(value, list):
            raise _wrong(path, "a list", value)
        return [read(inner, f"{path}[{at}]") for at, inner in enumerate(value)]

    return read_list


def _map_reader(read: _Read) -> _Read:
    def read_map(value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _wrong(path, "an object", value)
        return {name: read(inner, _at(path, name)) for name, inner in value.items()}

    return read_map


def _enum_reader(enum: type[IntEnum]) -> _Read:
    def read_enum(value: Any, path: str) -> IntEnum:
        if isinstance(value, str) and value in enum.__members__:
            return enum[value]
        if isinstance(value, int) and not isinstance(value, bool) and value in enum.__members__.values():
            return enum(value)
        raise InvalidPipeline(f"{path}: {_shown(value)} is not one of {', '.join(enum.__members__)}")

    return read_enum


def _any(value: Any, path: str) -> Any:
    return value


def _object(value: Any, path: str) -> Any:
    if not isinstance(value, dict):
        raise _wrong(path, "an object", value)
    return value


def _text(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise _wrong(path, "a text", value)
    return value


def _bool(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(path, "true or false", value)
    return value


def _int(value: Any, path: str) -> int:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise _wrong(path, "a whole number", value)
    return int(value)


def _float(value: Any, path: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        try:
            return _SPECIAL_FLOATS[value] if value in _SPECIAL_FLOATS else float(value)
        except ValueError as error:
            raise _wrong(path, "a number", value) from error
    raise _wrong(path, "a number", value)


def _duration(value: Any, path: str) -> float:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise _wrong(path, 'a duration in seconds such as "1.5s"', value)
    return float(match[1])


def _wrong(path: str, wanted: str, value: Any) -> InvalidPipeline:
    return InvalidPipeline(f"{path or 'the document'}: expected {wanted}, got {_shown(value)}")


def _shown(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 80 else f"{text[:77]}..."


def _at(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


@cache
def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest)


def to_tree(message: Message) -> dict[str, Any]:
    """The JSON of a message, `lowerCamelCase`, without what has its default."""
    defaults = type(message)()
    return {
        _camel(name): _encoded(value)
        for name in message.__struct_fields__
        if (value := getattr(message, name)) != getattr(defaults, name)
    }


def _encoded(value: Any) -> Any:
    match value:
        case Message():
            return to_tree(value)
        case list():
            return [_encoded(inner) for inner in value]
        case IntEnum():
            return value.name
    return value
