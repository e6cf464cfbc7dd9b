"""Types and costs of expressions, as a 1.36 server finds them when they are written.

Texts and numbers were given by upstream's own compiler (k8s.io/apiextensions-apiserver, pkg/apiserver/schema/cel).
"""

# ruff: noqa: E501 - texts of the wire stay in one piece

from typing import Any

import pytest

from flowdeck.kube.cel import parse
from flowdeck.kube.cel_checking.admission_problems import Scope
from flowdeck.kube.cel_checking.checker import Checked, check
from flowdeck.kube.cel_checking.costs import largest_cost
from flowdeck.kube.cel_checking.expressions import read
from flowdeck.kube.cel_checking.rule_problems import Rules
from flowdeck.kube.cel_checking.schema_types import Declared, declare
from flowdeck.kube.objects import Tree

TEXT: Tree = {"type": "string"}
SCHEMA: Tree = {
    "type": "object",
    "required": ["a"],
    "properties": {
        "a": TEXT,
        "b": {"type": "string", "maxLength": 20},
        "n": {"type": "integer"},
        "t": {"type": "string", "format": "date-time"},
        "i": {"x-kubernetes-int-or-string": True},
        "namespace": TEXT,
        "x-y": {"type": "boolean"},
        "l": {"type": "array", "maxItems": 10, "items": {"type": "string", "maxLength": 5}},
        "m": {"type": "object", "additionalProperties": {"type": "integer"}},
        "nums": {"type": "array", "items": {"type": "integer"}},
    },
}


def checked(text: str) -> tuple[Checked, Declared]:
    declared = declare(SCHEMA)
    assert declared is not None
    variables = {"self": declared.type, "oldSelf": declared.type}
    return check(read(parse(text)), text, variables, declared.structs().get), declared


