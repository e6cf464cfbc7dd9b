"""The kubelet's HTTPS API, on top of `Runtime`: logs, exec, attach, port-forward, statistics.

Who may ask: access.py. Streams are WebSockets.
Source: kubernetes/kubernetes (pkg/kubelet/server/server.go).
"""

import asyncio
import contextlib
import socket
import ssl
import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import msgspec
import structlog

from flowdeck.clock import Clock
from flowdeck.embedded.node.access import Access
from flowdeck.embedded.node.contract import Runtime
from flowdeck.embedded.node.streams import port_forward, terminal
from flowdeck.embedded.node.streams.file_events import FolderEvents
from flowdeck.embedded.node.streams.logs import LogOptions, read_log
from flowdeck.embedded.node.streams.machine_usage import MachineUsage
from flowdeck.embedded.node.streams.usage import resource_metrics, summary
from flowdeck.embedded.node.streams.web_socket import WebSocket
from flowdeck.http1.asgi import Message, Receive, Scope, Send
from flowdeck.kube.errors import ApiError, BadRequest, MethodNotAllowed, NotFound
from flowdeck.kube.objects import ObjectKey, Tree
from flowdeck.kube.times import parse_time

log = structlog.get_logger()

_TRUE = {"1", "t", "T", "true", "True", "TRUE"}


def tls_context(certificate: Path, authorities: str) -> ssl.SSLContext:
    """TLS of the kubelet's API: `certificate` (PEM with its key) is ours, `authorities` (PEM) sign the API server's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate)
    context.load_verify_locations(cadata=authorities)
    context.verify_mode = ssl.CERT_OPTIONAL  # without one: a 401 that can be read
    context.set_alpn_protocols(["http/1.1"])
    return context


@dataclass(frozen=True)
class Asked:
    """A request, taken apart."""

    scope: Scope
    receive: Receive
    send: Send
    parts: Sequence[str]
    """The path's segments after the first."""
    query: Mapping[str, Sequence[str]]

    def text(self, name: str) -> str:
        return self.query.get(name, [""])[0]

    def flag(self, *names: str) -> bool:
        return any(self.text(name) in _TRUE for name in names)

    def number(self, name: str) -> int | None:
        text = self.text(name)
        if not text:
            return None
        if not text.isdigit():
            raise BadRequest(f"{name} must be a number that is not negative, got {text!r}")
        return int(text)

    @property
    def is_web_socket(self) -> bool:
        return bool(self.scope["type"] == "websocket")


