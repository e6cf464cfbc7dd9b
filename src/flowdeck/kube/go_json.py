"""What Go says of text that is no JSON. Source: Go's encoding/json (scanner.go)."""

import json

_WORDS = {
    "Expecting value": "looking for beginning of value",
    "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
    "Expecting ':' delimiter": "after object key",
    "Extra data": "after top-level value",
    "Invalid control character at": "in string literal",
}
_LITERALS = ("true", "false", "null")


def syntax_error(body: bytes) -> str:
    """`invalid character 'x' looking for beginning of value`; `""` where there is nothing wrong."""
    text = body.decode("utf-8", "replace")
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return _told(text, error)
    except RecursionError:
        return "exceeded max depth"
    return ""


def _told(text: str, error: json.JSONDecodeError) -> str:
    at = error.pos
    if at >= len(text.rstrip()) or error.msg.startswith("Unterminated string"):
        return "unexpected end of JSON input"
    if error.msg == "Expecting value" and (literal := next((w for w in _LITERALS if w[0] == text[at]), "")):
        return _misspelt(text[at:], literal)
    if error.msg == "Expecting ',' delimiter":
        where = "after object key:value pair" if _is_in_object(text[:at]) else "after array element"
    else:
        where = _WORDS.get(error.msg, "looking for beginning of value")
    return f"invalid character {_quoted(text[at])} {where}"


def _misspelt(text: str, literal: str) -> str:
    for found, wanted in zip(text, literal, strict=False):
        if found != wanted:
            return f"invalid character {_quoted(found)} in literal {literal} (expecting {_quoted(wanted)})"
    return "unexpected end of JSON input"


def _is_in_object(before: str) -> bool:
    """Whether the innermost bracket that is open is a brace (brackets in texts are not told apart)."""
    depth = 0
    for letter in reversed(before):
        if letter in "}]":
            depth += 1
        elif letter in "{[":
            if not depth:
                return letter == "{"
            depth -= 1
    return False


def _quoted(letter: str) -> str:
    return "'\\''" if letter == "'" else f"'{letter}'" if letter != '"' else "'\"'"
