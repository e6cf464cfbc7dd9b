"""Ports of a pod, forwarded through a WebSocket.

Two protocols: `v4.channel.k8s.io` (two channels a port, as the Python client speaks), and SPDY/3.1 inside binary
messages (two streams a connection, as kubectl speaks since 1.30).
Source: kubernetes/kubernetes (staging/src/k8s.io/kubelet/pkg/cri/streaming/portforward).
"""

import asyncio
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import structlog

from flowdeck.embedded.node.streams.spdy import Data, Frame, Framer, GoneAway, Opened, Ping, Reset, SpdyError
from flowdeck.embedded.node.streams.web_socket import PROTOCOL_ERROR, WebSocket
from flowdeck.kube.errors import ApiError

log = structlog.get_logger()

TUNNEL = "SPDY/3.1+portforward.k8s.io"
CHANNELS = ("v4.channel.k8s.io", "v4.base64.channel.k8s.io", "channel.k8s.io")
_CHUNK_BYTES = 32 * 1024
_MOST_STREAMS = 2000

Dial = Callable[[int], Awaitable[socket.socket]]
"""Connects to a port of the pod; raises `OSError` or `ApiError`."""


class Channels:
    """The v4 protocol: port i has channels 2i (data) and 2i+1 (errors)."""

    def __init__(self, web: WebSocket, ports: Sequence[int], dial: Dial, pod: str) -> None:
        self._web = web
        self._ports = ports
        self._dial = dial
        self._pod = pod
        self._waiting: dict[int, asyncio.Queue[bytes]] = {i: asyncio.Queue(64) for i in range(len(ports))}

    async def run(self) -> None:
        reading = asyncio.create_task(self._read())
        serving = asyncio.create_task(self._serve_all())
        try:
            await asyncio.wait({reading, serving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            reading.cancel()
            serving.cancel()
            await asyncio.gather(reading, serving, return_exceptions=True)
        await self._web.close()

    async def _serve_all(self) -> None:
        for index, port in enumerate(self._ports):  # each channel starts with the number of its port
            for channel in (2 * index, 2 * index + 1):
                await self._web.send(bytes([channel]) + struct.pack("<H", port))
        async with asyncio.TaskGroup() as group:
            for index, port in enumerate(self._ports):
                group.create_task(self._serve(index, port))

    async def _serve(self, index: int, port: int) -> None:
        try:
            with await self._dial(port) as pod:
                sending = asyncio.create_task(self._send_to(pod, index))
                try:
                    loop = asyncio.get_running_loop()
                    while data := await loop.sock_recv(pod, _CHUNK_BYTES):
                        await self._web.send(bytes([2 * index]) + data)
                finally:
                    sending.cancel()
                    await asyncio.gather(sending, return_exceptions=True)
        except (OSError, ApiError) as error:
            await self._web.send(bytes([2 * index + 1]) + _told(port, self._pod, error))

    async def _send_to(self, pod: socket.socket, index: int) -> None:
        while True:
            await asyncio.get_running_loop().sock_sendall(pod, await self._waiting[index].get())

    async def _read(self) -> None:
        while (message := await self._web.receive()) is not None:
            if len(message) > 1 and message[0] % 2 == 0 and message[0] // 2 in self._waiting:
                await self._waiting[message[0] // 2].put(message[1:])


@dataclass
class _Connection:
    """One forwarded connection: the pair of streams with the same request id."""

    port: int
    error_stream: int = 0
    data_stream: int = 0
    received: "asyncio.Queue[bytes | None]" = field(default_factory=lambda: asyncio.Queue(64))
    """What the client sent; None: it will send no more."""
    task: "asyncio.Task[None] | None" = None


class Tunnel:
    """SPDY/3.1 in binary messages."""

    def __init__(self, web: WebSocket, dial: Dial, pod: str) -> None:
        self._web = web
        self._dial = dial
        self._pod = pod
        self._framer = Framer()
        self._pairs: dict[str, _Connection] = {}
        self._by_data_stream: dict[int, _Connection] = {}

    async def run(self) -> None:
        """Until the client leaves."""
        try:
            async with asyncio.TaskGroup() as group:
                while (message := await self._web.receive()) is not None:
                    for frame in self._framer.receive(message):
                        await self._take(frame, group)
                for connection in self._by_data_stream.values():
                    if connection.task:
                        connection.task.cancel()
        except* SpdyError as broken:
            log.warning("a port-forward broke the protocol", pod=self._pod, error=str(broken.exceptions[0]))
            await self._web.close(PROTOCOL_ERROR, "malformed SPDY frame")
        await self._web.close()

    async def _take(self, frame: Frame, group: asyncio.TaskGroup) -> None:
        match frame:
            case Opened(stream, headers, _):
                await self._open(stream, dict(headers), group)
            case Data(stream, data, is_last) if stream in self._by_data_stream:
                received = self._by_data_stream[stream].received
                if data:
                    await received.put(data)
                if is_last:
                    await received.put(None)
            case Reset(stream) if stream in self._by_data_stream:
                connection = self._by_data_stream.pop(stream)
                if connection.task:
                    connection.task.cancel()
            case Ping(number):
                await self._web.send(self._framer.ping(number))
            case GoneAway() | Data() | Reset():
                pass

    async def _open(self, stream: int, headers: dict[str, str], group: asyncio.TaskGroup) -> None:
        kind, port = headers.get("streamtype", ""), headers.get("port", "")
        number = int(port) if port.isdigit() else 0
        if kind not in ("data", "error") or not 0 < number < 65536 or len(self._pairs) >= _MOST_STREAMS:
            await self._web.send(self._framer.reset(stream))
            return
        await self._web.send(self._framer.reply(stream))
        request = headers.get("requestid", str(stream))
        connection = self._pairs.setdefault(request, _Connection(number))
        if kind == "error":
            connection.error_stream = stream
        else:
            connection.data_stream = stream
            self._by_data_stream[stream] = connection
        if connection.error_stream and connection.data_stream:
            del self._pairs[request]
            connection.task = group.create_task(self._serve(connection))

    async def _serve(self, connection: _Connection) -> None:
        failure = b""
        try:
            with await self._dial(connection.port) as pod:
                sending = asyncio.create_task(self._send_to(pod, connection))
                try:
                    await self._receive_from(pod, connection)
                finally:
                    sending.cancel()
                    await asyncio.gather(sending, return_exceptions=True)
        except (OSError, ApiError) as error:
            failure = _told(connection.port, self._pod, error)
        finally:
            self._by_data_stream.pop(connection.data_stream, None)
        await self._web.send(self._framer.data(connection.error_stream, failure, is_last=True))
        await self._web.send(self._framer.data(connection.data_stream, b"", is_last=True))

    async def _receive_from(self, pod: socket.socket, connection: _Connection) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(pod, _CHUNK_BYTES):
            await self._web.send(self._framer.data(connection.data_stream, data))

    async def _send_to(self, pod: socket.socket, connection: _Connection) -> None:
        loop = asyncio.get_running_loop()
        while (data := await connection.received.get()) is not None:
            await loop.sock_sendall(pod, data)
        pod.shutdown(socket.SHUT_WR)


def _told(port: int, pod: str, error: Exception) -> bytes:
    why = os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else str(error)
    return f"error forwarding port {port} to pod {pod}: {why}".encode()
