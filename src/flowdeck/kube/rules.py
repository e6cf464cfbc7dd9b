"""A schema's CEL rules (`x-kubernetes-validations`) on an object.

Rules that mention `oldSelf` are transition rules: they run where an old value can be found (by field, by the keys of a
map list), or always with `optionalOldSelf`, where `oldSelf` is an optional. Other rules do not run where nothing
changed. Source: k8s.io/apiextensions-apiserver (pkg/apiserver/schema/cel/validation.go).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowdeck.kube.cel import (
    COST_EXCEEDED,
    CompileError,
    EvaluationError,
    Program,
    compile_program,
    escaped,
    fields_used,
    identifiers,
)
from flowdeck.kube.errors import FieldError, duplicate, forbidden, invalid, required
from flowdeck.kube.objects import Tree
from flowdeck.kube.validation import MapKey, Path, correlate, text_of

if TYPE_CHECKING:
    from flowdeck.kube.schema import Schema

BLOCKING = frozenset(
    {
        "FieldValueNotSupported",
        "FieldValueRequired",
        "FieldValueTooLong",
        "FieldValueTooMany",
        "FieldValueTypeInvalid",
    }
)
"""Causes after which rules are not run: the object is not what they expect."""
NOT_CHECKED = invalid(
    "<nil>",
    None,
    "some validation rules were not checked because the object was invalid; correct the existing errors to complete "
    "validation",
)
VARIABLES = ("self", "oldSelf")
_OPTIONAL_VARIABLES = ("self", "oldSelfValue", "hasOldSelf")
_VISIBLE = ("name", "generateName")
"""All that rules see of metadata, as upstream."""
_IMMUTABLE = "self == oldSelf"


@dataclass(frozen=True)
class Rule:
    """One rule, compiled."""

    text: str
    program: Program | None
    """None for the plain immutability rule, which needs no CEL, and for one that does not compile."""
    problem: str
    """Why it does not compile."""
    needs_old: bool
    has_optional_old: bool
    message: str
    message_program: Program | None
    reason: str
    field_path: str


@dataclass(frozen=True)
class Rules:
    """The rules of one node."""

    rules: Sequence[Rule]
    convert: Callable[[Any], Any]
    """Makes what CEL shall see of a value."""
    type: str
    """What messages about rules that cannot run show as the value."""

    @classmethod
    def of(cls, schema: "Schema") -> "Rules":
        trees = schema.tree.get("x-kubernetes-validations") or ()
        found = [_rule(tree) for tree in trees]
        texts = [rule.text for rule in found if rule.program] + [tree.get("messageExpression", "") for tree in trees]
        needed = fields_used(texts, VARIABLES)
        return cls(found, _converter(schema, needed), "" if schema.is_int_or_string else schema.type)


def _rule(tree: Tree) -> Rule:
    text = tree["rule"].strip()
    is_optional = bool(tree.get("optionalOldSelf"))
    program, problem = None, ""
    if text != _IMMUTABLE or is_optional:
        try:
            program = _compiled(text, is_optional)
        except CompileError as error:
            problem = str(error)
    needs_old = not is_optional and "oldSelf" in identifiers(text)
    message_program = None
    if tree.get("messageExpression"):
        message_program = _compiled(tree["messageExpression"].strip(), is_optional)
    return Rule(
        text,
        program,
        problem,
        needs_old,
        is_optional,
        tree.get("message", "").strip(),
        message_program,
        tree.get("reason", ""),
        tree.get("fieldPath", ""),
    )


def _compiled(text: str, is_optional: bool) -> Program:
    if not is_optional:
        return compile_program(text, VARIABLES)
    old = "hasOldSelf ? optional.of(oldSelfValue) : optional.none()"
    return compile_program(f"cel.bind(oldSelf, {old}, ({text}))", _OPTIONAL_VARIABLES)


def check(schema: "Schema", value: Any, old: Any, errors: list[FieldError], path: Path = None) -> None:
    """Runs the rules of a node and of all below it; `old` is None where there is no old value."""
    if value is None:
        return
    if "x-kubernetes-validations" in schema.tree:
        _check_node(schema, value, old, path, errors)
    if isinstance(value, dict):
        _check_object(schema, value, old if isinstance(old, dict) else {}, path, errors)
    elif isinstance(value, list) and (items := schema.items) is not None and items.has_rules:
        find = correlate(schema, old) if isinstance(old, list) else None
        for index, item in enumerate(value):
            check(items, item, find(item) if find else None, errors, (path, index))


def _check_object(schema: "Schema", value: Tree, old: Tree, path: Path, errors: list[FieldError]) -> None:
    for name, item in value.items():
        child = schema.property(name)
        if child is not None and child.has_rules:
            check(child, item, old.get(name), errors, (path, name if schema.declares(name) else MapKey(name)))


def _check_node(schema: "Schema", value: Any, old: Any, path: Path, errors: list[FieldError]) -> None:
    own = schema.own_rules
    is_same = old is not None and old == value
    bound: dict[bool, Any] = {}
    for rule in own.rules:
        if (rule.needs_old and old is None) or (is_same and not rule.needs_old and not rule.has_optional_old):
            continue
        if rule.program is None:
            if rule.problem:
                errors.append(invalid(text_of(path), own.type, f"rule compile error: {rule.problem}"))
            elif not is_same and not _is_equal(schema, value, old):
                errors.append(_error(rule, value, path, rule.message))
            continue
        if rule.has_optional_old not in bound:
            bound[rule.has_optional_old] = rule.program.bind(_variables(own, value, old, rule.has_optional_old))
        _run(rule, own, bound[rule.has_optional_old], value, path, errors)


def _variables(own: Rules, value: Any, old: Any, has_optional_old: bool) -> Mapping[str, Any]:
    before = None if old is None else own.convert(old)
    if has_optional_old:
        return {"self": own.convert(value), "oldSelfValue": before, "hasOldSelf": old is not None}
    return {"self": own.convert(value), "oldSelf": before}


def _run(rule: Rule, own: Rules, bound: Any, value: Any, path: Path, errors: list[FieldError]) -> None:
    assert rule.program is not None
    try:
        holds = rule.program.evaluate_bound(bound)
    except EvaluationError as error:
        errors.append(invalid(text_of(path), own.type, _evaluation_error(str(error), rule.text)))
        return
    if holds is not True:
        errors.append(_error(rule, value, path, _message(rule, bound)))


def _evaluation_error(told: str, text: str) -> str:
    if told == "no such overload":
        return (
            f"'{told}': call arguments did not match a supported operator, function or macro signature for rule: {text}"
        )
    if told == COST_EXCEEDED:
        return f"'{told}': no further validation rules will be run due to call cost exceeds limit for rule: {text}"
    return f"{told} evaluating rule: {text}"


def _message(rule: Rule, bound: Any) -> str:
    if rule.message_program is not None:
        try:
            text = rule.message_program.evaluate_bound(bound)
        except EvaluationError:
            text = ""
        if isinstance(text, str) and text.strip() and "\n" not in text:
            return text.strip()
    return rule.message


def _error(rule: Rule, value: Any, path: Path, message: str) -> FieldError:
    where = text_of(path)
    if rule.field_path:
        where = f"{where}{rule.field_path}" if path else rule.field_path.removeprefix(".")
    told = message or f"failed rule: {rule.text}"
    is_tree = isinstance(value, dict | list)
    match rule.reason:
        case "FieldValueRequired":
            return required(where, told)
        case "FieldValueForbidden":
            return forbidden(where, told)
        case "FieldValueDuplicate":
            return FieldError("FieldValueDuplicate", where, "Duplicate value") if is_tree else duplicate(where, value)
    return FieldError("FieldValueInvalid", where, f"Invalid value: {told}") if is_tree else invalid(where, value, told)


def _is_equal(schema: "Schema", one: Any, other: Any) -> bool:
    """CEL's `==` on values of a schema: the order of sets and map lists does not count."""
    if not (isinstance(one, list) and isinstance(other, list)) or schema.list_type == "atomic":
        return bool(one == other)
    return len(one) == len(other) and all(item in other for item in one)


