"""Label selectors and field selectors: parse once, match often.

Text forms follow k8s.io/apimachinery (pkg/labels, pkg/fields): `a=b,c!=d,e in (f, g),h notin (i),j,!k`, `n>5`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flowdeck.kube.errors import BadRequest, invalid
from flowdeck.kube.names import label_value, qualified_name
from flowdeck.kube.objects import Tree, get_in


@dataclass(frozen=True)
class Requirement:
    """One condition on one label."""

    key: str
    operator: str
    """`In`, `NotIn`, `Exists`, `DoesNotExist`, `Gt`, `Lt`."""
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value is not None and value in self.values
            case "NotIn":
                return value is None or value not in self.values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None
        try:
            number, bound = int(value or ""), int(self.values[0])
        except ValueError:
            return False
        return number > bound if self.operator == "Gt" else number < bound


@dataclass(frozen=True)
class LabelSelector:
    """All requirements together; without any it selects everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(requirement.matches(labels) for requirement in self.requirements)

    @property
    def is_everything(self) -> bool:
        return not self.requirements


EVERYTHING = LabelSelector()

_TOKEN = re.compile(r"\s*(==|!=|[=,()!<>]|[^\s=,()!<>]+)")
_OPERATORS = ("=", "==", "!=", "<", ">", "(", ")", ",", "!")


def parse_label_selector(text: str) -> LabelSelector:
    """Reads the text form; raises `BadRequest` in upstream's words when it is malformed."""
    if not text.strip():
        return EVERYTHING
    tokens = _TOKEN.findall(text)
    if "".join(tokens) != re.sub(r"\s+", "", text):
        raise BadRequest(f'unable to parse requirement: found unexpected characters in "{text}"')
    return LabelSelector(tuple(_Parser(tokens).requirements()))


