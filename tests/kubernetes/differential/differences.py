"""Where two outcomes differ: one difference a place, in words that a person reads."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from flowdeck.kube.objects import Tree


class _Missing:
    def __repr__(self) -> str:
        return "(not there)"


MISSING = _Missing()


@dataclass(frozen=True)
class Difference:
    """One place in which the answers differ."""

    scenario: str
    step: str
    path: str
    """`body.metadata.managedFields[m].fieldsV1`: dotted; items of lists by name where they have one."""
    real: Any
    ours: Any

    def __str__(self) -> str:
        return f"    {self.path}\n      real: {_shown(self.real)}\n      ours: {_shown(self.ours)}"


def _shown(value: Any) -> str:
    text = repr(value) if value is MISSING else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    return text if len(text) <= 600 else f"{text[:600]} ... ({len(text)} characters)"


def compare_outcomes(real: Tree, ours: Tree) -> Iterator[tuple[str, Any, Any]]:
    """As `compare`; where the status differs that is all: two bodies of different sorts are not held side by side."""
    if real.get("status") != ours.get("status"):
        yield "status", _gist(real), _gist(ours)
    else:
        yield from compare(real, ours)


def _gist(outcome: Tree) -> str:
    body = outcome.get("body")
    told = (body.get("message") or body.get("kind")) if isinstance(body, dict) else body
    return f"{outcome.get('status', 'none')}: {told or outcome.get('error', '')}"


def compare(real: Any, ours: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """`(path, real, ours)` of each place where two values differ."""
    if isinstance(real, dict) and isinstance(ours, dict):
        for name in sorted({*real, *ours}):
            inner = f"{path}.{name}" if path else str(name)
            yield from compare(real.get(name, MISSING), ours.get(name, MISSING), inner)
    elif isinstance(real, list) and isinstance(ours, list):
        yield from _compare_lists(real, ours, path)
    elif real != ours or type(real) is not type(ours):
        yield path, real, ours


def _compare_lists(real: list[Any], ours: list[Any], path: str) -> Iterator[tuple[str, Any, Any]]:
    names = [[_name_of(item) for item in items] for items in (real, ours)]
    if not all(all(side) and len(set(side)) == len(side) for side in names):
        for index in range(max(len(real), len(ours))):
            here, there = (items[index] if index < len(items) else MISSING for items in (real, ours))
            yield from compare(here, there, f"{path}[{index}]")
        return
    reals, ourses = (dict(zip(side, items, strict=True)) for side, items in zip(names, (real, ours), strict=True))
    for name in dict.fromkeys(names[0] + names[1]):
        yield from compare(reals.get(name, MISSING), ourses.get(name, MISSING), f"{path}[{name}]")
    if set(names[0]) == set(names[1]) and names[0] != names[1]:
        yield f"{path}[order]", names[0], names[1]


def _name_of(item: Any) -> str:
    """What an item of a list is known by; `""`: by its place alone."""
    if not isinstance(item, dict):
        return ""
    if isinstance(metadata := item.get("metadata"), dict) and "name" in metadata:
        return str(metadata["name"])
    if "manager" in item and "operation" in item:
        return "/".join(str(item[name]) for name in ("manager", "operation", "subresource") if name in item)
    for name in ("name", "resource", "version", "subresource", "type"):
        if isinstance(item.get(name), str):
            return str(item[name])
    return ""
