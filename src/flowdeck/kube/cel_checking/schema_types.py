"""What rules in a schema see of its values: types, and how large these can become in one request.

Source: k8s.io/apiserver (pkg/cel/common/schemas.go, pkg/cel/types.go, pkg/cel/limits.go).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from flowdeck.kube.cel import escaped
from flowdeck.kube.cel_checking.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    Type,
    list_of,
    map_of,
)
from flowdeck.kube.objects import Tree

REQUEST_BYTES = 3 * 1024 * 1024
_TEXT: Tree = {"type": "string"}
_META: Tree = {"type": "object", "properties": {"name": _TEXT, "generateName": _TEXT}}
_OF_OBJECTS: Tree = {"kind": _TEXT, "apiVersion": _TEXT, "metadata": _META}
_FORMATTED = {"duration": (DURATION, 32, 3), "date": (TIMESTAMP, 12, 12), "date-time": (TIMESTAMP, 32, 21)}
"""Format -> type, longest, shortest."""


@dataclass(frozen=True)
class Declared:
    """A node of a schema."""

    type: Type
    smallest: int
    """Bytes of its shortest JSON."""
    largest: int = 0
    """Items, entries or characters, at most."""
    fields: Mapping[str, "Declared"] = field(default_factory=dict)
    """Of an object, by their names in expressions."""
    items: "Declared | None" = None
    """Items of a list, values of a map."""

    def at(self, path: Sequence[str]) -> "Declared | None":
        """What lies below: names of fields, `@items`, `@values`, `@keys`."""
        found: Declared | None = self
        for step in path:
            if found is None:
                return None
            if step in ("@items", "@values"):
                found = found.items
            elif step == "@keys":
                found = Declared(STRING, 2) if found.type.kind == "map" else None
            else:
                found = found.fields.get(step)
        return found

    def structs(self) -> dict[str, Mapping[str, Type]]:
        """The fields of each struct in it, by the struct's name."""
        found: dict[str, Mapping[str, Type]] = {}
        if self.type.kind == "struct":
            found[self.type.name] = {name: child.type for name, child in self.fields.items()}
        for child in [*self.fields.values(), *([self.items] if self.items else [])]:
            found.update(child.structs())
        return found


def declare(tree: Tree, name: str = "selfType1", *, is_root: bool = False) -> Declared | None:
    """The types of a schema's values; None where expressions cannot see them."""
    if tree.get("x-kubernetes-int-or-string"):
        return Declared(DYN, 1, _limit(tree, "maxLength", REQUEST_BYTES - 2, 4))
    if is_root or tree.get("x-kubernetes-embedded-resource"):
        tree = {**tree, "properties": {**(tree.get("properties") or {}), **_OF_OBJECTS}}
    match tree.get("type"):
        case "array":
            return _list(tree, name)
        case "object" if isinstance(tree.get("additionalProperties"), dict):
            return _map(tree, name)
        case "object":
            return _object(tree, name)
        case "string":
            return _string(tree)
        case "boolean":
            return Declared(BOOL, 4)
        case "number":
            return Declared(DOUBLE, 1)
        case "integer":
            return Declared(INT, 1)
    return None


def _limit(tree: Tree, word: str, otherwise: int, factor: int = 1) -> int:
    wanted = tree.get(word)
    return otherwise if wanted is None else max(0, int(wanted)) * factor


def _list(tree: Tree, name: str) -> Declared | None:
    items = declare(tree["items"], f"{name}.@idx") if isinstance(tree.get("items"), dict) else None
    if items is None:
        return None
    most = _limit(tree, "maxItems", (REQUEST_BYTES - 2) // (items.smallest + 1))
    return Declared(list_of(items.type), 2, most, items=items)


def _map(tree: Tree, name: str) -> Declared | None:
    values = declare(tree["additionalProperties"], f"{name}.@elem")
    if values is None:
        return None
    most = _limit(tree, "maxProperties", (REQUEST_BYTES - 2) // (values.smallest + 6))
    return Declared(map_of(STRING, values.type), 2, most, items=values)


def _object(tree: Tree, name: str) -> Declared:
    fields: dict[str, Declared] = {}
    smallest, needed = 2, tree.get("required") or ()
    for field_name, child in (tree.get("properties") or {}).items():
        spelt = escaped(field_name)
        found = declare(child, f"{name}.{spelt}")
        if found is None:
            continue
        if spelt.isidentifier() and spelt.isascii():
            fields[spelt] = fields[field_name] = found  # a reserved word may be spelt as it is, too
        if field_name in needed and child.get("default") is None:
            smallest += len(field_name) + found.smallest + 4
    return Declared(Type("struct", name), smallest, fields=fields)


def _string(tree: Tree) -> Declared:
    format_ = tree.get("format")
    if format_ in _FORMATTED:
        type_, longest, shortest = _FORMATTED[format_]
        return Declared(type_, shortest, longest)
    if format_ == "byte":
        return Declared(BYTES, 2, _limit(tree, "maxLength", REQUEST_BYTES - 2))
    otherwise = REQUEST_BYTES - 2
    if tree.get("enum"):
        otherwise = max((len(value.encode()) for value in tree["enum"] if isinstance(value, str)), default=0)
    return Declared(STRING, 2, _limit(tree, "maxLength", otherwise, 4))
