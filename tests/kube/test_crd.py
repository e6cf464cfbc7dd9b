"""A definition is made from types: bounds, lists, rules, defaults; built-in types are expanded as upstream does."""

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

import msgspec
import pytest
from tests.conformance.crds import compared, differences, upstream_crd

from flowdeck.kube.crd import AGE, Column, Field, Rule, Scale, Version, definition, schema_of
from flowdeck.kube.crd_types import CONDITION, INT_OR_STRING, QUANTITY, expanded
from flowdeck.kube.objects import Kind
from flowdeck.kube.schema import Schema

Tree = dict[str, Any]
EnvVar = Annotated[Tree, Field(ref="io.k8s.api.core.v1.EnvVar")]


class Mode(StrEnum):
    FAST = "Fast"
    SLOW = "Slow"


class Inner(msgspec.Struct, rename="camel", kw_only=True):
    a_number: int
    optional: str | None = None
    __crd__: ClassVar[Field] = Field(min_properties=1)


class Spec(msgspec.Struct, rename="camel", kw_only=True):
    inner: Annotated[Inner | None, Field(immutable=True)] = None
    env: Annotated[list[EnvVar] | None, Field(list_type="map", list_keys=("name",), max_items=2)] = None


@pytest.mark.parametrize(
    ("type_", "tree"),
    [
        (str, {"type": "string"}),
        (int, {"type": "integer", "format": "int32"}),
        (bool | None, {"type": "boolean"}),
        (float, {"type": "number"}),
        (Mode, {"type": "string", "enum": ["Fast", "Slow"]}),
        (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        (dict[str, str], {"type": "object", "additionalProperties": {"type": "string"}}),
        (dict[str, Any], {"type": "object"}),
        (list[str], {"type": "array", "items": {"type": "string"}}),
        (
            list[Annotated[str, Field(max_length=3)]] | None,
            {"type": "array", "items": {"type": "string", "maxLength": 3}},
        ),
        (Annotated[int, Field(minimum=0, format="int64")], {"type": "integer", "format": "int64", "minimum": 0}),
        (Annotated[int | None, Field(schema={"format": None})], {"type": "integer"}),
        (Annotated[str, Field(default="", enum=("", "x"))], {"type": "string", "enum": ["", "x"], "default": ""}),
        (
            Annotated[Tree, Field(keeps_unknown=True)],
            {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        ),
        (
            Annotated[str, Field(rules=(Rule(rule="self != ''", message="m", field_path=".x"),))],
            {
                "type": "string",
                "x-kubernetes-validations": [{"rule": "self != ''", "message": "m", "fieldPath": ".x"}],
            },
        ),
        (
            Inner,
            {
                "type": "object",
                "properties": {"aNumber": {"type": "integer", "format": "int32"}, "optional": {"type": "string"}},
                "required": ["aNumber"],
                "minProperties": 1,
            },
        ),
        (Annotated[Any, Field(ref="io.k8s.apimachinery.pkg.api.resource.Quantity")], QUANTITY),
        (Annotated[Any, Field(ref="io.k8s.apimachinery.pkg.util.intstr.IntOrString")], INT_OR_STRING),
        (Annotated[Any, Field(ref="io.k8s.apimachinery.pkg.apis.meta.v1.Condition")], CONDITION),
    ],
)
def test_a_type_has_a_schema(type_, tree):
    assert schema_of(type_) == tree


def test_a_type_without_a_word_in_json_is_refused():
    with pytest.raises(TypeError, match="has no schema"):
        schema_of(complex)


def test_a_definition_has_all_that_was_asked_for():
    kind = Kind("e.x", "v1", "Example", "examples")
    version = Version(
        "v1",
        spec=Spec,
        status=Annotated[Tree, Field(keeps_unknown=True)],
        columns=(Column("Env", ".spec.env", priority=1), AGE),
        scale=Scale(selector=".status.selector"),
        required=("spec",),
        rules=(Rule(rule="self.metadata.name != ''"),),
    )
    crd = definition(kind, [version], short_names=("ex",), categories=("all",))
    assert crd["metadata"]["name"] == "examples.e.x"
    assert crd["spec"]["names"] == {
        "kind": "Example", "listKind": "ExampleList", "plural": "examples", "singular": "example",
        "shortNames": ["ex"], "categories": ["all"],
    }  # fmt: skip
    made = crd["spec"]["versions"][0]
    assert made["additionalPrinterColumns"] == [
        {"jsonPath": ".spec.env", "name": "Env", "type": "string", "priority": 1},
        {"jsonPath": ".metadata.creationTimestamp", "name": "Age", "type": "date"},
    ]
    assert made["subresources"] == {
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    }
    schema = made["schema"]["openAPIV3Schema"]
    assert schema["required"] == ["spec"]
    assert schema["x-kubernetes-validations"] == [{"rule": "self.metadata.name != ''"}]


def test_a_made_schema_validates():
    schema = Schema.compile({"type": "object", "properties": {"spec": schema_of(Spec)}})
    obj = {"spec": {"env": [{"name": "a"}, {"name": "a"}], "inner": {}}}
    assert [str(error) for error in schema.validate(obj)][:2] == [
        "spec.env[1]: Duplicate value: {\"name\":\"a\"}",
        "spec.inner: Invalid value: 0: spec.inner in body should have at least 1 properties",
    ]  # fmt: skip


def test_a_pod_and_a_job_are_expanded_as_upstream_s_definitions_have_them():
    version = upstream_crd("jobsets.jobset.x-k8s.io")["spec"]["versions"][0]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    template = spec["properties"]["replicatedJobs"]["items"]["properties"]["template"]
    assert compared(expanded("io.k8s.api.batch.v1.JobTemplateSpec"), template) == []


def test_differences_are_told_by_property():
    ours = definition(Kind("e.x", "v1", "E", "es"), [Version("v1", spec=Spec)])
    theirs = definition(Kind("e.x", "v1", "E", "es", namespaced=False), [Version("v1", spec=Inner)])
    assert differences(ours, ours) == []
    told = differences(ours, theirs)
    assert 'scope: ours is "Namespaced", upstream\'s "Cluster"' in told
    assert "versions.v1.schema.properties.spec.minProperties: missing, upstream has 1" in told
