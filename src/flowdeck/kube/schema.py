"""Structural schemas, compiled once: unknown fields, defaults, types and bounds, CEL, merge keys.

Nodes are made when they are first looked at, so a schema costs what is used of it. How values are checked stands in
`validation.py` and `checks.py`, how unknown fields go in `pruning.py`, what is filled in in `defaulting.py`, how
Go would fail to decode in `decoding.py`, CEL in `rules.py`.
"""

import builtins
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from flowdeck.kube import checks, decoding, defaulting, pruning, rules, validation, zero_values
from flowdeck.kube.errors import FieldError
from flowdeck.kube.object_meta import OBJECT_META
from flowdeck.kube.objects import Tree

_REF = "#/components/schemas/"
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
_OBJECT_FIELDS = ("apiVersion", "kind", "metadata")
_UNTYPED = frozenset(
    {
        "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1",
        "io.k8s.apimachinery.pkg.runtime.RawExtension",
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON",
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray",
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool",
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray",
    }
)
_PLAIN_TYPES: Mapping[str, type] = {"string": str, "boolean": bool}


class Schema:
    """One compiled OpenAPI v3 schema.

    Two dialects are read: a CRD's `openAPIV3Schema` (structural, with `x-kubernetes-validations`), and the component
    schemas of the server's own OpenAPI documents (with `$ref`, `x-kubernetes-patch-strategy`, ...).

    The facts that merging, applying and CEL ask for are attributes: `type`, `list_type` (`atomic`, `set`, `map`),
    `map_keys`, `is_atomic_map`, `keeps_unknown`, `patch_strategies`, `merge_key`, `is_int_or_string`.
    """

    __slots__ = (
        "_additional",
        "_always_there",
        "_checks",
        "_context",
        "_deep",
        "_defaults",
        "_has_rules",
        "_items",
        "_plain",
        "_plain_values",
        "_properties",
        "_rules",
        "_values",
        "canonical",
        "format",
        "is_atomic_map",
        "is_deep",
        "is_embedded",
        "is_int_or_string",
        "is_nullable",
        "is_open",
        "is_openapi",
        "is_quantity",
        "is_root",
        "keeps_unknown",
        "list_type",
        "map_keys",
        "merge_key",
        "name",
        "patch_strategies",
        "tree",
        "type",
        "zeros",
    )

    def __init__(self, tree: Tree, context: "SchemaSet", name: str = "", *, is_root: bool = False) -> None:
        self.tree = tree
        """The schema as it was written, references resolved."""
        self.name = name
        """The definition that it comes from, `io.k8s.api.core.v1.PodSpec`, or `""`."""
        self._context = context
        self.is_root = is_root
        self.is_openapi = context.is_openapi
        """It describes a built-in kind."""
        self.type: str = tree.get("type", "")
        self.format: str = tree.get("format", "")
        self.is_nullable: bool = tree.get("nullable", False)
        self.is_embedded: bool = is_root or tree.get("x-kubernetes-embedded-resource", False)
        """It holds a whole API object: apiVersion, kind and metadata are known."""
        self.is_quantity = name == _QUANTITY
        self.is_int_or_string: bool = name == _INT_OR_STRING or tree.get("x-kubernetes-int-or-string", False)
        self.keeps_unknown: bool = (
            tree.get("x-kubernetes-preserve-unknown-fields", False)
            or name in _UNTYPED
            or (context.is_openapi and not self.type and "oneOf" not in tree)
        )
        self.list_type: str = tree.get("x-kubernetes-list-type", "atomic")
        self.map_keys: tuple[str, ...] = tuple(tree.get("x-kubernetes-list-map-keys", ()))
        self.is_atomic_map: bool = tree.get("x-kubernetes-map-type") == "atomic"
        strategies = tree.get("x-kubernetes-patch-strategy", "")
        self.patch_strategies: tuple[str, ...] = tuple(strategies.split(",")) if strategies else ()
        self.merge_key: str = tree.get("x-kubernetes-patch-merge-key", "")
        self.is_open: bool = self.keeps_unknown or tree.get("additionalProperties") is True
        """Any field may stand in it."""
        self.canonical = decoding.canonical_form(name)
        """Rewrites a value as the API shows it (quantities and times of built-in kinds); None: as it is."""
        is_tree = self.type in ("object", "array") or "properties" in tree
        self.is_deep = is_tree or self.is_embedded or self.canonical is not None
        """Pruning and defaulting have something to do in its values."""
        self.zeros = zero_values.zeros_of(name) if context.is_openapi else zero_values.NONE
        """What Go writes of fields that hold nothing."""
        self._has_rules: bool | None = False if context.is_openapi else None
        self._rules: rules.Rules | None = None
        self._properties: dict[str, Schema] = {}
        self._items: Schema | None = None
        self._additional: Schema | None = None
        self._deep: dict[str, Schema | None] | None = None
        self._plain: dict[str, type] = {}
        self._plain_values: type | None = None
        self._defaults: list[tuple[str, bytes, bool]] | None = None
        self._values: Schema | None = None
        self._checks: checks.Checks | None = None
        self._always_there: frozenset[str] | None = None

    @classmethod
    def compile(cls, tree: Tree, *, definitions: Mapping[str, Tree] | None = None) -> "Schema":
        """Compiles a schema; `definitions` resolves `#/components/schemas/<name>` references, lazily.

        Without definitions the tree is the whole schema of a custom kind.
        """
        if definitions is None:
            return cls(tree, SchemaSet(None), is_root="properties" in tree and "items" not in tree)
        return SchemaSet(definitions).schema(tree)

    # -- navigation

    def property(self, name: str) -> "Schema | None":
        """The schema of a field; of `additionalProperties` where the object is a map."""
        found = self._properties.get(name)
        if found is not None:
            return found
        tree = self.tree.get("properties", {}).get(name)
        if self.is_embedded and not self.is_openapi and name in _OBJECT_FIELDS:
            tree = self._object_field(name, tree)
        if tree is None:
            return self.values
        found = self._properties[name] = self._context.schema(tree)
        return found

    def _object_field(self, name: str, tree: Tree | None) -> Tree:
        if name != "metadata":
            return tree or {"type": "string"}
        said = (tree or {}).get("properties") or {}
        if not said:
            return OBJECT_META
        own = {key: {**OBJECT_META["properties"].get(key, {}), **value} for key, value in said.items()}
        return {**OBJECT_META, **(tree or {}), "properties": {**OBJECT_META["properties"], **own}}

    @builtins.property
    def items(self) -> "Schema | None":
        """The schema of a list's items."""
        if self._items is None and isinstance(tree := self.tree.get("items"), dict):
            self._items = self._context.schema(tree)
        return self._items

    @builtins.property
    def values(self) -> "Schema | None":
        """The schema of a map's values (`additionalProperties`)."""
        if self._values is None and isinstance(tree := self.tree.get("additionalProperties"), dict):
            self._values = self._context.schema(tree)
        return self._values

    def declares(self, name: str) -> bool:
        """`name` is a field of its own, not a key of a map."""
        return name in self.tree.get("properties", ()) or (self.is_embedded and name in _OBJECT_FIELDS)

    @builtins.property
    def always_there(self) -> frozenset[str]:
        """The fields that Go's zero object has: they are no pointers, or may not be omitted."""
        if self._always_there is None:
            if self.zeros is not zero_values.NONE:
                self._always_there = frozenset(self.zeros.there)
                return self._always_there
            tree = self.tree
            zero = [name for name, field in tree.get("properties", {}).items() if field.get("default") == {}]
            own = ("metadata",) if self.is_root else ()
            self._always_there = frozenset([*tree.get("required", ()), *zero] if self.is_openapi else own)
        return self._always_there

    @builtins.property
    def is_map_list(self) -> bool:
        return self.list_type == "map" and bool(self.map_keys)

    @builtins.property
    def plain_type(self) -> type | None:
        """The Python type of which every value is fine; None where there is more to check."""
        if self.is_int_or_string or self.is_nullable:
            return None
        if self.is_openapi:
            return None if self.format else _PLAIN_TYPES.get(self.type)
        return _PLAIN_TYPES.get(self.type) if checks.is_unbounded(self.tree) else None

    @builtins.property
    def plain_fields(self) -> tuple[Mapping[str, type], type | None]:
        """`plain_type` of the fields that have one, and of a map's values."""
        if self._deep is None:
            self._learn_fields()
        return self._plain, self._plain_values

    def branch(self, tree: Tree) -> "Schema":
        """A schema of the same dialect: for the parts of `allOf`, `anyOf`, `oneOf`, `not`."""
        return self._context.schema(tree)

    # -- unknown fields

    def prune(self, obj: Tree, old: Tree | None = None) -> list[str]:
        """Drops unknown fields in place; returns their paths (`spec.foo[0].bar`) in order.

        What is as in `old`, an object that was pruned, is not looked at.

        For built-in kinds it also does what decoding into Go's types would: nulls go, quantities and times become
        canonical text.
        """
        found: list[str] = []
        pruning.prune_object(self, obj, None, found, old or {})
        return found if self.is_openapi or len(found) < 2 else sorted(found, key=pruning.metadata_last)

    def unknown(self, obj: Tree) -> str:
        """The path of the first field that the schema does not know; `""` when it knows all. Changes nothing."""
        return next(pruning.unknown(self, obj, None), "")

    @builtins.property
    def fields(self) -> "tuple[Mapping[str, Schema | None], Schema | None]":
        """Each declared field with its schema where pruning must go on, else None; and the schema of other fields."""
        if self._deep is None:
            self._learn_fields()
        return self._deep or {}, self._additional

    def _learn_fields(self) -> "dict[str, Schema | None]":
        """Field -> its schema where pruning must go on, else None."""
        names = list(self.tree.get("properties", ()))
        if self.is_embedded and not self.is_openapi:
            names += _OBJECT_FIELDS
        known: dict[str, Schema | None] = {}
        for name in names:
            child = self.property(name)
            known[name] = child if child is not None and child.is_deep else None
            if child is not None and (plain := child.plain_type) is not None:
                self._plain[name] = plain
        self._additional = self.values
        self._plain_values = self._additional.plain_type if self._additional else None
        self._deep = known
        return known

    # -- defaults

    def default(self, obj: Tree) -> None:
        """Fills the schema's defaults in, in place; drops nulls where null is not allowed.

        Defaults of built-in kinds that are Go's zero values ("", 0, false, {}) are not written, as upstream.
        """
        defaulting.fill(self, obj)

    @builtins.property
    def defaults(self) -> Sequence[tuple[str, bytes, bool]]:
        """Each field that has a default, with the default's JSON, and whether null may stand there."""
        if self._defaults is None:
            self._defaults = defaulting.defaults_of(self)
        return self._defaults

    # -- validation

    def validate(self, obj: Tree, old: Tree | None = None) -> Sequence[FieldError]:
        """Types, formats, bounds, enums, required, list-map duplicates, then CEL (transition rules with `old`).

        With `old`, what did not change is not checked again (ratcheting), save for transition rules. Built-in kinds
        have no errors here, as upstream: `type_errors` finds wrong types, and their rules are code (strategies).
        """
        if self.is_openapi:
            return ()
        errors: list[FieldError] = []
        self.check(obj, old, None, errors)
        if self.has_rules:
            if any(error.cause in rules.BLOCKING for error in errors):
                errors.append(rules.NOT_CHECKED)
            else:
                rules.check(self, obj, old, errors)
        return errors

    def check(self, value: Any, old: Any, path: validation.Path, errors: list[FieldError]) -> None:
        """`validate` without CEL, at a path; adds to `errors`. Plain metadata is somebody else's task."""
        if (old is not None and validation.is_unchanged(old, value)) or self.tree is OBJECT_META:
            return
        kind = type(value)
        if kind is dict:
            if self.type == "object" or (not self.type and not self.is_int_or_string):
                self._check_object(value, old if type(old) is dict else None, path, errors)
            else:
                validation.wrong_type(self, value, path, errors)
        elif kind is list:
            if self.type == "array" or (not self.type and not self.is_int_or_string):
                validation.check_list(self, value, old if type(old) is list else None, path, errors)
            else:
                validation.wrong_type(self, value, path, errors)
        elif not validation.has_type(self, value):
            validation.wrong_type(self, value, path, errors)
        asked = self._checks
        if asked is None:
            asked = self._checks = checks.checks_of(self)
        for check in asked:
            check(value, path, errors)

    def _check_object(self, obj: Tree, old: Tree | None, path: validation.Path, errors: list[FieldError]) -> None:
        known = self._deep if self._deep is not None else self._learn_fields()
        plain, values, own = self._plain, self._additional, self._properties
        for name, value in obj.items():
            if name in plain and type(value) is plain[name]:
                continue
            child = own[name] if name in known else values
            if child is not None:
                child.check(value, old.get(name) if old else None, (path, name), errors)

    @builtins.property
    def has_rules(self) -> bool:
        """CEL rules stand here or below."""
        if self._has_rules is None:
            self._has_rules = b'"x-kubernetes-validations"' in orjson.dumps(self.tree)
        return self._has_rules

    @builtins.property
    def own_rules(self) -> "rules.Rules":
        """The CEL rules of this node, compiled."""
        if self._rules is None:
            self._rules = rules.Rules.of(self)
        return self._rules

    # -- decoding

    def type_errors(self, obj: Tree, old: Tree | None = None) -> list[str]:
        """What decoding `obj` into Go's types would say, the first error first; for custom kinds, of `metadata` only.

        `json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32`: the text that
        follows `Deployment in version "v1" cannot be handled as a Deployment: ` in a 400. What is as in `old` is right.
        """
        if old:
            obj = {name: value for name, value in obj.items() if not validation.is_unchanged(old.get(name), value)}
        if self.is_openapi:
            return decoding.type_errors(self, obj)
        meta = self.property("metadata") if self.is_root else None
        return decoding.type_errors(meta, obj.get("metadata"), "ObjectMeta") if meta else []


