"""Addresses and ports of the machine's loopback network that stand for pods and Services in the `plain` driver.

Kept in a file, since all pods of a job must be told the same ones, also after a restart of the node.
"""

import json
import os
import socket
import sys
import zlib
from collections.abc import Iterable
from pathlib import Path

LOOPBACK = "127.0.0.1"
HAS_MANY_ADDRESSES = sys.platform == "linux"
"""On Linux all of 127.0.0.0/8 is this machine; elsewhere only 127.0.0.1 is, and all pods share it."""


class Loopback:
    """Names of the cluster -> addresses and ports of this machine."""

    def __init__(self, file: Path) -> None:
        self._file = file
        known = json.loads(file.read_text()) if file.exists() else {}
        self._addresses: dict[str, str] = known.get("addresses", {})
        self._ports: dict[str, int] = known.get("ports", {})
        """`name port` -> port here."""

    def address_of(self, name: str) -> str:
        """The address that stands for a name; the same each time."""
        if not HAS_MANY_ADDRESSES:
            return LOOPBACK
        if name not in self._addresses:
            used = set(self._addresses.values())
            self._addresses[name] = next(each for each in _candidates(str(self._file)) if each not in used)
            self._save()
        return self._addresses[name]

    def port_of(self, name: str, port: int) -> int:
        """A free port of the machine that stands for a port of a name; the same each time."""
        key = f"{name} {port}"
        if key not in self._ports:
            self._ports[key] = _free_port(str(self._file), set(self._ports.values()))
            self._save()
        return self._ports[key]

    def known_port(self, name: str, port: int) -> int:
        """What stands for a port, or the port itself where nothing does."""
        return self._ports.get(f"{name} {port}", port)

    def name_of(self, address: str) -> str:
        """The name that has an address; empty when none has."""
        return next((name for name, each in self._addresses.items() if each == address), "")

    def keep_only(self, names: Iterable[str]) -> None:
        """Forgets all other names."""
        wanted = set(names)
        gone = {name for name in self._addresses if name not in wanted}
        gone |= {key.rpartition(" ")[0] for key in self._ports} - wanted
        if gone:
            self._addresses = {name: each for name, each in self._addresses.items() if name not in gone}
            self._ports = {key: each for key, each in self._ports.items() if key.rpartition(" ")[0] not in gone}
            self._save()

    def names(self) -> set[str]:
        return set(self._addresses) | {key.rpartition(" ")[0] for key in self._ports}

    def _save(self) -> None:
        draft = self._file.with_suffix(".draft")
        draft.write_text(json.dumps({"addresses": self._addresses, "ports": self._ports}))
        os.replace(draft, self._file)


def _candidates(seed: str) -> Iterable[str]:
    """Addresses of a block of its own for each platform on the machine, so that two rarely meet."""
    block = 64 + sum(seed.encode()) % 128
    for third in range(1, 255):
        for fourth in range(1, 255):
            yield f"127.{block}.{third}.{fourth}"


def _free_port(seed: str, taken: set[int]) -> int:
    """A port that nobody has on any address now, below those that the kernel gives to clients.

    Each platform on the machine begins elsewhere: what one has chosen is free until its pod listens there.
    """
    first, count = 20000, 12000
    start = zlib.crc32(seed.encode())
    for step in range(count):
        port = first + (start + step) % count
        if port in taken:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port left between 20000 and 32000")
