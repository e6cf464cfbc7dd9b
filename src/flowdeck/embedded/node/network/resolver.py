"""The DNS server of the pods: cluster names from `names.py`, all others from the machine's resolver."""

import asyncio
import socket
import struct
from collections.abc import Sequence
from pathlib import Path

from flowdeck.embedded.node.network import dns
from flowdeck.embedded.node.network.names import Answer, Verdict, look_up
from flowdeck.embedded.node.network.services import Services

_WAIT_FOR_POD_S = 2.0
_FORWARD_TIMEOUT_S = 3.0
_TCP_IDLE_S = 10.0
_MOST_AT_ONCE = 512


class Resolver:
    """Answers on sockets that the network opened for it."""

    def __init__(self, services: Services, domain: str, upstream: Sequence[str]) -> None:
        self._services = services
        self._domain = domain
        self._upstream = upstream
        self._changed = asyncio.Event()
        self._busy = asyncio.Semaphore(_MOST_AT_ONCE)

    def changed(self) -> None:
        """Wakes the questions that wait for a pod's address."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def serve_datagrams(self, sock: socket.socket) -> None:
        """Answers UDP questions until cancelled; closes the socket then."""
        loop = asyncio.get_running_loop()
        with sock:
            async with asyncio.TaskGroup() as group:
                while True:
                    message, client = await loop.sock_recvfrom(sock, 4096)
                    await self._busy.acquire()
                    group.create_task(self._answer_datagram(sock, message, client))

    async def serve_streams(self, sock: socket.socket) -> None:
        """Answers TCP questions until cancelled."""
        server = await asyncio.start_server(self._talk, sock=sock)
        async with server:
            await server.serve_forever()

    async def answer(self, message: bytes, *, limit: int = 65535) -> bytes | None:
        """The answer to one message; None for what is no question at all."""
        try:
            question = dns.read_question(message)
        except dns.BadMessage:
            return None
        found = await self._look_up(question.name)
        if found.verdict is Verdict.OUTSIDE:
            return await self._forward(message, question, limit)
        if found.verdict in (Verdict.MISSING, Verdict.NOT_YET):
            return dns.reply(question, dns.NAME_ERROR, authority=self._domain)
        answers = await self._records(question, found)
        full = dns.reply(question, dns.NO_ERROR, answers, authority=self._domain)
        return full if len(full) <= limit else dns.truncated(question)

    async def _look_up(self, name: str) -> Answer:
        found = look_up(name, self._services, self._domain)
        try:
            async with asyncio.timeout(_WAIT_FOR_POD_S):
                while found.verdict is Verdict.NOT_YET:
                    await self._changed.wait()
                    found = look_up(name, self._services, self._domain)
        except TimeoutError:
            pass
        return found

    async def _records(self, question: dns.Question, found: Answer) -> list[dns.Record]:
        name, records = question.name, []
        if question.kind in (dns.A, dns.ANY):
            records += [dns.address(name, ip) for ip in found.addresses]
        if question.kind in (dns.SRV, dns.ANY):
            records += [dns.service(name, each.port, each.target) for each in found.services]
        if question.kind in (dns.PTR, dns.ANY) and found.pointer:
            records.append(dns.pointer(name, found.pointer))
        if found.alias:
            records.append(dns.alias(name, found.alias))
            if question.kind == dns.A:
                records += [dns.address(found.alias, ip) for ip in await self._addresses_of(found.alias)]
        return records

    async def _addresses_of(self, name: str) -> list[str]:
        inside = await self._look_up(name)
        if inside.verdict is not Verdict.OUTSIDE:
            return list(inside.addresses)
        try:
            infos = await asyncio.get_running_loop().getaddrinfo(name, None, family=socket.AF_INET)
        except OSError:
            return []
        return list(dict.fromkeys(str(info[4][0]) for info in infos))

    async def _forward(self, message: bytes, question: dns.Question, limit: int) -> bytes:
        for server in self._upstream:
            try:
                async with asyncio.timeout(_FORWARD_TIMEOUT_S):
                    told = await _ask_over_udp(server, message)
                    if told[2] & 0x02 and limit == 65535:
                        told = await _ask_over_tcp(server, message)
                    return told
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                continue
        return dns.reply(question, dns.SERVER_FAILURE if self._upstream else dns.NAME_ERROR)

    async def _answer_datagram(self, sock: socket.socket, message: bytes, client: object) -> None:
        try:
            told = await self.answer(message, limit=1232)
            if told is not None:
                await asyncio.get_running_loop().sock_sendto(sock, told, client)  # type: ignore[arg-type]
        except OSError:
            pass  # the client is gone
        finally:
            self._busy.release()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                async with asyncio.timeout(_TCP_IDLE_S):
                    (length,) = struct.unpack("!H", await reader.readexactly(2))
                    message = await reader.readexactly(length)
                told = await self.answer(message)
                if told is None:
                    return
                writer.write(struct.pack("!H", len(told)) + told)
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # the client is gone
        finally:
            writer.close()


def machine_resolvers(file: Path = Path("/etc/resolv.conf")) -> list[str]:
    """The IPv4 name servers of the machine."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return []
    words = [line.split() for line in lines]
    return [word[1] for word in words if len(word) > 1 and word[0] == "nameserver" and ":" not in word[1]]


async def _ask_over_udp(server: str, message: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as sock:
        sock.connect((server, 53))
        await loop.sock_sendall(sock, message)
        while True:
            told = await loop.sock_recv(sock, 65535)
            if len(told) >= 12 and told[:2] == message[:2]:
                return told


async def _ask_over_tcp(server: str, message: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(server, 53)
    try:
        writer.write(struct.pack("!H", len(message)) + message)
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        return await reader.readexactly(length)
    finally:
        writer.close()
