"""What is sent to a command that runs, on its way into its standard input. Standard library only."""

import os
import selectors

MOST_INPUT_BYTES = 1 << 20
"""What is kept of input that the command does not read."""


class StandardInput:
    """A pipe or a terminal, written to as fast as the command reads; the monitor's loop turns it."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._fd: int | None = None
        self._waiting = bytearray()
        self._ends = False
        self._is_watched = False

    def open(self, fd: int) -> None:
        """Begins to write to a file descriptor, which is ours from now on."""
        os.set_blocking(fd, False)
        self._fd = fd

    def put(self, data: bytes) -> None:
        """Hands input to the command; what comes while `MOST_INPUT_BYTES` wait already is dropped."""
        if self._fd is not None and len(self._waiting) < MOST_INPUT_BYTES:
            self._waiting += data
            self._pass()

    def end(self) -> None:
        """Closes it once the command has read what was sent."""
        self._ends = True
        self._pass()

    def _pass(self) -> None:
        if self._fd is None:
            return
        try:
            while self._waiting:
                del self._waiting[: os.write(self._fd, self._waiting)]
        except BlockingIOError:
            pass
        except OSError:  # nobody reads any more
            self._waiting.clear()
        self._watch(self._fd, bool(self._waiting))
        if self._ends and not self._waiting:
            os.close(self._fd)
            self._fd = None

    def _watch(self, fd: int, wanted: bool) -> None:
        if wanted is self._is_watched:
            return
        self._is_watched = wanted
        if wanted:
            self._selector.register(fd, selectors.EVENT_WRITE, self._pass)
        else:
            self._selector.unregister(fd)
