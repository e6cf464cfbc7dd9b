"""CEL as Kubernetes has it: compile once, evaluate often, with its function libraries.

For schemas' rules (`rules.py`), ValidatingAdmissionPolicy and the matchConditions of webhooks:

    program = compile_program("object.spec.replicas <= 5", ("object", "oldObject"))
    program.evaluate({"object": obj, "oldObject": None})          # True

    values = program.bind({...})                                  # the conversion of variables, shared by programs
    program.evaluate_bound(values)                                # compiled with the same variables

Types and costs are looked at by `cel_checking`, where expressions are written. Differs from upstream when they run:
timestamps and durations inside variables are text (`timestamp(self.t)` reads one); no `authorizer`, no `format.named`;
comprehensions over two variables are unknown; instead of a cost budget, 10,000 comprehension steps an evaluation.
The C++ library is loaded with the first program.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

_STRINGS = re.compile(r"""[rR]?(?:\"\"\".*?\"\"\"|'''.*?'''|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')""", re.DOTALL)
_IDENTIFIER = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
_SELECTION = re.compile(r"(?<![\w.])([A-Za-z_]\w*)(?:\s*\.\s*\??\s*([A-Za-z_]\w*)(?!\w*\s*\())?")
_VALIDATE = re.compile(r"(?<![\w.])format\s*\.\s*(\w+)\s*\(\s*\)\s*\.\s*validate\s*\(")
_MISSING_KEY = re.compile(r'Key not found in map : "?([^"]*)"?')
_VARIABLE_NAME = re.compile(r"\w+\(\) variable name must be a simple identifier")
_RESERVED = frozenset(
    {
        "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import",
        "let", "loop", "package", "namespace", "return", "var", "void", "while",
    }
)  # fmt: skip


COST_EXCEEDED = "operation cancelled: actual cost limit exceeded"
"""The error of an expression that takes too many steps."""


class CompileError(ValueError):
    """The expression is no CEL; the text says where."""


class EvaluationError(ValueError):
    """The expression has no value for these variables: `no such key: foo`."""


@dataclass(frozen=True)
class Program:
    """One compiled expression."""

    expression: str
    returns: str
    """`BOOL`, `STRING`, `DYN`, ...: what is known of the result's type."""
    names: frozenset[str]
    """The identifiers that the expression mentions."""
    _compiled: Any
    _env: Any

    def bind(self, variables: Mapping[str, Any]) -> Any:
        """Values for `evaluate_bound` of all programs with the same variables."""
        return self._env.Activation(variables)

    def evaluate(self, variables: Mapping[str, Any]) -> Any:
        """The value as plain Python; raises `EvaluationError`."""
        return self.evaluate_bound(self.bind(variables))

    def evaluate_bound(self, values: Any) -> Any:
        """`evaluate` on values made by `bind`."""
        try:
            result = self._compiled.eval(values)
        except RuntimeError as error:
            raise EvaluationError(_told(str(error))) from error
        if result.type().name() == "ERROR":
            raise EvaluationError(_told(str(result.value())))
        return result.plain_value()


@lru_cache(maxsize=4096)
def compile_program(expression: str, variables: tuple[str, ...]) -> Program:
    """The program; raises `CompileError`. Cached."""
    env = _environment(variables)
    try:
        compiled = env.compile(_with_formats(expression))
    except RuntimeError as error:
        raise CompileError(f"compilation failed: {_cleaned(str(error))}") from error
    return Program(expression, compiled.return_type().name(), identifiers(expression), compiled, env)


def parse(expression: str) -> bytes:
    """The expression as a tree that `cel_checking` reads; raises `CompileError` with `ERROR: ...`."""
    try:
        return bytes(_environment(()).compile(expression, disable_check=True).serialize())
    except RuntimeError as error:
        raise CompileError(_VARIABLE_NAME.sub("argument must be a simple name", _cleaned(str(error)))) from error


def identifiers(expression: str) -> frozenset[str]:
    """The names at the heads of the selections in an expression, without those in strings."""
    return frozenset(_IDENTIFIER.findall(_STRINGS.sub('""', expression)))


def fields_used(expressions: Iterable[str], variables: Sequence[str]) -> frozenset[str] | None:
    """The fields of the variables that the expressions read; None when they use a variable as a whole."""
    found: set[str] = set()
    for expression in expressions:
        for name, field in _SELECTION.findall(_STRINGS.sub('""', expression)):
            if name not in variables:
                continue
            if not field or "__" in field:
                return None
            found.add(field)
    return frozenset(found)


def escaped(name: str) -> str:
    """A property's name as CEL knows it: `a-b` is `a__dash__b`, `namespace` is `__namespace__` (and itself, too)."""
    if name in _RESERVED:
        return f"__{name}__"
    if name.isidentifier() and "__" not in name:
        return name
    for char, word in (("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__")):
        name = name.replace(char, word)
    return name


def _with_formats(expression: str) -> str:
    """Spells `format.dns1123Label().validate(x)` so that it gives an optional, which no function of ours can make."""
    while (match := _VALIDATE.search(masked := _STRINGS.sub(lambda m: " " * len(m[0]), expression))) is not None:
        end, depth = match.end(), 1
        while depth and end < len(masked):
            depth += {"(": 1, ")": -1}.get(masked[end], 0)
            end += 1
        call = f"optional.ofNonZeroValue(k8sFormatErrors('{match[1]}', {expression[match.end() : end]})"
        expression = expression[: match.start()] + call + expression[end:]
    return expression


@cache
def _environment(variables: tuple[str, ...]) -> Any:
    from cel_expr_python import cel
    from cel_expr_python.ext import ext_bindings, ext_encoders, ext_math, ext_optional

    from flowdeck.kube.cel_functions import FUNCTIONS

    types = cel.Type
    known = {
        "bool": types.BOOL, "int": types.INT, "double": types.DOUBLE, "string": types.STRING, "dyn": types.DYN,
        "list": types.List(types.DYN), "map": types.Map(types.STRING, types.DYN), "strings": types.List(types.STRING),
        "null": types.NULL, "bytes": types.BYTES, "timestamp": types.TIMESTAMP, "duration": types.DURATION,
    }  # fmt: skip
    by_name: dict[str, list[Any]] = {}
    for function in FUNCTIONS:
        overload = cel.Overload(
            f"k8s_{function.name}_{'_'.join(function.takes)}",
            return_type=known[function.gives],
            parameters=[known[name] for name in function.takes],
            is_member=function.is_member,
            impl=function.run,
        )
        by_name.setdefault(function.name, []).append(overload)
    return cel.NewEnv(
        variables={name: types.DYN for name in variables},
        extensions=[
            ext_optional.ExtOptional(),
            ext_math.ExtMath(),
            ext_encoders.ExtEncoders(),
            ext_bindings.ExtBindings(),
        ],
        functions=[cel.FunctionDecl(name, overloads) for name, overloads in by_name.items()],
    )


def _told(text: str) -> str:
    """The library's error in cel-go's words."""
    if (match := _MISSING_KEY.search(text)) is not None:
        return f"no such key: {match[1]}"
    if "Iteration budget exceeded" in text:
        return COST_EXCEEDED
    if "divide by zero" in text:
        return "division by zero"
    if "No matching overloads" in text or "SELECT to non-message" in text:
        return "no such overload"
    return re.sub(r"^[A-Z_]+: ", "", _cleaned(text))


def _cleaned(text: str) -> str:
    return re.sub(r" \[[A-Z_]+\]$", "", text.removeprefix("INVALID_ARGUMENT: "))
