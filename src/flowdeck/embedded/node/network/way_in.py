"""The way to pods for whoever may read the node's folder: the API server beside it, which proxies to pods.

Without root the machine has no link into the network of the pods; a socket that was made inside works from anywhere.
"""

import asyncio
import contextlib
import ipaddress
import json
import socket
from dataclasses import dataclass
from pathlib import Path

from flowdeck.embedded.node.network.removal import connect_to_switch


@dataclass(frozen=True)
class WayIn:
    """Connects to pods of the network in `folder` (`DATA/node/network`); knows nobody where there is none."""

    folder: Path

    async def __call__(self, address: str, port: int) -> socket.socket | None:
        """A connection from inside; None when the address is no pod's. Raises `OSError`."""
        talk = await asyncio.to_thread(self._socket_inside, address)
        if talk is None:
            return None
        with contextlib.ExitStack() as unused:
            unused.enter_context(talk)
            await asyncio.get_running_loop().sock_connect(talk, (address, port))
            unused.pop_all()
        return talk

    def _socket_inside(self, address: str) -> socket.socket | None:
        if not self._is_pod(address):
            return None
        line = connect_to_switch(self.folder)
        if line is None:
            raise ConnectionRefusedError(f"the network of the pods is down: nothing reaches {address}")
        with line:
            line.send(json.dumps({"do": "socket", "kind": "tcp"}).encode())
            _, fds, _, _ = socket.recv_fds(line, 1 << 16, 1)
        return socket.socket(fileno=fds[0])

    def _is_pod(self, address: str) -> bool:
        try:
            subnet = json.loads((self.folder / "addresses.json").read_text())["subnet"]
            return ipaddress.IPv4Address(address) in ipaddress.IPv4Network(subnet)
        except (FileNotFoundError, ipaddress.AddressValueError):
            return False
