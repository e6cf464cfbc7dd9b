"""What a run gave, as `local_run.py` tells the outputs of the same pipeline."""

import json
import sqlite3
from pathlib import Path
from typing import Any

from flowdeck.kube.objects import Tree
from flowdeck.testing.platform import RunningPlatform


def outputs_of(platform: RunningPlatform, run_id: str) -> Tree:
    """Of the whole run: its parameters by name, its artifacts with type, metadata and files."""
    found = record_of(platform, run_id, "root")
    outputs = {each["key"]: each.get("value") for each in found.get("output_parameters", ())}
    for each in found.get("output_artifacts", ()):
        told = [_artifact(platform, artifact) for artifact in each["artifacts"]]
        outputs[each["key"]] = told
    return outputs


def record_of(platform: RunningPlatform, run_id: str, label: str) -> Tree:
    """What the store has of a task."""
    with sqlite3.connect(f"file:{platform.data}/flowdeck.db?mode=ro", uri=True) as database:
        rows = database.execute("select record from pipeline_tasks where run_id = ?", (run_id,)).fetchall()
    return next(record for (text,) in rows if (record := json.loads(text))["label"] == label)


def _artifact(platform: RunningPlatform, artifact: Tree) -> Tree:
    path = platform.data / "artifacts" / artifact["uri"].removeprefix("minio://")
    return {"type": artifact["type"]["schemaTitle"], "metadata": artifact.get("metadata", {}), "files": _files(path)}


def _files(path: Path) -> dict[str, str]:
    if path.is_dir():
        return {str(each.relative_to(path)): each.read_text() for each in path.rglob("*") if each.is_file()}
    return {"": path.read_text()} if path.exists() else {}


def same(local: Any, ours: Any) -> bool:
    """Whether outputs are equal; `kfp.local` tells one artifact where a list is not declared."""
    if isinstance(local, dict) and isinstance(ours, list):
        return [local] == ours
    return bool(local == ours)
