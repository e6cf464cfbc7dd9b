"""`kill -9` of the whole platform, at any moment: a pod runs once, and how it ended is not lost."""

import json
import os
import random
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flowdeck.embedded.node.sandbox.identity import is_alive
from flowdeck.kube.conditions import find_condition, is_true
from tests.embedded.node.bench import Bench, eventually, open_bench
from tests.embedded.node.makers import a_script

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


async def _lose(bench: Bench, *, rebooted: bool) -> None:
    """The monitor of the pod's container is gone without a word, as after a power cut."""
    await bench.until("p", lambda pod: pod["status"].get("phase") == "Running")
    await bench.stop()
    (path,) = (bench.data / "pods").glob("*/containers/main/0/claim")
    claim = json.loads(path.read_bytes())
    os.kill(claim["pid"], signal.SIGKILL)
    await eventually(lambda: not is_alive(claim))
    if rebooted:
        path.write_text(json.dumps({**claim, "boot": "an earlier one"}))
    bench.start()


async def test_a_pod_that_the_machine_lost_has_failed_as_a_disruption(tmp_path: Path) -> None:
    async with open_bench(tmp_path, "namespaces") as bench:
        await bench.run(a_script("sleep 60"))
        await _lose(bench, rebooted=True)
        pod = await bench.finished("p")
        assert pod["status"]["phase"] == "Failed"
        assert (find_condition(pod, "DisruptionTarget") or {})["reason"] == "TerminationByKubelet"
        ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
        assert (ended["exitCode"], ended["reason"]) == (137, "ContainerStatusUnknown")


async def test_a_container_without_its_monitor_does_not_go_on(tmp_path: Path) -> None:
    async with open_bench(tmp_path, "namespaces") as bench:
        await bench.run(a_script("sleep 60"))
        pid = 0

        def runs() -> bool:
            nonlocal pid
            workers = bench.roster.workers() if bench.roster else []
            keeper = workers[0].keepers.get("main") if workers else None
            pid = keeper.pid if keeper else 0
            return bool(pid)

        await eventually(runs)
        await _lose(bench, rebooted=False)
        pod = await bench.finished("p")
        assert find_condition(pod, "DisruptionTarget") is None
        await eventually(lambda: not os.path.exists(f"/proc/{pid}"))


async def test_what_restarts_always_is_restarted_after_the_machine_was(tmp_path: Path) -> None:
    async with open_bench(tmp_path, "plain") as bench:
        await bench.run(a_script("sleep 60", restartPolicy="Always"))
        await _lose(bench, rebooted=True)
        pod = await bench.until(
            "p", lambda pod: pod["status"]["containerStatuses"][0]["restartCount"] == 1 and is_true(pod, "Ready")
        )
        assert pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["reason"] == "ContainerStatusUnknown"
