# ruff: noqa: E501  (tables read better with a case a line)
"""A schema drops what it does not know, fills in defaults, and says what is wrong in Kubernetes' words."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowdeck.kube.kinds import CONFIG_MAP, CUSTOM_RESOURCE_DEFINITION, DEPLOYMENT, LEASE, POD, SECRET
from flowdeck.kube.openapi import definitions, discovery, schema_for
from flowdeck.kube.schema import Schema

INT = {"type": "integer"}
TEXT = {"type": "string"}


def of(**properties):
    return Schema.compile({"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}})


def told(schema, spec, old=None):
    before = None if old is None else {"spec": old}
    return [str(error) for error in schema.validate({"spec": spec}, before)]


@pytest.mark.parametrize(
    ("tree", "value", "error"),
    [
        (INT, "x", 'Invalid value: "string": spec.f in body must be of type integer: "string"'),
        (INT, 2.0, None),
        (TEXT, None, 'Invalid value: "null": spec.f in body must be of type string: "null"'),
        ({**TEXT, "nullable": True}, None, None),
        ({"type": "object"}, [], 'Invalid value: "array": spec.f in body must be of type object: "array"'),
        ({"type": "array", "items": INT}, {}, 'Invalid value: "object": spec.f in body must be of type array: "object"'),
        ({**INT, "minimum": 1}, 0, "Invalid value: 0: spec.f in body should be greater than or equal to 1"),
        ({**INT, "minimum": 1, "exclusiveMinimum": True}, 1, "Invalid value: 1: spec.f in body should be greater than 1"),
        ({**INT, "maximum": 5}, 6, "Invalid value: 6: spec.f in body should be less than or equal to 5"),
        ({**INT, "multipleOf": 2}, 3, "Invalid value: 3: spec.f in body should be a multiple of 2"),
        ({"type": "number", "multipleOf": 0.1}, 0.3, None),
        ({"type": "number", "multipleOf": 0.1}, 1e308, None),
        ({**INT, "multipleOf": 2}, 10**400, None),
        ({**INT, "multipleOf": 0}, 3, "Invalid value: 3: spec.f in body should be a multiple of 0"),
        ({**TEXT, "minLength": 2}, "a", 'Invalid value: "a": spec.f in body should be at least 2 chars long'),
        ({**TEXT, "maxLength": 2}, "abc", "Too long: may not be more than 2 bytes"),
        ({**TEXT, "maxLength": 1}, "abc", "Too long: may not be more than 1 byte"),
        ({**TEXT, "maxLength": 2}, "äö", None),
        ({**TEXT, "pattern": "^a+$"}, "b", "Invalid value: \"b\": spec.f in body should match '^a+$'"),
        ({**TEXT, "pattern": "^a+$"}, "a\n", "Invalid value: \"a\\n\": spec.f in body should match '^a+$'"),
        ({**TEXT, "enum": ["a", "b"]}, "c", 'Unsupported value: "c": supported values: "a", "b"'),
        ({**INT, "enum": [1, 2]}, 3, 'Unsupported value: 3: supported values: "1", "2"'),
        (
            {**TEXT, "format": "date-time"},
            "x",
            'Invalid value: "x": spec.f in body must be of type date-time: "x"',
        ),
        ({**TEXT, "format": "date-time"}, "2026-11-24T07:00:00.5Z", None),
        ({**TEXT, "format": "duration"}, "1h30m", None),
        ({**TEXT, "format": "nobody-knows"}, "x", None),
        ({"type": "array", "items": INT, "maxItems": 1}, [1, 2], "Too many: 2: must have at most 1 item"),
        ({"type": "array", "items": INT, "maxItems": 2}, [1, 2, 3], "Too many: 3: must have at most 2 items"),
        ({"type": "array", "items": INT, "minItems": 1}, [], "Invalid value: 0: spec.f in body should have at least 1 items"),
        (
            {"type": "array", "items": INT, "x-kubernetes-list-type": "set"},
            [1, 2, 1],
            "[2]: Duplicate value: 1",
        ),
        (
            {
                "type": "array",
                "items": {"type": "object", "properties": {"name": TEXT}},
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
            },
            [{"name": "x"}, {"name": "x"}],
            '[1]: Duplicate value: {"name":"x"}',
        ),
        ({"type": "object", "required": ["a"], "properties": {"a": INT}}, {}, ".a: Required value"),
        (
            {"type": "object", "minProperties": 1, "additionalProperties": INT},
            {},
            "Invalid value: 0: spec.f in body should have at least 1 properties",
        ),
        ({"type": "object", "maxProperties": 1, "additionalProperties": INT}, {"a": 1, "b": 2}, "Too many: 2: must have at most 1 item"),
        ({"x-kubernetes-int-or-string": True}, True, 'Invalid value: "boolean": spec.f in body must be of type integer,string: "boolean"'),
        ({"x-kubernetes-int-or-string": True, "anyOf": [INT, TEXT], "pattern": "^[0-9]+$"}, 5, None),
        ({"x-kubernetes-int-or-string": True, "pattern": "^[0-9]+$"}, "x", "Invalid value: \"x\": spec.f in body should match '^[0-9]+$'"),
        ({"x-kubernetes-preserve-unknown-fields": True}, [1, {"a": None}], None),
        (
            {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True},
            {"kind": "A"},
            ".apiVersion: Required value",
        ),
    ],
)  # fmt: skip
def test_a_value_is_checked(tree, value, error):
    found = [line for line in told(of(f=tree), {"f": value}) if "some validation rules" not in line]
    if error is None:
        assert found == []
    else:
        assert found == ["spec.f" + (error if error[0] in ".[" else f": {error}")]


@pytest.mark.parametrize(
    ("tree", "value", "error"),
    [
        (INT, 1.5, "Checked value must be of type integer (default format) in spec.f"),
        ({**INT, "format": "int32"}, 2147483648, "Checked value must be of type integer with format int32 in spec.f"),
        ({"type": "object", "not": {"required": ["a"]}, "properties": {"a": INT}}, {"a": 1}, '"spec.f" must not validate the schema (not)'),
    ],
)  # fmt: skip
def test_some_errors_do_not_say_where_they_are(tree, value, error):
    assert f'<nil>: Invalid value: "": {error}' in told(of(f=tree), {"f": value})


def test_one_of_several_schemas_must_fit():
    tree = {
        "type": "object",
        "properties": {"a": INT, "b": INT},
        "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
    }
    none = told(of(f=tree), {"f": {}})
    assert (
        none[0] == '<nil>: Invalid value: "": "spec.f" must validate one and only one schema (oneOf). Found none valid'
    )
    both = told(of(f=tree), {"f": {"a": 1, "b": 1}})
    assert both == [
        '<nil>: Invalid value: "": "spec.f" must validate one and only one schema (oneOf). Found 2 valid alternatives'
    ]
    assert told(of(f=tree), {"f": {"a": 1}}) == []


def test_what_did_not_change_is_not_checked_again():
    schema = of(f={**TEXT, "maxLength": 1}, g=INT)
    assert told(schema, {"f": "too long", "g": 2}, {"f": "too long", "g": 1}) == []
    assert len(told(schema, {"f": "too long still"}, {"f": "too long"})) == 1


def test_true_is_not_one_when_an_object_is_compared_with_its_old_self():
    assert told(of(f=INT, g=INT), {"f": True, "g": 2}, {"f": 1, "g": 1})[0].startswith(
        'spec.f: Invalid value: "boolean"'
    )
    deployment = schema_for(DEPLOYMENT)
    assert deployment.type_errors({"spec": {"replicas": True}}, {"spec": {"replicas": 1}}) != []


def test_what_is_as_before_is_not_looked_at_again():
    pod = schema_for(POD)
    old = {"metadata": {"name": "p"}, "spec": {"unknown": 1}}
    new = {"metadata": {"name": "p", "x": 1}, "spec": {"unknown": 1}, "y": 1}
    assert pod.prune(new, old) == ["metadata.x", "y"]
    assert new == {**old, "status": {}}


def test_zero_values_are_left_out_or_there_as_go_writes_them():
    deployment = {"metadata": {"labels": {}}, "spec": {"replicas": 0, "minReadySeconds": 0, "paused": False}}
    schema_for(DEPLOYMENT).prune(deployment)
    template = {"metadata": {}, "spec": {"containers": None}}
    assert deployment == {
        "metadata": {},
        "spec": {"replicas": 0, "selector": None, "template": template, "strategy": {}},
        "status": {},
    }


def test_unknown_fields_are_dropped_and_told_with_their_paths():
    schema = of(l={"type": "array", "items": {"type": "object", "properties": {"a": INT}}}, m={"type": "object"})
    obj = {"spec": {"l": [{"a": 1}, {"b": 2}], "m": {"x": 1}, "n": 1}, "kind": "K", "metadata": {"name": "n", "foo": 1}}
    assert schema.prune(obj) == ["spec.l[1].b", "spec.m.x", "spec.n", "metadata.foo"]
    assert obj == {"spec": {"l": [{"a": 1}, {}], "m": {}}, "kind": "K", "metadata": {"name": "n"}}


def test_the_first_unknown_field_is_found_without_changing_the_object():
    schema = of(l={"type": "array", "items": {"type": "object", "properties": {"a": INT}}}, m={"type": "object"})
    obj = {"spec": {"l": [{"a": 1}, {"b": 2}], "n": 1}}
    assert schema.unknown(obj) == "spec.l[1].b"
    assert schema.unknown({"spec": {"l": []}, "kind": "K"}) == ""
    assert obj == {"spec": {"l": [{"a": 1}, {"b": 2}], "n": 1}}


def test_preserved_fields_stay_while_known_ones_inside_are_pruned():
    inner = {"type": "object", "properties": {"a": INT}}
    schema = of(f={"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"known": inner}})
    obj = {"spec": {"f": {"any": {"x": 1}, "known": {"a": 1, "b": 2}}}}
    assert schema.prune(obj) == ["spec.f.known.b"]
    assert obj == {"spec": {"f": {"any": {"x": 1}, "known": {"a": 1}}}}


def test_an_embedded_object_keeps_its_own_metadata():
    schema = of(
        f={"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"spec": {"type": "object"}}}
    )
    obj = {"spec": {"f": {"apiVersion": "v1", "kind": "K", "metadata": {"name": "x", "y": 1}, "z": 1}}}
    assert schema.prune(obj) == ["spec.f.z", "spec.f.metadata.y"]


def test_defaults_are_filled_in_also_inside_of_defaults_and_lists():
    inner = {"type": "object", "properties": {"b": {**INT, "default": 2}}}
    schema = of(
        a={**inner, "default": {}},
        l={"type": "array", "items": inner},
        m={"type": "object", "additionalProperties": inner},
    )
    obj = {"spec": {"l": [{}, {"b": 5}], "m": {"k": {}}}}
    schema.default(obj)
    assert obj == {"spec": {"a": {"b": 2}, "l": [{"b": 2}, {"b": 5}], "m": {"k": {"b": 2}}}}


def test_a_null_is_defaulted_or_dropped_unless_it_is_allowed():
    schema = of(a={**INT, "default": 1}, b=INT, c={**INT, "nullable": True, "default": 1})
    obj = {"spec": {"a": None, "b": None, "c": None}}
    schema.default(obj)
    assert obj == {"spec": {"a": 1, "c": None}}


def test_defaults_are_not_shared_between_objects():
    schema = of(a={"type": "array", "items": INT, "default": [1]})
    one, other = {"spec": {}}, {"spec": {}}
    schema.default(one)
    schema.default(other)
    one["spec"]["a"].append(2)
    assert other == {"spec": {"a": [1]}}


def test_a_built_in_object_is_read_as_go_would():
    pod = {
        "metadata": {"name": "p", "creationTimestamp": None},
        "spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": 2.0, "memory": "1024Mi"}}, "x": 1}]},
    }
    schema = schema_for(POD)
    assert schema.type_errors(pod) == []
    assert schema.prune(pod) == ["spec.containers[0].x"]
    assert pod["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "2", "memory": "1Gi"}
    assert "creationTimestamp" not in pod["metadata"]


def test_times_of_a_built_in_object_are_in_utc_and_whole_seconds_or_microseconds():
    pod = {"status": {"startTime": "2026-11-24T08:00:00.5+01:00"}}
    schema_for(POD).prune(pod)
    assert pod["status"] == {"startTime": "2026-11-24T07:00:00Z"}
    lease = {"spec": {"renewTime": "2026-11-24T07:00:00Z"}}
    schema_for(LEASE).prune(lease)
    assert lease["spec"] == {"renewTime": "2026-11-24T07:00:00.000000Z"}


@pytest.mark.parametrize(
    ("kind", "obj", "error"),
    [
        (DEPLOYMENT, {"spec": {"replicas": "1"}}, "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"),
        (DEPLOYMENT, {"spec": {"replicas": 1.5}}, "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32"),
        (POD, {"metadata": {"labels": {"a": 1}}}, "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string"),
        (POD, {"spec": {"containers": {}}}, "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container"),
        (POD, {"spec": {"containers": [{"command": "x"}]}}, "json: cannot unmarshal string into Go struct field Container.spec.containers.command of type []string"),
        (POD, {"spec": {"containers": [{"resources": {"limits": {"cpu": "x"}}}]}}, "quantities must match the regular expression"),
        (SECRET, {"data": {"a": "%"}}, "illegal base64 data at input byte 0"),
        (CONFIG_MAP, {"data": {"a": True}}, "json: cannot unmarshal bool into Go struct field ConfigMap.data of type string"),
        (POD, {"metadata": {"deletionTimestamp": "x"}}, 'parsing time "x" as "2006-01-02T15:04:05Z07:00"'),
    ],
)  # fmt: skip
def test_wrong_types_of_a_built_in_object_are_told_as_go_tells_them(kind, obj, error):
    assert schema_for(kind).type_errors(obj)[0].startswith(error)


def test_a_port_of_a_container_is_on_tcp_unless_told_otherwise():
    pod = {"spec": {"containers": [{"name": "c", "ports": [{"containerPort": 1}]}]}}
    schema_for(POD).default(pod)
    assert pod["spec"]["containers"] == [{"name": "c", "ports": [{"containerPort": 1, "protocol": "TCP"}]}]


def test_the_facts_of_the_server_are_there():
    assert len(definitions()) == 584
    assert set(discovery()) == {"/api", "/apis"}
    template = schema_for(DEPLOYMENT).property("spec").property("template")
    containers = template.property("spec").property("containers")
    assert (containers.list_type, containers.map_keys, containers.merge_key) == ("map", ("name",), "name")


def test_schemas_that_contain_themselves_are_walked_as_deep_as_the_object():
    nested = {"properties": {"a": {"properties": {"b": {"type": "string", "nope": 1}}}}}
    obj = {"spec": {"versions": [{"schema": {"openAPIV3Schema": nested}}]}}
    (dropped,) = schema_for(CUSTOM_RESOURCE_DEFINITION).prune(obj)
    assert dropped == "spec.versions[0].schema.openAPIV3Schema.properties.a.properties.b.nope"


# -- laws

LEAVES = st.sampled_from(
    [INT, TEXT, {"type": "boolean"}, {**INT, "default": 3}, {**TEXT, "nullable": True}, {**TEXT, "maxLength": 2}]
)


def composed(inner):
    fields = st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    return (
        fields.map(lambda properties: {"type": "object", "properties": properties})
        | inner.map(lambda items: {"type": "array", "items": items})
        | inner.map(lambda values: {"type": "object", "additionalProperties": values})
        | fields.map(lambda properties: {"type": "object", "properties": properties, "default": {}})
    )


TREES = st.dictionaries(st.sampled_from("abc"), st.recursive(LEAVES, composed, max_leaves=6), max_size=3)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("xy", max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=8,
)


@given(TREES, st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=3))
def test_pruning_and_defaulting_settle_at_once_and_an_unchanged_object_is_fine(tree, spec):
    schema = of(**tree)
    obj = {"spec": spec}
    schema.prune(obj)
    assert schema.prune(obj) == []
    schema.default(obj)
    once = copy.deepcopy(obj)
    schema.default(obj)
    assert obj == once
    assert schema.validate(obj, once) == []


@given(TREES, st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=3))
def test_what_upstream_s_validator_would_accept_or_refuse_is_decided_by_types(tree, spec):
    errors = [error for error in of(**tree).validate({"spec": spec}) if error.path != "<nil>"]
    assert bool(errors) == (not fits({"type": "object", "properties": tree}, spec))


def fits(tree, value):
    """A second, plain opinion: JSON schema's meaning of the words that the trees above use."""
    if value is None:
        return tree.get("nullable", False)
    match tree["type"]:
        case "object":
            named, values = tree.get("properties", {}), tree.get("additionalProperties")
            return isinstance(value, dict) and all(
                fits(named.get(key, values), item) for key, item in value.items() if key in named or values
            )
        case "array":
            return isinstance(value, list) and all(fits(tree["items"], item) for item in value)
        case "string":
            return isinstance(value, str) and len(value) <= tree.get("maxLength", 9)
        case "boolean":
            return isinstance(value, bool)
    return isinstance(value, int) and not isinstance(value, bool)
