"""Runs in the SDK's environment: `compiled.py MODULE FOLDER` compiles all pipelines of `pipelines/MODULE.py`."""

import importlib
import sys
from pathlib import Path

from kfp import compiler
from kfp.dsl import graph_component


def main(module: str, folder: Path) -> None:
    sys.path.insert(0, str(Path(__file__).parent / "pipelines"))
    for name, value in vars(importlib.import_module(module)).items():
        if isinstance(value, graph_component.GraphComponent):
            compiler.Compiler().compile(value, str(folder / f"{name}.yaml"))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
