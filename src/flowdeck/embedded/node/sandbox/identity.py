"""Which process is meant by a number that the kernel uses again: pid + start time + boot. Standard library only."""

import contextlib
import functools
import os
import signal
import subprocess
from typing import Any

_BOOT_ID = "/proc/sys/kernel/random/boot_id"


@functools.cache
def boot_id() -> str:
    """Changes with every start of the machine."""
    if os.path.exists(_BOOT_ID):
        with open(_BOOT_ID, encoding="ascii") as file:
            return file.read().strip()
    return subprocess.run(["/usr/sbin/sysctl", "-n", "kern.boottime"], capture_output=True, text=True).stdout.strip()


def started(pid: int) -> str:
    """When the process was started, in units that only compare; empty when there is none (or a zombie)."""
    if not os.path.exists(_BOOT_ID):
        told = subprocess.run(["/bin/ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True)
        return told.stdout.strip()
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] in (b"Z", b"X") else fields[19].decode()


def identity(pid: int | None = None) -> dict[str, Any]:
    """What tells this process apart from all others, for ever."""
    number = pid or os.getpid()
    return {"pid": number, "start": started(number), "boot": boot_id()}


def is_alive(who: dict[str, Any]) -> bool:
    """True while exactly that process runs."""
    return bool(who["start"]) and who["boot"] == boot_id() and started(int(who["pid"])) == who["start"]


def end(who: dict[str, Any]) -> None:
    """SIGTERM to exactly that process, if it still runs."""
    if is_alive(who):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(who["pid"]), signal.SIGTERM)
