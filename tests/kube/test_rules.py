"""CEL rules of a schema hold, or the object is refused with the rule's message at the rule's field."""

import pytest

from flowdeck.kube.schema import Schema

TEXT = {"type": "string"}
INT = {"type": "integer"}


def told(spec_schema, spec, old=None):
    schema = Schema.compile({"type": "object", "properties": {"spec": spec_schema}})
    return [str(error) for error in schema.validate({"spec": spec}, None if old is None else {"spec": old})]


def ruled(*rules, **properties):
    return {"type": "object", "properties": properties, "x-kubernetes-validations": list(rules)}


def test_a_broken_rule_is_told_with_its_message():
    schema = ruled({"rule": "self.min <= self.max", "message": "min is too big"}, min=INT, max=INT)
    assert told(schema, {"min": 1, "max": 2}) == []
    assert told(schema, {"min": 3, "max": 2}) == ["spec: Invalid value: min is too big"]


def test_a_message_may_mention_fields_that_the_rule_does_not():
    rule = {"rule": "self.a > 1", "messageExpression": "'b is ' + self.b"}
    assert told(ruled(rule, a=INT, b=TEXT), {"a": 1, "b": "x"}) == ["spec: Invalid value: b is x"]


def test_a_rule_of_the_root_sees_the_name():
    rule = {"rule": "self.metadata.name.startsWith('a')", "message": "name"}
    schema = Schema.compile({"type": "object", "properties": {"spec": INT}, "x-kubernetes-validations": [rule]})
    meta = {"name": "b", "managedFields": [{"fieldsV1": {"f:x": {}}}]}
    assert [str(error) for error in schema.validate({"metadata": meta})] == ["<nil>: Invalid value: name"]


@pytest.mark.parametrize(
    ("rule", "error"),
    [
        ({}, "spec: Invalid value: failed rule: self.a > 1"),
        ({"messageExpression": "'a is %d'.format([self.a])"}, "spec: Invalid value: a is 1"),
        ({"messageExpression": "self.missing", "message": "plain"}, "spec: Invalid value: plain"),
        ({"reason": "FieldValueForbidden", "message": "m"}, "spec: Forbidden: m"),
        ({"reason": "FieldValueRequired", "message": "m"}, "spec: Required value: m"),
        ({"fieldPath": ".a", "message": "m"}, "spec.a: Invalid value: m"),
    ],
)
def test_a_message_has_the_form_that_the_rule_asks_for(rule, error):
    assert told(ruled({"rule": "self.a > 1", **rule}, a=INT), {"a": 1}) == [error]


def test_an_immutable_field_may_be_added_and_removed_but_not_changed():
    field = {**TEXT, "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "field is immutable"}]}
    schema = ruled(f=field)
    assert told(schema, {"f": "a"}) == []
    assert told(schema, {"f": "a"}, {}) == []
    assert told(schema, {}, {"f": "a"}) == []
    assert told(schema, {"f": "a"}, {"f": "a"}) == []
    assert told(schema, {"f": "b"}, {"f": "a"}) == ['spec.f: Invalid value: "b": field is immutable']


def test_items_of_a_map_list_are_compared_with_their_old_selves():
    item = ruled({"rule": "self.v >= oldSelf.v", "message": "only up"}, k=TEXT, v=INT)
    keyed = {"type": "array", "items": item, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]}
    schema = ruled(l=keyed)
    old = {"l": [{"k": "a", "v": 1}, {"k": "b", "v": 5}]}
    assert told(schema, {"l": [{"k": "b", "v": 6}, {"k": "a", "v": 1}, {"k": "c", "v": 0}]}, old) == []
    assert told(schema, {"l": [{"k": "b", "v": 4}]}, old) == ["spec.l[0]: Invalid value: only up"]


def test_an_optional_old_self_lets_a_transition_rule_run_on_create():
    rule = {"rule": "oldSelf.hasValue() || self.a == 0", "optionalOldSelf": True, "message": "starts at 0"}
    schema = ruled(rule, a=INT)
    assert told(schema, {"a": 0}) == []
    assert told(schema, {"a": 1}) == ["spec: Invalid value: starts at 0"]
    assert told(schema, {"a": 1}, {"a": 0}) == []


def test_a_rule_is_not_run_again_where_nothing_changed():
    schema = ruled(f=ruled({"rule": "self.a > 1"}, a=INT), g=INT)
    assert told(schema, {"f": {"a": 1}, "g": 2}, {"f": {"a": 1}, "g": 1}) == []


def test_rules_of_map_values_are_told_by_key():
    value = {**INT, "x-kubernetes-validations": [{"rule": "self > 0", "message": "positive"}]}
    schema = ruled(m={"type": "object", "additionalProperties": value})
    assert told(schema, {"m": {"k": 0}}) == ["spec.m[k]: Invalid value: 0: positive"]


def test_numbers_are_doubles_and_odd_names_are_escaped():
    schema = ruled(
        {"rule": "self.ratio * 2.0 < 3.0 && self.a__dash__b == 'x' && self.__namespace__ == 'n'"},
        ratio={"type": "number"}, **{"a-b": TEXT, "namespace": TEXT},
    )  # fmt: skip
    assert told(schema, {"ratio": 1, "a-b": "x", "namespace": "n"}) == []


def test_rules_are_not_run_on_an_object_that_does_not_fit_its_types():
    found = told(ruled({"rule": "self.a > 1"}, a=INT), {"a": "x"})
    assert found[1].startswith("<nil>: Invalid value: null: some validation rules were not checked")


def test_an_error_while_a_rule_runs_is_told():
    assert told(ruled({"rule": "self.b > 1"}, a=INT, b=INT), {"a": 1}) == [
        'spec: Invalid value: "object": no such key: b evaluating rule: self.b > 1'
    ]


def test_a_rule_that_takes_too_long_is_told():
    rule = {"rule": "self.l.all(a, self.l.exists_one(b, a == b))"}
    found = told(ruled(rule, l={"type": "array", "items": INT}), {"l": list(range(200))})
    assert found[0].startswith(
        "spec: Invalid value: \"object\": 'operation cancelled: actual cost limit exceeded': no further validation"
    )
