"""CEL's string functions (version 2 of the extension, with `format`), as Kubernetes has them.

They are ours since the C++ library's share names (`indexOf`, `reverse`) with Kubernetes' list functions and cannot
be extended. Source: cel-go (ext/strings.go, ext/formatting.go).
"""

import re
from collections.abc import Sequence
from typing import Any

import orjson

from flowdeck.kube.cel_types import Function

_UPPER = str.maketrans("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_VERB = re.compile(r"%(?:\.(\d+))?([a-zA-Z%])")


def _char_at(text: str, index: int) -> str:
    if not 0 <= index <= len(text):
        raise ValueError(f"index out of range: {index}")
    return text[index : index + 1]


def _index_of(text: str, part: str, start: int = 0) -> int:
    if not 0 <= start <= len(text):
        raise ValueError(f"index out of range: {start}")
    return text.find(part, start)


def _last_index_of(text: str, part: str, last: int | None = None) -> int:
    if last is None:
        return text.rfind(part)
    if not 0 <= last <= len(text):
        raise ValueError(f"index out of range: {last}")
    return text.rfind(part, 0, last + len(part))


def _split(text: str, separator: str, limit: int = -1) -> list[str]:
    if limit == 0:
        return []
    if not separator:
        chars = list(text)
        return chars if limit < 0 or limit >= len(chars) else [*chars[: limit - 1], "".join(chars[limit - 1 :])]
    return text.split(separator, -1 if limit < 0 else limit - 1)


def _substring(text: str, start: int, end: int | None = None) -> str:
    end = len(text) if end is None else end
    if not 0 <= start <= end <= len(text):
        raise ValueError(f"invalid substring range. start: {start}, end: {end}")
    return text[start:end]


def _joined(values: Sequence[Any], separator: str = "") -> str:
    if not all(isinstance(value, str) for value in values):
        raise ValueError("no such overload")
    return separator.join(values)


def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()


def _formatted(template: str, values: Sequence[Any]) -> str:
    left = list(values)

    def written(match: re.Match[str]) -> str:
        digits, verb = match.groups()
        if verb == "%":
            return "%"
        if not left:
            raise ValueError(f"index {len(values)} out of range")
        return _verb(verb, left.pop(0), int(digits) if digits else 6)

    return _VERB.sub(written, template)


def _verb(verb: str, value: Any, digits: int) -> str:
    match verb:
        case "s":
            return _shown(value)
        case "d" if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        case "f" if isinstance(value, int | float):
            return f"{value:.{digits}f}"
        case "e" if isinstance(value, int | float):
            return f"{value:.{digits}e}"
        case "b" if isinstance(value, int):
            return format(int(value), "b")
        case "o" if isinstance(value, int):
            return format(value, "o")
        case "x" | "X" if isinstance(value, int):
            return format(value, verb)
        case "x" | "X" if isinstance(value, str | bytes | bytearray):
            text = (value.encode() if isinstance(value, str) else bytes(value)).hex()
            return text.upper() if verb == "X" else text
    raise ValueError(f'error during formatting: unsupported verb or type for "%{verb}"')


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, list):
        return "[" + ", ".join(map(_shown, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_shown(key)}: {_shown(value[key])}" for key in sorted(value, key=str)) + "}"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


STRINGS: Sequence[Function] = [
    Function("charAt", ("string", "int"), "string", _char_at),
    Function("indexOf", ("string", "string"), "int", _index_of),
    Function("indexOf", ("string", "string", "int"), "int", _index_of),
    Function("lastIndexOf", ("string", "string"), "int", _last_index_of),
    Function("lastIndexOf", ("string", "string", "int"), "int", _last_index_of),
    Function("lowerAscii", ("string",), "string", lambda text: text.translate(_LOWER)),
    Function("upperAscii", ("string",), "string", lambda text: text.translate(_UPPER)),
    Function("replace", ("string", "string", "string"), "string", lambda text, old, new: text.replace(old, new)),
    Function("replace", ("string", "string", "string", "int"), "string", lambda t, old, new, n: t.replace(old, new, n)),
    Function("split", ("string", "string"), "strings", _split),
    Function("split", ("string", "string", "int"), "strings", _split),
    Function("substring", ("string", "int"), "string", _substring),
    Function("substring", ("string", "int", "int"), "string", _substring),
    Function("trim", ("string",), "string", lambda text: text.strip()),
    Function("reverse", ("string",), "string", lambda text: text[::-1]),
    Function("join", ("list",), "string", _joined),
    Function("join", ("list", "string"), "string", _joined),
    Function("format", ("string", "list"), "string", _formatted),
    Function("strings.quote", ("string",), "string", _quoted, is_member=False),
]
