"""`parameterExpressionSelector`: a part of a parameter, `parseJson(string_value)["key"]`.

Any CEL over `string_value` may follow; the plain form is read here, quickly and with whole numbers kept whole.

Source: kubeflow/pipelines (backend/src/v2/expression).
"""

import re
from functools import lru_cache
from typing import Any

import msgspec

from flowdeck.components.pipelines.values.texts import canonical, to_text
from flowdeck.kube.cel import CompileError, EvaluationError, compile_program

_VARIABLES = ("string_value", "parsed")
_PARSE = re.compile(r"\bparseJson\(\s*string_value\s*\)")
_PLAIN = re.compile(r"""parseJson\(\s*string_value\s*\)((?:\[(?:"(?:[^"\\]|\\.)*"|'[^'\\]*'|\d+)\])*)""")
_STEP = re.compile(r"""\[(?:("(?:[^"\\]|\\.)*")|'([^'\\]*)'|(\d+))\]""")


class SelectorError(ValueError):
    """The selector is no CEL, or finds nothing in the value."""


@lru_cache(maxsize=4096)
def problem_with(selector: str) -> str:
    """Why a selector cannot be used; empty when it can."""
    if _PLAIN.fullmatch(selector) is not None:
        return ""
    try:
        compile_program(_PARSE.sub("parsed", selector), _VARIABLES)
    except CompileError as error:
        return str(error)
    return ""


def selected(value: Any, selector: str) -> Any:
    """The part of a parameter that a selector wants; raises `SelectorError`."""
    plain = _steps(selector)
    try:
        if plain is not None:
            found = _parsed(value)
            for step in plain:
                found = found[step]
            return canonical(found)
        program = compile_program(_PARSE.sub("parsed", selector), _VARIABLES)
        parsed = _parsed(value) if _PARSE.search(selector) else None
        return canonical(program.evaluate({"string_value": to_text(value), "parsed": parsed}))
    except (KeyError, IndexError, TypeError, EvaluationError) as error:
        raise SelectorError(f"{selector} finds nothing in {_shown(value)}") from error
    except msgspec.DecodeError as error:
        raise SelectorError(f"{selector}: the value is no JSON: {_shown(value)}") from error


@lru_cache(maxsize=4096)
def _steps(selector: str) -> tuple[str | int, ...] | None:
    match = _PLAIN.fullmatch(selector)
    if match is None:
        return None
    steps: list[str | int] = []
    for quoted, text, index in _STEP.findall(match[1]):
        steps.append(int(index) if index else msgspec.json.decode(quoted) if quoted else text)
    return tuple(steps)


def _parsed(value: Any) -> Any:
    """What `parseJson` gives; values that are no text need not go through one."""
    return msgspec.json.decode(value) if isinstance(value, str) else value


def _shown(value: Any) -> str:
    text = to_text(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