@pytest.mark.parametrize(
    ("text", "column", "told"),
    [
        ("self.foo == 1", 5, "undefined field 'foo'"),
        ("self.a + 1 == 2", 8, "found no matching overload for '_+_' applied to '(string, int)'"),
        ("self.l.all(x, x == 1)", 17, "found no matching overload for '_==_' applied to '(string, int)'"),
        ("self.a.startsWith(1)", 18, "found no matching overload for 'startsWith' applied to 'string.(int)'"),
        ("self.n.foo()", 11, "undeclared reference to 'foo' (in container '')"),
        ("self.n && true", 5, "expected type 'bool' but found 'int'"),
        ("[1,'a'].size() == 1", 4, "expected type 'int' but found 'string'"),
        ("self.all(x, x)", 1, "expression of type 'selfType1' cannot be range of a comprehension (must be list, map, or dynamic)"),
        ("self.n.x == 1", 7, "type 'int' does not support field selection"),
        ("self.t == 'a'", 8, "found no matching overload for '_==_' applied to '(timestamp, string)'"),
        ("self.t > timestamp('zzz')", 20, "invalid timestamp argument"),
        ("self.a.matches('[a')", 16, "invalid matches argument"),
        ("Foo{} == 1", 4, "undeclared reference to 'Foo' (in container '')"),
        ("has(self.q)", 9, "undefined field 'q'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_with_its_place(text: str, column: int, told: str) -> None:
    found, _ = checked(text)
    first = found.problems.split("\n")[0]
    if text.startswith("has("):
        assert first.endswith(told)
        return
    assert found.problems == f"ERROR: <input>:1:{column}: {told}\n | {text}\n | {'.' * (column - 1)}^"


def test_errors_are_told_in_the_order_of_their_places() -> None:
    found, _ = checked("foo(1) || self.bar")
    assert [line for line in found.problems.split("\n") if line.startswith("ERROR")] == [
        "ERROR: <input>:1:4: undeclared reference to 'foo' (in container '')",
        "ERROR: <input>:1:15: undefined field 'bar'",
    ]


def test_lines_and_wide_characters_are_counted_as_they_are_seen() -> None:
    assert checked("self.n == 1 &&\n  self.zz")[0].problems == (
        "ERROR: <input>:2:7: undefined field 'zz'\n |   self.zz\n | ......^"
    )
    assert checked("'é' + self.foo == 'a'")[0].problems.endswith("\n | .．........^")


@pytest.mark.parametrize(
    ("text", "cost"),
    [
        ("self.n > 1", 3),
        ("self.namespace == 'a'", 3),
        ("self.__namespace__ == 'a'", 3),
        ("sets.contains(self.l, ['a'])", 23),
        ("lists.range(10).all(x, x > self.n)", 92),
        ("self.l.reverse().distinct()[0] == 'a'", 235),
        ("self.nums.sort() == self.nums", 4947796190840),
        ("'%s %d'.format([self.a, self.n]) == 'a'", 16),
        ("self.l.slice(0,1).size() == 1", 16),
        ("[[1],[2]].flatten().size() == 2", 45),
    ],
)
def test_costs_are_those_of_upstream(text: str, cost: int) -> None:
    found, declared = checked(text)
    assert found.problems == ""
    assert largest_cost(found, declared) == cost


def with_rule(rule: str, schema: Tree | None = None, **fields: Any) -> Tree:
    node = {**(schema or {"type": "integer"}), "x-kubernetes-validations": [{"rule": rule, **fields}]}
    return {"type": "object", "properties": {"x": node}}


def problems(schema: Tree) -> list[str]:
    return [str(error) for error in Rules().problems(schema, "s")]


def test_good_rules_have_no_problem() -> None:
    assert problems(with_rule("self > oldSelf", messageExpression="'less'")) == []
    assert problems(with_rule("oldSelf.optMap(x, x < self).orValue(true)", optionalOldSelf=True)) == []


RULE = "s.properties[x].x-kubernetes-validations[0]"


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        (with_rule("self + 1"), 'rule: Invalid value: {"Rule":"self + 1","Message":"","MessageExpression":"","Reason":null,"FieldPath":"","OptionalOldSelf":null}: cel expression must evaluate to a bool'),
        (with_rule(" "), "rule: Required value: rule is not specified"),
        (with_rule("self > 1", message=" "), 'message: Invalid value: " ": must be non-empty if specified'),
        (with_rule("self > 1", optionalOldSelf=True), "optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule"),
        (with_rule("self > 1", fieldPath=".a"), 'fieldPath: Invalid value: ".a": must be a valid path'),
        (with_rule("self.all(x, x.matches('a.*b'))", {"type": "array", "items": TEXT}), "rule: Forbidden: estimated rule cost exceeds budget by factor of more than 100x (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"),
    ],
)  # fmt: skip
def test_bad_rules_are_refused(schema: Tree, told: str) -> None:
    assert problems(schema)[0] == f"{RULE}.{told}"


def test_old_values_that_cannot_be_found_are_refused() -> None:
    schema = {"type": "array", "items": {"type": "integer", "x-kubernetes-validations": [{"rule": "self > oldSelf"}]}}
    told = "oldSelf cannot be used on the uncorrelatable portion of the schema within s"
    assert problems(schema) == [f's.items.x-kubernetes-validations[0].rule: Invalid value: "self > oldSelf": {told}']
    assert problems({**schema, "x-kubernetes-list-type": "map"}) == []


def test_all_rules_together_may_not_cost_too_much() -> None:
    node = {"type": "string", "x-kubernetes-validations": [{"rule": "self.contains('abcdefghijklmnopqrstuvwxyz01')"}]}
    schema = {"type": "object", "properties": {f"p{index:03}": node for index in range(130)}}
    assert "entire OpenAPIv3 schema exceeds budget by factor of" in problems(schema)[-1]


def test_rules_of_a_whole_node_are_told_of_before_any_is_compiled() -> None:
    node = {"type": "integer", "x-kubernetes-validations": [{"rule": "self +"}, {"rule": ""}]}
    found = problems({"type": "object", "properties": {"x": node}})
    assert found == ["s.properties[x].x-kubernetes-validations[1].rule: Required value: rule is not specified"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("object.spec.replicas <= 5 && request.operation == 'CREATE'", ""),
        ("authorizer.requestResource.check('get').allowed()", ""),
        ("request.userInfo.groups.exists(g, g == 'a') && namespaceObject.metadata.labels['a'] == 'b'", ""),
        ("object.x", "must evaluate to bool but got dyn"),
        ("1 + 1", "must evaluate to bool but got int"),
        ("request.nope == 1", "compilation failed: ERROR: <input>:1:8: undefined field 'nope'\n | request.nope == 1\n | .......^"),
        ("params.x == 1", "compilation failed: ERROR: <input>:1:1: undeclared reference to 'params' (in container '')\n | params.x == 1\n | ^"),
    ],
)  # fmt: skip
def test_expressions_of_policies_know_the_request(text: str, told: str) -> None:
    assert Scope().problem(text, ("bool",)) == told


def test_variables_of_a_policy_have_the_types_of_their_expressions() -> None:
    scope = Scope(has_params=True, has_variables=True)
    assert scope.declare("a", "1") == ""
    assert scope.problem("variables.a == 2 && params.x", ("bool",)) == ""
    assert "applied to '(int, string)'" in scope.problem("variables.a == 'x'", ("bool",))
    assert "undefined field 'b'" in scope.problem("variables.b == 1", ("bool",))
    assert scope.problem("1", ("string", "null_type")) == "must evaluate to one of [string null_type] but got int"
