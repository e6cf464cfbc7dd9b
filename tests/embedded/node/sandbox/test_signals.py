"""A container that is said to run can be signalled, however soon."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowdeck.embedded.node.sandbox.client import Zygote
from flowdeck.embedded.node.sandbox.driver import NamespacesDriver, can_do_namespaces
from flowdeck.embedded.node.sandbox.plan import ContainerSpec, PodSpec

STARTS, AT_ONCE = 96, 8


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = Path("/var/tmp") / f"flowdeck-test-{os.getpid()}-{tmp_path_factory.mktemp('signals').name}"
    folder.mkdir()
    yield folder
    subprocess.run(["rm", "-rf", str(folder)], check=False)


async def test_no_signal_is_lost_that_comes_as_soon_as_the_command_runs(folder: Path) -> None:
    zygote = Zygote(folder / "zygote.log")
    if not await can_do_namespaces(zygote):
        pytest.skip("this machine has no namespaces for us")
    driver = NamespacesDriver(zygote, [folder])
    pod = folder / "pod"
    await driver.hold(PodSpec(folder=pod, hostname="one"))

    async def start_and_signal(number: int) -> int:
        running = await driver.start(
            ContainerSpec(
                id="0" * 64, folder=pod / str(number), pod_folder=pod, argv=["sleep", "60"], env={},
                log=folder / f"{number}.log", log_max_bytes=1 << 20, log_max_files=1,
            )
        )  # fmt: skip
        assert await running.started() == ""
        running.signal(signal.SIGTERM)
        ended = await running.ended()
        running.close()
        return int((ended or {})["exit_code"])

    async with asyncio.timeout(50):
        for first in range(0, STARTS, AT_ONCE):
            codes = await asyncio.gather(*map(start_and_signal, range(first, first + AT_ONCE)))
            assert codes == [128 + signal.SIGTERM] * AT_ONCE
    await driver.release(pod)
    zygote.stop()
