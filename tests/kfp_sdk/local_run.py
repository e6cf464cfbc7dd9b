"""Runs in the SDK's environment: compiles pipelines of `pipelines/`, runs them with `kfp.local`, tells their outputs.

    python local_run.py FOLDER '{"MODULE.FUNCTION": {"argument": "value"}, ...}'

FOLDER gets `MODULE.FUNCTION.yaml`, and `outputs.json`: what each gave as `told` writes it, or why there are none.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

from kfp import compiler, dsl, local

HERE = Path(__file__).parent


def main(folder: Path, wanted: dict[str, dict[str, Any]]) -> dict[str, Any]:
    sys.path.insert(0, str(HERE / "pipelines"))
    return {name: run(folder, name, arguments) for name, arguments in wanted.items()}


def run(folder: Path, name: str, arguments: dict[str, Any]) -> dict[str, Any] | str:
    module, function = name.split(".")
    pipeline = getattr(importlib.import_module(module), function)
    compiler.Compiler().compile(pipeline, str(folder / f"{name}.yaml"))
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(folder / "local"))
    try:
        return {key: told(value) for key, value in pipeline(**arguments).outputs.items()}
    except Exception as error:  # noqa: BLE001 - whatever the runner says is told
        return f"{type(error).__name__}: {error}"


def told(value: Any) -> Any:
    """An output as JSON: a parameter's value, an artifact's type, metadata and files."""
    if isinstance(value, dsl.Artifact):
        path = Path(value.path)
        return {"type": value.schema_title, "metadata": value.metadata, "files": files_of(path)}
    if isinstance(value, list):
        return [told(each) for each in value]
    return value


def files_of(path: Path) -> dict[str, str]:
    if path.is_dir():
        return {str(each.relative_to(path)): each.read_text() for each in path.rglob("*") if each.is_file()}
    return {"": path.read_text()} if path.exists() else {}


if __name__ == "__main__":
    to = Path(sys.argv[1])
    (to / "outputs.json").write_text(json.dumps(main(to, json.loads(sys.argv[2]))))
