"""Objects for scenarios: each shows only what matters to its case."""

from typing import Any

from flowdeck.kube.objects import Tree


def config_map(name: str = "a", *, labels: Tree | None = None, data: Tree | None = None, **fields: Any) -> Tree:
    metadata = {"name": name, **({"labels": labels} if labels else {}), **fields.pop("metadata", {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data or {"k": "v"}, **fields}
