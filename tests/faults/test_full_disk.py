"""The disk of the data folder is full for a while: errors say so, nothing is damaged, and then it goes on."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowdeck.kube.errors import ApiError
from flowdeck.kube.kinds import CONFIG_MAP
from flowdeck.kube.objects import ObjectKey, Tree
from flowdeck.testing.platform import RunningPlatform
from tests.faults.conftest import Clean
from tests.faults.proof import deeds_of, prove
from tests.faults.workloads import NAMESPACE, job_with_back_off

SIZE_MIB = 800
"""Below half a GiB of free room a node takes no pods."""


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own."""
    place = folder / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("only root may make a small file system")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path) -> Path:
    """Takes all the room that is left."""
    filler = place / "filler"
    with filler.open("ab", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return filler


def _config_map(name: str, size: int) -> Tree:
    meta = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"text": "x" * size}}


async def _ended(deeds: Path, name: str) -> None:
    """Returns when every pod that started has said, outside the disk that is full, how it ends."""
    async with asyncio.timeout(60):
        while sum((told := deeds_of(deeds, name)).starts.values()) > len(told.ends):  # noqa: ASYNC110
            await asyncio.sleep(0.1)  # for another process's file


@pytest.mark.parametrize("driver", ["plain", "namespaces"])
async def test_a_full_disk_is_told_of_and_got_over(
    folder: Path, small_disk: Path, assert_clean: Clean, driver: str
) -> None:
    running = RunningPlatform(small_disk / "data")
    await asyncio.to_thread(running.start, "--driver", driver)
    try:
        job = job_with_back_off(folder / "deeds", "job", 40, 0.05)
        before = job_with_back_off(folder / "deeds", "before", 1, 0)
        async with running.client() as client:
            await client.create(before.kind, before.obj)
            await prove(client, before, folder / "deeds")  # the image is there now
            await client.create(job.kind, job.obj)
            while not (folder / "deeds" / "deeds_of_job").exists():  # noqa: ASYNC110 - another process's file
                await asyncio.sleep(0.02)
            filler = await asyncio.to_thread(fill, small_disk)
            made, refusals = 0, []
            while len(refusals) < 5:
                try:
                    await client.create(CONFIG_MAP, _config_map(f"c{made}", 200_000))
                    made += 1
                except ApiError as error:
                    refusals.append(error)
            assert {error.code for error in refusals} == {500}, refusals
            assert all("full" in str(error) for error in refusals), refusals
            await _ended(folder / "deeds", "job")
            filler.unlink()
            for number in range(made):
                await client.get(CONFIG_MAP, ObjectKey(NAMESPACE, f"c{number}"))
            await client.create(CONFIG_MAP, _config_map(f"c{made}", 200_000))
            await prove(client, job, folder / "deeds")
        await asyncio.to_thread(running.stop, pods=False)
        await asyncio.to_thread(running.start, "--driver", driver)
        async with running.client() as client:
            for number in range(made + 1):
                await client.get(CONFIG_MAP, ObjectKey(NAMESPACE, f"c{number}"))
    finally:
        await asyncio.to_thread(running.stop)
    await asyncio.to_thread(assert_clean)
