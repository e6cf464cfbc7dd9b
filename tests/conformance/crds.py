"""Compares a custom resource definition of ours with upstream's, property by property."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from flowdeck.kube.objects import Tree

_ROOT = Path(__file__).parents[2]
_ORDERED = ("x-kubernetes-list-map-keys", "additionalPrinterColumns", "x-kubernetes-validations")


def shared_folder(name: str) -> Path:
    """A folder of upstream's facts: in `FLOWDECK_SHARED`, else in `shared` beside the repository; skips without it."""
    folder = Path(os.environ.get("FLOWDECK_SHARED") or _ROOT.parent / "shared") / name
    if not folder.is_dir():
        pytest.skip(f"upstream's facts are absent: no folder {folder}; set FLOWDECK_SHARED")
    return folder


def upstream_crd(name: str) -> Tree:
    """Upstream's definition, by its name (`trainjobs.trainer.kubeflow.org`)."""
    tree: Tree = orjson.loads((shared_folder("crds") / f"{name}.json").read_bytes())
    return tree


def differences(ours: Tree, theirs: Tree) -> list[str]:
    """`path: what differs`, for all that both say of group, names, scope and versions; prose does not count."""
    return compared(_facts(ours), _facts(theirs))


def compared(ours: Any, theirs: Any) -> list[str]:
    """`differences` of two schemas, or parts of them."""
    return sorted(_compared("", ours, theirs))


def _facts(crd: Tree) -> Tree:
    spec = crd["spec"]
    return {
        "group": spec["group"],
        "names": spec["names"],
        "scope": spec["scope"],
        "versions": {version["name"]: _version(version) for version in spec["versions"]},
    }


def _version(version: Tree) -> Tree:
    return {**version, "schema": version["schema"]["openAPIV3Schema"]}


def _compared(path: str, ours: Any, theirs: Any) -> Iterator[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in ours.keys() | theirs.keys():
            if key == "description" and isinstance(ours.get(key, ""), str) and isinstance(theirs.get(key, ""), str):
                continue
            where = f"{path}.{key}" if path else key
            if key not in ours:
                yield f"{where}: missing, upstream has {_short(theirs[key])}"
            elif key not in theirs:
                yield f"{where}: upstream has none, ours is {_short(ours[key])}"
            else:
                yield from _compared(where, ours[key], theirs[key])
    elif _normal(path, ours) != _normal(path, theirs):
        yield f"{path}: ours is {_short(ours)}, upstream's {_short(theirs)}"


def _normal(path: str, value: Any) -> Any:
    """Lists whose order means nothing (required, enum, types) are compared sorted."""
    if isinstance(value, list) and path.rpartition(".")[2] not in _ORDERED:
        return sorted(value, key=lambda item: orjson.dumps(item, option=orjson.OPT_SORT_KEYS))
    return value


def _short(value: Any) -> str:
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    return text if len(text) <= 100 else f"{text[:97]}..."
