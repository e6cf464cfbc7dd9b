"""Defaults of a schema: filled in where nothing is.

Source: k8s.io/apiextensions-apiserver (pkg/apiserver/schema/defaulting).
"""

from typing import TYPE_CHECKING, Any

import orjson

from flowdeck.kube.objects import Tree

if TYPE_CHECKING:
    from flowdeck.kube.schema import Schema

_ZEROS: tuple[object, ...] = ("", 0, False, {})


def defaults_of(schema: "Schema") -> list[tuple[str, bytes, bool]]:
    """See `Schema.defaults`."""
    return [
        (name, orjson.dumps(tree["default"]), bool(tree.get("nullable")))
        for name, tree in schema.tree.get("properties", {}).items()
        if "default" in tree and not (schema.is_openapi and tree["default"] in _ZEROS)
    ]


def fill(schema: "Schema", value: Any) -> None:
    """Fills defaults in, in place, and drops nulls where null is not allowed."""
    if type(value) is dict:
        _fill_object(schema, value)
    elif type(value) is list and (items := schema.items) is not None and items.is_deep:
        for item in value:
            fill(items, item)


def _fill_object(schema: "Schema", obj: Tree) -> None:
    known, values = schema.fields
    for name, text, is_nullable in schema.defaults:
        if name not in obj or (obj[name] is None and not is_nullable):
            obj[name] = orjson.loads(text)
    nulls: list[str] | None = None
    for name, value in obj.items():
        if value is None:
            child = schema.property(name)
            if child is not None and not child.is_nullable and not (child.keeps_unknown and schema.is_openapi):
                nulls = [*(nulls or ()), name]
        elif type(value) is dict or type(value) is list:
            child = known.get(name, values)
            if child is not None:
                fill(child, value)
        elif type(value) is float and value.is_integer() and not schema.is_openapi:
            obj[name] = int(value)  # Go writes it so
    for name in nulls or ():
        del obj[name]