# -- what CEL sees


def _needs_conversion(tree: Any, *, is_properties: bool = False) -> bool:
    """Somewhere below is a `number`, which CEL must see as a double, or a name that it cannot spell."""
    if isinstance(tree, list):
        return any(map(_needs_conversion, tree))
    if not isinstance(tree, dict):
        return False
    if is_properties:
        return any(escaped(name) != name or _needs_conversion(child) for name, child in tree.items())
    if tree.get("type") == "number":
        return True
    return any(
        _needs_conversion(child, is_properties=word == "properties")
        for word, child in tree.items()
        if word in ("properties", "items", "additionalProperties")
    )


def _converter(schema: "Schema", needed: frozenset[str] | None) -> Callable[[Any], Any]:
    """Turns a value into what CEL sees: no more than the fields that the rules mention, since all of it is copied."""
    needs_conversion = _needs_conversion(schema.tree)

    def convert(value: Any) -> Any:
        if isinstance(value, dict) and (needed is not None or schema.is_embedded):
            value = {name: item for name, item in value.items() if needed is None or name in needed}
            if schema.is_embedded and "metadata" in value:
                value["metadata"] = {name: value["metadata"][name] for name in _VISIBLE if name in value["metadata"]}
        return _converted(schema, value) if needs_conversion else value

    return convert


def _converted(schema: "Schema | None", value: Any) -> Any:
    if schema is None:
        return value
    if isinstance(value, dict):
        seen: Tree = {}
        for name, item in value.items():
            # Upstream's rules (JobSet, Trainer) spell `namespace` without escape, too.
            seen[name] = _converted(schema.property(name), item)
            if schema.declares(name) and (spelt := escaped(name)) != name:
                seen[spelt] = seen[name]
        return seen
    if isinstance(value, list):
        return [_converted(schema.items, item) for item in value]
    if schema.type == "number" and type(value) is int:
        return float(value)
    return value
