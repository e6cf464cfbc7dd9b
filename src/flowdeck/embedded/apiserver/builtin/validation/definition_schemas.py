"""Rules for the schemas of CustomResourceDefinitions: they must be structural, their defaults must fit.

Source: k8s.io/apiextensions-apiserver (pkg/apis/apiextensions/validation, pkg/apiserver/schema).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import orjson

from flowdeck.kube.errors import FieldError, forbidden, invalid, not_supported, required
from flowdeck.kube.objects import Tree, get_in
from flowdeck.kube.schema import SchemaSet

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_PRESERVE = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"


def validate_schemas(spec: Tree) -> Iterator[FieldError]:
    """Equal schemas of all versions are told of once, at the place where upstream keeps them then."""
    if spec.get("preserveUnknownFields"):
        yield invalid("spec.preserveUnknownFields", True, _PRESERVE)
    schemas = [get_in(version, "schema", "openAPIV3Schema") for version in spec.get("versions") or ()]
    if schemas and schemas[0] and all(schema == schemas[0] for schema in schemas):
        yield from _root(schemas[0], "spec.validation.openAPIV3Schema")
        return
    for index, schema in enumerate(schemas):
        if schema:
            yield from _root(schema, f"spec.versions[{index}].schema.openAPIV3Schema")


def _root(schema: Tree, path: str) -> Iterator[FieldError]:
    type_ = schema.get("type") or ""
    if not type_:
        yield required(f"{path}.type", "must not be empty at the root")
    elif type_ != "object":
        yield invalid(f"{path}.type", type_, "must be object at the root")
    wrong = list(_structural(schema, path, ""))
    yield from wrong
    if not wrong and b'"x-kubernetes-validations"' in orjson.dumps(schema):
        from flowdeck.kube.cel_checking.rule_problems import Rules  # with CEL's library: for who has rules

        yield from Rules().problems(schema, path)


_WHERE = {
    "properties": "must not be empty for specified object fields",
    "items": "must not be empty for specified array items",
    "additionalProperties": "must not be empty for specified object fields",
}


def _structural(schema: Tree, path: str, where: str) -> Iterator[FieldError]:
    type_ = schema.get("type") or ""
    is_free = schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("x-kubernetes-int-or-string")
    if type_ and type_ not in _TYPES:
        yield not_supported(f"{path}.type", type_, _TYPES)
    if not type_ and where and not is_free:
        yield required(f"{path}.type", _WHERE[where])
    yield from _forbidden_words(schema, path)
    yield from _embedded(schema, path, type_)
    yield from _lists(schema, path, type_)
    yield from _maps(schema, path, type_)
    yield from _default(schema, path)
    for name, field in (schema.get("properties") or {}).items():
        yield from _structural(field, f"{path}.properties[{name}]", "properties")
    values = schema.get("additionalProperties")
    if isinstance(values, dict):
        yield from _structural(values, f"{path}.additionalProperties", "additionalProperties")
    items = schema.get("items")
    if isinstance(items, dict):
        yield from _structural(items, f"{path}.items", "items")


def _forbidden_words(schema: Tree, path: str) -> Iterator[FieldError]:
    if schema.get("$ref"):
        yield forbidden(f"{path}.$ref", "$ref is not supported")
    if schema.get("uniqueItems"):
        yield forbidden(
            f"{path}.uniqueItems", "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        )
    if schema.get("additionalProperties") is False:
        yield forbidden(f"{path}.additionalProperties", "additionalProperties cannot be set to false")
    if schema.get("additionalProperties") and schema.get("properties"):
        yield forbidden(f"{path}.additionalProperties", "additionalProperties and properties are mutual exclusive")
    if schema.get("x-kubernetes-preserve-unknown-fields") is False:
        yield invalid(f"{path}.x-kubernetes-preserve-unknown-fields", False, "must be true or undefined")


def _embedded(schema: Tree, path: str, type_: str) -> Iterator[FieldError]:
    if not schema.get("x-kubernetes-embedded-resource"):
        return
    if type_ != "object":
        yield invalid(f"{path}.type", type_, "must be object if x-kubernetes-embedded-resource is true")
    elif not schema.get("properties") and not schema.get("x-kubernetes-preserve-unknown-fields"):
        told = "is true without x-kubernetes-preserve-unknown-fields"
        yield required(f"{path}.properties", f"must not be empty if x-kubernetes-embedded-resource {told}")


def _maps(schema: Tree, path: str, type_: str) -> Iterator[FieldError]:
    map_type = schema.get("x-kubernetes-map-type")
    if map_type is None:
        return
    if type_ != "object":
        yield invalid(f"{path}.type", type_, "must be object if x-kubernetes-map-type is specified")
    if map_type not in ("atomic", "granular"):
        yield not_supported(f"{path}.x-kubernetes-map-type", map_type, ("atomic", "granular"))


def _default(schema: Tree, path: str) -> Iterator[FieldError]:
    """A default must be what its schema asks for."""
    default = schema.get("default")
    if default is None:
        return
    compiled = SchemaSet(None).schema(schema)
    if compiled.unknown(default) if isinstance(default, dict) else "":
        yield invalid(f"{path}.default", default, "must not have unknown fields")
        return
    for error in compiled.validate(default):
        inner = "" if error.path == "<nil>" else f".{error.path}"
        yield replace(error, path=f"{path}.default{inner}")


def _lists(schema: Tree, path: str, type_: str) -> Iterator[FieldError]:
    items = schema.get("items")
    if type_ == "array" and not items:
        yield required(f"{path}.items", "must be specified")
    if isinstance(items, list):
        yield forbidden(f"{path}.items", "items must be a schema object and not an array")
    list_type, keys = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-list-map-keys")
    if list_type and type_ != "array":
        yield invalid(f"{path}.type", type_, "must be array if x-kubernetes-list-type is specified")
    if list_type not in (None, "atomic", "set", "map"):
        yield not_supported(f"{path}.x-kubernetes-list-type", list_type, ("atomic", "set", "map"))
    if keys and list_type != "map":
        yield required(f"{path}.x-kubernetes-list-type", "must be map if x-kubernetes-list-map-keys is non-empty")
    if list_type == "map" and not keys:
        yield required(f"{path}.x-kubernetes-list-map-keys", "must not be empty if x-kubernetes-list-type is map")
    if list_type == "map" and keys and isinstance(items, dict):
        yield from _map_keys(items, keys, path)
    if list_type == "set" and isinstance(items, dict):
        yield from _set_items(items, f"{path}.items")


def _map_keys(items: Tree, keys: Sequence[str], path: str) -> Iterator[FieldError]:
    if items.get("type") != "object":
        told = "must be object if parent array's x-kubernetes-list-type is map"
        yield invalid(f"{path}.items.type", items.get("type"), told)
        return
    fields, needed = items.get("properties") or {}, items.get("required") or ()
    if len(set(keys)) < len(keys):
        yield invalid(f"{path}.x-kubernetes-list-map-keys", list(keys), "must not contain duplicate entries")
    for key in dict.fromkeys(keys):
        at = f"{path}.items.properties[{key}]"
        if key not in fields:
            told = "entries must all be names of item properties"
            yield invalid(f"{path}.x-kubernetes-list-map-keys", list(keys), told)
            continue
        if (type_ := fields[key].get("type")) in ("array", "object"):
            yield invalid(f"{at}.type", type_, "must be a scalar type if parent array's x-kubernetes-list-type is map")
        if key not in needed and fields[key].get("default") is None:
            told = "so it must have a default or be a required property"
            yield required(f"{at}.default", f"this property is in x-kubernetes-list-map-keys, {told}")


def _set_items(items: Tree, path: str) -> Iterator[FieldError]:
    if items.get("nullable"):
        yield forbidden(f"{path}.nullable", "cannot be nullable when x-kubernetes-list-type is set")
    told = "must be atomic as item of a list with x-kubernetes-list-type=set"
    for type_, word in (("object", "x-kubernetes-map-type"), ("array", "x-kubernetes-list-type")):
        if items.get("type") == type_ and items.get(word) != "atomic":
            yield invalid(f"{path}.{word}", items.get(word), told)
