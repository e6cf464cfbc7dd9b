"""What `/proc` knows of processes below and beside us. Linux; elsewhere nothing is known. Standard library only."""

import contextlib
import os


def descendants(pid: int) -> list[int]:
    """All processes below one, children before grandchildren."""
    found: list[int] = []
    queue = [pid]
    while queue:
        parent = queue.pop()
        with contextlib.suppress(OSError), open(f"/proc/{parent}/task/{parent}/children", encoding="ascii") as file:
            children = [int(word) for word in file.read().split()]
            found += children
            queue += children
    return found


def anonymous_bytes(pid: int) -> int:
    """The resident memory of a process that comes from no file: what a memory limit is about."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            fields = file.read().split()
            return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
