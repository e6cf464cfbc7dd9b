"""CustomResourceDefinitions from a component's `types.py`.

    EnvVar = Annotated[Tree, Field(ref="io.k8s.api.core.v1.EnvVar")]      # a built-in type, expanded as upstream does

    class Trainer(Struct, rename="camel", kw_only=True):
        num_nodes: Annotated[int | None, Field(minimum=1)] = None           # integer, format int32
        deadline: Annotated[int | None, Field(format="int64", immutable=True)] = None
        env: Annotated[list[EnvVar] | None, Field(list_type="map", list_keys=("name",), max_items=128)] = None
        mode: Annotated[Mode, Field(default="Fast")] = Mode.FAST             # a StrEnum or Literal: its values
        labels: dict[str, str] | None = None                                # additionalProperties
        anything: Annotated[Tree | None, Field(keeps_unknown=True)] = None
        __crd__: ClassVar[Field] = Field(min_properties=1)                  # of the object itself

    definition(TRAIN_JOB, [Version("v1alpha1", spec=TrainJobSpec, status=TrainJobStatus, columns=(...))])

What stands in `Field` changes the schema only, never how a struct is decoded. A field without a default is required;
`Field(required=...)` overrules. Schema defaults are only those in `Field(default=...)`. `Field(schema={...})` is laid
over the result for whatever has no word here. Items of a list and values of a map take `Field`s of their own:
`list[Annotated[str, Field(max_length=10)]]`.
"""

import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from flowdeck.kube.crd_types import expanded
from flowdeck.kube.objects import Kind, Tree
from flowdeck.kube.patches import copied

_IMMUTABLE = "field is immutable"
_UNSET: Any = object()
_SCALARS: Mapping[type, Tree] = {
    str: {"type": "string"},
    int: {"type": "integer", "format": "int32"},
    bool: {"type": "boolean"},
    float: {"type": "number"},
}
_WORDS = {
    "format": "format",
    "minimum": "minimum",
    "maximum": "maximum",
    "min_length": "minLength",
    "max_length": "maxLength",
    "pattern": "pattern",
    "min_items": "minItems",
    "max_items": "maxItems",
    "min_properties": "minProperties",
    "max_properties": "maxProperties",
    "nullable": "nullable",
    "list_type": "x-kubernetes-list-type",
    "map_type": "x-kubernetes-map-type",
    "keeps_unknown": "x-kubernetes-preserve-unknown-fields",
    "is_embedded": "x-kubernetes-embedded-resource",
}


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One CEL rule (`x-kubernetes-validations`)."""

    rule: str
    message: str = ""
    message_expression: str = ""
    reason: str = ""
    field_path: str = ""
    optional_old_self: bool = False

    def to_tree(self) -> Tree:
        named: Tree = {
            "rule": self.rule,
            "message": self.message,
            "messageExpression": self.message_expression,
            "reason": self.reason,
            "fieldPath": self.field_path,
            "optionalOldSelf": self.optional_old_self,
        }
        return {word: value for word, value in named.items() if value}


@dataclass(frozen=True, kw_only=True)
class Field:
    """What the schema says of a field beyond its Python type; everything is optional."""

    ref: str = ""
    """A built-in type (`io.k8s.api.core.v1.PodTemplateSpec`) that takes the place of the Python type."""
    of: Any = None
    """A struct that takes the place of the Python type: for what is checked in full but decided on as a tree."""
    format: str = ""
    """`int64`, `date-time`, ...; `schema={"format": None}` takes away what the Python type gives (`int32`)."""
    minimum: float | None = None
    maximum: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str = ""
    enum: Sequence[str | int] = ()
    """Instead of the values of the Python type."""
    min_items: int | None = None
    max_items: int | None = None
    min_properties: int | None = None
    max_properties: int | None = None
    nullable: bool = False
    default: Any = _UNSET
    required: bool | None = None
    """None: when the struct's field has no default."""
    immutable: bool = False
    """Adds the rule `self == oldSelf`."""
    rules: Sequence[Rule] = ()
    list_type: Literal["", "atomic", "set", "map"] = ""
    list_keys: Sequence[str] = ()
    map_type: Literal["", "atomic", "granular"] = ""
    keeps_unknown: bool = False
    is_embedded: bool = False
    schema: Mapping[str, Any] | None = None
    """Laid over the result; a None takes the word away."""

    def over(self, tree: Tree) -> Tree:
        """The schema with what this says; changes `tree`."""
        for name, word in _WORDS.items():
            if (value := getattr(self, name)) or (value == 0 and value is not False):
                tree[word] = value
        if self.enum:
            tree["enum"] = list(self.enum)
        if self.default is not _UNSET:
            tree["default"] = copied(self.default)
        if self.list_keys:
            tree["x-kubernetes-list-map-keys"] = list(self.list_keys)
        rules = [Rule(rule="self == oldSelf", message=_IMMUTABLE)] if self.immutable else []
        rules += self.rules
        if rules:
            tree["x-kubernetes-validations"] = [rule.to_tree() for rule in rules]
        for word, value in (self.schema or {}).items():
            if value is None:
                tree.pop(word, None)
            else:
                tree[word] = copied(value)
        return tree


