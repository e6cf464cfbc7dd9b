"""Plays one scenario on one server, and writes down what was answered."""

import asyncio
import io
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from flowdeck.clock import SystemClock
from flowdeck.kube import yaml_text
from flowdeck.kube.objects import Tree
from flowdeck.kube.times import format_time
from tests.kubernetes.differential.end_state import events_of, gist_of
from tests.kubernetes.differential.kubelet import may_become, pod_status
from tests.kubernetes.differential.paths import url_path
from tests.kubernetes.differential.scenario import (
    Events,
    Pods,
    Repeated,
    Request,
    Scenario,
    State,
    Step,
    Until,
    Watch,
    get,
    strategic,
)
from tests.kubernetes.differential.servers import Server

REQUEST_S = 60
EVENT_S = 4
"""How long an event is waited for: it comes or it does not, and that is compared."""
UNTIL_S = 60
REPEAT_S = 60
"""How long a server may take to know what was written."""
POLL_S = 0.1
STABLE_S = 2.5
"""How long nothing may change before a state counts as the end."""
AGENT = "differential"
LARGE_BODY = 1 << 20

_COMPARED = ("content-type", "warning", "retry-after", "cache-control", "location", "www-authenticate", "allow")
_PRESENT = ("audit-id", "etag", "content-encoding")
"""Headers of which it only matters that they are there."""


@dataclass
class Outcome:
    """What one step brought: `status`, `headers`, `body`, or `events`, or `error`."""

    seen: Tree
    whole: Any = None
    """The answer's object, to which later steps may refer."""


@dataclass
class Conversation:
    """One scenario on one server."""

    server: Server
    scenario: Scenario
    namespace: str
    texts: Mapping[str, str] = field(default_factory=dict)
    """What else stands for a text in braces: of the server that is a webhook."""
    requests: int = 0
    _addresses: int = 0
    _kept: dict[str, Any] = field(default_factory=dict)
    _streams: dict[str, "_Stream"] = field(default_factory=dict)

    async def play(self) -> Sequence[Tree]:
        """What each step brought, in order. What a server does wrong is an outcome as well: nothing is raised."""
        async with AsyncExitStack() as stack:
            outcomes = [await self._play(step, stack) for step in self.scenario.steps]
        return [outcome.seen for outcome in outcomes]

    async def _play(self, step: Step, stack: AsyncExitStack) -> Outcome:
        try:
            outcome = await self._outcome(step, stack)
        except (KeyError, IndexError, TypeError) as error:
            outcome = Outcome({"error": f"an earlier answer has not what {step.name} refers to: {error!r}"})
        except (aiohttp.ClientError, TimeoutError) as error:
            outcome = Outcome({"error": f"{type(error).__name__}: {error}"})
        if step.label:
            self._kept[step.label] = outcome.whole
        return outcome

    async def _outcome(self, step: Step, stack: AsyncExitStack) -> Outcome:
        match step:
            case Watch():
                return await self._open(step, stack)
            case Repeated():
                return await self._repeat(step)
            case Request():
                return await self._ask(step)
            case Until():
                return await self._wait(step)
            case Events():
                return await self._read(step)
            case Pods():
                return await self._play_kubelet(step)
            case State():
                return await self._settle(step)
        raise AssertionError(f"a step of no known sort: {step}")

    async def _ask(self, step: Request) -> Outcome:
        async with self._sent(step) as response:
            async with asyncio.timeout(REQUEST_S):
                body = await response.read()
            parsed = _part(_parsed(body, response.content_type), step.part)
            return Outcome({"status": response.status, "headers": _headers(response.headers), "body": parsed}, parsed)

    async def _wait(self, step: Until) -> Outcome:
        asked = Request(word=step.word, path=step.path, method="GET")
        loop = asyncio.get_running_loop()
        end = loop.time() + UNTIL_S
        before = self.requests
        while True:
            self.requests = before
            outcome = await self._ask(asked)
            if _is_as_wanted(step, outcome) or loop.time() > end:
                return outcome
            await asyncio.sleep(POLL_S)

    async def _repeat(self, step: Repeated) -> Outcome:
        loop = asyncio.get_running_loop()
        end = loop.time() + REPEAT_S
        before = self.requests
        while True:
            self.requests = before
            outcome = await self._ask(step)
            if _is_awaited(step, outcome) or loop.time() > end:
                return outcome
            await asyncio.sleep(POLL_S)

    async def _play_kubelet(self, step: Pods) -> Outcome:
        loop = asyncio.get_running_loop()
        end = loop.time() + UNTIL_S
        asked = get("pods", labelSelector=step.path) if step.path else get("pods")
        before = self.requests
        while True:
            self.requests = before
            pods = [pod for pod in (await self._ask(asked)).whole["items"] if may_become(pod, step.state)]
            if len(pods) >= step.count or loop.time() > end:
                break
            await asyncio.sleep(POLL_S)
        for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))[: step.count]:
            await self._write_status(pod, step)
        return Outcome({"pods": len(pods)})

    async def _write_status(self, pod: Tree, step: Pods) -> None:
        now = format_time(SystemClock().now())
        self._addresses += 1
        address = pod.get("status", {}).get("podIP") or f"10.200.0.{self._addresses}"
        status = pod_status(pod, step.state, address, now, step.exit_code)
        if step.condition:
            status["conditions"].append({"status": "True", "lastTransitionTime": now, **step.condition})
        await self._ask(strategic(f"pods/{pod['metadata']['name']}/status", {"status": status}))

    async def _settle(self, step: State) -> Outcome:
        """The state that has not changed for a while."""
        loop = asyncio.get_running_loop()
        end = loop.time() + UNTIL_S
        before = self.requests
        found, since = await self._state(step), loop.time()
        while loop.time() - since < STABLE_S and loop.time() < end:
            await asyncio.sleep(POLL_S * 3)
            if (now := await self._state(step)) != found:
                found, since = now, loop.time()
        self.requests = before + len(step.of)
        return Outcome(found)

    async def _state(self, step: State) -> Tree:
        found = {path: gist_of(await self._objects(path), self.namespace) for path in step.of}
        if step.is_told:
            found["events"] = events_of(await self._objects("events"), self.namespace)
        return found

    async def _objects(self, path: str) -> Sequence[Tree]:
        answer = await self._ask(get(path))
        if answer.seen["status"] != 200:
            return []
        items: Sequence[Tree] = answer.whole.get("items", [answer.whole])
        return items

    async def _open(self, step: Watch, stack: AsyncExitStack) -> Outcome:
        response = await stack.enter_async_context(self._sent(step))
        seen: Tree = {"status": response.status, "headers": _headers(response.headers)}
        if response.status != 200:
            seen["body"] = _parsed(await response.read(), response.content_type)
            return Outcome(seen, seen["body"])
        self._streams[step.label] = _Stream(response)
        return Outcome(seen)

    async def _read(self, step: Events) -> Outcome:
        stream = self._streams.get(step.path)
        if stream is None:
            return Outcome({"error": "the watch was not opened"})
        found = await stream.next(step.count)
        return Outcome({"events": found}, found)

    @asynccontextmanager
    async def _sent(self, step: Request) -> AsyncIterator[aiohttp.ClientResponse]:
        self.requests += 1
        path = url_path(self._filled(step.path), self.namespace)
        query = "&".join(f"{name}={_quoted(self._filled(value))}" for name, value in step.query.items())
        given = {"User-Agent": AGENT, "Accept": "application/json", **self._filled(dict(step.headers))}
        headers = CIMultiDict((name, line) for name, value in given.items() for line in value.split("\n"))
        body = self._filled(step.body)
        data = body.encode() if isinstance(body, str) else None if body is None else orjson.dumps(body)
        url = URL(self.server.url + path + (f"?{query}" if query else ""), encoded=True)
        session = self.server.stranger if step.is_stranger else self.server.session
        async with session.request(
            step.method,
            url,
            data=_sendable(data),
            headers=headers,
            allow_redirects=False,
            skip_auto_headers=("Content-Type",),
        ) as response:
            yield response

    def _filled(self, value: Any) -> Any:
        """The value with its references replaced."""
        if isinstance(value, str):
            return re.sub(r"\{(ns|hooks|hooks_ca|\w+:[^{}]+)\}", lambda match: self._referred(match[1]), value)
        if isinstance(value, list):
            return [self._filled(item) for item in value]
        if isinstance(value, dict):
            return {self._filled(name): self._filled(item) for name, item in value.items()}
        return value

    def _referred(self, reference: str) -> str:
        if reference == "ns":
            return self.namespace
        if reference in self.texts:
            return self.texts[reference]
        label, _, path = reference.partition(":")
        return str(value_at(self._kept[label], path))


