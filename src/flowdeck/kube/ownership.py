"""Which fields an object has, which differ between two, and how an applied object is merged into a live one.

All of it follows the schema: maps and structs field by field, `map` and `set` lists item by item, everything else as
one leaf. Source: structured-merge-diff (typed).
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import orjson

from flowdeck.kube.errors import InternalError
from flowdeck.kube.fields import MEMBER, Fields
from flowdeck.kube.objects import Tree
from flowdeck.kube.patches import copied
from flowdeck.kube.schema import Schema

_MISSING: Any = object()


def _is_map(schema: Schema | None, value: Any) -> bool:
    """Its fields have owners of their own."""
    if type(value) is not dict:
        return False
    if schema is None:
        return True
    return not (schema.is_atomic_map or (schema.keeps_unknown and schema.is_openapi))


def _is_keyed_list(schema: Schema | None, value: Any) -> bool:
    """Its items have owners of their own."""
    return type(value) is list and schema is not None and (schema.list_type == "set" or schema.is_map_list)


def step_of(schema: Schema, item: Any) -> str:
    """The step to an item of a keyed list: `k:{"name":"a"}` or `v:"x"`."""
    if schema.list_type == "set" or type(item) is not dict:
        return "v:" + orjson.dumps(item).decode()
    keys = schema.map_keys
    if len(keys) == 1 and type(value := item.get(keys[0])) is str:
        return _step_by_name(keys[0], value)
    return "k:" + orjson.dumps(_keys(schema, item), option=orjson.OPT_SORT_KEYS).decode()


@lru_cache(maxsize=8192)
def _step_by_name(key: str, value: str) -> str:
    return f'k:{{"{key}":{orjson.dumps(value).decode()}}}'


def _keys(schema: Schema, item: Tree) -> Tree:
    declared = schema.items.tree.get("properties", {}) if schema.items else {}
    found: Tree = {}
    for key in schema.map_keys:
        if key in item:
            found[key] = item[key]
        elif "default" in declared.get(key, ()):
            found[key] = declared[key]["default"]
    return found


def _by_step(schema: Schema, items: Sequence[Any]) -> dict[str, Any]:
    return {step_of(schema, item): item for item in items}


# -- differences


def compare(schema: Schema | None, old: Any, new: Any) -> tuple[Fields, Fields]:
    """(added or modified, removed) paths between two objects of a kind."""
    changed, removed = _compare(schema, old, new)
    return changed or {}, removed or {}


def _compare(schema: Schema | None, old: Any, new: Any) -> tuple[Fields | None, Fields | None]:
    if old == new and type(old) is type(new):
        return None, None
    if (type(old) is dict or type(new) is dict) and _is_map(schema, old or {}) and _is_map(schema, new or {}):
        return _compare_maps(schema, old or {}, new or {})
    if schema is not None and (old or new) and _is_keyed_list(schema, old or []) and _is_keyed_list(schema, new or []):
        return _compare_lists(schema, old or (), new or ())
    return MEMBER, None


def _compare_maps(schema: Schema | None, old: Tree, new: Tree) -> tuple[Fields | None, Fields | None]:
    changed: Fields = {}
    removed: Fields = {}
    always_there = schema.always_there if schema else ()
    for name, value in new.items():
        before = old.get(name, _MISSING)
        child = schema.property(name) if schema else None
        if before is _MISSING:
            if value is None and child is not None and child.tree.get("type") == "array":
                continue  # Go's zero object has the list as well: it is null there
            if name not in always_there:
                changed[f"f:{name}"] = everything(child, value)
                continue
            before = _zero_of(schema, name, value)
        if before == value and type(before) is type(value):
            continue
        more, less = _compare(child, before, value)
        if more is not None:
            changed[f"f:{name}"] = more
        if less is not None:
            removed[f"f:{name}"] = less
    for name, value in old.items():
        if name not in new:
            child = schema.property(name) if schema else None
            if name in always_there and type(value) in (dict, list):
                gone = _compare(child, value, type(value)())[1]
            else:
                gone = everything(child, value)
            if gone is not None:
                removed[f"f:{name}"] = gone
    return changed or None, removed or None


def _zero_of(schema: Schema | None, name: str, value: Any) -> Any:
    """What Go's zero object has in a field that is always there."""
    if schema is not None and (zero := schema.zeros.there.get(name)) is not None:
        return orjson.loads(zero)
    return type(value)() if type(value) in (dict, list) else None


