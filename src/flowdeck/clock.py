"""Time as a dependency. Whoever needs the time or waits takes a `Clock`; tests move a `FakeClock`."""

import asyncio
import heapq
import itertools
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What time it is, and waiting for it to pass."""

    def now(self) -> datetime:
        """The moment, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow; the zero is arbitrary."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Returns once that much of this clock's time has passed."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time(), UTC)  # noqa: TID251 - the one place that reads it

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


class FakeClock:
    """A clock that stands still until a test calls `advance`."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._passed_s = 0.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._falls_asleep = asyncio.Event()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._passed_s)

    def monotonic(self) -> float:
        return self._passed_s

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._passed_s + seconds, next(self._order), wake))
        self._falls_asleep.set()
        await wake

    async def until_asleep(self, sleepers: int = 1) -> None:
        """Returns once so many wait for this clock. Whoever is still on the way there misses what `advance` does."""
        while sum(not wake.done() for _, _, wake in self._sleepers) < sleepers:
            self._falls_asleep.clear()
            await self._falls_asleep.wait()

    def set_wall_clock(self, seconds: float) -> None:
        """Somebody sets the wall clock so much forward (or back); no time passes."""
        self._start += timedelta(seconds=seconds)

    def advance(self, seconds: float) -> None:
        """Moves the clock and wakes, in order, everybody whose time has come."""
        self._passed_s += seconds
        while self._sleepers and self._sleepers[0][0] <= self._passed_s:
            _, _, wake = heapq.heappop(self._sleepers)
            if not wake.done():
                wake.set_result(None)
