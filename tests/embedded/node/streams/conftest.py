"""The kubelet's API over real TLS, on a runtime that runs plain processes of this machine."""

import asyncio
import contextlib
import os
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Collection, Sequence
from pathlib import Path

import httpx
import pytest
import websockets
from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from flowdeck.clock import SystemClock
from flowdeck.embedded.apiserver import pki
from flowdeck.embedded.node.access import Access
from flowdeck.embedded.node.sandbox.child import resize
from flowdeck.embedded.node.server import KubeletApi, tls_context
from flowdeck.embedded.node.streams.machine_usage import MachineUsage
from flowdeck.embedded.node.streams.port_forward import TUNNEL
from flowdeck.http1.server import HttpServer
from flowdeck.kube.errors import NotFound
from flowdeck.kube.objects import ObjectKey, Tree
from tests.world.world import World


class Process:
    """`Streams` of a real process, on pipes or on a terminal."""

    failure = ""

    def __init__(self, process: asyncio.subprocess.Process, terminal: int | None) -> None:
        self._process = process
        self._terminal = terminal

    @classmethod
    async def start(cls, command: Sequence[str], *, tty: bool) -> "Process":
        if not tty:
            pipe = asyncio.subprocess.PIPE
            return cls(await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe), None)
        master, slave = os.openpty()
        process = await asyncio.create_subprocess_exec(
            "setsid", "-c", "-w", *command, stdin=slave, stdout=slave, stderr=slave
        )
        os.close(slave)
        return cls(process, master)

    async def write_stdin(self, data: bytes) -> None:
        if self._terminal is not None:
            os.write(self._terminal, data)
            return
        assert self._process.stdin
        self._process.stdin.write(data)
        await self._process.stdin.drain()

    async def close_stdin(self) -> None:
        if self._process.stdin:
            self._process.stdin.close()

    async def resize(self, width: int, height: int) -> None:
        if self._terminal is not None:
            resize(self._terminal, width, height)

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        queue: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()

        async def pump(number: int, reader: asyncio.StreamReader) -> None:
            while data := await reader.read(65536):
                await queue.put((number, data))
            await queue.put((number, b""))

        def read_terminal() -> bytes:
            assert self._terminal is not None
            try:
                return os.read(self._terminal, 65536)
            except OSError:
                return b""

        if self._terminal is not None:
            while data := await asyncio.to_thread(read_terminal):
                yield 1, data
            os.close(self._terminal)
            return
        assert self._process.stdout
        assert self._process.stderr
        pumps = [asyncio.create_task(pump(1, self._process.stdout)), asyncio.create_task(pump(2, self._process.stderr))]
        open_ends = 2
        while open_ends:
            number, data = await queue.get()
            open_ends -= not data
            if data:
                yield number, data
        await asyncio.gather(*pumps)

    async def wait(self) -> int:
        code = await self._process.wait()
        return code if code >= 0 else 128 - code

    async def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)