class SchemaSet:
    """Schemas that refer to each other: the definitions of an OpenAPI document (None for a single schema)."""

    def __init__(self, definitions: Mapping[str, Tree] | None) -> None:
        self._definitions = definitions or {}
        self.is_openapi = definitions is not None
        self._named: dict[str, Schema] = {}

    def schema(self, tree: Tree) -> Schema:
        """The schema that a tree, maybe a reference, stands for."""
        if not self.is_openapi:
            return Schema(tree, self)
        name, siblings = _reference(tree)
        if not name:
            return Schema(tree, self)
        if siblings:
            return Schema({**self._definitions.get(name, {}), **siblings}, self, name)
        return self.named(name)

    def named(self, name: str) -> Schema:
        """The schema of one definition."""
        found = self._named.get(name)
        if found is None:
            found = self._named[name] = Schema(self._definitions.get(name, {}), self, name)
        return found


def _reference(tree: Tree) -> tuple[str, Tree]:
    """The definition that a schema refers to (`""` for none) and what it says beside it."""
    ref = tree.get("$ref")
    rest = {}
    if ref is None:
        parts = tree.get("allOf")
        if not parts or len(parts) != 1 or "$ref" not in parts[0]:
            return "", tree
        ref = parts[0]["$ref"]
        rest = {key: value for key, value in tree.items() if key not in ("allOf", "default")}
    return ref.removeprefix(_REF), rest
