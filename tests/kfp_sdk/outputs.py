"""What a run gave, as `local_run.py` tells the outputs of the same pipeline."""

import asyncio
from collections.abc import Sequence
from typing import Any

from flowdeck.artifacts.artifacts import Artifacts
from flowdeck.kube.errors import NotFound
from flowdeck.kube.objects import Tree


def outputs_of(store: Artifacts, run: Tree, *, of: str = "root") -> Tree:
    """Of a task (by its scope path) or the whole run: parameters; lists of artifacts with type, metadata and files.

    `run` as the REST surface tells it with `view=FULL`.
    """
    (task,) = [each for each in run["tasks"] if each["scope_path"] == of]
    outputs = task.get("outputs", {})
    found: Tree = {each["parameter_key"]: each.get("value") for each in outputs.get("parameters", ())}
    for each in outputs.get("artifacts", ()):
        found[each["artifact_key"]] = _artifacts(store, each["artifacts"])
    return found


def _artifacts(store: Artifacts, artifacts: Sequence[Tree]) -> list[Tree]:
    """The scalars of one set of metrics are artifacts of their own on the wire."""
    metrics = {each["name"]: each.get("number_value", 0) for each in artifacts if "number_value" in each}
    if metrics:
        return [{"type": "system.Metrics", "metadata": metrics, "files": {}}]
    return [
        {
            "type": f"system.{artifact['type'].replace('Metric', 'Metrics')}",
            "metadata": artifact.get("metadata", {}),
            "files": asyncio.run(_files(store, artifact["uri"])),
        }
        for artifact in artifacts
    ]


async def _files(store: Artifacts, uri: str) -> dict[str, str]:
    """By their path below it; of an artifact that is one file: `""`."""
    found = {info.uri.removeprefix(f"{uri}/"): info.uri async for info in store.list(uri)}
    try:
        return {path: (await store.get(at)).decode() for path, at in (found or {"": uri}).items()}
    except NotFound:
        return {}


def same(local: Any, ours: Any) -> bool:
    """Whether outputs are equal; `kfp.local` tells one artifact where a list is not declared."""
    if isinstance(local, dict) and isinstance(ours, list):
        return [local] == ours
    return bool(local == ours)
