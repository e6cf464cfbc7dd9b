"""What a Kubernetes 1.36 API server says of its own kinds: component schemas and discovery.

The facts lie packed beside this file; `tools/pack_openapi.py` makes the file from a server's answers.
"""

import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from flowdeck.kube.objects import Kind, Tree
from flowdeck.kube.schema import Schema, SchemaSet

_FILE = Path(__file__).with_name("kubernetes-1.36.json.z")


@cache
def _packed() -> Mapping[str, Any]:
    facts: Mapping[str, Any] = orjson.loads(zlib.decompress(_FILE.read_bytes()))
    return facts


@cache
def _schemas() -> SchemaSet:
    return SchemaSet(definitions())


@cache
def _names() -> Mapping[tuple[str, str, str], str]:
    """(group, version, kind) -> definition."""
    return {
        (gvk["group"], gvk["version"], gvk["kind"]): name
        for name, tree in definitions().items()
        for gvk in tree.get("x-kubernetes-group-version-kind", ())
    }


def definitions() -> Mapping[str, Tree]:
    """Component schemas by name (`io.k8s.api.core.v1.Pod`). Read-only."""
    found: Mapping[str, Tree] = _packed()["schemas"]
    return found


def discovery() -> Tree:
    """The aggregated discovery documents: `{"/api": APIGroupDiscoveryList, "/apis": ...}`. Read-only."""
    found: Tree = _packed()["discovery"]
    return found


def schema_for(kind: Kind) -> Schema:
    """The schema of a built-in kind; raises `KeyError` when Kubernetes has no such kind.

    Kinds that every group has (`Status`, `DeleteOptions`, ...) are found under any group.
    """
    name = _names().get((kind.group, kind.version, kind.kind))
    if name is None:
        raise KeyError(f"{kind.api_version} {kind.kind}")
    return _schemas().named(name)
