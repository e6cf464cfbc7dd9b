"""A small HTTP/1.1 client over TLS that costs little: many requests on few connections."""

import asyncio
import json
import ssl
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from flowdeck.client.kubeconfig import load_kubeconfig

Request = Callable[[int, int], bytes]
"""`(client, number) -> request`, headers and body."""


def post(host: str, path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nAccept: application/json\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


def get(host: str, path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\n\r\n".encode()


def config_map(name: str, size: int = 4000) -> bytes:
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"text": "x" * size}}
    return json.dumps(obj).encode()


async def run(kubeconfig: Path, clients: int, each: int, request: Request) -> tuple[float, Sequence[float]]:
    """Sends `each` requests on each of `clients` connections; gives the seconds in all and of each request."""
    config = load_kubeconfig(kubeconfig)
    context = config.ssl_context()
    took: list[float] = []
    began = time.perf_counter()
    await asyncio.gather(*(_client(config.server, context, number, each, request, took) for number in range(clients)))
    return time.perf_counter() - began, took


async def _client(
    server: str, context: ssl.SSLContext | None, number: int, each: int, request: Request, took: list[float]
) -> None:
    address = urlsplit(server)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, ssl=context, limit=2**26)
    try:
        for index in range(each):
            began = time.perf_counter()
            writer.write(request(number, index))
            await _answer(reader)
            took.append(time.perf_counter() - began)
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head[9:12])
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), None)
    body = await _chunks(reader) if length is None else await reader.readexactly(length)
    if status >= 400:
        raise RuntimeError(f"the server answered {status}: {body[:300]!r}")
    return body


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    """A body whose length is told piece by piece."""
    body = bytearray()
    while size := int(await reader.readline(), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readline()
    return bytes(body)
