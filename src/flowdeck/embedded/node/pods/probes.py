"""Startup, readiness and liveness probes: asking once (`ask`), and asking again and again (`Prober`).

Source: kubernetes/kubernetes (pkg/kubelet/prober, pkg/probe).
"""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from flowdeck.clock import Clock
from flowdeck.embedded.node.pods.grpc_health import HealthError, check_health
from flowdeck.kube.objects import Tree

_LONGEST_BODY = 10 * 1024


class ProbeFailed(Exception):
    """The answer was no, or none; the text is what the `Unhealthy` event says."""


class Reach(Protocol):
    """How probes reach a container."""

    async def dial(self, host: str, port: int) -> socket.socket:
        """A connected socket, in the pod's network for its own address. Raises `OSError`."""
        ...

    async def execute(self, command: Sequence[str]) -> tuple[int, bytes]:
        """Runs a command in the container: exit code and output."""
        ...


async def ask(handler: Tree, container: Tree, pod_ip: str, reach: Reach) -> None:
    """Asks once, as `handler` (a probe, or a lifecycle hook) says. Raises `ProbeFailed`."""
    try:
        if exec_ := handler.get("exec"):
            await _execute(exec_.get("command") or [], reach)
        elif http := handler.get("httpGet"):
            await _get(http, container, pod_ip, reach)
        elif tcp := handler.get("tcpSocket"):
            port = port_of(tcp["port"], container)
            host = tcp.get("host") or pod_ip
            (await _connected(host, port, reach)).close()
        elif (grpc := handler.get("grpc")) is not None:
            await _check_grpc(grpc, pod_ip, reach)
    except (TimeoutError, OSError, HealthError) as error:
        raise ProbeFailed(str(error) or type(error).__name__) from error


async def _execute(command: Sequence[str], reach: Reach) -> None:
    code, output = await reach.execute(command)
    if code:
        raise ProbeFailed(output.decode(errors="replace").strip() or f"command exited with {code}")


def port_of(port: int | str, container: Tree) -> int:
    """A port by number, or by the name that the container gives it. Raises `ProbeFailed`."""
    if isinstance(port, int) or port.isdigit():
        return int(port)
    for entry in container.get("ports") or ():
        if entry.get("name") == port:
            return int(entry["containerPort"])
    raise ProbeFailed(f'couldn\'t find port "{port}" in container "{container["name"]}"')


async def _connected(host: str, port: int, reach: Reach) -> socket.socket:
    try:
        return await reach.dial(host, port)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(f"dial tcp {host}:{port}: connect: {why.lower()}") from error


async def _check_grpc(grpc: Tree, pod_ip: str, reach: Reach) -> None:
    port = int(grpc["port"])
    reader, writer = await asyncio.open_connection(sock=await _connected(pod_ip, port, reach))
    try:
        await check_health(reader, writer, authority=f"{pod_ip}:{port}", service=grpc.get("service") or "")
    finally:
        writer.close()


# ---- HTTP --------------------------------------------------------------------------------------------------------


async def _get(http: Tree, container: Tree, pod_ip: str, reach: Reach) -> None:
    scheme = (http.get("scheme") or "HTTP").lower()
    port = port_of(http["port"], container)
    host = http.get("host") or pod_ip
    path = http.get("path") or "/"
    headers = {entry["name"]: entry["value"] for entry in http.get("httpHeaders") or ()}
    for _ in range(10):
        try:
            status, location = await _request(scheme, host, port, path, headers, reach)
            target = urlsplit(location)
            next_port = target.port or port
        except (OSError, ValueError) as error:  # ValueError: a line that is too long, an address that is none
            raise ProbeFailed(f'Get "{scheme}://{host}:{port}{path}": {error}') from error
        if status not in (301, 302, 303, 307, 308) or (target.hostname and target.hostname != host):
            break
        path = target.path + (f"?{target.query}" if target.query else "")
        scheme, port = target.scheme or scheme, next_port
    if not 200 <= status < 400:
        raise ProbeFailed(f"HTTP probe failed with statuscode: {status}")


async def _request(
    scheme: str, host: str, port: int, path: str, headers: Mapping[str, str], reach: Reach
) -> tuple[int, str]:
    """Status and Location of one GET."""
    context = ssl._create_unverified_context() if scheme == "https" else None
    connected = await _connected(host, port, reach)
    reader, writer = await asyncio.open_connection(
        sock=connected, ssl=context, server_hostname=host if context else None
    )
    try:
        sent = {"Host": f"{host}:{port}", "User-Agent": "kube-probe/1.36", "Accept": "*/*", "Connection": "close"}
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in (sent | dict(headers)).items())]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        await writer.drain()
        words = (await reader.readline()).split()
        if len(words) < 2 or not words[1].isdigit():
            raise OSError("the answer is not HTTP")
        return int(words[1]), await _location(reader)
    finally:
        writer.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            await writer.wait_closed()


async def _location(reader: asyncio.StreamReader) -> str:
    location = ""
    with contextlib.suppress(ValueError):
        while (line := (await reader.readline()).strip()) and len(location) < _LONGEST_BODY:
            name, _, value = line.decode("latin-1").partition(":")
            if name.lower() == "location":
                location = value.strip()
    return location


# ---- again and again ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Rhythm:
    """The numbers of one probe."""

    initial_delay_s: float
    period_s: float
    timeout_s: float
    success_threshold: int
    failure_threshold: int

    @classmethod
    def of(cls, probe: Tree) -> "Rhythm":
        return cls(
            initial_delay_s=float(probe.get("initialDelaySeconds") or 0),
            period_s=float(probe.get("periodSeconds") or 10),
            timeout_s=float(probe.get("timeoutSeconds") or 1),
            success_threshold=int(probe.get("successThreshold") or 1),
            failure_threshold=int(probe.get("failureThreshold") or 3),
        )


@dataclass
class Tally:
    """Counts answers; tells when the verdict changes."""

    rhythm: Rhythm
    verdict: bool | None
    """True: healthy; None: not known yet."""
    _same: int = 0
    _last: bool | None = None

    def add(self, answer: bool) -> bool:
        """Takes one answer; says whether it is confirmed by as many as are needed."""
        self._same = self._same + 1 if answer is self._last else 1
        self._last = answer
        needed = self.rhythm.success_threshold if answer else self.rhythm.failure_threshold
        if self._same >= needed:
            self.verdict = answer
            return True
        return False


async def probe_until(
    probe: Tree,
    *,
    started_at_s: float,
    clock: Clock,
    ask_once: Callable[[], Awaitable[None]],
    on_answer: Callable[[bool, str], Awaitable[None]],
    on_verdict: Callable[[bool, str], None],
    stop_at: bool | None,
) -> None:
    """Asks every period; tells each answer and each confirmed verdict; ends at the verdict `stop_at`.

    `started_at_s` is the monotonic second at which the container started.
    """
    rhythm = Rhythm.of(probe)
    tally = Tally(rhythm, None)
    wait_s = started_at_s + rhythm.initial_delay_s - clock.monotonic()
    while True:
        await clock.sleep(wait_s)
        wait_s = rhythm.period_s
        text = ""
        try:
            async with asyncio.timeout(rhythm.timeout_s):
                await ask_once()
            healthy = True
        except ProbeFailed as error:
            healthy, text = False, str(error)
        except TimeoutError:
            healthy, text = False, f"command timed out after {rhythm.timeout_s:g}s"
        await on_answer(healthy, text)
        if tally.add(healthy):
            on_verdict(healthy, text)
            if healthy is stop_at:
                return
