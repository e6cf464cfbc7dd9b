"""Label selectors and field selectors: parse once, match often.

Text forms follow k8s.io/apimachinery (pkg/labels, pkg/fields): `a=b,c!=d,e in (f, g),h notin (i),j,!k`, `n>5`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flowdeck.kube.errors import BadRequest
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
_KEY = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$")
_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$")


def parse_label_selector(text: str) -> LabelSelector:
    """Reads the text form; raises `BadRequest` with the position's words when it is malformed."""
    if not text.strip():
        return EVERYTHING
    tokens = _TOKEN.findall(text)
    if "".join(tokens) != re.sub(r"\s+", "", text):
        raise BadRequest(f'unable to parse requirement: found unexpected characters in "{text}"')
    return LabelSelector(tuple(_Parser(tokens).requirements()))


class _Parser:
    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0

    def requirements(self) -> list[Requirement]:
        found = [self._requirement()]
        while self._peek() == ",":
            self._next()
            found.append(self._requirement())
        if self._peek():
            raise BadRequest(f"unable to parse requirement: found '{self._peek()}', expected: ',' or 'end of string'")
        return found

    def _requirement(self) -> Requirement:
        if self._peek() == "!":
            self._next()
            return Requirement(self._key(), "DoesNotExist")
        key = self._key()
        match self._peek():
            case "" | ",":
                return Requirement(key, "Exists")
            case "=" | "==":
                self._next()
                return Requirement(key, "In", (self._value(),))
            case "!=":
                self._next()
                return Requirement(key, "NotIn", (self._value(),))
            case "<" | ">" as sign:
                self._next()
                bound = self._value()
                if not re.fullmatch(r"-?\d+", bound):
                    raise BadRequest(
                        f'values[0][{key}]: Invalid value: "{bound}": '
                        "for 'Gt', 'Lt' operators, the value must be an integer"
                    )
                return Requirement(key, "Gt" if sign == ">" else "Lt", (bound,))
            case "in" | "notin" as word:
                self._next()
                return Requirement(key, "In" if word == "in" else "NotIn", self._values())
            case other:
                raise BadRequest(
                    f"unable to parse requirement: found '{other}', expected: in, notin, =, ==, !=, gt, lt"
                )

    def _values(self) -> tuple[str, ...]:
        if self._next() != "(":
            raise BadRequest("unable to parse requirement: found '', expected: '('")
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
                raise BadRequest("unable to parse requirement: found '', expected: ',' or ')'")
            values.append(self._value())

    def _key(self) -> str:
        key = self._next()
        if not _KEY.match(key):
            raise BadRequest(f"unable to parse requirement: invalid label key {key!r}")
        return key

    def _value(self) -> str:
        if self._peek() in (",", ")", ""):
            return ""
        value = self._next()
        if not _VALUE.match(value):
            raise BadRequest(f"unable to parse requirement: invalid label value {value!r}")
        return value

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        self._at += 1
        return token


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
