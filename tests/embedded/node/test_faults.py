"""`kill -9` of the whole platform, at any moment: a pod runs once, and how it ended is not lost."""

import json
import random
import select
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def _live(folder: Path, driver: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.embedded.node.survivor", str(folder), driver],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "PATH": "/usr/bin:/bin"},
    )


def _result_of(platform: "subprocess.Popen[str]", within_s: float) -> str:
    """What it prints once the pod has finished; empty when that takes longer."""
    assert platform.stdout is not None
    assert platform.stdout.readline() == "accepted\n"
    ready, _, _ = select.select([platform.stdout], [], [], within_s)
    return platform.stdout.readline() if ready else ""


@pytest.mark.parametrize("driver", ["plain", "namespaces"])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_pod_runs_once_however_often_the_platform_is_killed(tmp_path: Path, driver: str, seed: int) -> None:
    chance = random.Random(seed)
    (tmp_path / "platform").mkdir()
    waits = [chance.uniform(0, 0.12) for _ in range(3)]
    result = ""
    for wait_s in [*waits, 30]:
        platform = _live(tmp_path, driver)
        result = _result_of(platform, wait_s)
        if result:
            platform.communicate()
            break
        platform.kill()
        platform.communicate()
    told = json.loads(result)
    assert told["status"]["state"]["terminated"]["exitCode"] == 7
    assert told["status"]["restartCount"] == 0
    assert told["log"] == "said"
    assert (tmp_path / "deeds.d" / "deeds").read_text() == "began\n"
