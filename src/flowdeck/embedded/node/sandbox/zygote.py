"""The pre-started parent of all small processes: forks monitors, pod holders and visitors in about a millisecond.

Started by the node with one end of a socket pair as standard input; ends with the node. What it forked lives on.
Standard library only, run as `python -I -S -c "..."` (driver.py), with an empty environment.

A request is one line of JSON with file descriptors attached; the first is the channel on which the fork answers:
`{"do": "monitor", "folder"}`, `{"do": "hold", "folder", "attempt"}`, `{"do": "visit", "folder", "argv", "tty"}`,
`{"do": "warm", "folder"}`.
"""

import gc
import json
import os
import signal
import socket
import sys
from typing import Any, NoReturn

from flowdeck.embedded.node.sandbox import monitor, visitor

if sys.platform == "linux":
    from flowdeck.embedded.node.sandbox import holder, isolation, linux, warm_launch, warm_start  # noqa: F401 - loaded once, for all forks


def main() -> None:
    """Serves requests until the node is gone."""
    if sys.platform == "linux" and os.geteuid() == 0 and _SEALED not in sys.argv:
        _seal_program()
    node = socket.socket(fileno=os.dup(0))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    gc.disable()  # forks go on sharing these pages; they make no cycles worth collecting
    received = bytearray()
    fds: list[int] = []
    while True:
        data, more, _, _ = socket.recv_fds(node, 1 << 16, 8)
        if not data:
            return
        received += data
        fds += more
        while b"\n" in received:
            line, _, rest = bytes(received).partition(b"\n")
            received[:] = rest
            request = json.loads(line)
            mine, fds = fds[: request["fds"]], fds[request["fds"] :]
            _fork(request, mine, node)


_SEALED = "sealed"


def _seal_program() -> NoReturn:
    """Starts again from a read-only view of Python's own program.

    A container may get hold of the program that entered it (by `/proc/self/exe`), so that must not be writable, not
    even for root: otherwise a container that is root could put its own code into what the machine runs next.
    """
    program = os.path.realpath("/proc/self/exe")
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_SLAVE)
    linux.mount(program, program, flags=linux.MS_BIND)
    linux.make_read_only(program)
    os.execve(sys.executable, [*sys.orig_argv, _SEALED], {})


def _fork(request: dict[str, Any], fds: list[int], node: socket.socket) -> None:
    if os.fork() == 0:
        node.close()
        _become(request, fds)
    for fd in fds:
        os.close(fd)


def _become(request: dict[str, Any], fds: list[int]) -> NoReturn:
    try:
        null = os.open("/dev/null", os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        channel = socket.socket(fileno=fds[0])
        match request["do"]:
            case "monitor":
                monitor.main(request["folder"], channel, fds[1:])
            case "warm":
                warm_launch.main(request["folder"], channel)
            case "hold":
                holder.main(request["folder"], request["attempt"], channel)
            case "visit":
                visitor.main(request["folder"], request, channel, fds[1:])
    finally:
        os._exit(1)
