"""The HTTP server: what it answers to good, odd, slow and too many clients."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from flowdeck.http1.limits import Limits
from flowdeck.http1.server import HttpServer


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the method, the path and the body; `/pieces` in two pieces, `/broken` not at all."""
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        more = message["more_body"]
    if scope["path"] == "/broken":
        raise RuntimeError("broken")
    told = f"{scope['method']} {scope['path']} {len(body)}".encode()
    headers = [(b"content-type", b"text/plain")]
    if scope["path"] == "/pieces":
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": told, "more_body": True})
        await send({"type": "http.response.body", "body": b"!"})
        return
    headers.append((b"content-length", str(len(told)).encode()))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": told})


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def head(self) -> str:
        return (await self.reader.readuntil(b"\r\n\r\n")).decode()

    async def answer(self) -> tuple[str, bytes]:
        head = await self.head()
        length = next((int(line[15:]) for line in head.splitlines() if line.startswith("content-length:")), 0)
        return head, await self.reader.readexactly(length)

    def send(self, text: str | bytes) -> None:
        self.writer.write(text.encode() if isinstance(text, str) else text)

    async def rest(self) -> bytes:
        """What comes until the server hangs up."""
        return await self.reader.read()


Connect = Callable[[], Any]


@asynccontextmanager
async def serving(app: Any = echo, **limits: Any) -> AsyncIterator[Connect]:
    server = HttpServer(app, socket.create_server(("127.0.0.1", 0)), limits=Limits(**limits))
    running = asyncio.create_task(server.run())
    await server.wait_ready()
    clients: list[Client] = []

    async def connect() -> Client:
        clients.append(Client(*await asyncio.open_connection("127.0.0.1", server.port)))
        return clients[-1]

    try:
        yield connect
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        for client in clients:
            client.writer.close()


async def test_a_connection_serves_one_request_after_the_other() -> None:
    async with serving() as connect:
        client = await connect()
        for number in range(3):
            client.send(f"POST /a%20b?x={number} HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc")
            head, body = await client.answer()
            assert head.startswith("HTTP/1.1 200 OK\r\ndate: ")
            assert body == b"POST /a b 3"


async def test_requests_that_come_together_are_answered_in_order() -> None:
    async with serving() as connect:
        client = await connect()
        client.send("".join(f"GET /{number} HTTP/1.1\r\n\r\n" for number in range(5)))
        assert [(await client.answer())[1] for _ in range(5)] == [b"GET /%d 0" % number for number in range(5)]


async def test_a_long_body_is_read_whole() -> None:
    async with serving() as connect:
        client = await connect()
        client.send(b"PUT /long HTTP/1.1\r\ncontent-length: 3000000\r\n\r\n" + b"x" * 3_000_000)
        assert (await client.answer())[1] == b"PUT /long 3000000"


async def test_an_answer_without_length_is_chunked() -> None:
    async with serving() as connect:
        client = await connect()
        client.send("GET /pieces HTTP/1.1\r\n\r\n")
        assert "transfer-encoding: chunked" in await client.head()
        assert await client.reader.readexactly(len(b"d\r\nGET /pieces 0\r\n1\r\n!\r\n0\r\n\r\n")) == (
            b"d\r\nGET /pieces 0\r\n1\r\n!\r\n0\r\n\r\n"
        )


async def test_an_old_client_gets_its_answer_until_the_connection_ends() -> None:
    async with serving() as connect:
        client = await connect()
        client.send("GET /pieces HTTP/1.0\r\n\r\n")
        head, _, body = (await client.rest()).partition(b"\r\n\r\n")
        assert b"connection: close" in head
        assert body == b"GET /pieces 0!"


async def test_a_head_has_no_body() -> None:
    async with serving() as connect:
        client = await connect()
        client.send("HEAD /x HTTP/1.1\r\n\r\nGET /y HTTP/1.1\r\n\r\n")
        assert "content-length: 9" in await client.head()
        assert (await client.answer())[1] == b"GET /y 0"