@dataclass(frozen=True)
class KubeletApi:
    """An ASGI application. `pods` gives the pods of this node for `/pods`."""

    runtime: Runtime
    access: Access
    clock: Clock
    machine: MachineUsage
    pods: Callable[[], Sequence[Tree]] = lambda: ()
    metrics: Callable[[], str] = lambda: ""
    """The node process's own metrics, in Prometheus' text format."""
    _events: FolderEvents = field(default_factory=FolderEvents)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = [urllib.parse.unquote(part) for part in scope["path"].strip("/").split("/")]
        query = urllib.parse.parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        asked = Asked(scope, receive, send, path[1:], query)
        try:
            await self.access.check(scope)
            handler = self._handlers().get(path[0])
            if handler is None:
                raise NotFound("404 page not found")
            await handler(asked)
        except ApiError as error:
            await _refuse(asked, error)

    def _handlers(self) -> dict[str, Callable[[Asked], Awaitable[None]]]:
        return {
            "healthz": self._healthz,
            "pods": self._pods,
            "containerLogs": self._logs,
            "pastLogs": self._past_logs,
            "exec": self._exec,
            "attach": self._attach,
            "portForward": self._port_forward,
            "stats": self._stats,
            "metrics": self._metrics,
            "configz": self._configz,
        }

    # plain answers

    async def _healthz(self, asked: Asked) -> None:
        await _reply(asked, b"ok", "text/plain; charset=utf-8")

    async def _pods(self, asked: Asked) -> None:
        await _reply_json(asked, {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": list(self.pods())})

    async def _configz(self, asked: Asked) -> None:
        await _reply_json(asked, {"kubeletconfig": {"kind": "KubeletConfiguration"}})

    async def _stats(self, asked: Asked) -> None:
        if list(asked.parts) != ["summary"]:
            raise NotFound("404 page not found")
        await _reply_json(asked, summary(self.machine.look(), await self.runtime.usage(), self.clock.now()))

    async def _metrics(self, asked: Asked) -> None:
        match asked.parts:
            case []:
                text = self.metrics()
            case ["resource"]:
                text = resource_metrics(self.machine.look(), await self.runtime.usage())
            case _:
                raise NotFound("404 page not found")
        await _reply(asked, text.encode(), "text/plain; version=0.0.4; charset=utf-8")

    # streams

    async def _logs(self, asked: Asked) -> None:
        pod, container = _pod_and_container(asked)
        options = _log_options(asked, self.clock)
        previous = asked.flag("previous")
        files = await self.runtime.log_files(pod, container, previous=previous)

        async def ended(followed: Path) -> bool:
            if previous or container not in await self.runtime.running(pod):
                return True
            return list(await self.runtime.log_files(pod, container, previous=False))[-1:] != [followed]

        await _start_reply(asked, 200, "text/plain")
        async with contextlib.aclosing(read_log(files, options, ended=ended, events=self._events)) as pieces:
            await _send_while_wanted(asked, pieces)

    async def _past_logs(self, asked: Asked) -> None:
        pod, container = _pod_and_container(asked)
        files = await self.runtime.past_log_files(pod, container)

        async def ended(followed: Path) -> bool:
            return True

        await _start_reply(asked, 200, "text/plain")
        options = _log_options(asked, self.clock)
        async with contextlib.aclosing(read_log(files, options, ended=ended, events=self._events)) as pieces:
            await _send_while_wanted(asked, pieces)

    async def _exec(self, asked: Asked) -> None:
        pod, container = _pod_and_container(asked)
        command = list(asked.query.get("command", ()))
        if not command:
            raise BadRequest("you must specify at least 1 command for the container")
        _check_streams(asked)
        if container not in await self.runtime.running(pod):
            await _refuse_stream(asked, f'container not found ("{container}")')
            return
        socket_ = _web_socket(asked)
        streams = await self.runtime.exec(
            pod, container, command, tty=asked.flag("tty"), stdin=asked.flag("input", "stdin")
        )
        protocol = terminal.choose(socket_.offered)
        await socket_.accept(protocol)
        talk = terminal.Terminal(socket_, protocol, streams)
        await talk.run(terminal.FailureOf(command), kill_when_left=True)

    async def _attach(self, asked: Asked) -> None:
        pod, container = _pod_and_container(asked)
        _check_streams(asked)
        if container not in await self.runtime.running(pod):
            await _refuse_stream(asked, f"container {container} not found in pod {pod.name}_{pod.namespace}")
            return
        socket_ = _web_socket(asked)
        streams = await self.runtime.attach(pod, container, stdin=asked.flag("input", "stdin"), tty=asked.flag("tty"))
        protocol = terminal.choose(socket_.offered)
        await socket_.accept(protocol)
        await terminal.Terminal(socket_, protocol, streams).run(terminal.FailureOf(()), kill_when_left=False)

    async def _port_forward(self, asked: Asked) -> None:
        if len(asked.parts) not in (2, 3):
            raise NotFound("404 page not found")
        pod = ObjectKey(asked.parts[0], asked.parts[1])
        if not await self.runtime.running(pod):
            await _refuse_stream(asked, f'pod not found ("{pod.name}_{pod.namespace}")')
            return
        socket_ = _web_socket(asked)

        async def dial(port: int) -> socket.socket:
            fd, _ = await self.runtime.dial(pod, port)
            connected = socket.socket(fileno=fd)
            connected.setblocking(False)
            return connected

        if port_forward.TUNNEL in socket_.offered:
            await socket_.accept(port_forward.TUNNEL)
            await port_forward.Tunnel(socket_, dial, str(pod)).run()
            return
        ports = _ports(asked)
        protocol = next((each for each in socket_.offered if each in port_forward.CHANNELS), None)
        await socket_.accept(protocol)
        await port_forward.Channels(socket_, ports, dial, str(pod)).run()


def _pod_and_container(asked: Asked) -> tuple[ObjectKey, str]:
    """`/<ns>/<pod>/<container>`, or with the pod's uid before the container."""
    if len(asked.parts) not in (3, 4):
        raise NotFound("404 page not found")
    return ObjectKey(asked.parts[0], asked.parts[1]), asked.parts[-1]


def _log_options(asked: Asked, clock: Clock) -> LogOptions:
    since = None
    if seconds := asked.number("sinceSeconds"):
        since = clock.now() - timedelta(seconds=seconds)
    elif text := asked.text("sinceTime"):
        try:
            since = parse_time(text)
        except ValueError as error:
            raise BadRequest(f"unable to parse sinceTime: {error}") from error
    return LogOptions(
        follow=asked.flag("follow"),
        tail_lines=asked.number("tailLines"),
        limit_bytes=asked.number("limitBytes"),
        since=since,
        timestamps=asked.flag("timestamps"),
        stream={"Stdout": "stdout", "Stderr": "stderr"}.get(asked.text("stream"), ""),
    )


def _check_streams(asked: Asked) -> None:
    if not asked.flag("input", "stdin", "output", "stdout", "error", "stderr"):
        raise BadRequest("you must specify at least 1 of stdin, stdout, stderr")


def _ports(asked: Asked) -> list[int]:
    texts = [text for name in ("port", "ports") for value in asked.query.get(name, ()) for text in value.split(",")]
    if not texts:
        raise BadRequest('query parameter "port" is required')
    if bad := [text for text in texts if not text.isdigit() or not 0 < int(text) < 65536]:
        raise BadRequest(f"invalid port {bad[0]!r}")
    return [int(text) for text in texts]


def _web_socket(asked: Asked) -> WebSocket:
    if not asked.is_web_socket:
        raise BadRequest("Upgrade request required: this node streams over WebSocket")
    return WebSocket(asked.scope, asked.receive, asked.send)


async def _send_while_wanted(asked: Asked, pieces: AsyncIterator[bytes]) -> None:
    """Sends a body piece by piece; stops when the client leaves, however quiet the log is."""

    async def send_all() -> None:
        async for piece in pieces:
            await asked.send({"type": "http.response.body", "body": piece, "more_body": True})
        await asked.send({"type": "http.response.body", "body": b""})

    async def wait_for_leaving() -> None:
        while (await asked.receive())["type"] != "http.disconnect":
            pass

    sending, leaving = asyncio.create_task(send_all()), asyncio.create_task(wait_for_leaving())
    try:
        await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (sending, leaving):
            task.cancel()
        outcomes = await asyncio.gather(sending, leaving, return_exceptions=True)
    if isinstance(outcomes[0], Exception):
        raise outcomes[0]


async def _refuse(asked: Asked, error: ApiError) -> None:
    await _refuse_with(asked, error.code, msgspec.json.encode(error.to_status()), "application/json")


async def _refuse_stream(asked: Asked, why: str) -> None:
    """What is not running has no streams: told through the stream itself where that can be (v5), else as plain text,
    which is what clients show. Source: kubernetes/kubernetes (staging/src/k8s.io/apiserver/pkg/util/proxy)."""
    if asked.is_web_socket:
        socket_ = WebSocket(asked.scope, asked.receive, asked.send)
        if terminal.V5 in socket_.offered:
            await socket_.accept(terminal.V5)
            await terminal.refuse(socket_, f"unable to upgrade connection: {why}")
            return
    await _refuse_with(asked, 500, why.encode(), "text/plain; charset=utf-8")


async def _refuse_with(asked: Asked, status: int, body: bytes, content_type: str) -> None:
    if asked.is_web_socket:
        await WebSocket(asked.scope, asked.receive, asked.send).refuse(status, body, content_type)
        return
    await _reply(asked, body, content_type, status)


async def _reply_json(asked: Asked, tree: Tree) -> None:
    await _reply(asked, msgspec.json.encode(tree), "application/json")


async def _reply(asked: Asked, body: bytes, content_type: str, status: int = 200) -> None:
    if asked.is_web_socket:
        raise MethodNotAllowed("not a stream")
    await _start_reply(asked, status, content_type, len(body))
    await asked.send({"type": "http.response.body", "body": body})


async def _start_reply(asked: Asked, status: int, content_type: str, length: int | None = None) -> None:
    headers = [(b"content-type", content_type.encode())]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    start: Message = {"type": "http.response.start", "status": status, "headers": headers}
    await asked.send(start)
