"""The pre-started parent of all small processes: forks monitors, pod holders and visitors in about a millisecond.

Started by the node with one end of a socket pair as standard input; ends with the node. What it forked lives on.
Standard library only, run as `python -I -S -c "..."` (driver.py), with an empty environment.

A request is one line of JSON with file descriptors attached; the first is the channel on which the fork answers:
`{"do": "monitor", "folder"}`, `{"do": "hold", "folder", "attempt"}`, `{"do": "visit", "folder", "argv", "tty"}`.
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
    from flowdeck.embedded.node.sandbox import holder, isolation  # noqa: F401 - loaded once, for all forks


def main() -> None:
    """Serves requests until the node is gone."""
    node = socket.socket(fileno=os.dup(0))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.collect()
    gc.freeze()  # forks then share these pages
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
                monitor.main(request["folder"], channel)
            case "hold":
                holder.main(request["folder"], request["attempt"], channel)
            case "visit":
                visitor.main(request["folder"], request, channel, fds[1:])
    finally:
        os._exit(1)