def _compare_lists(schema: Schema, old: Sequence[Any], new: Sequence[Any]) -> tuple[Fields | None, Fields | None]:
    before, after = _by_step(schema, old), _by_step(schema, new)
    several_before, several_after = _doubles(schema, old, before), _doubles(schema, new, after)
    if not several_before and not several_after:
        return _compare_children(schema.items, before, after)
    doubles = several_before.keys() | several_after.keys()
    changed, removed = _compare_children(
        schema.items,
        {step: item for step, item in before.items() if step not in doubles},
        {step: item for step, item in after.items() if step not in doubles},
    )
    changed, removed = changed or {}, removed or {}
    for step in doubles:
        if several_before.get(step) == several_after.get(step):
            continue
        if step in after:
            changed[step] = MEMBER if step in several_after else everything(schema.items, after[step])
        if step in before and not (step in several_before and step in several_after):
            removed[step] = MEMBER if step in several_before else everything(schema.items, before[step])
    return changed or None, removed or None


def _doubles(schema: Schema, items: Sequence[Any], by_step: dict[str, Any]) -> dict[str, list[Any]]:
    """Items whose key comes several times: they are owned as one, without what is below them."""
    if len(by_step) == len(items):
        return {}
    found: dict[str, list[Any]] = {}
    for item in items:
        found.setdefault(step_of(schema, item), []).append(item)
    return {step: several for step, several in found.items() if len(several) > 1}


def _compare_children(
    items: Schema | None, old: dict[str, Any], new: dict[str, Any]
) -> tuple[Fields | None, Fields | None]:
    changed: Fields = {}
    removed: Fields = {}
    for step, value in new.items():
        if step not in old:
            changed[step] = everything(items, value)
            continue
        more, less = _compare(items, old[step], value)
        if more is not None:
            changed[step] = more
        if less is not None:
            removed[step] = less
    for step, value in old.items():
        if step not in new:
            removed[step] = everything(items, value)
    return changed or None, removed or None


def everything(schema: Schema | None, value: Any) -> Fields:
    """The path of a value itself and all paths below it."""
    if _is_map(schema, value):
        return _with_self(
            {
                f"f:{name}": everything(schema.property(name) if schema else None, item)
                if type(item) is dict or type(item) is list
                else MEMBER
                for name, item in value.items()
            }
        )
    if schema is not None and _is_keyed_list(schema, value):
        by_step = _by_step(schema, value)
        doubles = _doubles(schema, value, by_step)
        return _with_self(
            {step: MEMBER if step in doubles else everything(schema.items, item) for step, item in by_step.items()}
        )
    return MEMBER


def _with_self(children: Fields) -> Fields:
    return {".": {}, **children} if children else MEMBER


# -- what an applied object says


def fields_of(schema: Schema | None, value: Any, path: str = "") -> Fields:
    """The paths that applying `value` makes its applier own.

    Raises `InternalError` with upstream's text for undeclared fields, items without their keys, keys that come twice.
    """
    if _is_map(schema, value):
        return {
            f"f:{name}": _field_of(schema, name, item, f"{path}.{name}")
            for name, item in value.items()
            if item != [] or not _is_keyed_list(schema.property(name) if schema else None, item)
        }
    if schema is not None and _is_keyed_list(schema, value):
        found: Fields = {}
        for index, item in enumerate(value):
            step = _checked_step(schema, item, index, path)
            if step in found:
                raise InternalError(f"{path}: duplicate entries for key {_told_key(schema, item)}")
            found[step] = _with_self(fields_of(schema.items, item, f"{path}[{index}]"))
        return found
    return MEMBER


def _told_key(schema: Schema, item: Any) -> str:
    """The key of an item as upstream's errors show it: `[name="a",port=80]`, `[="x"]`."""
    keys = _keys(schema, item) if schema.list_type == "map" else {"": item}
    return "[" + ",".join(f"{name}={orjson.dumps(value).decode()}" for name, value in keys.items()) + "]"


def wrong_type(schema: Schema | None, value: Any, path: str = "") -> str:
    """The first value that is not of its schema's type, as upstream tells it; `""` when all are."""
    if schema is None or value is None or schema.is_quantity or schema.is_int_or_string:
        return ""
    if isinstance(value, dict):
        if schema.type in ("string", "integer", "number", "boolean", "array"):
            return f"{path}: expected {_EXPECTED[schema.type]}, got &{{{go_value(value)}}}"
        found = (wrong_type(schema.property(name), item, f"{path}.{name}") for name, item in value.items())
        return next(filter(None, found), "")
    if isinstance(value, list):
        if schema.type in ("string", "integer", "number", "boolean", "object"):
            return f"{path}: expected {_EXPECTED[schema.type]}, got &{{{go_value(value)}}}"
        inner = (wrong_type(schema.items, item, f"{path}[{index}]") for index, item in enumerate(value))
        return next(filter(None, inner), "")
    fits = _PYTHON_TYPES.get(schema.type)
    if fits is None or (isinstance(value, fits) and (type(value) is not bool or schema.type == "boolean")):
        return ""
    got = f"&value.valueUnstructured{{Value:{go_value(value)}}}"
    if schema.type in ("integer", "number"):
        got = "bool" if type(value) is bool else "string"
    return f"{path}: expected {_EXPECTED[schema.type]}, got {got}"