class MachineRuntime:
    """`Runtime` whose one pod, `default/web` with container `main`, is this machine."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "0.log"
        self.runs = True
        self.started: list[Process] = []

    def _check(self, pod: ObjectKey, container: str = "main") -> None:
        if pod != ("default", "web") or container != "main":
            raise NotFound(f'pod "{pod.name}" not found')

    async def log_files(self, pod: ObjectKey, container: str, *, previous: bool) -> Sequence[Path]:
        self._check(pod, container)
        older = sorted(self.log.parent.glob("0.log.*"), key=lambda path: -int(path.suffix[1:]))
        return [*older, self.log]

    async def past_log_files(self, pod: ObjectKey, container: str) -> Sequence[Path]:
        raise NotFound(f'no log of pod "{pod.name}" is kept')

    async def running(self, pod: ObjectKey) -> Collection[str]:
        return ["main"] if self.runs and pod == ("default", "web") else []

    async def exec(self, pod: ObjectKey, container: str, command: Sequence[str], *, tty: bool, stdin: bool) -> Process:
        self._check(pod, container)
        self.started.append(await Process.start(command, tty=tty))
        if not stdin:
            await self.started[-1].close_stdin()
        return self.started[-1]

    async def attach(self, pod: ObjectKey, container: str, *, stdin: bool, tty: bool) -> Process:
        self._check(pod, container)
        return self.started[-1]

    async def dial(self, pod: ObjectKey, port: int) -> tuple[int, str]:
        self._check(pod)
        sock = socket.socket()
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        except OSError:
            sock.close()
            raise
        return sock.detach(), "127.0.0.1"

    async def usage(self) -> Sequence[Tree]:
        container = {
            "name": "main", "startTime": "2026-01-01T00:00:00Z", "cpuNanoCores": 5, "cpuNanoSeconds": 2_000_000_000,
            "memoryBytes": 2048, "memoryWorkingSetBytes": 1024,
        }  # fmt: skip
        return [{
            "namespace": "default", "name": "web", "uid": "u1", "startTime": "2026-01-01T00:00:00Z",
            "containers": [container],
        }]  # fmt: skip


class Kubelet:
    """A running server, and a client of it."""

    def __init__(self, runtime: MachineRuntime, keys: pki.Pki, port: int) -> None:
        self.runtime = runtime
        self.keys = keys
        self.port = port
        self.tls = pki.client_context(keys, keys.kubelet_client)
        self.http = httpx.AsyncClient(base_url=f"https://127.0.0.1:{port}", verify=self.tls)

    def dial(self, path: str, *protocols: str, tls: ssl.SSLContext | None = None) -> "websockets.connect":
        return websockets.connect(
            f"wss://127.0.0.1:{self.port}{path}", ssl=tls or self.tls, subprotocols=list(protocols) or None,  # type: ignore[arg-type]
            proxy=None,
        )  # fmt: skip


class _AnyName(ClientProtocol):
    """Offers and takes a sub-protocol whose name is no token, as kubectl's library does."""

    def process_subprotocol(self, headers: Headers) -> None:
        assert headers["Sec-WebSocket-Protocol"] == TUNNEL


class TunnelClient:
    """A WebSocket with kubectl's sub-protocol for port-forward."""

    def __init__(self, kubelet: Kubelet, path: str) -> None:
        self._kubelet = kubelet
        self._protocol = _AnyName(parse_uri(f"wss://127.0.0.1:{kubelet.port}{path}"))
        self.close_code: int | None = None
        self._events: list[object] = []

    async def __aenter__(self) -> "TunnelClient":
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", self._kubelet.port, ssl=self._kubelet.tls
        )
        request = self._protocol.connect()
        request.headers["Sec-WebSocket-Protocol"] = TUNNEL
        self._protocol.send_request(request)
        self._flush()
        while self._protocol.state is State.CONNECTING:
            self._protocol.receive_data(await self._reader.read(65536))
        assert self._protocol.handshake_exc is None
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        with contextlib.suppress(ssl.SSLError):  # data that was on its way
            await self._writer.wait_closed()

    async def send(self, data: bytes) -> None:
        self._protocol.send_binary(data)
        self._flush()

    async def recv(self) -> bytes:
        """The next message; empty when the server has closed."""
        while True:
            self._events += self._protocol.events_received()
            while self._events:
                event = self._events.pop(0)
                if isinstance(event, Frame) and event.opcode is Opcode.BINARY:
                    return bytes(event.data)
                if isinstance(event, Frame) and event.opcode is Opcode.CLOSE:
                    assert self._protocol.close_rcvd
                    self.close_code = self._protocol.close_rcvd.code
                    return b""
            data = await self._reader.read(65536)
            if not data:
                return b""
            self._protocol.receive_data(data)
            self._flush()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            self._writer.write(data)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> pki.Pki:
    return pki.prepare(tmp_path_factory.mktemp("pki") / "pki", node="here", now=SystemClock().now())


@pytest.fixture
async def kubelet(tmp_path: Path, keys: pki.Pki, world: World) -> AsyncIterator[Kubelet]:
    runtime = MachineRuntime(tmp_path)
    clock = SystemClock()
    api = KubeletApi(
        runtime=runtime,
        access=Access(world.client, clock, "here"),
        clock=clock,
        machine=MachineUsage("here", tmp_path, clock),
        metrics=lambda: "up 1\n",
    )
    server = HttpServer(api, socket.create_server(("127.0.0.1", 0)), tls_context(keys.kubelet, keys.ca.read_text()))
    running = asyncio.create_task(server.run())
    await server.wait_ready()
    kubelet = Kubelet(runtime, keys, server.port)
    async with kubelet.http:
        yield kubelet
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def channels_of(connection: ClientConnection) -> dict[int, bytes]:
    """Everything that came on each channel until the server closed."""
    found: dict[int, bytes] = {}
    async for message in connection:
        assert isinstance(message, bytes)
        found[message[0]] = found.get(message[0], b"") + message[1:]
    return found
