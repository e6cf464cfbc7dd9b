"""YAML as Kubernetes reads it: what JSON can say, and nothing else.

Keys and dates are texts; tags of other types are refused, and so is a document that is deeper than `MAX_DEPTH` or whose
aliases stand for more than anybody needs. Built from the parser's events: its own trees are made by recursion
in C, which a few bytes of brackets bring down together with the process.

Source: sigs.k8s.io/yaml.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

MAX_DEPTH = 200
MAX_ALIASED = 100_000
"""Values that the aliases of a document may stand for, all together."""

_TAG = "tag:yaml.org,2002:"
_SCALARS = ("str", "int", "float", "bool", "null")
_COLLECTIONS = (None, "!", f"{_TAG}map", f"{_TAG}seq")


class YamlError(ValueError):
    """The text is no YAML that Kubernetes takes; says what is wrong, and where."""


def load(text: str | bytes) -> Any:
    """The value of the one document in a text; None where it is empty. Raises `YamlError`."""
    documents = list(load_all(text))
    if len(documents) > 1:
        raise YamlError("expected a single document")
    return documents[0] if documents else None


def load_all(text: str | bytes) -> Iterator[Any]:
    """The values of the documents in a text, one after the other. Raises `YamlError`."""
    import yaml  # slow to import, and most of what is read is JSON

    reader = _Reader()
    try:
        for event in yaml.parse(text, yaml.CSafeLoader):
            if isinstance(event, yaml.DocumentStartEvent):
                reader = _Reader()
            elif isinstance(event, yaml.DocumentEndEvent):
                yield reader.root
            else:
                reader.take(event)
    except yaml.YAMLError as error:
        raise YamlError(str(error)) from error


@dataclass
class _Part:
    """A value with how much it holds; while it is read, the collection that values are put into."""

    value: Any
    anchor: str | None = None
    size: int = 1
    depth: int = 1
    key: str | None = None
    """Of a mapping: what the next value belongs to."""
    merged: list[Any] = field(default_factory=list)
    """The values of `<<`."""


class _Reader:
    """Reads one document."""

    def __init__(self) -> None:
        self.root: Any = None
        self._open: list[_Part] = []
        self._anchors: dict[str, _Part] = {}
        self._aliased = 0

    def take(self, event: Any) -> None:
        match type(event).__name__:
            case "ScalarEvent":
                self._scalar(event)
            case "MappingStartEvent":
                self._begin(event, {})
            case "SequenceStartEvent":
                self._begin(event, [])
            case "MappingEndEvent" | "SequenceEndEvent":
                self._end()
            case "AliasEvent":
                self._alias(event)

    def _scalar(self, event: Any) -> None:
        value = _scalar(event)
        holder = self._open[-1] if self._open else None
        if holder is not None and isinstance(holder.value, dict) and holder.key is None:
            holder.key = _as_key(value)
            return
        self._put(_Part(value, event.anchor))

    def _begin(self, event: Any, value: Any) -> None:
        if event.tag not in _COLLECTIONS:
            raise YamlError(f"a value of the type {event.tag} cannot be told in JSON{_place(event)}")
        holder = self._open[-1] if self._open else None
        if holder is not None and isinstance(holder.value, dict) and holder.key is None:
            raise YamlError(f"a key must be a text{_place(event)}")
        if len(self._open) >= MAX_DEPTH:
            raise YamlError(f"exceeded max depth of {MAX_DEPTH}{_place(event)}")
        self._open.append(_Part(value, event.anchor))

    def _end(self) -> None:
        part = self._open.pop()
        for merged in part.merged:
            for name, value in merged.items():
                part.value.setdefault(name, value)
        self._put(part)

    def _alias(self, event: Any) -> None:
        if any(part.anchor == event.anchor for part in self._open):
            raise YamlError(f"document contains excessive aliasing: anchor {event.anchor} contains itself")
        known = self._anchors.get(event.anchor)
        if known is None:
            raise YamlError(f"undefined alias {event.anchor}{_place(event)}")
        self._aliased += known.size
        if self._aliased > MAX_ALIASED:
            raise YamlError("document contains excessive aliasing")
        self._put(_Part(copy.deepcopy(known.value), size=known.size, depth=known.depth))

    def _put(self, part: _Part) -> None:
        if part.anchor is not None:
            self._anchors[part.anchor] = part
        if not self._open:
            self.root = part.value
            return
        self._refuse_depth(part)
        holder = self._open[-1]
        holder.size += part.size
        holder.depth = max(holder.depth, part.depth + 1)
        if isinstance(holder.value, list):
            holder.value.append(part.value)
        elif holder.key is None:
            holder.key = _as_key(part.value)
        else:
            _set(holder, holder.key, part.value)
            holder.key = None

    def _refuse_depth(self, part: _Part) -> None:
        if len(self._open) + part.depth > MAX_DEPTH + 1:
            raise YamlError(f"exceeded max depth of {MAX_DEPTH}")


def _set(mapping: _Part, key: str, value: Any) -> None:
    if key != "<<":
        mapping.value[key] = value
        return
    merged = value if isinstance(value, list) else [value]
    if not all(isinstance(part, dict) for part in merged):
        raise YamlError("map merge requires map or sequence of maps as the value")
    mapping.merged += merged


def _scalar(event: Any) -> Any:
    tag = event.tag
    if tag is None or tag == "!":
        tag = _implied(event.value) if event.implicit[0] else f"{_TAG}str"
    name = tag.removeprefix(_TAG)
    if name not in _SCALARS:
        raise YamlError(f"a value of the type {tag} cannot be told in JSON{_place(event)}")
    return event.value if name == "str" else _constructed(event, tag)


def _implied(text: str) -> str:
    """The tag of a plain scalar; times and numbers to the base of sixty are texts."""
    import yaml

    for tag, pattern in yaml.SafeLoader.yaml_implicit_resolvers.get(text[:1], ()):
        if pattern.match(text):
            return str(tag) if tag.removeprefix(_TAG) in _SCALARS and ":" not in text else f"{_TAG}str"
    return f"{_TAG}str"


def _constructed(event: Any, tag: str) -> Any:
    import yaml

    constructor: Any = yaml.constructor.SafeConstructor()
    try:
        return constructor.construct_object(yaml.ScalarNode(tag, event.value))
    except (ValueError, KeyError) as error:
        raise YamlError(f"{event.value!r} is no {tag.removeprefix(_TAG)}{_place(event)}") from error


def _as_key(value: Any) -> str:
    """A key is a text in JSON, whatever it looks like in YAML."""
    match value:
        case str():
            return value
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
        case int() | float():
            return str(value)
    raise YamlError("a key must be a text")


def _place(event: Any) -> str:
    return f" (line {event.start_mark.line + 1})"
