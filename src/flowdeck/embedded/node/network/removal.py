"""Takes down the network of a platform that is stopped: its switch process, cables, namespaces and pins."""

import contextlib
import json
import os
import socket
from pathlib import Path

from flowdeck.embedded.node.sandbox import linux

_ANSWER_WITHIN_S = 10.0


def remove_network(folder: Path) -> None:
    """Leaves nothing of the network in `folder` (`DATA/node/network`); quiet where there is none."""
    if not folder.is_dir():
        return
    _stop_switch(folder)
    for pin in (folder / "spaces").glob("*"):
        with contextlib.suppress(OSError):  # not mounted: what a reboot leaves
            linux.unmount(str(pin))
        pin.unlink()
    for file in ("addresses.json", "loopback.json", "switch.sock"):
        (folder / file).unlink(missing_ok=True)


def connect_to_switch(folder: Path) -> socket.socket | None:
    """A line to the switch process; None when there is none. Raises `OSError` when it may not be used."""
    line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    try:
        # through a descriptor: the full path may be longer than a socket's name can be
        opened = os.open(folder, os.O_PATH | os.O_CLOEXEC)
        try:
            line.connect(f"/proc/self/fd/{opened}/switch.sock")
        finally:
            os.close(opened)
    except (FileNotFoundError, ConnectionRefusedError):
        line.close()
        return None
    return line


def _stop_switch(folder: Path) -> None:
    line = connect_to_switch(folder)
    if line is None:
        return
    with line:
        line.settimeout(_ANSWER_WITHIN_S)
        line.send(json.dumps({"do": "stop"}).encode())
        with contextlib.suppress(TimeoutError):
            line.recv(4096)
