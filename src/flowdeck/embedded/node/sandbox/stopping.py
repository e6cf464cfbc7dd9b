"""Stops everything that a node's folder holds, without a node process: for `flowdeck down --pods`."""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from flowdeck.embedded.node.sandbox import files, identity
from flowdeck.embedded.node.sandbox.client import socket_path
from flowdeck.kube.objects import Tree

GRACE_S = 10.0
"""How long containers get after SIGTERM; a pod's own shorter grace counts."""
KILL_S = 5.0
"""How long monitors then have to write down how their containers ended: on a full disk they cannot."""


def stop_all(data: Path) -> None:
    """Ends all containers below `data` (the node's folder): SIGTERM, a while, SIGKILL; then the pods' holders
    and their network."""
    found = list(running(data))
    deadlines = {folder: time.monotonic() + _grace_s(folder) for folder, _ in found}
    for folder, _ in found:
        _signal(folder, signal.SIGTERM)
    for folder, claim in found:
        while identity.is_alive(claim) and time.monotonic() < deadlines[folder]:
            time.sleep(0.02)
        while identity.is_alive(claim):
            if time.monotonic() < deadlines[folder] + KILL_S:
                _signal(folder, signal.SIGKILL)
            else:
                identity.end(claim)
            time.sleep(0.05)
    for path in data.glob("pods/*/holder-*.claim"):
        if holder := files.read(str(path)):
            identity.end(holder)
    if sys.platform == "linux":
        from flowdeck.embedded.node.network.removal import remove_network

        remove_network(data / "network")


def running(data: Path) -> Iterator[tuple[Path, Tree]]:
    """The folders of attempts whose monitors live, with the monitors' identities."""
    for path in data.glob("pods/*/containers/*/*/claim"):
        claim = files.read(str(path))
        if claim and identity.is_alive(claim):
            yield path.parent, claim


def _grace_s(folder: Path) -> float:
    pod = files.read(str(folder.parents[2] / "pod.json")) or {}
    wanted = (pod.get("spec") or {}).get("terminationGracePeriodSeconds")
    return GRACE_S if wanted is None else min(GRACE_S, float(wanted))


def _signal(folder: Path, number: int) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as monitor:
            monitor.settimeout(5)
            monitor.connect(socket_path(folder, fd))
            monitor.recv(4096)  # what everybody is told first: only who waits for it is listened to
            monitor.sendall(b'{"signal": %d}\n' % number)
    except (FileNotFoundError, TimeoutError, ConnectionRefusedError, BrokenPipeError, ConnectionResetError):
        return  # it has just ended
    finally:
        os.close(fd)
