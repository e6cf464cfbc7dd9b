"""What waits for a time."""

import heapq
from collections.abc import Iterator


class Timers:
    """Times with the task that each is for; the earliest is told when it changes."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, str]] = []
        self._told: float | None = None

    def add(self, at: float, task: str) -> None:
        heapq.heappush(self._heap, (at, task))

    def due(self, now: float) -> Iterator[tuple[float, str]]:
        """Takes out all whose time has come."""
        while self._heap and self._heap[0][0] <= now:
            yield heapq.heappop(self._heap)
        self._told = None

    def clear(self) -> None:
        self._heap.clear()
        self._told = None

    @property
    def next(self) -> float | None:
        return self._heap[0][0] if self._heap else None

    def news(self) -> float | None:
        """The next time, unless it was told already."""
        if self.next == self._told:
            return None
        self._told = self.next
        return self._told
