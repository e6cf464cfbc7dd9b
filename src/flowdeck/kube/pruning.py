"""Fields that a schema does not know: found, or dropped.

Source: k8s.io/apiextensions-apiserver (pkg/apiserver/schema/pruning).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import orjson

from flowdeck.kube.objects import Tree
from flowdeck.kube.validation import Path, is_unchanged, text_of

if TYPE_CHECKING:
    from flowdeck.kube.schema import Schema

_NOTHING: Tree = {}


def prune_object(schema: "Schema", obj: Tree, path: Path, found: list[str], old: Tree) -> None:
    """Drops unknown fields in place and adds their paths to `found`; of built-in kinds it makes what Go would write.

    Fields that are as in `old` are not looked into.
    """
    known, values = schema.fields
    drops_nulls = schema.is_openapi
    zeros = schema.zeros
    gone: list[str] | None = None
    for name, value in obj.items():
        if not value and name in zeros.left_out:
            gone = [*(gone or ()), name]
            continue
        if name in known:
            child = known[name]
        elif values is not None:
            child = values if values.is_deep else None
        elif schema.is_open:
            continue
        else:
            found.append(text_of((path, name)))
            gone = [*(gone or ()), name]
            continue
        if value is None and drops_nulls:
            if name not in known and values is not None and values.type == "string":
                obj[name] = ""  # a null text in a map is an empty one to Go
            else:
                gone = [*(gone or ()), name]
        elif child is not None and (not old or not is_unchanged(old.get(name), value)):
            if child.canonical is not None:
                obj[name] = child.canonical(value)
            else:
                _prune(child, value, (path, name), found)
    for name in gone or ():
        del obj[name]
    for name, zero in zeros.there.items():
        if name not in obj:
            obj[name] = orjson.loads(zero)


def metadata_last(path: str) -> tuple[bool, str]:
    """Upstream reads metadata when the rest is done."""
    return path.startswith("metadata.") or ".metadata." in path, path


def _prune(schema: "Schema", value: Any, path: Path, found: list[str]) -> None:
    if type(value) is dict:
        prune_object(schema, value, path, found, _NOTHING)
    elif type(value) is list and (items := schema.items) is not None and items.is_deep:
        for index, item in enumerate(value):
            if items.canonical is not None:
                value[index] = items.canonical(item)
            else:
                _prune(items, item, (path, index), found)


def unknown(schema: "Schema", value: Any, path: Path) -> Iterator[str]:
    """The paths of the fields that the schema does not know."""
    if type(value) is dict:
        known, values = schema.fields
        for name, item in value.items():
            child = known.get(name, values)
            if name not in known and child is None and not schema.is_open:
                yield text_of((path, name))
            elif child is not None and child.is_deep and type(item) in (dict, list):
                yield from unknown(child, item, (path, name))
    elif type(value) is list and (items := schema.items) is not None and items.is_deep:
        for index, item in enumerate(value):
            yield from unknown(items, item, (path, index))
