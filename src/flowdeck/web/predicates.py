"""Reads filters of the form `{"predicates": [{"operation": "EQUALS", "key": "name", "string_value": "x"}]}`.

Operations and value fields may be spelled as the proto does (`string_value`, a number) or as JSON does.

Source: kubeflow/pipelines (backend/api/v2beta1/filter.proto, backend/src/apiserver/filter)
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import unquote_plus

import msgspec

from flowdeck.kube.errors import BadRequest
from flowdeck.web.listing import Op, Predicate, Scalar

_OPS: Mapping[int, Op] = {
    1: Op.EQUALS,
    2: Op.NOT_EQUALS,
    3: Op.GREATER_THAN,
    5: Op.GREATER_THAN_EQUALS,
    6: Op.LESS_THAN,
    7: Op.LESS_THAN_EQUALS,
    8: Op.IN,
    9: Op.IS_SUBSTRING,
}
_VALUES: Mapping[str, str] = {
    "int_value": "int", "intValue": "int", "long_value": "int", "longValue": "int",
    "string_value": "str", "stringValue": "str", "timestamp_value": "time", "timestampValue": "time",
    "int_values": "ints", "intValues": "ints", "long_values": "ints", "longValues": "ints",
    "string_values": "strs", "stringValues": "strs",
}  # fmt: skip
_WORDS = {"str": "text", "int": "64-bit number", "time": "RFC 3339 time"}
_NUMBERS = range(-(2**63), 2**63)
MAX_PREDICATES = 20
MAX_VALUES = 1000


def predicates_of(text: str, keys: Sequence[str]) -> tuple[Predicate, ...]:
    """The predicates of a filter; a key that ends in `.` in `keys` allows whatever follows. Raises `BadRequest`."""
    if not text:
        return ()
    document = _decoded(text)
    if not isinstance(document, dict) or set(document) - {"predicates"}:
        raise _bad('it must be {"predicates": [...]}')
    found = document.get("predicates")
    if found is None:
        return ()
    if not isinstance(found, list) or len(found) > MAX_PREDICATES:
        raise _bad(f"predicates must be a list of at most {MAX_PREDICATES}")
    return tuple(_predicate(entry, keys) for entry in found)


def _decoded(text: str) -> Any:
    """Clients encode once or twice; who encoded once may have `%` and `+` in his texts."""
    for candidate in (text, unquote_plus(text)):
        try:
            return msgspec.json.decode(candidate)
        except (msgspec.DecodeError, RecursionError):
            continue
    raise _bad(f"it is not JSON: {text[:100]!r}")


def _predicate(entry: Any, keys: Sequence[str]) -> Predicate:
    if not isinstance(entry, dict):
        raise _bad("a predicate must be an object")
    key = entry.get("key")
    if not isinstance(key, str) or not _is_known(key, keys):
        raise _bad(f"cannot filter by {key!r}: use one of {', '.join(keys)}")
    unknown = set(entry) - {"key", "operation", "op", *_VALUES}
    values = [name for name in entry if name in _VALUES]
    if unknown or len(values) != 1:
        raise _bad(f"the predicate on {key!r} needs one value and nothing else: got {sorted(entry)}")
    op = _op(entry.get("operation", entry.get("op")), key)
    value = _value(_VALUES[values[0]], entry[values[0]], key)
    if (op is Op.IN) != isinstance(value, tuple):
        raise _bad(f"{op.value} on {key!r} takes {'a list' if op is Op.IN else 'one value'}: got {values[0]}")
    if (op is Op.IS_SUBSTRING or "." in key) and not isinstance(value, str):
        raise _bad(f"{op.value} on {key!r} takes string_value: got {values[0]}")
    if "." in key and op is not Op.EQUALS:
        raise _bad(f"{key!r} can only be compared by EQUALS")
    return Predicate(key, op, value)


def _is_known(key: str, keys: Sequence[str]) -> bool:
    return any(key.startswith(known) and key != known if known.endswith(".") else key == known for known in keys)


def _op(given: Any, key: str) -> Op:
    if isinstance(given, str):
        given = next((number for number, op in _OPS.items() if op.value == given), given)
    if isinstance(given, bool) or not isinstance(given, int) or given not in _OPS:
        raise _bad(f"the operation on {key!r} must be one of {', '.join(op.value for op in Op)}: got {given!r}")
    return _OPS[given]


def _value(type: str, given: Any, key: str) -> Scalar | tuple[Scalar, ...]:
    if type in ("ints", "strs"):
        inner = given.get("values") if isinstance(given, dict) else None
        if not isinstance(inner, list) or not inner or len(inner) > MAX_VALUES:
            raise _bad(f'the values of {key!r} must be {{"values": [...]}} with 1 to {MAX_VALUES} entries')
        return tuple(_scalar(type[:-1], one, key) for one in inner)
    return _scalar(type, given, key)


def _scalar(type: str, given: Any, key: str) -> Scalar:
    if type == "str" and isinstance(given, str):
        return given
    try:
        if type == "int" and isinstance(given, int | str) and not isinstance(given, bool) and int(given) in _NUMBERS:
            return int(given)
        if type == "time" and isinstance(given, str) and (moment := datetime.fromisoformat(given)).tzinfo is not None:
            return int(moment.timestamp())
    except ValueError as error:
        raise _no_value(type, given, key) from error
    raise _no_value(type, given, key)


def _no_value(type: str, given: Any, key: str) -> BadRequest:
    return _bad(f"the value of {key!r} is no {_WORDS[type]}: {str(given)[:100]!r}")


def _bad(why: str) -> BadRequest:
    return BadRequest(f"Invalid input error: the filter cannot be read: {why}")
