"""The way from pods to Services and to the world outside: TCP connections taken over and led on.

In the platform's network namespace every address that is no pod's counts as local, so a connection to any Service
address or outside address arrives at a listener on that port; where it wanted to go is the socket's own name.
"""

import asyncio
import contextlib
import errno
import ipaddress
import random
import socket
import struct
from collections.abc import Awaitable, Callable

import structlog

from flowdeck.embedded.node.network.services import Services
from flowdeck.kube.objects import ObjectKey, key_of

API_SERVICE = ObjectKey("default", "kubernetes")
_CHUNK_BYTES = 1 << 16
_CONNECT_TIMEOUT_S = 10.0
_MOST_AT_ONCE = 4096
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_ROOM_RETRY_S = 0.5

Dial = Callable[[str, int], Awaitable[socket.socket]]
"""Connects to an address and port, wherever it lives; raises `OSError`."""

TargetOf = Callable[[str, int], tuple[str, int] | None]
"""The address and port that were wanted -> where to lead the connection; None refuses it."""

log = structlog.get_logger()


class Targets:
    """Decides where a connection goes. Pure but for the choice among equals."""

    def __init__(self, services: Services, *, api: tuple[str, int], subnet: str) -> None:
        self._services = services
        self._api = api
        self._subnet = ipaddress.ip_network(subnet) if subnet else None
        self._random = random.Random()

    def of_address(self, address: str, port: int) -> tuple[str, int] | None:
        """For a connection that wanted to reach an address; None refuses it."""
        service = self._services.by_address(address)
        if service is not None:
            return self.of_service(key_of(service), port)
        parsed = ipaddress.ip_address(address)
        if parsed.is_loopback or parsed.is_multicast or (self._subnet is not None and parsed in self._subnet):
            return None
        return address, port

    def of_service(self, key: ObjectKey, port: int) -> tuple[str, int] | None:
        if key == API_SERVICE:
            return self._api
        backends = self._services.backends(key, port)
        if not backends:
            return None
        chosen = self._random.choice(backends)
        return chosen.address, chosen.port


class Proxy:
    """Accepts on listeners and leads connections on."""

    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self._busy = asyncio.Semaphore(_MOST_AT_ONCE)

    async def serve(self, listener: socket.socket, target_of: TargetOf) -> None:
        """Serves one listener until cancelled; `target_of` is asked with the address that was wanted."""
        listener.setblocking(False)
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    await self._busy.acquire()
                    with contextlib.ExitStack() as unused:
                        unused.callback(self._busy.release)
                        accepted = await _accept(listener)
                        unused.pop_all()
                    group.create_task(self._lead_on(accepted, target_of))
        finally:
            listener.close()

    async def _lead_on(self, accepted: socket.socket, target_of: TargetOf) -> None:
        try:
            with accepted:
                target = target_of(*accepted.getsockname()[:2])
                if target is None:
                    _reset(accepted)
                    return
                try:
                    async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                        further = await self._dial(*target)
                except (OSError, TimeoutError) as error:
                    log.debug("could not reach the target of a connection", target=target, error=str(error))
                    _reset(accepted)
                    return
                with further:
                    await relay(accepted, further)
        finally:
            self._busy.release()


async def _accept(listener: socket.socket) -> socket.socket:
    """The next connection. While this process may open no more files, pods wait: none can end the proxy for all."""
    while True:
        try:
            accepted, _ = await asyncio.get_running_loop().sock_accept(listener)
            return accepted
        except ConnectionAbortedError:
            continue
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            log.warning("there is no room for another connection of a pod", error=str(error))
            await asyncio.sleep(_ROOM_RETRY_S)


async def relay(one: socket.socket, other: socket.socket) -> None:
    """Copies both ways until both sides have ended; a failure of one side ends the other."""
    for sock in (one, other):
        sock.setblocking(False)
        if sock.family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_copy(one, other))
            group.create_task(_copy(other, one))
    except* OSError:
        for sock in (one, other):
            _reset(sock)


async def _copy(source: socket.socket, sink: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while data := await loop.sock_recv(source, _CHUNK_BYTES):
        await loop.sock_sendall(sink, data)
    sink.shutdown(socket.SHUT_WR)


def _reset(sock: socket.socket) -> None:
    """Makes closing the socket tell the peer that it was refused."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def dial_from_machine(address: str, port: int) -> socket.socket:
    """A connection from the machine's own network."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    with contextlib.ExitStack() as unused:
        unused.enter_context(sock)
        await asyncio.get_running_loop().sock_connect(sock, (address, port))
        unused.pop_all()
    return sock
