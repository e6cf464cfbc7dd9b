"""`triggerPolicy.condition`: CEL over a task's inputs.

Numbers arrive as doubles, as upstream's ExecutorInput has them; hence the SDK's casts (`int(...) > 5`). The SDK does
not escape what it puts between quotes, so an expression that is no CEL is read once more, with the quotes and line
ends inside its texts escaped.

Source: kubeflow/pipelines (backend/src/v2/expression, sdk/python/kfp/compiler/pipeline_spec_builder.py).
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from flowdeck.kube.cel import CompileError, EvaluationError, Program, compile_program

_VARIABLES = ("inputs",)
_USED = re.compile(r"""\binputs\.parameter_values\[(?:'([^']*)'|"([^"]*)")\]""")
_ANY_USE = re.compile(r"\binputs\b")
_LOOSE_TEXT = re.compile(r"""'(.*?)'(?=\s*(?:$|[)\]]|&&|\|\||[=!<>]=|[<>]))""", re.DOTALL)


class ConditionError(ValueError):
    """The condition is no CEL, has no value for these inputs, or is no boolean."""


class Condition:
    """One compiled condition."""

    def __init__(self, text: str) -> None:
        """Raises `ConditionError`."""
        self.text = text
        self._program = _compiled(text)
        uses = [match[1] or match[2] for match in _USED.finditer(text)]
        """The parameters that it reads; unknown (all) when it uses `inputs` in another way."""
        self.reads = frozenset(uses) if len(uses) == len(_ANY_USE.findall(text)) else None

    def holds(self, parameters: Mapping[str, Any]) -> bool:
        """Whether it is true for these inputs; raises `ConditionError`."""
        names = parameters if self.reads is None else [name for name in self.reads if name in parameters]
        values = {name: _as_double(parameters[name]) for name in names}
        try:
            result = self._program.evaluate({"inputs": {"parameter_values": values}})
        except EvaluationError as error:
            raise ConditionError(f"the condition {self.text!r} has no value: {error}") from error
        if not isinstance(result, bool):
            raise ConditionError(f"the condition {self.text!r} gave {result!r}, which is neither true nor false")
        return result


@lru_cache(maxsize=4096)
def compile_condition(text: str) -> Condition:
    """The condition; raises `ConditionError`. Cached."""
    return Condition(text)


def _compiled(text: str) -> Program:
    try:
        return compile_program(text, _VARIABLES)
    except CompileError as error:
        try:
            return compile_program(_LOOSE_TEXT.sub(_escaped, text), _VARIABLES)
        except CompileError:
            raise ConditionError(f"the condition {text!r} cannot be read: {error}") from error


def _escaped(match: re.Match[str]) -> str:
    inner = match[1].replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{inner}'"


def _as_double(value: Any) -> Any:
    match value:
        case bool():
            return value
        case int():
            return float(value)
        case list():
            return [_as_double(inner) for inner in value]
        case dict():
            return {name: _as_double(inner) for name, inner in value.items()}
    return value
