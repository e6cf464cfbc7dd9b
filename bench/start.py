"""How long `flowdeck up` takes, and what the platform costs at rest."""

import time
from collections.abc import Sequence

import psutil

from bench.report import Row, median
from flowdeck.testing.platform import RunningPlatform

STARTS = 5


def starts(platform: RunningPlatform) -> Row:
    """Starts on an existing data folder, from the command to its return (ready); the platform runs afterwards."""
    took = []
    for number in range(STARTS):
        began = time.perf_counter()
        platform.start()
        took.append(time.perf_counter() - began)
        if number < STARTS - 1:
            platform.stop()
    return Row(
        what="flowdeck up to ready",
        samples=took,
        unit="s",
        want="<= 1.0 s",
        beat="kube-apiserver + etcd 3.4 s",
        is_met=median(took) <= 1.0,
    )


def at_rest(platform: RunningPlatform, *, seconds: float = 10, what: str = "idle") -> Sequence[Row]:
    """Memory and CPU of all platform processes while nothing happens."""
    processes = [tree for pid in platform.pids.values() for tree in _tree(pid)]
    processes = list({process.pid: process for process in processes}.values())
    before = sum(sum(process.cpu_times()[:2]) for process in processes)
    time.sleep(seconds)
    used = sum(sum(process.cpu_times()[:2]) for process in processes) - before
    memory = sum(getattr(info := process.memory_full_info(), "pss", info.rss) for process in processes) / 1e6
    percent = 100 * used / seconds
    return [
        Row(
            what=f"memory of all platform processes, {what}",
            samples=[memory],
            unit="MB",
            want="<= 200 MB",
            beat="kube-apiserver + etcd 310 MB",
            is_met=memory <= 200,
        ),
        Row(
            what=f"CPU of all platform processes, {what}",
            samples=[percent],
            unit="%",
            want="<= 2 %",
            is_met=percent <= 2,
        ),
    ]


def _tree(pid: int) -> Sequence[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *(child for child in process.children(recursive=True) if _is_ours(child))]


def _is_ours(process: psutil.Process) -> bool:
    try:
        return "flowdeck" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # it ended meanwhile
        return False
