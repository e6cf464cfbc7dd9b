"""Definitions of custom kinds: what is refused of them, conditions, names that conflict, versions, their end."""

from collections.abc import Sequence
from typing import Any

from flowdeck.kube.objects import Tree
from tests.kubernetes.differential.makers import custom, definition
from tests.kubernetes.differential.scenario import (
    Scenario,
    create,
    delete,
    get,
    json_patch,
    merge,
    scenario,
    table,
    until,
    until_gone,
    until_status,
    update,
)
from tests.kubernetes.differential.scenes import FOO_DEFINITION, FOOS, made, served

_ALL = "customresourcedefinitions"
_TEXT: Tree = {"type": "string"}


def _with_schema(x: Any) -> Tree:
    """`x` is the schema of `spec.x`."""
    spec = {"type": "object", "properties": {"x": x}}
    return definition(schema={"type": "object", "properties": {"spec": spec}})


def _with(**spec: Any) -> Tree:
    made = definition()
    return {**made, "spec": {**made["spec"], **spec}}


def _named(**names: Any) -> Tree:
    made = definition()
    return {**made, "spec": {**made["spec"], "names": {**made["spec"]["names"], **names}}}


def _versions(*versions: Tree, **spec: Any) -> Tree:
    return _with(versions=list(versions), **spec)


def _version(name: str, **fields: Any) -> Tree:
    return {**definition()["spec"]["versions"][0], "name": name, **fields}


def _refused(name: str, *bad: Tree) -> Scenario:
    return scenario(name, *(create(_ALL, each, dryRun="All") for each in bad))


def _rule(rule: str, schema: Tree | None = None, **fields: Any) -> Tree:
    return _with_schema({**(schema or {"type": "integer"}), "x-kubernetes-validations": [{"rule": rule, **fields}]})


