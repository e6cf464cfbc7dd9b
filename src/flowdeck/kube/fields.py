"""Sets of field paths in the form that managedFields has on the wire (FieldsV1), and sums on them.

    {"f:metadata": {"f:labels": {"f:app": {}}},
     "f:spec": {"f:containers": {"k:{\\"name\\":\\"a\\"}": {".": {}, "f:image": {}}}}}

A node is in the set when it is empty or has a `.`; the root never is. Steps: `f:` a field or map key, `k:` an item of a
map list by its keys, `v:` an item of a set by its value. No function changes what it is given.
Source: structured-merge-diff (fieldpath).
"""

from collections.abc import Iterator
from typing import Any

import orjson

Fields = dict[str, Any]
"""One node of such a set, or a whole set."""

MEMBER: Fields = {}


def is_member(node: Fields) -> bool:
    return not node or "." in node


def union(one: Fields, other: Fields) -> Fields:
    """All paths of both sets."""
    if not one or not other:
        return one or other
    return _union_of_children(one, other)


def _union_of_children(one: Fields, other: Fields) -> Fields:
    both = dict(one)
    for step, node in other.items():
        both[step] = _union_of_nodes(both[step], node) if step in both else node
    return both


def _union_of_nodes(one: Fields, other: Fields) -> Fields:
    if one and other:
        return _union_of_children(one, other)
    node = one or other
    return node if is_member(node) else {".": {}, **node}


def difference(one: Fields, other: Fields) -> Fields:
    """The paths of `one` that are not in `other`; paths below a common path stay."""
    if not one or not other:
        return one
    return {} if one is other else _difference_of_children(one, other)


def _difference_of_children(one: Fields, other: Fields) -> Fields:
    left: Fields = {}
    for step, node in one.items():
        if step not in other:
            left[step] = node
        elif step != "." and (rest := _difference_of_nodes(node, other[step])) is not None:
            left[step] = rest
    return left


def _difference_of_nodes(one: Fields, other: Fields) -> Fields | None:
    if not one:
        return None if is_member(other) else one
    stays = "." in one and not is_member(other)
    children = _difference_of_children(one, other)
    children = {step: node for step, node in children.items() if step != "."}
    if stays:
        return {".": {}, **children} if children else MEMBER
    return children or None


def intersection(one: Fields, other: Fields) -> Fields:
    """The paths that are in both sets."""
    if not one or not other:
        return {}
    common: Fields = {}
    for step, node in one.items():
        if step != "." and step in other and (found := _intersection_of_nodes(node, other[step])) is not None:
            common[step] = found
    return common


def _intersection_of_nodes(one: Fields, other: Fields) -> Fields | None:
    children = intersection(one, other)
    if is_member(one) and is_member(other):
        return {".": {}, **children} if children else MEMBER
    return children or None


def without_trees(one: Fields, other: Fields) -> Fields:
    """`one` without the paths of `other` and all that lies below them."""
    left: Fields = {}
    for step, node in one.items():
        if step not in other:
            left[step] = node
        elif not is_member(other[step]) and (rest := without_trees(node, other[step])):
            left[step] = rest
    return left


def paths(fields: Fields, prefix: str = "") -> Iterator[str]:
    """The paths as messages show them: `.spec.containers[name="a"].image`; on each level members come first."""
    steps = [step for step in sorted(fields) if step != "."]
    for step in steps:
        if is_member(fields[step]):
            yield prefix + _shown(step)
    for step in steps:
        yield from paths(fields[step], prefix + _shown(step))


def _shown(step: str) -> str:
    kind, text = step[:2], step[2:]
    if kind == "f:":
        return f".{text}"
    if kind == "v:":
        return f"[={text}]"
    if kind == "k:":
        keys = orjson.loads(text)
        return "[" + ",".join(f"{key}={orjson.dumps(value).decode()}" for key, value in keys.items()) + "]"
    return f"[{text}]"
