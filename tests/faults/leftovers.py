"""What a platform leaves behind: processes (as a subreaper sees them), mounts, network namespaces."""

import contextlib
import ctypes
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

_PR_SET_CHILD_SUBREAPER = 36


@contextlib.contextmanager
def as_subreaper() -> Iterator[None]:
    """While it lasts, whatever our descendants leave alone becomes our child, so that it can be found."""
    if sys.platform != "linux":
        yield
        return
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def processes(before: set[int]) -> list[str]:
    """Our descendants but for those of `before`; the dead among them are buried."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                if process.pid not in before:
                    found.append(f"{process.pid} {' '.join(process.cmdline())[:200]}")
            elif process.ppid() == os.getpid():
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(process.pid, os.WNOHANG)
    return found


def descendants() -> set[int]:
    return {process.pid for process in psutil.Process().children(recursive=True)}


def wait_for_none(before: set[int], within_s: float = 10) -> list[str]:
    """The processes that are left after a while; those that are just ending get the time for it."""
    deadline = time.monotonic() + within_s
    while (left := processes(before)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def mounts(folder: Path) -> list[str]:
    """What is mounted in the nodes' folders below a folder, network namespaces that are pinned there included."""
    table = Path("/proc/self/mountinfo")
    return (
        [line for line in table.read_text().splitlines() if str(folder) in line and "/node/" in line]
        if table.exists()
        else []
    )
