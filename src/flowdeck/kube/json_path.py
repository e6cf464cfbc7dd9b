"""JSONPath as Kubernetes uses it: printer columns, scale paths, selectable fields.

    .status.conditions[?(@.type=="Ready")].status    .spec.list[-1:].name    .metadata.annotations.a\\.b/c    ['key'][*]

Source: k8s.io/client-go (util/jsonpath): names, quoted names, indices, slices, wildcards, filters with one comparison,
recursive descent. Compiled once, evaluated often; a missing field yields nothing.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from flowdeck.kube.objects import Tree

_Step = Callable[[Any], Iterator[Any]]

_TOKEN = re.compile(
    r"""\.\.(?P<deep>(?:\\.|[^.\[\\])*)
      | \.?\*(?P<any>)
      | \.(?P<name>(?:\\.|[^.\[\\])+)
      | \[\?\((?P<filter>.*?)\)\]
      | \[(?P<quoted>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")\]
      | \[(?P<all>\*)\]
      | \[(?P<slice>-?\d*:-?\d*(?::-?\d+)?)\]
      | \[(?P<index>-?\d+(?:\s*,\s*-?\d+)*)\]""",
    re.VERBOSE,
)
_COMPARISON = re.compile(r"\s*(?P<left>.+?)\s*(?:(?P<sign>==|!=|<=|>=|<|>)\s*(?P<right>.+?)\s*)?$")


@dataclass(frozen=True)
class JsonPath:
    """One compiled path."""

    text: str
    steps: Sequence[_Step]

    def find(self, obj: Any) -> list[Any]:
        """All values that the path leads to."""
        found = [obj]
        for step in self.steps:
            found = [value for item in found for value in step(item)]
            if not found:
                break
        return found

    def first(self, obj: Any, default: Any = None) -> Any:
        found = self.find(obj)
        return found[0] if found else default


@lru_cache(1024)
def compile_path(text: str) -> JsonPath:
    """Compiles `.spec.x`, `{.spec.x}` or `$.spec.x`; raises `ValueError` for what is no path."""
    body = text.strip()
    if body.startswith("{") and body.endswith("}"):
        body = body[1:-1]
    body = body.removeprefix("$").removeprefix("@")
    if body and body[0] not in ".[":
        body = f".{body}"
    return JsonPath(text, tuple(_steps(body, text)))


def _steps(body: str, text: str) -> Iterator[_Step]:
    at = 0
    while at < len(body):
        match = _TOKEN.match(body, at)
        if match is None or match.end() == at:
            if body[at:] == ".":
                return
            raise ValueError(f"invalid path {text!r}: unexpected {body[at:]!r}")
        at = match.end()
        yield _step(match)


def _step(match: re.Match[str]) -> _Step:
    groups = match.groupdict()
    if groups["name"] is not None:
        return _named(_unescaped(groups["name"]))
    if groups["quoted"] is not None:
        return _named(_unescaped(groups["quoted"][1:-1]))
    if groups["deep"] is not None:
        return _deep(_unescaped(groups["deep"]))
    if groups["filter"] is not None:
        return _filter(groups["filter"])
    if groups["slice"] is not None:
        return _slice(*(int(part) if part else None for part in groups["slice"].split(":")))
    if groups["index"] is not None:
        return _indices([int(part) for part in groups["index"].split(",")])
    return _values


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _named(name: str) -> _Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, dict) and name in value:
            yield value[name]

    return step


def _values(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _deep(name: str) -> _Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, dict):
            if not name:
                yield value
            elif name in value:
                yield value[name]
        for item in _values(value):
            yield from step(item)

    return step


def _indices(indices: Sequence[int]) -> _Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list):
            for index in indices:
                if -len(value) <= index < len(value):
                    yield value[index]

    return step


def _slice(start: int | None, stop: int | None, stride: int | None = None) -> _Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list):
            yield from value[start:stop:stride]

    return step


def _filter(text: str) -> _Step:
    match = _COMPARISON.match(text)
    if match is None:
        raise ValueError(f"invalid filter {text!r}")
    left, sign, right = _operand(match["left"]), match["sign"], match["right"]
    other = _operand(right) if right else None

    def keeps(item: Any) -> bool:
        found = left(item)
        if other is None:
            return bool(found)
        wanted = other(item)
        return bool(found and wanted) and _compares(found[0], sign, wanted[0])

    def step(value: Any) -> Iterator[Any]:
        yield from (item for item in _values(value) if keeps(item))

    return step


def _operand(text: str) -> Callable[[Any], list[Any]]:
    if text.startswith("@"):
        return compile_path(text).find
    constant = _constant(text)
    return lambda _: [constant]


def _constant(text: str) -> Any:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return _unescaped(text[1:-1])
    if text in ("true", "false"):
        return text == "true"
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        raise ValueError(f"unrecognized constant {text!r}") from None


def _compares(left: Any, sign: str, right: Any) -> bool:
    match sign:
        case "==":
            return bool(left == right)
        case "!=":
            return bool(left != right)
    if isinstance(left, str) != isinstance(right, str):
        return False
    match sign:
        case "<":
            return bool(left < right)
        case "<=":
            return bool(left <= right)
        case ">":
            return bool(left > right)
        case _:
            return bool(left >= right)


def set_at(obj: Tree, path: str, value: Any) -> None:
    """Sets a field by a plain dotted path (`.spec.replicas`), making the objects on the way."""
    *parents, last = path.strip(".").split(".")
    for name in parents:
        obj = obj.setdefault(name, {})
    obj[last] = value
