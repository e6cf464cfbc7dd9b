"""The node's line to the switch process: starts it when it is not there, plugs pods in, gets sockets inside."""

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flowdeck
from flowdeck.embedded.node.network.removal import connect_to_switch

_START = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from flowdeck.embedded.node.network.switch import main; main()"
)


@dataclass(frozen=True, kw_only=True)
class SwitchPlan:
    """What the switch process is told at its start."""

    folder: Path
    """`DATA/node/network`."""
    gateway: str
    prefix: int
    rootless: bool
    uplink: str = ""
    """Name of the machine's own link into the bridge; needs root. Empty: none."""
    uplink_address: str = ""

    def to_json(self) -> str:
        return json.dumps({**vars(self), "folder": str(self.folder)})


@dataclass(frozen=True)
class Plugged:
    """The switch as it is."""

    pid: int
    pods: Mapping[str, str]
    """Name (pod uid) -> address."""
    spaces: Mapping[str, str]
    """Name -> path of the network namespace."""


class SwitchError(OSError):
    """The switch could not do what it was asked, or cannot be had on this machine."""


class Switchboard:
    """Asks the switch; one request at a time. Every method raises `SwitchError`."""

    def __init__(self, plan: SwitchPlan) -> None:
        self._plan = plan
        self._line: socket.socket | None = None
        self._turn = asyncio.Lock()

    async def info(self) -> Plugged:
        answer, _ = await self._ask({"do": "info"})
        return Plugged(answer["pid"], answer["pods"], answer["spaces"])

    async def plug(self, name: str, address: str) -> Path:
        """The network namespace of a pod, plugged in."""
        answer, _ = await self._ask({"do": "plug", "name": name, "address": address})
        return Path(answer["path"])

    async def unplug(self, name: str) -> None:
        await self._ask({"do": "unplug", "name": name})

    async def listener(self, address: str, port: int) -> socket.socket:
        """A listening TCP socket inside."""
        _, fds = await self._ask({"do": "socket", "kind": "tcp", "bind": [address, port], "listen": 512})
        return socket.socket(fileno=fds[0])

    async def datagrams(self, address: str, port: int) -> socket.socket:
        """A bound UDP socket inside."""
        _, fds = await self._ask({"do": "socket", "kind": "udp", "bind": [address, port]})
        return socket.socket(fileno=fds[0])

    async def dial(self, address: str, port: int, *, timeout_s: float = 10) -> socket.socket:
        """A TCP connection from inside to an address there."""
        _, fds = await self._ask({"do": "socket", "kind": "tcp"})
        talk = socket.socket(fileno=fds[0])
        with contextlib.ExitStack() as unused:
            unused.enter_context(talk)
            async with asyncio.timeout(timeout_s):
                await asyncio.get_running_loop().sock_connect(talk, (address, port))
            unused.pop_all()
        return talk

    def close(self) -> None:
        """Hangs up; the switch goes on."""
        if self._line is not None:
            self._line.close()
            self._line = None

    async def _ask(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
        async with self._turn:
            for last_try in (False, True):
                if self._line is None:
                    self._line = await asyncio.to_thread(self._reach)
                try:
                    return await self._talk(self._line, request)
                except (ConnectionError, EOFError) as error:
                    self.close()
                    if last_try:
                        raise SwitchError(f"the network process is gone: {error}") from error
            raise AssertionError("unreachable")

    async def _talk(self, line: socket.socket, request: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
        loop = asyncio.get_running_loop()
        line.send(json.dumps(request).encode())
        arrived = asyncio.Event()
        loop.add_reader(line, arrived.set)
        try:
            await arrived.wait()
        except asyncio.CancelledError:
            self.close()  # or the next one would read our answer
            raise
        finally:
            loop.remove_reader(line)
        raw, fds, _, _ = socket.recv_fds(line, 1 << 20, 4)
        if not raw:
            raise EOFError("no answer")
        answer: dict[str, Any] = json.loads(raw)
        if error := answer.get("error"):
            raise SwitchError(answer.get("errno") or 0, error)
        return answer, list(fds)

    def _reach(self) -> socket.socket:
        line = connect_to_switch(self._plan.folder)
        if line is None:
            self._start()
            line = connect_to_switch(self._plan.folder)
        if line is None:
            raise SwitchError("the network process does not answer")
        return line

    def _start(self) -> None:
        self._plan.folder.mkdir(parents=True, exist_ok=True)
        ours, theirs = os.pipe()
        source = str(Path(flowdeck.__file__).parent.parent)
        command = [sys.executable, "-I", "-S", "-c", _START, source, self._plan.to_json(), str(theirs)]
        with (self._plan.folder / "switch.log").open("ab") as log:
            _spawn_detached(command, log.fileno(), theirs)
        os.close(theirs)
        with os.fdopen(ours, "rb") as pipe:
            said = pipe.read()
        if said != b"1":
            raise SwitchError(f"no network of our own on this machine: {said[1:].decode() or 'see switch.log'}")


def _spawn_detached(command: list[str], log: int, keep: int) -> None:
    """Starts a process that is nobody's child and outlives us: it is a grandchild, its parent ends at once."""
    middle = "import os, sys; os.setsid(); os.fork() and os._exit(0); os.execv(sys.argv[1], sys.argv[1:])"
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-I", "-S", "-c", middle, *command],
        {"PATH": os.defpath, "LANG": "C.UTF-8"},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, log, 1),
            (os.POSIX_SPAWN_DUP2, log, 2),
            (os.POSIX_SPAWN_DUP2, keep, keep),
        ],
    )
    os.waitpid(pid, 0)