@dataclass
class _Stream:
    """The events of an open watch."""

    response: aiohttp.ClientResponse
    _rest: bytes = b""

    async def next(self, count: int) -> list[Any]:
        """The next `count` events, or fewer when no more come; 0: all until the end."""
        found: list[Any] = []
        while not count or len(found) < count:
            try:
                async with asyncio.timeout(EVENT_S):
                    line = await self._line()
            except TimeoutError:
                break
            if not line:
                break
            found.append(orjson.loads(line))
        return found

    async def _line(self) -> bytes:
        """The next line, of any length; `b""` at the end."""
        while b"\n" not in self._rest:
            piece = await self.response.content.readany()
            if not piece:
                return b""
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        return line


def value_at(tree: Any, path: str) -> Any:
    """The value at a dotted path; numbers are places in lists. Raises `KeyError`, `IndexError`, `TypeError`."""
    for part in path.split("."):
        tree = tree[int(part)] if isinstance(tree, list) else tree[part]
    return tree


def _is_awaited(step: Repeated, outcome: Outcome) -> bool:
    if outcome.seen["status"] != step.status:
        return False
    body = outcome.whole
    return not step.told or (isinstance(body, dict) and step.told in body.get("message", ""))


def _is_as_wanted(step: Until, outcome: Outcome) -> bool:
    if not step.field_path:
        return bool(outcome.seen["status"] == 404)
    try:
        return bool(value_at(outcome.whole, step.field_path) == step.wanted)
    except (KeyError, IndexError, TypeError):
        return False


def _quoted(value: str) -> str:
    return URL.build(path="/", query={"v": value}).raw_query_string.removeprefix("v=")


def _headers(headers: CIMultiDictProxy[str]) -> Mapping[str, Any]:
    compared = {name: headers.getall(name) for name in _COMPARED if name in headers}
    return {**compared, **{name: "is there" for name in _PRESENT if name in headers}}


def _part(body: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        body = body[key]
    return body


def _parsed(body: bytes, content_type: str) -> Any:
    text = body.decode("utf-8", "replace")
    try:
        if content_type.endswith("json"):
            return orjson.loads(body)
        if content_type.endswith("yaml"):
            return yaml_text.load(text)
    except (orjson.JSONDecodeError, yaml_text.YamlError):
        return text
    return text


def _sendable(data: bytes | None) -> bytes | io.BytesIO | None:
    """aiohttp warns of large bodies that are bytes."""
    return io.BytesIO(data) if data is not None and len(data) > LARGE_BODY else data
