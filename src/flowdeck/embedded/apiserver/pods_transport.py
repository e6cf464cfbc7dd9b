"""HTTP to pods and to everybody else. Loads httpx: imported when it is needed."""

import asyncio
import ssl
from collections.abc import Iterable
from typing import Any

import httpcore
import httpx

from flowdeck.embedded.apiserver.pods_network import ToPod


class Transport(httpx.AsyncHTTPTransport):
    """httpx's own transport, but for how connections to pods are made."""

    def __init__(self, tls: ssl.SSLContext, to_pod: ToPod, *, kept: int = 0) -> None:
        """`kept` is how many idle connections are kept for the next request; with 0 there is nothing to close."""
        super().__init__(verify=tls, trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(  # httpx has no argument for the way that connections are made
            ssl_context=tls, max_connections=None, max_keepalive_connections=kept, network_backend=_Network(to_pod)
        )


# httpcore names the arguments
# ruff: noqa: ASYNC109


class _Network(httpcore.AnyIOBackend):
    def __init__(self, to_pod: ToPod) -> None:
        self._to_pod = to_pod

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        if not 0 < port <= 65535:  # any number may stand in a URL
            raise httpcore.ConnectError(f"dial tcp: address {port}: invalid port")
        try:
            async with asyncio.timeout(timeout):
                talk = await self._to_pod(host, port)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"no answer from {host}:{port}") from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        if talk is None:
            return await super().connect_tcp(host, port, timeout, local_address, socket_options)
        return _Stream(*await asyncio.open_connection(sock=talk))


class _Stream(httpcore.AsyncNetworkStream):
    """asyncio's streams, in httpcore's words."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            async with asyncio.timeout(timeout):
                return await self._reader.read(max_bytes)
        except TimeoutError as error:
            raise httpcore.ReadTimeout from error
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            self._writer.write(buffer)
            async with asyncio.timeout(timeout):
                await self._writer.drain()
        except TimeoutError as error:
            raise httpcore.WriteTimeout from error
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    async def aclose(self) -> None:
        self._writer.close()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                await self._writer.start_tls(ssl_context, server_hostname=server_hostname)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout from error
        except OSError as error:  # of SSL, too
            raise httpcore.ConnectError(str(error)) from error
        return self

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":  # nothing is read beside an answer, so a kept connection says nothing until it ends
            return self._reader.at_eof()
        return self._writer.get_extra_info(info)
