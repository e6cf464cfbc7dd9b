"""The types of parameters, and whether a value is of one.

Source: kubeflow/pipelines (api/v2alpha1/pipeline_spec.proto, backend/src/v2/driver).
"""

from enum import IntEnum
from typing import Any

import msgspec

from flowdeck.components.pipelines.values.texts import to_text

MAX_INTEGER = 2**53
"""Beyond it, a number of JSON is not exact."""

_WORDS = {"true": True, "1": True, "false": False, "0": False}


class ParameterType(IntEnum):
    """`parameterType` of an input or output."""

    PARAMETER_TYPE_ENUM_UNSPECIFIED = 0
    NUMBER_DOUBLE = 1
    NUMBER_INTEGER = 2
    STRING = 3
    BOOLEAN = 4
    LIST = 5
    STRUCT = 6
    TASK_FINAL_STATUS = 7
    TASK_CONFIG = 8


class TypeMismatch(ValueError):
    """A value is not of the type that is wanted: `expect NUMBER_INTEGER, got string`."""


def checked(value: Any, kind: ParameterType) -> Any:
    """The value as this type has it; raises `TypeMismatch`. A whole number may be written as a double (`3.0`)."""
    match kind:
        case ParameterType.STRING:
            fits = isinstance(value, str)
        case ParameterType.NUMBER_INTEGER:
            fits = is_number(value) and value == value // 1 and abs(value) <= MAX_INTEGER
            value = int(value) if fits else value
        case ParameterType.NUMBER_DOUBLE:
            fits = is_number(value)
        case ParameterType.BOOLEAN:
            fits = isinstance(value, bool)
        case ParameterType.LIST:
            fits = isinstance(value, list)
        case ParameterType.STRUCT | ParameterType.TASK_FINAL_STATUS | ParameterType.TASK_CONFIG:
            fits = isinstance(value, dict)
        case ParameterType.PARAMETER_TYPE_ENUM_UNSPECIFIED:
            fits = True
    if not fits:
        raise TypeMismatch(f"expect {kind.name}, got {json_type(value)}")
    return value


def coerced(value: Any, kind: ParameterType) -> Any:
    """A value that comes from another task: anything becomes text for a STRING, all else as `checked`."""
    return to_text(value) if kind is ParameterType.STRING and value is not None else checked(value, kind)


def from_text(text: str, kind: ParameterType) -> Any:
    """What a program left in the file of an output parameter, as its declared type; raises `TypeMismatch`."""
    if kind is ParameterType.STRING:
        return text
    try:
        value = _WORDS[text.strip().lower()] if kind is ParameterType.BOOLEAN else msgspec.json.decode(text)
    except (msgspec.DecodeError, KeyError, RecursionError) as error:
        shown = text if len(text) <= 80 else f"{text[:77]}..."
        raise TypeMismatch(f"expect {kind.name}, got the text {shown!r}") from error
    return checked(value, kind)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def json_type(value: Any) -> str:
    """What JSON calls it, and for numbers whether it is whole."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number" if value == value // 1 else f"number {value}"
    if isinstance(value, str):
        return "string"
    return "list" if isinstance(value, list) else "struct"