async def test_who_asks_to_close_is_hung_up_on() -> None:
    async with serving() as connect:
        client = await connect()
        client.send("GET /x HTTP/1.1\r\nconnection: close\r\n\r\n")
        assert (await client.rest()).endswith(b"GET /x 0")


async def test_who_waits_to_be_told_to_go_on_is_told() -> None:
    async with serving() as connect:
        client = await connect()
        client.send("POST /x HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        assert await client.head() == "HTTP/1.1 100 Continue\r\n\r\n"
        client.send("ab")
        assert (await client.answer())[1] == b"POST /x 2"


async def test_an_application_that_fails_is_a_500() -> None:
    async with serving() as connect:
        client = await connect()
        client.send("GET /broken HTTP/1.1\r\n\r\n")
        assert (await client.head()).startswith("HTTP/1.1 500 Internal Server Error")


@pytest.mark.parametrize("text", ["nonsense\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n"])
async def test_what_is_no_http_is_a_bad_request(text: str) -> None:
    async with serving() as connect:
        client = await connect()
        client.send(text)
        assert (await client.rest()).startswith(b"HTTP/1.1 400 Bad Request")


async def test_endless_headers_are_cut_off() -> None:
    async with serving(head_bytes=4096) as connect:
        client = await connect()
        client.send("GET / HTTP/1.1\r\n" + "".join(f"h{number}: {'x' * 100}\r\n" for number in range(60)))
        assert (await client.rest()).startswith(b"HTTP/1.1 431 Request Header Fields Too Large")


async def test_one_connection_too_many_is_told_to_come_back() -> None:
    async with serving(connections=1) as connect:
        first = await connect()
        first.send("GET /x HTTP/1.1\r\n\r\n")
        await first.answer()
        told = (await (await connect()).rest()).decode()
        assert told.startswith("HTTP/1.1 429 Too Many Requests")
        assert "retry-after: 1" in told
        assert told.endswith("Too many requests, please try again later.")


@pytest.mark.parametrize("text", ["", "GET / HTTP/1.1\r\nhost: slow"])
async def test_who_does_not_finish_a_head_is_hung_up_on(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowdeck.http1.server._LOOK_S", 0.02)
    async with serving(head_s=0.05) as connect:
        client = await connect()
        client.send(text)
        assert await client.rest() == b""


async def test_an_answer_on_its_way_is_finished_when_the_server_ends() -> None:
    reached, go = asyncio.Event(), asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        reached.set()
        await go.wait()
        await echo(scope, receive, send)

    async with serving(slow) as connect:
        client = await connect()
        client.send("GET /late HTTP/1.1\r\n\r\n")
        await reached.wait()
        asyncio.get_running_loop().call_later(0.05, go.set)
        told = asyncio.create_task(client.rest())
    assert (await told).endswith(b"GET /late 0")


async def test_an_application_learns_that_its_client_is_gone() -> None:
    gone = asyncio.Event()

    async def waits(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    async with serving(waits) as connect:
        client = await connect()
        client.send("GET / HTTP/1.1\r\n\r\n")
        client.writer.close()
        await asyncio.wait_for(gone.wait(), 5)


async def test_who_does_not_take_his_answer_is_hung_up_on() -> None:
    ended = asyncio.Event()

    async def flood(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": bytes(64 * 1024), "more_body": True})
        ended.set()

    async with serving(flood, send_s=0.2) as connect:
        client = await connect()
        client.send("GET / HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(20):
            await ended.wait()
        try:
            taken = len(await client.rest())
        except ConnectionResetError:
            taken = 0
        assert taken < 1000 * 64 * 1024


async def test_rubbish_behind_a_request_does_not_get_into_its_answer() -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass

    async with serving(slow) as connect:
        client = await connect()
        client.send("GET / HTTP/1.1\r\n\r\n")
        await client.head()
        assert await client.reader.readexactly(5) == b"begun"
        client.send("\x00rubbish\r\n\r\n")
        assert await client.rest() == b""
