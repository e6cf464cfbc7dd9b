"""Keys that wait for work: each at most once, never handed out twice at once, back-off after failures.

Source of the rules: k8s.io/client-go (util/workqueue).
"""

import asyncio
from collections import deque

from flowdeck.kube.objects import ObjectKey

FIRST_RETRY_S = 0.01
LONGEST_RETRY_S = 60.0


class WorkQueue:
    """One queue of one controller; belongs to one event loop."""

    def __init__(self) -> None:
        self._waiting: deque[ObjectKey] = deque()
        self._dirty: set[ObjectKey] = set()
        self._working: set[ObjectKey] = set()
        self._failures: dict[ObjectKey, int] = {}
        self._wake = asyncio.Event()

    def add(self, key: ObjectKey) -> None:
        """Asks for a look at `key`; while it is worked on, it waits until that is done."""
        if key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._working:
            self._waiting.append(key)
            self._wake.set()

    async def take(self) -> ObjectKey:
        """The next key; `done` must follow."""
        while not self._waiting:
            self._wake.clear()
            await self._wake.wait()
        key = self._waiting.popleft()
        self._dirty.discard(key)
        self._working.add(key)
        return key

    def done(self, key: ObjectKey) -> None:
        self._working.discard(key)
        if key in self._dirty:
            self._waiting.append(key)
            self._wake.set()

    def failed(self, key: ObjectKey) -> float:
        """Counts a failure of `key`; gives the seconds to wait before the next try."""
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        return min(LONGEST_RETRY_S, FIRST_RETRY_S * float(2 ** min(count, 20)))

    def succeeded(self, key: ObjectKey) -> None:
        self._failures.pop(key, None)

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_idle(self) -> bool:
        """Nothing waits and nothing is being worked on."""
        return not self._waiting and not self._working
