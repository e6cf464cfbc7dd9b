"""What is wrong with the rules (`x-kubernetes-validations`) in the schema of a CustomResourceDefinition.

Types are those that the schema declares. A rule may cost 10,000,000, times as often as its node can be there in one
object; all rules of a schema 100,000,000. Source: k8s.io/apiextensions-apiserver (pkg/apis/apiextensions/validation:
validation.go, cel_validation.go; pkg/apiserver/schema/cel/compilation.go).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from flowdeck.kube.cel import CompileError, parse
from flowdeck.kube.cel_checking.checker import Checked, check
from flowdeck.kube.cel_checking.costs import MOST, largest_cost
from flowdeck.kube.cel_checking.expressions import read
from flowdeck.kube.cel_checking.schema_types import REQUEST_BYTES, Declared, declare
from flowdeck.kube.cel_checking.types import DYN, optional_of
from flowdeck.kube.errors import FieldError, forbidden, invalid, not_supported, required
from flowdeck.kube.objects import Tree

RULE_LIMIT, SCHEMA_LIMIT = 10_000_000, 100_000_000
_REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
_SIMPLIFY = (
    "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are "
    "declared)"
)
_STEP = re.compile(r"\.([A-Za-z_]\w*)|\['([^']+)'\]")


@dataclass(frozen=True)
class _Place:
    """Where in the schema a node stands."""

    path: str
    is_root: bool = False
    times: int | None = 1
    """How often it can be there in one object; None: without a limit."""
    uncorrelated: str = ""
    """The node above whose items cannot be told from their old ones."""


@dataclass
class Rules:
    """The rules of one schema, and what they have cost so far."""

    total: int = 0
    costly: list[tuple[int, str]] = field(default_factory=list)

    def problems(self, schema: Tree, path: str) -> Iterator[FieldError]:
        yield from self._below(schema, _Place(path, is_root=True))
        if self.total > SCHEMA_LIMIT:
            told = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
            for _, where in sorted(self.costly, key=lambda rule: -rule[0])[:4]:
                yield forbidden(where, told)
            name = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema"
            yield forbidden(path, _too_much(name, self.total, SCHEMA_LIMIT))

    def _below(self, schema: Tree, place: _Place) -> Iterator[FieldError]:
        if isinstance(values := schema.get("additionalProperties"), dict):
            yield from self._below(values, _child(schema, place, "additionalProperties"))
        for name, child in (schema.get("properties") or {}).items():
            inner = _child(schema, place, f"properties[{name}]")
            if schema.get("x-kubernetes-map-type") == "atomic" and not inner.uncorrelated:
                inner = replace(inner, uncorrelated=place.path)
            yield from self._below(child, inner)
        if isinstance(items := schema.get("items"), dict):
            inner = _child(schema, place, "items")
            if schema.get("x-kubernetes-list-type") != "map" and not inner.uncorrelated:
                inner = replace(inner, uncorrelated=place.path)
            yield from self._below(items, inner)
        if rules := schema.get("x-kubernetes-validations"):
            yield from self._of_node(schema, rules, place)

    def _of_node(self, schema: Tree, rules: list[Tree], place: _Place) -> Iterator[FieldError]:
        where = [f"{place.path}.x-kubernetes-validations[{index}]" for index in range(len(rules))]
        wrong = [error for rule, at in zip(rules, where, strict=True) for error in _words(schema, rule, at)]
        yield from wrong
        if wrong:
            return
        declared = declare(schema, is_root=place.is_root) or Declared(DYN, 1)
        for rule, at in zip(rules, where, strict=True):
            yield from self._of_rule(rule, at, declared, place)

    def _of_rule(self, rule: Tree, at: str, declared: Declared, place: _Place) -> Iterator[FieldError]:
        found = _compiled(rule["rule"], bool(rule.get("optionalOldSelf")), declared)
        if isinstance(found, str):
            yield invalid(f"{at}.rule", _as_struct(rule), f"compilation failed: {found}")
        elif found.type.kind != "bool":
            yield invalid(f"{at}.rule", _as_struct(rule), "cel expression must evaluate to a bool")
        else:
            times = place.times if place.times is not None else REQUEST_BYTES // (declared.smallest + 1)
            cost = min(MOST, largest_cost(found, declared) * times)
            yield from self._observed(f"{at}.rule", "estimated rule cost", cost)
            yield from self._of_message(rule, f"{at}.messageExpression", declared)
        uses_old = not isinstance(found, str) and found.type.kind == "bool" and "oldSelf" in found.names
        if uses_old and place.uncorrelated:
            told = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {place.uncorrelated}"
            yield invalid(f"{at}.rule", rule["rule"], told)
        elif not uses_old and rule.get("optionalOldSelf") is not None:
            told = "may not be set if oldSelf is not used in rule"
            yield invalid(f"{at}.optionalOldSelf", rule["optionalOldSelf"], told)

    def _of_message(self, rule: Tree, at: str, declared: Declared) -> Iterator[FieldError]:
        if not (text := rule.get("messageExpression")):
            return
        found = _compiled(text, bool(rule.get("optionalOldSelf")), declared)
        if isinstance(found, str):
            yield invalid(at, _as_struct(rule), f"messageExpression compilation failed: {found}")
        elif found.type.kind != "string":
            yield invalid(at, _as_struct(rule), "messageExpression must evaluate to a string")
        else:
            yield from self._observed(at, "estimated messageExpression cost", largest_cost(found, declared))

    def _observed(self, at: str, name: str, cost: int) -> Iterator[FieldError]:
        if cost > RULE_LIMIT:
            yield forbidden(at, _too_much(name, cost, RULE_LIMIT))
        self.total = min(MOST, self.total + cost)
        if cost >= SCHEMA_LIMIT // 100:
            self.costly.append((cost, at))


def _child(schema: Tree, place: _Place, step: str) -> _Place:
    factor: int | None = 1
    if schema.get("type") == "object" and schema.get("additionalProperties") is not None:
        factor = schema.get("maxProperties")
    elif schema.get("type") == "array":
        factor = schema.get("maxItems")
    times = None if place.times is None or factor is None else min(MOST, place.times * max(0, factor))
    return _Place(f"{place.path}.{step}", times=times, uncorrelated=place.uncorrelated)


def _compiled(text: str, is_optional: bool, declared: Declared) -> Checked | str:
    """The expression with its types, or what is wrong with it."""
    try:
        parsed = read(parse(text))
    except CompileError as error:
        return str(error)
    old = optional_of(declared.type) if is_optional else declared.type
    found = check(parsed, text, {"self": declared.type, "oldSelf": old}, declared.structs().get)
    return found.problems or found


def _words(schema: Tree, rule: Tree, at: str) -> Iterator[FieldError]:
    """What is wrong with the words around a rule."""
    text, message = (rule.get("rule") or "").strip(), rule.get("message") or ""
    expression, where = rule.get("messageExpression") or "", rule.get("fieldPath") or ""
    if not text:
        yield required(f"{at}.rule", "rule is not specified")
    elif message and not message.strip():
        yield invalid(f"{at}.message", message, "must be non-empty if specified")
    elif _has_lines(message.strip()):
        yield invalid(f"{at}.message", message, "must not contain line breaks")
    elif _has_lines(text) and not message.strip():
        yield required(f"{at}.message", "message must be specified if rule contains line breaks")
    if expression and not expression.strip():
        yield required(f"{at}.messageExpression", "messageExpression must be non-empty if specified")
    if rule.get("reason") is not None and rule["reason"] not in _REASONS:
        yield not_supported(f"{at}.reason", rule["reason"], _REASONS)
    if where and not where.strip():
        yield invalid(f"{at}.fieldPath", where, "must be non-empty if specified")
    if _has_lines(where):
        yield invalid(f"{at}.fieldPath", where, "must not contain line breaks")
    if where and not _leads_somewhere(schema, where):
        yield invalid(f"{at}.fieldPath", where, "must be a valid path")


def _has_lines(text: str) -> bool:
    return "\n" in text or "\r" in text


def _leads_somewhere(schema: Tree, path: str) -> bool:
    at = 0
    while at < len(path):
        step = _STEP.match(path, at)
        if step is None:
            return False
        at, name = step.end(), step[1] or step[2]
        values = schema.get("additionalProperties")
        child = (schema.get("properties") or {}).get(name) or (values if step[2] else None)
        if not isinstance(child, dict):
            return False
        schema = child
    return True


def _as_struct(rule: Tree) -> Tree:
    """A rule as upstream shows it: with the names of Go's fields."""
    return {
        "Rule": rule.get("rule") or "",
        "Message": rule.get("message") or "",
        "MessageExpression": rule.get("messageExpression") or "",
        "Reason": rule.get("reason"),
        "FieldPath": rule.get("fieldPath") or "",
        "OptionalOldSelf": rule.get("optionalOldSelf"),
    }


def _too_much(name: str, cost: int, limit: int) -> str:
    factor = cost / limit
    told = "more than 100x" if factor > 100 else f"{factor:f}x" if factor < 1.5 else f"{factor:.1f}x"
    return f"{name} exceeds budget by factor of {told} {_SIMPLIFY}"
