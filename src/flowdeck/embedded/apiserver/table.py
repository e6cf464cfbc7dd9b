"""Tables, as `kubectl get` asks for them: columns and a row for each object.

Built-in kinds have printers (`builtin/printers`), custom ones say their columns in their definition.

Source: k8s.io/apiserver (pkg/registry/rest/table.go), k8s.io/apiextensions-apiserver (pkg/registry/customresource/
tableconvertor).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from flowdeck.clock import Clock
from flowdeck.embedded.apiserver.builtin.printers import cluster, network, pods, storage, workloads
from flowdeck.embedded.apiserver.builtin.printers.cells import human_duration, name_of
from flowdeck.embedded.apiserver.builtin.printers.printer import Column, Printer
from flowdeck.embedded.apiserver.contract import Resource
from flowdeck.embedded.apiserver.negotiation import metadata_only
from flowdeck.kube.errors import BadRequest
from flowdeck.kube.json_path import compile_path
from flowdeck.kube.objects import Kind, Tree
from flowdeck.kube.times import parse_time

_INCLUDES = ("", "None", "Metadata", "Object")

_PRINTERS: Mapping[str, Printer] = {
    **cluster.PRINTERS,
    **network.PRINTERS,
    **pods.PRINTERS,
    **storage.PRINTERS,
    **workloads.PRINTERS,
}
_Convert = Callable[[Any, datetime], Any]
_COLUMN = "Custom resource definition column (in JSONPath format)"
_AGE: Tree = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}


def printer_of(resource: Resource) -> Printer:
    if resource.is_custom:
        return _custom(resource.columns)
    return builtin_printer(resource.kind)


def builtin_printer(kind: Kind) -> Printer:
    if (kind.group, kind.kind) == ("autoscaling", "Scale"):
        return cluster.SCALE
    return _PRINTERS.get(f"{kind.resource}/{kind.version}") or _PRINTERS.get(kind.resource) or cluster.CREATED


@dataclass(frozen=True)
class Tables:
    """Renders objects as tables."""

    clock: Clock

    def print(
        self,
        printer: Printer,
        objects: Sequence[Tree],
        *,
        include: str = "",
        metadata: Tree,
        version: str = "v1",
        with_columns: bool = True,
    ) -> Tree:
        """A `Table` with a row an object; `metadata` is the list's.

        `include` is the query parameter `includeObject`: `Metadata` (default), `Object`, `None`; raises `BadRequest`
        for others. Later events of a watch leave the columns out.
        """
        if include not in _INCLUDES:
            raise BadRequest(f"unrecognized includeObject value: {include}")
        now = self.clock.now()
        return {
            "kind": "Table",
            "apiVersion": f"meta.k8s.io/{version}",
            "metadata": metadata,
            "columnDefinitions": [column.to_tree() for column in printer.columns] if with_columns else None,
            "rows": [_row(printer, obj, now, include, version) for obj in objects],
        }


def _row(printer: Printer, obj: Tree, now: datetime, include: str, version: str) -> Tree:
    row: Tree = {"cells": list(printer.cells(obj, now))}
    conditions = printer.conditions(obj) if printer.conditions else ()
    if conditions:
        row["conditions"] = list(conditions)
    match include:
        case "Object":
            row["object"] = obj
        case "None":
            row["object"] = None
        case _:
            row["object"] = metadata_only(obj, version)
    return row


# -- custom kinds


def _custom(columns: Sequence[Tree]) -> Printer:
    """Name, then the columns of the definition; without any, the age."""
    definitions = list(columns) or [_AGE]
    shown = [
        Column(
            column["name"],
            column.get("type", "string"),
            column.get("priority", 0),
            column.get("format", ""),
            column.get("description") or f"{_COLUMN}: {column['jsonPath']}",
        )
        for column in definitions
    ]
    readers = [(compile_path(column["jsonPath"]), column.get("type", "string")) for column in definitions]

    def cells(obj: Tree, now: datetime) -> Sequence[Any]:
        found = (path.find(obj) for path, _ in readers)
        return [name_of(obj), *(_cell(values, type_, now) for values, (_, type_) in zip(found, readers, strict=True))]

    return Printer([Column("Name", format="name"), *shown], cells)


def _cell(values: list[Any], type_: str, now: datetime) -> Any:
    value = values[0] if values else None
    if value is None:
        return None
    return _CONVERSIONS[type_](value, now)


def _as_text(value: Any, now: datetime) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case dict() | list():
            return orjson.dumps(value).decode()
    return str(value)


def _as_integer(value: Any, now: datetime) -> int | None:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _as_number(value: Any, now: datetime) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _as_boolean(value: Any, now: datetime) -> bool | None:
    return value if isinstance(value, bool) else None


def _as_age(value: Any, now: datetime) -> str | None:
    if not isinstance(value, str):
        return None
    try:
        return human_duration((now - parse_time(value)).total_seconds())
    except ValueError:
        return "<invalid>"


_CONVERSIONS: Mapping[str, _Convert] = {
    "integer": _as_integer,
    "number": _as_number,
    "boolean": _as_boolean,
    "date": _as_age,
    "string": _as_text,
}
