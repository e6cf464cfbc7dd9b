"""Runs in the SDK's environment: runs compiled pipelines with `kfp.local`, tells their outputs as `local_run.py` does.

    python local_files.py FOLDER '{"/path/of/a/pipeline.yaml": {"argument": "value"}, ...}'

The files must pin the SDK that is here: tasks run in this environment, and would install another one into it.
"""

import json
import sys
from pathlib import Path
from typing import Any

from kfp import components, local
from local_run import told


def run(folder: Path, path: str, arguments: dict[str, Any]) -> dict[str, Any] | str:
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(folder / "local"))
    try:
        task = components.load_component_from_file(path)(**arguments)
    except Exception as error:  # noqa: BLE001 - whatever the runner says is told
        return f"{type(error).__name__}: {error}"
    return {key: told(value) for key, value in task.outputs.items()}


if __name__ == "__main__":
    to = Path(sys.argv[1])
    wanted = json.loads(sys.argv[2])
    found = {path: run(to, path, arguments) for path, arguments in wanted.items()}
    (to / "outputs.json").write_text(json.dumps(found))
