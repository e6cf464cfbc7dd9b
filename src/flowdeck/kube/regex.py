"""Regular expressions in Go's syntax (RE2), which API schemas and CEL use, on Python's engine."""

import re
from functools import lru_cache

_CLASSES = {
    "[:alnum:]": "A-Za-z0-9",
    "[:alpha:]": "A-Za-z",
    "[:ascii:]": r"\x00-\x7f",
    "[:blank:]": r"\t ",
    "[:digit:]": "0-9",
    "[:lower:]": "a-z",
    "[:space:]": r"\t\n\v\f\r ",
    "[:upper:]": "A-Z",
    "[:word:]": r"\w",
    "[:xdigit:]": "A-Fa-f0-9",
}


@lru_cache(maxsize=4096)
def compile_go(pattern: str) -> re.Pattern[str]:
    """The compiled pattern; `search` on it is Go's `MatchString`.

    Raises `ValueError` when the pattern is none. Differs from RE2: no guarantee of linear time, and look-around and
    back references, which RE2 does not know, are refused.
    """
    if re.search(r"\(\?(?:[=!]|<[=!])|(?<!\\)\\[1-9]", pattern):
        raise ValueError(f"error parsing regexp: invalid or unsupported Perl syntax: `{pattern}`")
    try:
        return re.compile(_to_python(pattern), re.ASCII)
    except re.error as error:
        raise ValueError(f"error parsing regexp: {error}: `{pattern}`") from error


def _to_python(pattern: str) -> str:
    out: list[str] = []
    at, in_class, many_lines = 0, False, pattern.startswith("(?m)")
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            pair = pattern[at : at + 2]
            out.append(r"\Z" if pair == r"\z" else pair)
            at += 2
            continue
        if in_class:
            named = pattern[at : pattern.find(":]", at) + 2] if pattern.startswith("[:", at) else ""
            if named in _CLASSES:
                out.append(_CLASSES[named])
                at += len(named)
                continue
            in_class = char != "]"
            out.append(r"\[" if char == "[" else char)
        elif char == "[":
            in_class = True
            opening = re.match(r"\[\^?\]?", pattern[at:])
            text = opening.group() if opening else "["
            out.append(text.replace("]", r"\]"))
            at += len(text)
            continue
        else:
            # Go's `$` matches at the very end only; Python's also before a last newline.
            out.append(r"\Z" if char == "$" and not many_lines else char)
        at += 1
    return "".join(out)
