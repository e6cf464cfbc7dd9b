"""What a run gave, as `local_run.py` tells the outputs of the same pipeline."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flowdeck.kube.objects import Tree
from flowdeck.testing.platform import RunningPlatform


def outputs_of(platform: RunningPlatform, run: Tree, *, of: str = "root") -> Tree:
    """Of a task (by its scope path) or the whole run: parameters; lists of artifacts with type, metadata and files.

    `run` as the REST surface tells it with `view=FULL`.
    """
    (task,) = [each for each in run["tasks"] if each["scope_path"] == of]
    outputs = task.get("outputs", {})
    found: Tree = {each["parameter_key"]: each.get("value") for each in outputs.get("parameters", ())}
    for each in outputs.get("artifacts", ()):
        found[each["artifact_key"]] = _artifacts(platform, each["artifacts"])
    return found


def _artifacts(platform: RunningPlatform, artifacts: Sequence[Tree]) -> list[Tree]:
    """The scalars of one set of metrics are artifacts of their own on the wire."""
    metrics = {each["name"]: each.get("number_value", 0) for each in artifacts if "number_value" in each}
    if metrics:
        return [{"type": "system.Metrics", "metadata": metrics, "files": {}}]
    return [
        {
            "type": f"system.{artifact['type'].replace('Metric', 'Metrics')}",
            "metadata": artifact.get("metadata", {}),
            "files": _files(platform.data / "artifacts" / artifact["uri"].removeprefix("minio://")),
        }
        for artifact in artifacts
    ]


def _files(path: Path) -> dict[str, str]:
    if path.is_dir():
        return {str(each.relative_to(path)): each.read_text() for each in path.rglob("*") if each.is_file()}
    return {"": path.read_text()} if path.exists() else {}


def same(local: Any, ours: Any) -> bool:
    """Whether outputs are equal; `kfp.local` tells one artifact where a list is not declared."""
    if isinstance(local, dict) and isinstance(ours, list):
        return [local] == ours
    return bool(local == ours)
