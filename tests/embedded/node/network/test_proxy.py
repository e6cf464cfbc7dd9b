"""The way from pods to Services and to the world outside, which no pod can block for the others."""

import asyncio
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from structlog.testing import capture_logs

from flowdeck.embedded.node.network.proxy import Proxy, dial_from_machine


@contextmanager
def no_more_files() -> Iterator[None]:
    """This process cannot open another one."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"hello")
    writer.close()
    await writer.wait_closed()


async def test_a_proxy_without_free_files_waits_for_some() -> None:
    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    target = server.sockets[0].getsockname()[:2]
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        serving = asyncio.create_task(Proxy(dial_from_machine).serve(listener, lambda *_: target))
        client.setblocking(False)
        with no_more_files(), capture_logs() as told:
            await loop.sock_connect(client, listener.getsockname())
            while not told:  # noqa: ASYNC110 - the log sets no event
                await asyncio.sleep(0.01)
        assert told[0]["event"] == "there is no room for another connection of a pod"
        async with server, asyncio.timeout(30):
            assert await loop.sock_recv(client, 100) == b"hello"
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
