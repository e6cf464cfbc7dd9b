"""The types of an expression's parts, and what is wrong with them, in the words of cel-go.

    checked = check(parsed, {"self": INT}, fields)
    checked.problems        # "" or "ERROR: <input>:1:6: ..."

Source: cel-go (checker/checker.go, cel/validator.go, common/error.go).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from flowdeck.kube.cel_checking.declarations import IDENTIFIERS, Overload, functions
from flowdeck.kube.cel_checking.expressions import (
    Call,
    Comprehension,
    Expr,
    Ident,
    ListOf,
    Literal,
    Parsed,
    Select,
    Struct,
    children_of,
)
from flowdeck.kube.cel_checking.types import (
    BOOL,
    DYN,
    ERROR,
    INT,
    NULL,
    Substitutions,
    Type,
    assigned,
    is_free,
    list_of,
    map_of,
    most_general,
    optional_of,
    parameter,
    substituted,
    unwrapped,
)
from flowdeck.kube.formats import FORMATS
from flowdeck.kube.regex import compile_go

Fields = Callable[[str], Mapping[str, Type] | None]
"""The fields of a named struct; None for one that has none to select."""
_LITERALS = {name: Type(name, name) for name in ("bool", "int", "uint", "double", "string", "bytes")} | {"null": NULL}
_DURATION = re.compile(r"[+-]?(0|(\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))+")


@dataclass
class Checked:
    """What is known of an expression after its check."""

    root: Expr
    types: dict[int, Type]
    overloads: dict[int, list[str]]
    """Id of a call -> the overloads that fit."""
    names: frozenset[str]
    """The variables that it mentions."""
    problems: str
    """All errors, as the API shows them; `""` when there are none."""

    @property
    def type(self) -> Type:
        return self.types[self.root.id]


def check(parsed: Parsed, text: str, variables: Mapping[str, Type], fields: Fields) -> Checked:
    checker = _Checker(parsed.positions, fields, [{**IDENTIFIERS, **variables}])
    checker.check(parsed.root)
    types = {own: substituted(checker.known, type_, is_final=True) for own, type_ in checker.types.items()}
    checker.types = types
    if not checker.errors:
        checker.check_literals(parsed.root)
    names = frozenset(checker.mentioned & variables.keys())
    return Checked(parsed.root, types, checker.overloads, names, _shown(checker.errors, text))


@dataclass
class _Checker:
    positions: Mapping[int, int]
    fields: Fields
    scopes: list[dict[str, Type]]
    types: dict[int, Type] = field(default_factory=dict)
    overloads: dict[int, list[str]] = field(default_factory=dict)
    known: Substitutions = field(default_factory=dict)
    errors: list[tuple[int, str]] = field(default_factory=list)
    mentioned: set[str] = field(default_factory=set)
    count: int = 0

    def error(self, own: int, text: str) -> None:
        self.errors.append((self.positions.get(own, 0), text))

    def new_variable(self) -> Type:
        self.count += 1
        return parameter(f"_var{self.count - 1}")

    def accepts(self, ones: Sequence[Type], others: Sequence[Type]) -> bool:
        found = assigned(self.known, ones, others)
        if found is None:
            return False
        self.known = found
        return True

    def find(self, name: str) -> Type | None:
        return next((scope[name] for scope in reversed(self.scopes) if name in scope), None)

    # -- one method a kind of node

    def check(self, expr: Expr) -> Type:
        match expr:
            case Literal():
                found = _LITERALS[expr.kind]
            case Ident():
                found = self._ident(expr)
            case Select():
                found = self._select(expr)
            case Call():
                found = self._call(expr)
            case ListOf():
                found = self._list(expr)
            case Struct():
                found = self._map(expr) if not expr.name else self._message(expr)
            case Comprehension():
                found = self._comprehension(expr)
            case _:
                found = ERROR
        self.types[expr.id] = found
        return found

    def _ident(self, expr: Ident) -> Type:
        name = expr.name.removeprefix(".")
        found = self.find(name)
        self.mentioned.add(name)
        if found is None:
            self._undeclared(expr.id, expr.name)
            return ERROR
        return found

    def _undeclared(self, own: int, name: str) -> None:
        self.error(own, f"undeclared reference to '{name}' (in container '')")

    def _select(self, expr: Select) -> Type:
        if not expr.is_test and (name := _qualified(expr)) and (found := self.find(name)) is not None:
            return found
        found = self._field(expr.id, expr.operand, expr.field, is_optional=False)
        return BOOL if expr.is_test else substituted(self.known, found)

    def _field(self, own: int, operand: Expr, name: str, *, is_optional: bool) -> Type:
        target, was_optional = unwrapped(substituted(self.known, self.check(operand)))
        found = DYN
        if target.kind == "map":
            found = target.parameters[1]
        elif target.kind == "struct":
            found = (self.fields(target.name) or {}).get(name, ERROR)
            if found is ERROR:
                self.error(own, f"undefined field '{name}'")
        elif target.kind == "param":
            self.accepts([DYN], [target])
        elif not is_free(target):
            self.error(own, f"type '{target}' does not support field selection")
        return optional_of(found) if was_optional or is_optional else found

    def _call(self, expr: Call) -> Type:
        if expr.function == "_?._":
            name = expr.args[1]
            assert isinstance(name, Literal)
            self.overloads[expr.id] = ["select_optional_field"]
            return substituted(self.known, self._field(expr.id, expr.args[0], name.value, is_optional=True))
        args = [self.check(arg) for arg in expr.args]
        if expr.target is None:
            return self._resolve(expr, expr.function, args)
        prefix = _qualified(expr.target)
        if prefix and f"{prefix}.{expr.function}" in functions():
            return self._resolve(expr, f"{prefix}.{expr.function}", args)
        target = self.check(expr.target)
        return self._resolve(expr, expr.function, [target, *args], is_member=True)

    def _resolve(self, expr: Call, name: str, args: Sequence[Type], *, is_member: bool = False) -> Type:
        overloads = functions().get(name)
        if overloads is None:
            self._undeclared(expr.id, name)
            return ERROR
        if name in ("_&&_", "_||_"):
            return self._logical(expr, args, overloads)
        result: Type | None = None
        for overload in overloads:
            if overload.is_member != is_member:
                continue
            takes, gives = self._instance(overload)
            if not self.accepts(args, takes):
                continue
            self.overloads.setdefault(expr.id, []).append(overload.id)
            given = substituted(self.known, gives)
            if result is None:
                result = given
            elif result.kind != "dyn" and given != result:
                result = DYN
        if result is None:
            shown = [str(substituted(self.known, arg, is_final=True)) for arg in args]
            signature = f"{shown.pop(0)}." if is_member else ""
            told = f"{signature}({', '.join(shown)})"
            self.error(expr.id, f"found no matching overload for '{name}' applied to '{told}'")
            return ERROR
        return result

    def _logical(self, expr: Call, args: Sequence[Type], overloads: Sequence[Overload]) -> Type:
        self.overloads[expr.id] = [overloads[0].id]
        is_good = True
        for arg, type_ in zip(expr.args, args, strict=True):
            if not self.accepts([type_], [BOOL]):
                self.error(arg.id, f"expected type 'bool' but found '{type_}'")
                is_good = False
        return BOOL if is_good else ERROR

    def _instance(self, overload: Overload) -> tuple[Sequence[Type], Type]:
        """The types of an overload, with fresh parameters."""
        if not overload.parameters:
            return overload.takes, overload.gives
        fresh = {parameter(name): self.new_variable() for name in overload.parameters}
        return [substituted(fresh, each) for each in overload.takes], substituted(fresh, overload.gives)

    def _list(self, expr: ListOf) -> Type:
        items: Type | None = None
        for index, element in enumerate(expr.elements):
            type_ = self.check(element)
            if index in expr.optional:
                type_ = self._unwrapped(element.id, type_)
            items = self._joined(items, type_)
        return list_of(items if items is not None else self.new_variable())

    def _map(self, expr: Struct) -> Type:
        keys: Type | None = None
        values: Type | None = None
        for entry in expr.entries:
            assert entry.key is not None
            keys = self._joined(keys, self.check(entry.key))
            type_ = self.check(entry.value)
            if entry.is_optional:
                type_ = self._unwrapped(entry.value.id, type_)
            values = self._joined(values, type_)
        return map_of(keys or self.new_variable(), values or self.new_variable())

    def _message(self, expr: Struct) -> Type:
        """Kubernetes has no messages that an expression could make."""
        brace = self.positions.get(expr.id, 0) + len(expr.name)
        self.errors.append((brace, f"undeclared reference to '{expr.name}' (in container '')"))
        return ERROR

    def _unwrapped(self, own: int, type_: Type) -> Type:
        inner, is_optional = unwrapped(type_)
        if not is_optional and type_.kind != "dyn":
            self._mismatch(own, optional_of(type_), type_)
        return inner

    def _joined(self, before: Type | None, type_: Type) -> Type:
        if before is None:
            return type_
        return most_general(before, type_) if self.accepts([before], [type_]) else DYN

    def _mismatch(self, own: int, expected: Type, actual: Type) -> None:
        self.error(own, f"expected type '{expected}' but found '{actual}'")

    def _comprehension(self, expr: Comprehension) -> Type:
        range_ = substituted(self.known, self.check(expr.range))
        start = self.check(expr.start)
        self.scopes.append({expr.accumulator: start})
        self.scopes.append(self._variables(expr, range_))
        self._assert(expr.condition, BOOL)
        self._assert(expr.step, start)
        self.scopes.pop()
        result = self.check(expr.result)
        self.scopes.pop()
        return substituted(self.known, result)

    def _variables(self, expr: Comprehension, range_: Type) -> dict[str, Type]:
        first = second = DYN
        if range_.kind == "list":
            first, second = (INT if expr.second else range_.parameters[0]), range_.parameters[0]
        elif range_.kind == "map":
            first, second = range_.parameters
        elif is_free(range_) or range_.kind == "param":
            self.accepts([DYN], [range_])
        else:
            told = "cannot be range of a comprehension (must be list, map, or dynamic)"
            self.error(expr.range.id, f"expression of type '{range_}' {told}")
            first = second = ERROR
        return {expr.variable: first, expr.second: second} if expr.second else {expr.variable: first}

    def _assert(self, expr: Expr, wanted: Type) -> None:
        found = self.check(expr)
        if not self.accepts([wanted], [found]):
            self._mismatch(expr.id, wanted, found)

    # -- what is looked at when the types are right

    def check_literals(self, expr: Expr, *, is_formatted: bool = False) -> None:
        """What is given to `format` may be of several types."""
        if isinstance(expr, Call):
            self._check_text(expr)
            is_formatted = is_formatted or expr.function == "format"
        if isinstance(expr, ListOf) and not is_formatted:
            self._check_same(expr.elements)
        if isinstance(expr, Struct) and not is_formatted:
            self._check_same([entry.key for entry in expr.entries if entry.key is not None], all_told=True)
            self._check_same([entry.value for entry in expr.entries], all_told=True)
        for child in children_of(expr):
            self.check_literals(child, is_formatted=is_formatted)

    def _check_text(self, call: Call) -> None:
        """Times, durations and patterns that are written out."""
        literal = call.args[0] if call.args else None
        is_good = _LITERAL_RULES.get(call.function)
        if is_good and isinstance(literal, Literal) and literal.kind == "string" and not is_good(literal.value):
            self.error(literal.id, f"invalid {call.function} argument")

    def _check_same(self, elements: Sequence[Expr], *, all_told: bool = False) -> None:
        for element in elements[1:]:
            if self.types[element.id] != self.types[elements[0].id]:
                self._mismatch(element.id, self.types[elements[0].id], self.types[element.id])
                if not all_told:
                    return


def _compiles(pattern: str) -> bool:
    try:
        compile_go(pattern)
    except ValueError:
        return False
    return True


_LITERAL_RULES: Mapping[str, Callable[[str], bool]] = {
    "duration": lambda text: _DURATION.fullmatch(text) is not None,
    "timestamp": FORMATS["datetime"],
    "matches": _compiles,
}


def _qualified(expr: Expr) -> str:
    """`a.b.c` for selections of selections of a name."""
    if isinstance(expr, Ident):
        return expr.name
    if isinstance(expr, Select) and not expr.is_test and (above := _qualified(expr.operand)):
        return f"{above}.{expr.field}"
    return ""


def _shown(errors: Sequence[tuple[int, str]], text: str) -> str:
    """Errors in the order of their places, each with its line and a mark below it."""
    return "\n".join(_one_shown(at, told, text) for at, told in sorted(errors, key=lambda error: error[0])[:100])


def _one_shown(at: int, told: str, text: str) -> str:
    line, start = text.count("\n", 0, at) + 1, text.rfind("\n", 0, at) + 1
    snippet = text.split("\n")[line - 1].replace("\t", " ")
    dots = "".join("．" if ord(char) > 127 else "." for char in snippet[: at - start])
    mark = "＾" if ord(snippet[at - start : at - start + 1] or " ") > 127 else "^"
    return f"ERROR: <input>:{line}:{at - start + 1}: {told}\n | {snippet}\n | {dots}{mark}"
