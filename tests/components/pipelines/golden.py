"""Upstream's compiled pipelines, from the folder of facts; tests that use them are skipped where it is not there."""

import os
from pathlib import Path

_ROOT = Path(__file__).parents[3]
FOLDER = Path(os.environ.get("FLOWDECK_SHARED") or _ROOT.parent / "shared") / "kfp"


def files(*folders: str) -> list[Path]:
    """The pipelines in these folders of `kfp`; none without it."""
    return sorted(path for folder in folders for path in (FOLDER / folder).glob("*.*"))


VALID = files("essential", "local_execution", "root", "failing")
INVALID = files("invalid")
WHY = f"upstream's pipelines are absent: no folder {FOLDER}; set FLOWDECK_SHARED"
