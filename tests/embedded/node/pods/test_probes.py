"""Probes: each kind of question, the numbers, and the gRPC health check against a real server."""

import asyncio
import socket
from collections.abc import Sequence

import pytest

from flowdeck.clock import FakeClock
from flowdeck.embedded.node.pods.probes import ProbeFailed, Rhythm, Tally, ask, port_of, probe_until

CONTAINER = {"name": "main", "ports": [{"name": "web", "containerPort": 8080}]}


class Reach:
    """The machine itself; commands answer as told."""

    def __init__(self, code: int = 0, output: bytes = b"") -> None:
        self._answer = (code, output)

    async def dial(self, host: str, port: int) -> socket.socket:
        connected = socket.socket()
        connected.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(connected, (host, port))
        except OSError:
            connected.close()
            raise
        return connected

    async def execute(self, command: Sequence[str]) -> tuple[int, bytes]:
        return self._answer


async def _server(answer: bytes) -> tuple[asyncio.Server, int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("status", "failure"),
    [("200 OK", ""), ("399 Odd", ""), ("404 Not Found", "HTTP probe failed with statuscode: 404"),
     ("503 No", "HTTP probe failed with statuscode: 503")],
)  # fmt: skip
async def test_http_wants_a_status_below_400(status: str, failure: str) -> None:
    server, port = await _server(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
    async with server:
        told = ""
        try:
            await ask({"httpGet": {"port": port, "path": "/ok"}}, CONTAINER, "127.0.0.1", Reach())
        except ProbeFailed as error:
            told = str(error)
    assert told == failure


@pytest.mark.parametrize(
    "answer",
    [b"x" * 70_000, b"HTTP/1.1 302 Found\r\nLocation: http://[\r\n\r\n",
     b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:99999/\r\n\r\n", b"HTTP/1.1 twohundred\r\n\r\n"],
    ids=["a-line-without-end", "an-address-that-is-none", "a-port-that-is-none", "a-status-that-is-none"],
)  # fmt: skip
async def test_rubbish_for_an_answer_is_a_failure_and_no_more(answer: bytes) -> None:
    server, port = await _server(answer)
    async with server:
        with pytest.raises(ProbeFailed, match=f'Get "http://127.0.0.1:{port}/": '):
            await ask({"httpGet": {"port": port}}, CONTAINER, "127.0.0.1", Reach())


@pytest.mark.parametrize(
    ("frame", "failure"),
    [
        pytest.param(b"\0\0\0\0\x08\0\0\0\1", "the answer is not HTTP/2", id="padding-that-is-not-there"),
        pytest.param(b"\xff\xff\xff\0\0\0\0\0\1", "the answer is not HTTP/2", id="a-frame-too-large"),
        pytest.param(b"\0\0\0\7\0\0\0\0\0", "the connection was closed", id="a-farewell"),
    ],
)
async def test_rubbish_for_grpc_is_a_failure_and_no_more(frame: bytes, failure: str) -> None:
    server, port = await _server(frame)
    async with server:
        with pytest.raises(ProbeFailed, match=failure):
            await ask({"grpc": {"port": port, "service": "s" * 300}}, CONTAINER, "127.0.0.1", Reach())


async def test_a_port_where_nobody_listens_is_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ProbeFailed, match=rf"dial tcp 127.0.0.1:{port}: connect: connection refused"):
        await ask({"tcpSocket": {"port": port}}, CONTAINER, "127.0.0.1", Reach())
    with pytest.raises(ProbeFailed, match="connection refused"):
        await ask({"httpGet": {"port": port}}, CONTAINER, "127.0.0.1", Reach())


async def test_a_command_must_end_well() -> None:
    await ask({"exec": {"command": ["x"]}}, CONTAINER, "", Reach(0))
    with pytest.raises(ProbeFailed, match="it is broken"):
        await ask({"exec": {"command": ["x"]}}, CONTAINER, "", Reach(1, b"it is broken\n"))


def test_ports_have_names() -> None:
    assert port_of("web", CONTAINER) == 8080
    assert port_of("9000", CONTAINER) == 9000
    with pytest.raises(ProbeFailed, match='couldn\'t find port "none" in container "main"'):
        port_of("none", CONTAINER)


def test_a_verdict_takes_as_many_answers_as_are_asked_for() -> None:
    rhythm = Rhythm.of({"failureThreshold": 3, "successThreshold": 2})
    tally = Tally(rhythm, None)
    answers = [(True, None), (True, True), (False, True), (False, True), (True, True), (False, True), (False, True)]
    for answer, verdict in answers:
        tally.add(answer)
        assert tally.verdict is verdict
    tally.add(False)
    assert tally.verdict is False


async def test_a_probe_waits_first_then_asks_every_period() -> None:
    clock = FakeClock()
    asked: list[float] = []
    verdicts: list[bool] = []

    async def ask_once() -> None:
        asked.append(clock.monotonic())
        if len(asked) < 3:
            raise ProbeFailed("no")

    async def on_answer(healthy: bool, text: str) -> None:
        return

    task = asyncio.create_task(
        probe_until(
            {"initialDelaySeconds": 5, "periodSeconds": 10, "failureThreshold": 9},
            started_at_s=0,
            clock=clock,
            ask_once=ask_once,
            on_answer=on_answer,
            on_verdict=lambda healthy, text: verdicts.append(healthy),
            stop_at=True,
        )
    )
    for _ in range(25):
        await clock.until_asleep()
        clock.advance(1)
    await task
    assert asked == [5, 15, 25]
    assert verdicts == [True]


def _h2(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


@pytest.mark.parametrize(
    ("message", "failure"),
    [
        pytest.param(b"\x08\x01", "", id="serving"),
        pytest.param(b"\x08\x02", 'service unhealthy (responded with "NOT_SERVING")', id="not serving"),
        pytest.param(None, "the service does not know this health check", id="no answer but trailers"),
    ],
)
async def test_grpc_health(message: bytes | None, failure: str) -> None:
    asked = b""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        writer.write(_h2(4, 0, 0))
        while b"svc" not in asked:
            asked += await reader.read(4096)
        writer.write(_h2(6, 0, 0, b"12345678") + _h2(1, 4, 1, b"\x88"))
        if message is not None:
            writer.write(_h2(0, 0, 1, b"\0" + len(message).to_bytes(4, "big") + message))
        writer.write(_h2(1, 5, 1, b"\x88"))
        await writer.drain()
        await reader.read()
        writer.close()
        served.set()

    served = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        told = ""
        try:
            await ask({"grpc": {"port": port, "service": "svc"}}, CONTAINER, "127.0.0.1", Reach())
        except ProbeFailed as error:
            told = str(error)
        await served.wait()
    assert told == failure
    assert asked.startswith(b"PRI * HTTP/2.0")
    assert b"/grpc.health.v1.Health/Check" in asked
