"""Web hooks: others' servers, slow and talkative, at URLs that are secrets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from flowdeck.kube.errors import BadRequest, ServiceUnavailable
from flowdeck.web import webhooks
from flowdeck.web.webhooks import Webhooks

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def served(answer: Answer) -> AsyncIterator[str]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hooks/s3cret"


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says yes, and goes on talking."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n")
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Something comes all the time, but never an answer."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"x-a: b\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)


async def refusing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")


async def test_an_answer_is_not_read() -> None:
    async with served(endless) as url:
        await Webhooks().post(url, b"{}", "a")


async def test_the_whole_call_has_a_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "TIMEOUT_S", 0.5)
    async with served(slow) as url:
        with pytest.raises(ServiceUnavailable, match=r"within 0\.5 s") as told:
            await Webhooks().post(url, b"{}", "a")
    assert "s3cret" not in str(told.value)


async def test_a_refusal_tells_the_host_alone() -> None:
    async with served(refusing) as url:
        with pytest.raises(BadRequest, match=r"the web hook at http://127\.0\.0\.1 answers 404") as told:
            await Webhooks().post(url, b"{}", "a")
    assert "s3cret" not in str(told.value)


@pytest.mark.parametrize("url", ["s3cret", "ftp://host/s3cret", "http://host:s3cret/", "http://"])
async def test_what_is_no_url_is_told_without_it(url: str) -> None:
    with pytest.raises(BadRequest, match="is no http:// or https:// URL") as told:
        await Webhooks().post(url, b"{}", "a")
    assert "s3cret" not in str(told.value)


async def test_who_does_not_listen_is_told_later_and_by_his_host_alone() -> None:
    async with served(refusing) as url:
        pass
    with pytest.raises(ServiceUnavailable, match=r"the web hook at http://127\.0\.0\.1 does not answer") as told:
        await Webhooks().post(url, b"{}", "a")
    assert "s3cret" not in str(told.value)
