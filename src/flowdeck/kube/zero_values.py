"""What Go writes for fields that hold nothing: some are left out though they were sent, some are there though not sent.

Source: the declarations of k8s.io/api (struct tags), Go's encoding/json.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import orjson

from flowdeck.kube import protobuf
from flowdeck.kube.protobuf import Field

_API = "io.k8s.api."
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_SCALARS: Mapping[str, object] = {"s": "", "i": 0, "b": False, "d": 0, "y": None}
_STRUCTS: Mapping[str, object] = {"@time": None, "@micro": None, "@json": None, "@quantity": "0"}
"""Types that are structs to Go, which has no empty one: they are always written."""


@dataclass(frozen=True)
class Zeros:
    """Of one struct."""

    left_out: frozenset[str] = frozenset()
    """Fields that are not written when they are `""`, 0, false, `[]` or `{}`."""
    there: Mapping[str, bytes] = field(default_factory=dict)
    """Fields that are written in any case: field -> JSON of what stands there when nothing was sent."""


NONE = Zeros()


@cache
def zeros_of(definition: str) -> Zeros:
    """For a definition of the OpenAPI documents (`io.k8s.api.core.v1.Pod`); of one that is not known, nothing."""
    message = _message(definition)
    if not protobuf.is_message(message):
        return NONE
    fields = list(_fields(message))
    return Zeros(
        frozenset(each.name for each in fields if each.zero == "out" and not _is_struct(each)),
        {each.name: orjson.dumps(_zero(each)) for each in fields if _is_always_there(each)},
    )


def _message(definition: str) -> str:
    if definition.startswith(_META):
        return f"meta/v1.{definition.removeprefix(_META)}"
    group, _, rest = definition.removeprefix(_API).partition(".")
    return f"{group}/{rest}" if definition.startswith(_API) else ""


def _fields(message: str) -> Iterator[Field]:
    """The fields of a struct, with those of structs that are parts of it."""
    for each in protobuf.fields_of(message).values():
        if each.name:
            yield each
        elif protobuf.is_message(each.what):
            yield from _fields(each.what)


def _is_struct(of: Field) -> bool:
    return of.shape == "one" and of.what not in _SCALARS


def _is_always_there(of: Field) -> bool:
    if of.zero == "pointer" or (of.zero == "out" and not _is_struct(of)):
        return False
    return not _is_struct(of) or of.what in _STRUCTS or protobuf.is_message(of.what)


def _zero(of: Field) -> Any:
    if of.zero == "null" or of.shape != "one":
        return None
    if of.what in _SCALARS:
        return _SCALARS[of.what]
    if of.what in _STRUCTS:
        return _STRUCTS[of.what]
    return {inner.name: _zero(inner) for inner in _fields(of.what) if _is_always_there(inner)}