@dataclass(frozen=True)
class Column:
    """One of `additionalPrinterColumns`."""

    name: str
    json_path: str
    type: Literal["string", "integer", "number", "boolean", "date"] = "string"
    priority: int = 0
    format: str = ""

    def to_tree(self) -> Tree:
        tree: Tree = {"jsonPath": self.json_path, "name": self.name, "type": self.type}
        if self.priority:
            tree["priority"] = self.priority
        if self.format:
            tree["format"] = self.format
        return tree


AGE = Column("Age", ".metadata.creationTimestamp", "date")


@dataclass(frozen=True)
class Scale:
    """The scale subresource: where in the object its numbers stand."""

    replicas: str = ".spec.replicas"
    status_replicas: str = ".status.replicas"
    selector: str = ""

    def to_tree(self) -> Tree:
        tree = {"specReplicasPath": self.replicas, "statusReplicasPath": self.status_replicas}
        return {**tree, "labelSelectorPath": self.selector} if self.selector else tree


@dataclass(frozen=True)
class Version:
    """One version of a kind."""

    name: str
    spec: Any = None
    """A struct, or any annotated type."""
    status: Any = None
    columns: Sequence[Column] = ()
    has_status: bool | None = None
    """The status subresource; None: when there is a `status`."""
    scale: Scale | None = None
    required: Sequence[str] = ()
    """Required fields of the object itself (`spec`)."""
    rules: Sequence[Rule] = ()
    """CEL rules of the object itself."""
    fields: Mapping[str, Any] | None = None
    """Further fields of the object itself: name on the wire -> type."""
    served: bool = True
    storage: bool = True
    keeps_unknown: bool = False
    embedded_metadata: bool = True
    """See `crd_types.expanded`."""
    deprecation: str = ""

    def to_tree(self) -> Tree:
        tree: Tree = {"name": self.name, "served": self.served, "storage": self.storage}
        if self.columns:
            tree["additionalPrinterColumns"] = [column.to_tree() for column in self.columns]
        if self.deprecation:
            tree |= {"deprecated": True, "deprecationWarning": self.deprecation}
        tree["schema"] = {"openAPIV3Schema": self._schema()}
        subresources: Tree = {}
        if self.has_status if self.has_status is not None else self.status is not None:
            subresources["status"] = {}
        if self.scale:
            subresources["scale"] = self.scale.to_tree()
        if subresources:
            tree["subresources"] = subresources
        return tree

    def _schema(self) -> Tree:
        parts = {"spec": self.spec, "status": self.status, **(self.fields or {})}
        text: Tree = {"type": "string"}
        properties: Tree = {"apiVersion": text, "kind": text, "metadata": {"type": "object"}}
        properties |= {name: self._part(part) for name, part in parts.items() if part is not None}
        tree: Tree = {"properties": properties, "type": "object"}
        if self.required:
            tree["required"] = list(self.required)
        return Field(rules=self.rules, keeps_unknown=self.keeps_unknown).over(tree)

    def _part(self, part: Any) -> Tree:
        return schema_of(part, embedded_metadata=self.embedded_metadata)


