"""Answers that come piece by piece."""

import asyncio

import pytest

from flowdeck.client.http import HttpClient
from flowdeck.client.kubeconfig import ClusterConfig
from flowdeck.clock import SystemClock


async def half_an_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    await writer.drain()
    writer.close()


async def read_into(came: list[bytes], client: HttpClient) -> None:
    async with client.stream("/log") as pieces:
        async for piece in pieces:
            came.append(piece)


async def test_an_answer_that_breaks_off_is_told_as_such_after_what_came() -> None:
    server = await asyncio.start_server(half_an_answer, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    came: list[bytes] = []
    async with server, HttpClient(ClusterConfig(server=f"http://{host}:{port}"), SystemClock()) as client:
        with pytest.raises(OSError, match="the answer to GET /log broke off"):
            await read_into(came, client)
    assert came == [b"hello"]