_KEYED: Tree = {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"]}

SCENARIOS: Sequence[Scenario] = [
    scenario(
        "life of a definition",
        create(_ALL, definition()),
        until(FOO_DEFINITION, "status.conditions.1.status", "True"),
        until_status(200, get(FOOS)),
        get("/apis/{ns}.example.com/v1"),
        get("/apis/{ns}.example.com"),
        table(FOO_DEFINITION),
        create(FOOS, custom(metadata={"finalizers": ["example.com/f"]})).unseen(),
        delete(FOO_DEFINITION).unseen(),
        until(FOO_DEFINITION, "status.conditions.2.type", "Terminating").unseen(),
        create(FOOS, custom(name="late"), dryRun="All"),
        merge(f"{FOOS}/a", {"metadata": {"finalizers": None}}).unseen(),
        until_gone(FOO_DEFINITION),
        until_status(404, get(FOOS)),
    ),
    _refused(
        "names that are wrong",
        {**definition(), "metadata": {"name": "other.{ns}.example.com"}},
        _with(group=""),
        _with(group="Bad_Group"),
        _with(group="nodots"),
        _with(scope="Global"),
        _with(scope=""),
        _named(plural="Foos"),
        _named(plural="bars"),
        _named(kind=""),
        _named(kind="foo bar"),
        _named(listKind="Foo"),
        _named(singular="Foo"),
        _named(shortNames=["f", "F_"]),
        _named(categories=["all", "Bad_"]),
        _with(group="foo.k8s.io"),
    ),
    _refused(
        "versions that are wrong",
        _versions(),
        _versions(_version("v1", storage=False)),
        _versions(_version("v1"), _version("v2")),
        _versions(_version("v1"), _version("v1", storage=False)),
        _versions(_version("1v")),
        _versions(_version("v1", schema=None)),
        _versions(_version("v1", schema={})),
        _versions(_version("v1", deprecationWarning="old")),
        _versions(_version("v1"), conversion={"strategy": "Webhook"}),
        _versions(_version("v1"), conversion={"strategy": "Other"}),
        _versions(_version("v1"), conversion={"strategy": "None", "webhook": {"conversionReviewVersions": ["v1"]}}),
        _with(preserveUnknownFields=True),
        {**definition(), "apiVersion": "apiextensions.k8s.io/v1beta1"},
    ),
    _refused(
        "schemas that are no structure",
        definition(schema={"type": "string"}),
        definition(schema={"properties": {"a": _TEXT}}),
        _with_schema({}),
        _with_schema({"type": "null"}),
        _with_schema({"type": "object", "properties": {"a": {}}}),
        _with_schema({"type": "array"}),
        _with_schema({"type": "array", "items": {}}),
        _with_schema({"type": "array", "items": [_TEXT]}),
        _with_schema({"type": "object", "properties": {"a": _TEXT}, "additionalProperties": _TEXT}),
        _with_schema({"type": "object", "additionalProperties": False}),
        _with_schema({"type": "object", "oneOf": [{"properties": {"a": {"type": "string"}}}]}),
        _with_schema({"type": "object", "anyOf": [{"properties": {"b": {"minimum": 1}}}]}),
        _with_schema({"type": "string", "not": {"default": "x"}}),
        _with_schema({"type": "string", "uniqueItems": True}),
        _with_schema({"type": "string", "$ref": "#/x"}),
        _with_schema({"type": "string", "patternProperties": {"a": _TEXT}}),
        _with_schema({"type": "string", "definitions": {}, "dependencies": {}}),
        _with_schema({"type": "string", "id": "x"}),
        _with_schema({"type": "string", "pattern": "("}),
        _with_schema({"type": "string", "minLength": -1}),
        _with_schema({"type": "string", "unknownKey": 1}),
        definition(
            schema={
                "type": "object",
                "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}},
            }
        ),
        definition(schema={"type": "object", "properties": {"metadata": {"type": "string"}}}),
        definition(schema={"type": "object", "properties": {"kind": {"type": "integer"}}}),
    ),
    _refused(
        "extensions that are wrong",
        _with_schema({"type": "string", "x-kubernetes-preserve-unknown-fields": True}),
        _with_schema({"type": "object", "x-kubernetes-preserve-unknown-fields": False}),
        _with_schema({"type": "string", "x-kubernetes-int-or-string": True}),
        _with_schema({"type": "object", "x-kubernetes-embedded-resource": True}),
        _with_schema(
            {"type": "string", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True}
        ),
        _with_schema({"type": "object", "x-kubernetes-list-type": "set"}),
        _with_schema({"type": "array", "items": _TEXT, "x-kubernetes-list-type": "bag"}),
        _with_schema({"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "set"}),
        _with_schema({"type": "array", "items": {**_TEXT, "nullable": True}, "x-kubernetes-list-type": "set"}),
        _with_schema(
            {**_KEYED, "x-kubernetes-list-map-keys": [], "items": {"type": "object", "properties": {"a": _TEXT}}}
        ),
        _with_schema({**_KEYED, "items": {"type": "object", "properties": {"a": _TEXT}}}),
        _with_schema({**_KEYED, "items": {"type": "object", "properties": {"b": _TEXT}, "required": ["b"]}}),
        _with_schema(
            {**_KEYED, "items": {"type": "object", "required": ["a"], "properties": {"a": {"type": "object"}}}}
        ),
        _with_schema(
            {
                **_KEYED,
                "x-kubernetes-list-map-keys": ["a", "a"],
                "items": {"type": "object", "required": ["a"], "properties": {"a": _TEXT}},
            }
        ),
        _with_schema({**_KEYED, "items": _TEXT}),
        _with_schema({"type": "array", "items": _TEXT, "x-kubernetes-list-map-keys": ["a"]}),
        _with_schema({"type": "string", "x-kubernetes-map-type": "atomic"}),
        _with_schema({"type": "object", "x-kubernetes-map-type": "other"}),
    ),
    _refused(
        "defaults that are wrong",
        _with_schema({"type": "string", "default": 5}),
        _with_schema({"type": "string", "default": None}),
        _with_schema({"type": "string", "default": None, "nullable": True}),
        _with_schema({"type": "integer", "default": 1, "minimum": 5}),
        _with_schema({"type": "object", "properties": {"a": _TEXT}, "default": {"b": 1}}),
        _with_schema({"type": "object", "required": ["a"], "properties": {"a": _TEXT}, "default": {}}),
        _with_schema({"type": "string", "enum": ["a"], "default": "b"}),
        definition(schema={"type": "object", "properties": {"metadata": {"type": "object", "default": {"name": "x"}}}}),
        definition(schema={"type": "object", "default": {"spec": {}}}),
    ),
    _refused(
        "rules that are wrong",
        _rule("self >"),
        _rule("self == 'x'"),
        _rule("self.a > 1"),
        _rule("unknown > 1"),
        _rule("self + 1"),
        _rule(""),
        _rule("self > 1", message=" "),
        _rule("self > 1", message="a\nb"),
        _rule("self > 1", messageExpression="self"),
        _rule("self > 1", messageExpression="'a' +"),
        _rule("self > 1", reason="Other"),
        _rule("self > 1", fieldPath=".a"),
        _rule("self > oldSelf", optionalOldSelf=True),
        _rule("self > 1", optionalOldSelf=True),
        _rule("self.missing > 1", {"type": "object", "properties": {"a": {"type": "integer"}}}),
        _rule("has(self.a) && self.a > 'x'", {"type": "object", "properties": {"a": {"type": "integer"}}}),
        _rule("self.a > 1", {"type": "object", "properties": {"a": {"type": "integer"}}}, fieldPath=".b"),
        _rule("self.all(x, x > 1)", {"type": "object"}),
        _with_schema(
            {"type": "array", "items": {"type": "integer", "x-kubernetes-validations": [{"rule": "self > oldSelf"}]}}
        ),
        definition(
            schema={"type": "object", "x-kubernetes-validations": [{"rule": "self.metadata.labels.size() > 0"}]}
        ),
    ),
    _refused(
        "rules that cost too much",
        _rule("self.all(x, self.all(y, x != y))", {"type": "array", "items": {"type": "string"}}),
        _rule(
            "self.all(x, self.all(y, self.all(z, x != y || y != z)))", {"type": "array", "items": {"type": "string"}}
        ),
        _rule("self.all(x, x.matches('a.*b'))", {"type": "array", "items": {"type": "string"}}),
        _with_schema(
            {
                "type": "array",
                "items": {
                    "type": "array",
                    "items": {"type": "string", "x-kubernetes-validations": [{"rule": "self.contains('abc')"}]},
                },
            }
        ),
        _rule("self.contains('x')", {"type": "string"}),
    ),
    _refused(
        "parts that are wrong",
        definition(subresources={"scale": {}}),
        definition(subresources={"scale": {"specReplicasPath": ".x", "statusReplicasPath": ".y"}}),
        definition(subresources={"scale": {"specReplicasPath": ".spec.r[0]", "statusReplicasPath": ".status.r"}}),
        definition(
            subresources={
                "scale": {
                    "specReplicasPath": ".spec.r",
                    "statusReplicasPath": ".status.r",
                    "labelSelectorPath": ".other",
                }
            }
        ),
        definition(additionalPrinterColumns=[{"name": "", "type": "string", "jsonPath": ".a"}]),
        definition(additionalPrinterColumns=[{"name": "A", "type": "text", "jsonPath": ".a"}]),
        definition(additionalPrinterColumns=[{"name": "A", "type": "string", "jsonPath": "a["}]),
        definition(additionalPrinterColumns=[{"name": "A", "type": "string"}]),
        definition(additionalPrinterColumns=[{"name": "A", "type": "integer", "format": "x", "jsonPath": ".a"}]),
        definition(selectableFields=[{"jsonPath": ".spec.none"}]),
        definition(selectableFields=[{"jsonPath": ""}]),
        definition(selectableFields=[{"jsonPath": ".metadata.name"}]),
        definition(
            schema={
                "type": "object",
                "properties": {"spec": {"type": "object", "properties": {"l": {"type": "array", "items": _TEXT}}}},
            },
            selectableFields=[{"jsonPath": ".spec.l"}],
        ),
        definition(
            schema={"type": "object", "properties": {"spec": {"type": "object", "properties": {"a": _TEXT}}}},
            selectableFields=[{"jsonPath": ".spec.a"}, {"jsonPath": ".spec.a"}],
        ),
    ),
    scenario(
        "names that conflict",
        made(_ALL, definition()),
        create(_ALL, definition()),
        create(
            _ALL,
            _other := {
                **definition("bars"),
                "spec": {
                    **definition("bars")["spec"],
                    "names": {
                        "plural": "bars",
                        "singular": "foo",
                        "kind": "Foo",
                        "listKind": "FooList",
                        "shortNames": ["foos"],
                    },
                },
            },
        ).unseen(),
        until("customresourcedefinitions/bars.{ns}.example.com", "status.conditions.0.status", "False"),
        get("/apis/{ns}.example.com/v1/namespaces/{ns}/bars"),
        get("/apis/{ns}.example.com/v1"),
    ),
    scenario(
        "what may not change",
        made(_ALL, definition()),
        merge(FOO_DEFINITION, {"spec": {"scope": "Cluster"}}),
        merge(FOO_DEFINITION, {"spec": {"names": {"kind": "Bar"}}}),
        merge(FOO_DEFINITION, {"spec": {"names": {"plural": "bars"}}}),
        merge(FOO_DEFINITION, {"spec": {"group": "other.example.com"}}),
        merge(FOO_DEFINITION, {"spec": {"names": {"shortNames": ["fo"]}}}).unseen(),
        until(FOO_DEFINITION, "status.acceptedNames.shortNames", ["fo"]),
        merge(FOO_DEFINITION, {"spec": {"versions": [_version("v2")]}}),
        merge(f"{FOO_DEFINITION}/status", {"status": {"storedVersions": []}}),
        merge(f"{FOO_DEFINITION}/status", {"status": {"storedVersions": ["v7"]}}),
        merge(f"{FOO_DEFINITION}/status", {"status": {"storedVersions": ["v1"]}}),
        get(f"{FOO_DEFINITION}/status"),
        json_patch(FOO_DEFINITION, ("remove", "/spec/versions/0/schema")),
        update(FOO_DEFINITION, definition()),
    ),
    scenario(
        "several versions",
        made(
            _ALL,
            _versions(
                _version("v1", storage=False, deprecated=True, deprecationWarning="v1 is old"),
                _version("v2", additionalPrinterColumns=[{"name": "A", "type": "string", "jsonPath": ".spec.a"}]),
                _version("v1beta1", storage=False, deprecated=True),
                _version("v3", storage=False, served=False),
            ),
        ),
        until_status(200, get(FOOS)),
        get("/apis/{ns}.example.com"),
        create(FOOS, custom(spec={"a": "1"})).kept("a"),
        get("/apis/{ns}.example.com/v2/namespaces/{ns}/foos/a"),
        table("/apis/{ns}.example.com/v2/namespaces/{ns}/foos"),
        table(FOOS),
        get("/apis/{ns}.example.com/v1beta1/namespaces/{ns}/foos/a"),
        get("/apis/{ns}.example.com/v3/namespaces/{ns}/foos/a"),
        get("/apis/{ns}.example.com/v4/namespaces/{ns}/foos/a"),
        merge("/apis/{ns}.example.com/v2/namespaces/{ns}/foos/a", {"spec": {"b": "2"}}),
        update("/apis/{ns}.example.com/v2/namespaces/{ns}/foos/a", custom(spec={"c": "1"})),
        get(FOOS),
        get("/apis/{ns}.example.com/v2"),
        get(FOO_DEFINITION).only("status"),
        merge(FOO_DEFINITION, {"spec": {"versions": [_version("v1", storage=True)]}}),
    ),
    scenario(
        "a schema that changes",
        served(
            {
                "type": "object",
                "properties": {"spec": {"type": "object", "properties": {"x": {"type": "integer"}, "y": _TEXT}}},
            }
        ),
        create(FOOS, custom(spec={"x": 1, "y": "a"})).unseen(),
        merge(
            FOO_DEFINITION,
            {
                "spec": {
                    "versions": _with_schema(
                        {"type": "integer", "minimum": 3, "x-kubernetes-validations": [{"rule": "self > 4"}]}
                    )["spec"]["versions"]
                }
            },
        ).unseen(),
        until_status(422, create(FOOS, custom(name="b", spec={"x": 1}), dryRun="All")),
        get(f"{FOOS}/a"),
        merge(f"{FOOS}/a", {"metadata": {"labels": {"a": "b"}}}),
        merge(f"{FOOS}/a", {"spec": {"x": 2}}),
        merge(f"{FOOS}/a", {"spec": {"x": 4}}),
        merge(f"{FOOS}/a", {"spec": {"x": 5}}),
    ),
]
