"""Measures the machine for `/stats/summary`."""

from datetime import UTC, datetime
from pathlib import Path

import psutil

from flowdeck.clock import Clock
from flowdeck.embedded.node.streams.usage import NodeUsage


class MachineUsage:
    """Remembers the last look, to tell a rate."""

    def __init__(self, name: str, folder: Path, clock: Clock) -> None:
        self._name = name
        self._folder = folder
        self._clock = clock
        self._last = (clock.monotonic(), _busy_s())

    def look(self) -> NodeUsage:
        now, busy = self._clock.monotonic(), _busy_s()
        passed, (before, busy_before) = max(now - self._last[0], 1e-3), self._last
        if now - before > 1:
            self._last = (now, busy)
        memory, disk = psutil.virtual_memory(), psutil.disk_usage(str(self._folder))
        return NodeUsage(
            name=self._name,
            start_time=datetime.fromtimestamp(psutil.boot_time(), UTC),
            cpu_nano_cores=max(0, int((busy - busy_before) / passed * 1e9)),
            cpu_nano_seconds=int(busy * 1e9),
            memory_bytes=memory.total - memory.available,
            available_bytes=memory.available,
            disk_bytes=disk.used,
            disk_available_bytes=disk.free,
            disk_capacity_bytes=disk.total,
        )


def _busy_s() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))