def definition(
    kind: Kind,
    versions: Sequence[Version],
    *,
    singular: str = "",
    short_names: Sequence[str] = (),
    categories: Sequence[str] = (),
    annotations: Mapping[str, str] | None = None,
) -> Tree:
    """The CustomResourceDefinition of a kind, as a tree to apply."""
    names: Tree = {
        "kind": kind.kind,
        "listKind": f"{kind.kind}List",
        "plural": kind.plural,
        "singular": singular or kind.kind.lower(),
    }
    if short_names:
        names["shortNames"] = list(short_names)
    if categories:
        names["categories"] = list(categories)
    metadata: Tree = {"name": kind.resource}
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
        "spec": {
            "group": kind.group,
            "names": names,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "versions": [version.to_tree() for version in versions],
        },
    }


def schema_of(type_: Any, *, embedded_metadata: bool = True) -> Tree:
    """The structural schema of a struct or annotated type; raises `TypeError` for a type that JSON has no word for."""
    return _Writer(embedded_metadata).schema(type_)


@dataclass(frozen=True)
class _Writer:
    embedded_metadata: bool

    def schema(self, type_: Any) -> Tree:
        bare, fields = _taken_apart(type_)
        ref = next((field.ref for field in fields if field.ref), "")
        shown = next((field.of for field in fields if field.of), bare)
        tree = expanded(ref, embedded_metadata=self.embedded_metadata) if ref else self._bare(shown)
        for field in fields:
            field.over(tree)
        return tree

    def _bare(self, type_: Any) -> Tree:
        if type_ in _SCALARS:
            return dict(_SCALARS[type_])
        if type_ is Any:
            return {}
        origin, arguments = get_origin(type_), get_args(type_)
        if origin is Literal:
            return {"type": "string", "enum": list(arguments)}
        if origin in (list, tuple, Sequence):
            return {"type": "array", "items": self.schema(arguments[0])}
        if origin in (dict, Mapping):
            bare, fields = _taken_apart(arguments[1])
            if bare is Any and not fields:
                return {"type": "object"}
            return {"type": "object", "additionalProperties": self.schema(arguments[1])}
        if isinstance(type_, type) and issubclass(type_, Enum):
            return {"type": "string", "enum": [member.value for member in type_]}
        if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
            return self._struct(type_)
        raise TypeError(f"{type_!r} has no schema: annotate it with Field(ref=...) or another type")

    def _struct(self, type_: type[msgspec.Struct]) -> Tree:
        hints = get_type_hints(type_, include_extras=True)
        properties: Tree = {}
        required: list[str] = []
        for field in msgspec.structs.fields(type_):
            hint = hints[field.name]
            properties[field.encode_name] = self.schema(hint)
            said = next((f.required for f in _taken_apart(hint)[1] if f.required is not None), None)
            if field.required if said is None else said:
                required.append(field.encode_name)
        tree: Tree = {"properties": properties, "type": "object"}
        if required:
            tree["required"] = sorted(required)
        own = type_.__dict__.get("__crd__")
        return own.over(tree) if isinstance(own, Field) else tree


def _taken_apart(type_: Any) -> tuple[Any, list[Field]]:
    """The type without None and annotations, and its `Field`s, the innermost first."""
    fields: list[Field] = []
    while True:
        origin = get_origin(type_)
        if origin is Annotated:
            type_, *marks = get_args(type_)
            fields = [*(mark for mark in marks if isinstance(mark, Field)), *fields]
        elif origin in (Union, types.UnionType):
            rest = list(_not_none(get_args(type_)))
            if len(rest) != 1:
                return type_, fields
            type_ = rest[0]
        else:
            return type_, fields


def _not_none(arguments: Sequence[Any]) -> Iterator[Any]:
    return (argument for argument in arguments if argument not in (type(None), msgspec.UnsetType))