_EXPECTED = {
    "string": "string",
    "integer": "numeric (int or float)",
    "number": "numeric (int or float)",
    "boolean": "boolean",
    "array": "list",
    "object": "map",
}
_PYTHON_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": (int, float),
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
}


def go_value(value: Any) -> str:
    """A value as Go's `%v` prints it (`%#v` of a text alone)."""
    return orjson.dumps(value).decode() if isinstance(value, str) else _go_value(value)


def _go_value(value: Any) -> str:
    if isinstance(value, dict):
        return "map[" + " ".join(f"{name}:{_go_value(item)}" for name, item in sorted(value.items())) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(_go_value, value)) + "]"
    if value is None:
        return "<nil>"
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _field_of(schema: Schema | None, name: str, value: Any, path: str) -> Fields:
    is_declared = schema is not None and schema.declares(name)
    if is_declared and type(value) is not dict and type(value) is not list:
        return MEMBER
    child = schema.property(name) if schema else None
    if schema is not None and child is None and not schema.is_open:
        raise InternalError(f"{path}: field not declared in schema")
    node = fields_of(child, value, path)
    return node if is_declared or not node else {".": {}, **node}


def _checked_step(schema: Schema, item: Any, index: int, path: str) -> str:
    if schema.list_type == "map":
        if type(item) is not dict:
            raise InternalError(f"{path}: element {index}: associative list with keys may not have non-map elements")
        if not any(key in item for key in schema.map_keys) and not _keys(schema, item):
            keys = " ".join(f'"{key}"' for key in schema.map_keys)
            raise InternalError(
                f"{path}: element {index}: associative list with keys has an element that omits all key fields "
                f"[{keys}] (and doesn't have default values for any key fields)"
            )
    return step_of(schema, item)


# -- merging and removing


def merge(schema: Schema | None, live: Any, config: Any) -> Any:
    """`live` with `config` laid over it; the result may share parts with both, all of them unchanged."""
    if live == config:
        return live
    if _is_map(schema, live) and _is_map(schema, config):
        merged = dict(live)
        for name, value in config.items():
            child = schema.property(name) if schema else None
            merged[name] = merge(child, merged[name], value) if name in merged else copied(value)
        return merged
    if schema is not None and _is_keyed_list(schema, live) and _is_keyed_list(schema, config):
        return _merge_lists(schema, live, config)
    return copied(config)


def _merge_lists(schema: Schema, live: list[Any], config: list[Any]) -> list[Any]:
    """Items of `config` in its order; those of `live` alone where they stood."""
    wanted = _by_step(schema, config)
    existing = _by_step(schema, live)
    found = []
    for step in _merged_order(list(existing), list(wanted)):
        if step not in wanted:
            found.append(existing[step])
        elif step in existing:
            found.append(merge(schema.items, existing[step], wanted[step]))
        else:
            found.append(copied(wanted[step]))
    return found


def _merged_order(theirs: list[str], ours: list[str]) -> list[str]:
    """The steps of a live list (`theirs`) and an applied one, merged.

    Source: structured-merge-diff (typed/merge.go: visitListItems).
    """
    applied, shared = set(ours), [step for step in ours if step in set(theirs)]
    order: list[str] = []
    done: set[str] = set()
    at = here = 0
    while at < len(theirs) or here < len(ours):
        if at < len(theirs) and here < len(ours) and theirs[at] != ours[here]:
            is_later = theirs[at] in applied and shared and shared[0] != theirs[at]
            if is_later:  # not the one that is next
                at += 1
                continue
        if at < len(theirs) and (here == len(ours) or theirs[at] != ours[here]):
            if theirs[at] not in applied:
                order.append(theirs[at])
                at += 1
                continue
            at += theirs[at] in done
        if here < len(ours):
            step = ours[here]
            at += at < len(theirs) and theirs[at] == step and step not in done
            order.append(step)
            done.add(step)
            here += 1
            if shared and shared[0] == step:
                shared.pop(0)
    return order


def with_parents(owned: Fields) -> Fields:
    """The set with each field that has something below it as a member, so that no empty shell of it stays behind."""
    return {step: _with_parent(step, node) for step, node in owned.items() if step != "."}


def _with_parent(step: str, node: Fields) -> Fields:
    children = with_parents(node)
    return _with_self(children) if step.startswith("f:") or "." in node else children


def remove(schema: Schema | None, value: Any, doomed: Fields) -> Any:
    """`value` without the members of `doomed` and what lies below them."""
    if _is_map(schema, value):
        left = {}
        for name, item in value.items():
            node = doomed.get(f"f:{name}")
            if node is None:
                left[name] = item
            elif node and "." not in node:
                left[name] = remove(schema.property(name) if schema else None, item, node)
        return left
    if schema is not None and _is_keyed_list(schema, value):
        items = []
        for item in value:
            node = doomed.get(step_of(schema, item))
            if node is None:
                items.append(item)
            elif node and "." not in node:
                items.append(remove(schema.items, item, node))
        return items
    return value
