"""Reads Kubernetes' protobuf form of built-in kinds: `kubectl create configmap` and client-go programs send it.

We never write it: such clients accept JSON answers. Field numbers lie packed beside this file; `tools/pack_protobuf.py`
makes them from the declarations of k8s.io/api.

Source of the envelope: k8s.io/apimachinery (pkg/runtime/serializer/protobuf): `k8s\\0`, then an `Unknown` message.
"""

import base64
import struct
import zlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import orjson

from flowdeck.kube.objects import Tree
from flowdeck.kube.times import format_micro_time, format_time

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"

_FILE = "protobuf-1.36.json.z"
_MAGIC = b"k8s\x00"
_PACKAGES = {"": "core"}
_META = ("DeleteOptions", "CreateOptions", "UpdateOptions", "PatchOptions", "ListOptions", "GetOptions", "Status")


class Field(NamedTuple):
    """A field of a Go struct."""

    name: str
    """`""`: the fields of the message are the holder's own."""
    shape: str
    """`one`, `many`, `map`."""
    what: str
    """`s`, `i`, `b`, `d`, `y` (bytes), `@time` and its like, or the name of a message."""
    zero: str
    """How JSON shows that nobody set it: `out`, `zero`, `null`, `pointer`; see `tools/pack_protobuf.py`."""


@cache
def _packed() -> Mapping[str, list[list[Any]]]:
    found: Mapping[str, list[list[Any]]] = orjson.loads(zlib.decompress((files("flowdeck.kube") / _FILE).read_bytes()))
    return found


def is_message(name: str) -> bool:
    """Whether `core/v1.Pod` names a struct that is known."""
    return name in _packed()


@cache
def fields_of(message: str) -> Mapping[int, Field]:
    """The fields of a struct by their numbers."""
    return {number: Field(*rest) for number, *rest in _packed()[message]}


def decode(data: bytes) -> Tree:
    """The object that a body holds; raises `ValueError` for what is none, or of a kind that is not known here."""
    if not data.startswith(_MAGIC):
        raise ValueError("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    envelope = {number: value for number, value in wire(data[len(_MAGIC) :])}
    type_meta = {number: _bytes(value).decode() for number, value in wire(_bytes(envelope.get(1, b"")))}
    api_version, kind = type_meta.get(1, ""), type_meta.get(2, "")
    tree = _message(_message_of(api_version, kind), _bytes(envelope.get(2, b"")))
    return {"kind": kind, "apiVersion": api_version, **tree}


def _message_of(api_version: str, kind: str) -> str:
    group, _, version = api_version.rpartition("/")
    package = _PACKAGES.get(group, group.partition(".")[0])
    key = f"meta/v1.{kind}" if kind in _META else f"{package}/{version}.{kind}"
    if not is_message(key):
        raise ValueError(f'no kind "{kind}" is registered for version "{api_version}"')
    return key


def _message(key: str, data: bytes) -> Tree:
    fields = fields_of(key)
    tree: Tree = {}
    for number, raw in wire(data):
        field = fields.get(number)
        if field is not None:
            _take(tree, field, raw)
    return tree


def _take(tree: Tree, field: Field, raw: int | bytes) -> None:
    match field.shape:
        case "many":
            tree.setdefault(field.name, []).append(_value(field.what, raw))
        case "map":
            key, value = _entry(field.what, _bytes(raw))
            tree.setdefault(field.name, {})[key] = value
        case _ if not field.name:
            tree.update(_message(field.what, _bytes(raw)))
        case _:
            value = _value(field.what, raw)
            if value is not None and not (field.zero == "out" and value in ("", 0, False)):
                tree[field.name] = value


def _entry(what: str, data: bytes) -> tuple[str, Any]:
    found = dict(wire(data))
    raw = found.get(2)
    key = _bytes(found.get(1, b"")).decode()
    return key, _value(what, raw if raw is not None else (0 if what in ("i", "b") else b""))


def _value(what: str, raw: int | bytes) -> Any:
    match what:
        case "s":
            return _bytes(raw).decode()
        case "i":
            return _signed(raw)
        case "b":
            return bool(raw)
        case "d":
            return struct.unpack("<d", _bytes(raw))[0]
        case "y":
            return base64.b64encode(_bytes(raw)).decode()
        case "@json":
            return _json(_bytes(raw))
        case "@time" | "@micro":
            return _time(what, _bytes(raw))
        case "@duration":
            return f"{_signed(dict(wire(_bytes(raw))).get(1, 0)) / 1e9:g}s"
        case "@quantity":
            return _bytes(dict(wire(_bytes(raw))).get(1, b"0")).decode()
        case "@intstr":
            found = dict(wire(_bytes(raw)))
            return _bytes(found.get(3, b"")).decode() if found.get(1) else _signed(found.get(2, 0))
        case "@strings":
            return [_bytes(value).decode() for _, value in wire(_bytes(raw))]
    return _message(what, _bytes(raw))


def _json(data: bytes) -> Any:
    found = dict(wire(data)).get(1)
    return orjson.loads(_bytes(found)) if found else None


def _time(what: str, data: bytes) -> str | None:
    found = dict(wire(data))
    if not found:
        return None
    moment = datetime.fromtimestamp(_signed(found.get(1, 0)), UTC)
    if what == "@time":
        return format_time(moment)
    return format_micro_time(moment + timedelta(microseconds=_signed(found.get(2, 0)) // 1000))


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("proto: wrong wireType")
    return value


def _signed(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise ValueError("proto: wrong wireType")
    return value - (1 << 64) if value >> 63 else value


def wire(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message as they lie on the wire; raises `ValueError` when it is cut off or malformed."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        match tag & 7:
            case 0:
                value, at = _varint(data, at)
                yield tag >> 3, value
            case 1:
                yield tag >> 3, _cut(data, at, 8)
                at += 8
            case 2:
                size, at = _varint(data, at)
                yield tag >> 3, _cut(data, at, size)
                at += size
            case 5:
                yield tag >> 3, _cut(data, at, 4)
                at += 4
            case other:
                raise ValueError(f"proto: illegal wireType {other}")


def _cut(data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise ValueError("unexpected EOF")
    return data[at : at + size]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("unexpected EOF")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
