"""Progress lines of an initializer: what users see in its log."""

import sys
import threading
import time
from dataclasses import dataclass, field

INTERVAL_S = 5.0


@dataclass
class Report:
    """Counts bytes over all threads and prints a line at most every few seconds."""

    total_bytes: int
    files: int
    _done_bytes: int = 0
    _printed_at: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def advance(self, count: int) -> None:
        with self._lock:
            self._done_bytes += count
            if time.monotonic() - self._printed_at < INTERVAL_S:
                return
            self._printed_at = time.monotonic()
            share = 100 * self._done_bytes // self.total_bytes if self.total_bytes else 100
            say(f"{share}% ({megabytes(self._done_bytes)} of {megabytes(self.total_bytes)})")


def say(text: str) -> None:
    print(text, flush=True, file=sys.stdout)


def megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
