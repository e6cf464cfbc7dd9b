"""Parameters as text: in command lines, where a STRING takes another type, in files that a program leaves."""

import math
from decimal import Decimal
from typing import Any

import orjson


def to_text(value: Any) -> str:
    """A value in a command line: text as it is, numbers without exponent, compact JSON, nothing for null.

    >>> to_text(1e6), to_text(1e-7), to_text(True), to_text([1, "a"])
    ('1000000', '0.0000001', 'true', '[1,"a"]')
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, float) and not isinstance(value, bool):
        return _number(value)
    return json_text(value)


def json_text(value: Any) -> str:
    """Compact JSON; whole doubles are written as integers, as protobuf does."""
    return orjson.dumps(canonical(value)).decode()


def canonical(value: Any) -> Any:
    """A JSON value with whole doubles as integers, as protobuf's JSON has them: a program sees `1`, not `1.0`."""
    match value:
        case dict():
            return {name: canonical(inner) for name, inner in value.items()}
        case list():
            return [canonical(inner) for inner in value]
        case float() if value.is_integer() and abs(value) < 2**63:
            return int(value)
        case int() if not -(2**63) <= value < 2**64:
            return float(value)
    return value


def _number(value: float) -> str:
    if not math.isfinite(value):
        return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    return format(Decimal(repr(value)), "f").removesuffix(".0")