class _Parser:
    """Source: k8s.io/apimachinery (pkg/labels/selector.go)."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0

    def requirements(self) -> list[Requirement]:
        if not self._is_start():
            raise BadRequest(f"found '{self._peek()}', expected: !, identifier, or 'end of string'")
        found = []
        while True:
            try:
                found.append(self._requirement())
            except BadRequest as error:
                raise BadRequest(f"unable to parse requirement: {error.message}") from error
            token = self._next()
            if not token:
                return found
            if token != ",":
                raise BadRequest(f"found '{token}', expected: ',' or 'end of string'")
            if not self._is_start():
                raise BadRequest(f"found '{self._peek()}', expected: identifier after ','")

    def _is_start(self) -> bool:
        return self._peek() == "!" or _is_word(self._peek())

    def _requirement(self) -> Requirement:
        is_missing = self._peek() == "!"
        if is_missing:
            self._next()
        key = self._word()
        for told in qualified_name(key):
            raise BadRequest(str(invalid("<nil>", key, told)))
        if self._peek() in ("", ",") or is_missing:
            return Requirement(key, "DoesNotExist" if is_missing else "Exists")
        match self._next():
            case "=" | "==":
                return self._checked(key, "In", self._exact_value())
            case "!=":
                return self._checked(key, "NotIn", self._exact_value())
            case "<" | ">" as sign:
                bound = self._exact_value()
                if not re.fullmatch(r"[-+]?\d+", bound):
                    told = "for 'Gt', 'Lt' operators, the value must be an integer"
                    raise BadRequest(str(invalid("values[0]", bound, told)))
                return self._checked(key, "Gt" if sign == ">" else "Lt", bound)
            case "in" | "notin" as word:
                return self._checked(key, "In" if word == "in" else "NotIn", *self._values())
            case other:
                raise BadRequest(f"found '{other}', expected: in, notin, =, ==, !=, gt, lt")

    @staticmethod
    def _checked(key: str, operator: str, *values: str) -> Requirement:
        for index, value in enumerate(values):
            for told in label_value(value):
                raise BadRequest(str(invalid(f"values[{index}][{key}]", value, told)))
        return Requirement(key, operator, values)

    def _values(self) -> tuple[str, ...]:
        if (token := self._next()) != "(":
            raise BadRequest(f"found '{token}' expected: '('")
        values: list[str] = []
        while True:
            token = self._peek()
            if token == ")":
                self._next()
                if not values:
                    values.append("")
                return tuple(sorted(set(values)))
            if token == ",":
                self._next()
                if self._peek() in (",", ")"):
                    values.append("")
                continue
            if not token:
                raise BadRequest("found '', expected: ',' or ')'")
            values.append(self._word())

    def _exact_value(self) -> str:
        return "" if self._peek() in (",", "") else self._word()

    def _word(self) -> str:
        token = self._next()
        if not _is_word(token):
            raise BadRequest(f"found '{token}', expected: identifier")
        return token

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        self._at += 1
        return token


def _is_word(token: str) -> bool:
    return bool(token) and token not in _OPERATORS


def label_selector_of(tree: Mapping[str, Any] | None) -> LabelSelector:
    """The selector that `{matchLabels, matchExpressions}` means; `{}` selects everything.

    A missing selector (`None`) selects nothing in most APIs: callers decide before they call.
    """
    tree = tree or {}
    found = [Requirement(key, "In", (value,)) for key, value in sorted((tree.get("matchLabels") or {}).items())]
    found += [
        Requirement(item["key"], item["operator"], tuple(item.get("values") or ()))
        for item in tree.get("matchExpressions") or ()
    ]
    return LabelSelector(tuple(found))


def format_label_selector(selector: LabelSelector) -> str:
    """The text form, as `status.selector` and query strings carry it."""
    return ",".join(_format(requirement) for requirement in selector.requirements)


def _format(requirement: Requirement) -> str:
    values = ",".join(requirement.values)
    match requirement.operator:
        case "In" if len(requirement.values) == 1:
            return f"{requirement.key}={values}"
        case "In":
            return f"{requirement.key} in ({values})"
        case "NotIn" if len(requirement.values) == 1:
            return f"{requirement.key}!={values}"
        case "NotIn":
            return f"{requirement.key} notin ({values})"
        case "Exists":
            return requirement.key
        case "DoesNotExist":
            return f"!{requirement.key}"
        case "Gt":
            return f"{requirement.key}>{values}"
        case _:
            return f"{requirement.key}<{values}"


@dataclass(frozen=True)
class FieldSelector:
    """`(path, is equal, value)` triples, all of which must hold; a missing field counts as `""`."""

    terms: tuple[tuple[str, bool, str], ...] = ()

    def matches(self, obj: Tree, read: Callable[[Tree, str], str] | None = None) -> bool:
        read = read or read_field
        return all((read(obj, path) == value) is equal for path, equal, value in self.terms)


def parse_field_selector(text: str) -> FieldSelector:
    """Reads `metadata.name=x,status.phase!=Running`; raises `BadRequest` when a term has no operator."""
    terms = []
    for term in filter(None, (part.strip() for part in text.split(","))):
        path, sign, value = _split_term(term)
        if not sign:
            raise BadRequest(f"invalid selector: '{term}'; can't understand '{term}'")
        terms.append((path, sign != "!=", value))
    return FieldSelector(tuple(terms))


def _split_term(term: str) -> tuple[str, str, str]:
    for sign in ("!=", "==", "="):
        path, found, value = term.partition(sign)
        if found:
            return path, sign, value
    return term, "", ""


_ZERO_FIELDS = {
    "spec.hostNetwork": "false",
    "spec.unschedulable": "false",
    "status.replicas": "0",
    "status.successful": "0",
}
"""What a missing field counts as where that is not `""`."""


def read_field(obj: Tree, path: str) -> str:
    """The value at a path as text: `""` where there is none, booleans in lower case."""
    value = get_in(obj, *path.split("."), default=_ZERO_FIELDS.get(path, ""))
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
