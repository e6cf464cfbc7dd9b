"""The types of CEL, and which value may stand where: unification, as the type checker of cel-go does it.

Source: cel-go (checker/types.go, checker/format.go).
"""

from collections.abc import Sequence
from typing import NamedTuple


class Type(NamedTuple):
    """A type; equal types are equal values."""

    kind: str
    """`dyn`, `error`, `null`, `bool`, `int`, ..., `list`, `map`, `struct`, `opaque`, `type`, `param`."""
    name: str
    parameters: tuple["Type", ...] = ()

    def __str__(self) -> str:
        """As errors show it: `map(string, int)`."""
        if not self.parameters:
            return self.name
        return f"{self.name}({', '.join(map(str, self.parameters))})"


Substitutions = dict[Type, Type]
"""What free parameters stand for."""

DYN, ERROR, NULL = Type("dyn", "dyn"), Type("error", "!error!"), Type("null", "null")
BOOL, INT, UINT, DOUBLE = (Type(name, name) for name in ("bool", "int", "uint", "double"))
STRING, BYTES, DURATION, TIMESTAMP = (Type(name, name) for name in ("string", "bytes", "duration", "timestamp"))
_NULLABLE = ("opaque", "struct", "duration", "timestamp")
_COMPOSED = ("opaque", "list", "map")


def list_of(items: Type) -> Type:
    return Type("list", "list", (items,))


def map_of(keys: Type, values: Type) -> Type:
    return Type("map", "map", (keys, values))


def optional_of(value: Type) -> Type:
    return Type("opaque", "optional_type", (value,))


def type_of(value: Type) -> Type:
    return Type("type", "type", (value,))


def parameter(name: str) -> Type:
    return Type("param", name)


def unwrapped(type_: Type) -> tuple[Type, bool]:
    """What an optional holds, and whether it is one."""
    is_optional = type_.name == "optional_type"
    return (type_.parameters[0] if is_optional else type_), is_optional


def is_free(type_: Type) -> bool:
    """Whether nothing is known: dynamic, or wrong already."""
    return type_.kind in ("dyn", "error")


def assigned(known: Substitutions, ones: Sequence[Type], others: Sequence[Type]) -> Substitutions | None:
    """What parameters stand for when each of the others may stand where one is expected; None when it may not."""
    found = dict(known)
    return found if _all_assignable(found, ones, others) else None


def _all_assignable(known: Substitutions, ones: Sequence[Type], others: Sequence[Type]) -> bool:
    return len(ones) == len(others) and all(
        _assignable(known, one, other) for one, other in zip(ones, others, strict=True)
    )


def _assignable(known: Substitutions, one: Type, other: Type) -> bool:
    if other.kind == "param":
        is_valid, has_substitution = _substitutes(known, one, other)
        if is_valid or has_substitution:
            return is_valid
    if one.kind == "param":
        return _substitutes(known, other, one)[0]
    if is_free(one) or is_free(other):
        return True
    if one.kind == "null" or other.kind == "null":
        return (other if one.kind == "null" else one).kind in (*_NULLABLE, "null")
    if one.kind == "type":
        return other.kind == "type"
    if one.kind in _COMPOSED:
        is_same = (one.kind, one.name) == (other.kind, other.name)
        return is_same and _all_assignable(known, one.parameters, other.parameters)
    return one == other


def _substitutes(known: Substitutions, one: Type, variable: Type) -> tuple[bool, bool]:
    """Whether `one` may be what the variable stands for, and whether the variable stands for something."""
    if one == variable:
        return True, True
    if (stands_for := known.get(variable)) is not None:
        if one == stands_for:
            return True, True
        if not _assignable(known, one, stands_for):
            return False, True
        general = most_general(one, stands_for)
        if _is_not_in(known, variable, general):
            known[variable] = general
        return True, True
    if _is_not_in(known, variable, one):
        known[variable] = one
        return True, False
    return False, False


def most_general(one: Type, other: Type) -> Type:
    return one if _is_equal_or_less_specific(one, other) else other


def _is_equal_or_less_specific(one: Type, other: Type) -> bool:
    if one.kind in ("dyn", "param"):
        return True
    if other.kind in ("dyn", "param") or one.kind != other.kind:
        return False
    if one.kind in _COMPOSED:
        pairs = zip(one.parameters, other.parameters, strict=False)
        return one.name == other.name and all(_is_equal_or_less_specific(a, b) for a, b in pairs)
    return one.kind == "type" or one == other


def _is_not_in(known: Substitutions, variable: Type, within: Type) -> bool:
    if variable == within:
        return False
    if within.kind == "param":
        return within not in known or _is_not_in(known, variable, known[within])
    return all(_is_not_in(known, variable, each) for each in within.parameters)


def substituted(known: Substitutions, type_: Type, *, is_final: bool = False) -> Type:
    """The type with what its parameters stand for; `is_final` makes the free ones dynamic."""
    if (stands_for := known.get(type_)) is not None:
        return substituted(known, stands_for, is_final=is_final)
    if type_.kind == "param":
        return DYN if is_final else type_
    if not type_.parameters:
        return type_
    inner = tuple(substituted(known, each, is_final=is_final) for each in type_.parameters)
    return type_._replace(parameters=inner)
