"""Starting and stopping at the wrong moment, and two at a time."""

import asyncio
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from flowdeck.locks import holder
from flowdeck.testing.platform import PlatformError, RunningPlatform, platform
from tests.faults.conftest import Clean
from tests.faults.proof import prove
from tests.faults.workloads import indexed_job, job_with_back_off

DRIVERS = ["plain", "namespaces"]


def _up(data: Path, *options: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "flowdeck.cli.main", "up", "--data", str(data), "--port", "0", *options]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def test_a_folder_in_use_is_refused(folder: Path, assert_clean: Clean) -> None:
    with platform(folder / "data", options=["--no-node"]) as running:
        with pytest.raises(PlatformError, match=r"a platform is running on .*data already"):
            RunningPlatform(folder / "data").start("--no-node")
        second = _up(folder / "data", "--no-node")
        _, told = second.communicate(timeout=20)
        assert second.returncode == 1
        assert "a platform is running on" in told
        assert "--data" in told
        assert running.state.pids["api"] == holder(folder / "data" / "lock")
    assert_clean()


def test_of_two_that_start_at_once_one_is_refused(folder: Path, assert_clean: Clean) -> None:
    both = [_up(folder / "data", "--no-node") for _ in range(2)]
    ends = {os.pidfd_open(one.pid): one for one in both}
    ended, _, _ = select.select(list(ends), [], [], 20)
    refused = ends[ended[0]]
    for end in ends:
        os.close(end)
    refused.wait()
    assert refused.returncode == 1
    assert "a platform is running on" in refused.communicate()[1]
    winner = next(one for one in both if one is not refused)
    RunningPlatform(folder / "data").stop()
    winner.communicate(timeout=20)
    assert winner.returncode in (0, -signal.SIGTERM)  # the latter before it listens to signals
    assert_clean()


def test_a_port_in_use_is_refused(folder: Path, assert_clean: Clean) -> None:
    with platform(folder / "one", options=["--no-node"]) as running:
        port = running.server.rpartition(":")[2]
        second = _up(folder / "two", "--no-node", "--port", port)
        _, told = second.communicate(timeout=20)
        assert second.returncode == 1
        assert f"127.0.0.1:{port}" in told
        assert "Traceback" not in told
    assert_clean()


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_while_it_starts_leaves_nothing(
    folder: Path, assert_clean: Clean, driver: str, number: signal.Signals
) -> None:
    chance = Random(f"{driver} {number}")
    for _ in range(2):
        starting = _up(folder / "data", "--driver", driver)
        time.sleep(chance.uniform(0.05, 1.5))
        starting.send_signal(number)
        _, told = starting.communicate(timeout=20)
        assert "Error" not in told, told
    RunningPlatform(folder / "data").start("--driver", driver)
    RunningPlatform(folder / "data").stop()
    assert_clean()


@pytest.mark.parametrize("driver", DRIVERS)
async def test_down_while_pods_start_leaves_nothing(folder: Path, assert_clean: Clean, driver: str) -> None:
    chance = Random(driver)
    running = RunningPlatform(folder / "data")
    for number in range(2):
        await asyncio.to_thread(running.start, "--driver", driver)
        job = indexed_job(folder / "deeds", f"many-{number}", 100, 0.1)
        job.obj["spec"] |= {"completions": 8, "parallelism": 8}
        async with running.client() as client:
            await client.create(job.kind, job.obj)
        await asyncio.sleep(chance.uniform(0, 0.6))
        await asyncio.to_thread(running.stop)
        await asyncio.to_thread(assert_clean)


@pytest.mark.parametrize("driver", DRIVERS)
async def test_two_platforms_do_not_meet(folder: Path, assert_clean: Clean, driver: str) -> None:
    """Jobs of the same name on both; one is stopped, with its pods, while the other works."""
    jobs = {}
    running = {name: RunningPlatform(folder / name) for name in ("one", "two")}
    try:
        for name, one in running.items():
            await asyncio.to_thread(one.start, "--driver", driver)
            (folder / "deeds" / name).mkdir()
            jobs[name] = job_with_back_off(folder / "deeds" / name, "same", 10, 0.05)
            async with one.client() as client:
                await client.create(jobs[name].kind, jobs[name].obj)
        async with running["two"].client() as client:
            await prove(client, jobs["two"], folder / "deeds" / "two")
            again = indexed_job(folder / "deeds" / "two", "again", 10, 0.05)
            await client.create(again.kind, again.obj)
            async with running["one"].client() as first:
                await prove(first, jobs["one"], folder / "deeds" / "one")
            await asyncio.to_thread(running["one"].stop)
            await prove(client, again, folder / "deeds" / "two")
    finally:
        for one in running.values():
            await asyncio.to_thread(one.stop)
    await asyncio.to_thread(assert_clean)
