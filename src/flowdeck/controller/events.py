"""core/v1 Events: what `kubectl describe` and `get_job_events` show. Written after the change that they tell of.

What a reconcile tells is held back until it has ended, so its events follow its writes, the status among them. The same
message about the same object is one Event whose `count` grows. Names carry the time, as upstream's do, so a list of an
object's events is in order.
"""

import asyncio
import contextlib
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, Protocol

import structlog

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.kube.errors import ApiError, NotFound
from flowdeck.kube.kinds import EVENT
from flowdeck.kube.objects import ObjectKey, Tree, key_of
from flowdeck.kube.times import format_time

MAX_MESSAGE = 1024
LONGEST_NAME = 230
"""Of the object, in the Event's name."""
REMEMBERED = 4096
"""Events whose count is known without asking the server."""

log = structlog.get_logger()


class Held:
    """Events that wait for the end of what they tell of."""

    def __init__(self) -> None:
        self._writes: list[Callable[[], Awaitable[None]]] = []

    def add(self, write: Callable[[], Awaitable[None]]) -> None:
        self._writes.append(write)

    async def release(self) -> None:
        """Writes them."""
        await asyncio.gather(*(write() for write in self._writes))


_holding: ContextVar[Held | None] = ContextVar("holding", default=None)
"""Where the events go that are told in this context; None: to the server at once."""


@contextlib.contextmanager
def held_back() -> Iterator[Held]:
    """Holds back the events that are told inside the block, and in the tasks that it starts."""
    held = Held()
    token = _holding.set(held)
    try:
        yield held
    finally:
        _holding.reset(token)


@dataclass(frozen=True)
class Happening:
    """An event to tell, once what it tells of is stored."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


class Events(Protocol):
    """Records core/v1 Events about objects."""

    async def event(
        self, obj: Tree, *, type: Literal["Normal", "Warning"] = "Normal", reason: str, message: str
    ) -> None:
        """Tells about `obj`, which must carry apiVersion, kind and uid; inside a reconcile, once that has ended.

        Never raises: events are best effort.
        """
        ...


async def tell(events: Events, obj: Tree, happened: Iterable[Happening]) -> None:
    """Records several events about one object."""
    for told in happened:
        await events.event(obj, type=told.type, reason=told.reason, message=told.message)


@dataclass
class EventRecorder:
    """Writes events in the name of one component."""

    client: Client
    clock: Clock
    component: str
    """`source.component`: `job-controller`, `kubelet`."""
    host: str = ""
    _told: "OrderedDict[str, tuple[ObjectKey, int]]" = field(default_factory=OrderedDict)
    """What was said: the Event and its count."""

    async def event(
        self, obj: Tree, *, type: Literal["Normal", "Warning"] = "Normal", reason: str, message: str
    ) -> None:
        message = message[:MAX_MESSAGE]
        about = "\0".join((obj["metadata"].get("uid", ""), self.component, type, reason, message))
        digest = hashlib.sha256(about.encode()).hexdigest()
        write = partial(self._write, digest, self._event(obj, type, reason, message))
        held = _holding.get()
        if held is None:
            await write()
        else:
            held.add(write)

    async def _write(self, digest: str, event: Tree) -> None:
        try:
            await self._create_or_count(digest, event)
        except (ApiError, OSError) as error:
            name = event["involvedObject"]["name"]
            log.debug("event was not written", name=name, reason=event["reason"], error=str(error))

    async def _create_or_count(self, digest: str, event: Tree) -> None:
        if digest in self._told:
            key, count = self._told[digest]
            try:
                await self.client.patch(EVENT, key, {"count": count + 1, "lastTimestamp": event["lastTimestamp"]})
                self._remember(digest, key, count + 1)
                return
            except NotFound:
                self._told.pop(digest, None)
        await self.client.create(EVENT, event)
        self._remember(digest, key_of(event), 1)

    def _remember(self, digest: str, key: ObjectKey, count: int) -> None:
        self._told[digest] = (key, count)
        self._told.move_to_end(digest)
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)

    def _event(self, obj: Tree, type_: str, reason: str, message: str) -> Tree:
        meta = obj["metadata"]
        involved = {
            "kind": obj.get("kind", ""),
            "namespace": meta.get("namespace", ""),
            "name": meta["name"],
            "uid": meta.get("uid", ""),
            "apiVersion": obj.get("apiVersion", ""),
            "resourceVersion": meta.get("resourceVersion", ""),
        }
        moment = self.clock.now()
        now, nanos = format_time(moment), int(moment.timestamp() * 1_000_000) * 1000
        name = f"{meta['name'][:LONGEST_NAME].rstrip('-.')}.{nanos:x}{secrets.token_hex(2)}"
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"namespace": meta.get("namespace") or "default", "name": name},
            "involvedObject": {name: value for name, value in involved.items() if value},
            "reason": reason,
            "message": message,
            "type": type_,
            "source": {"component": self.component, **({"host": self.host} if self.host else {})},
            "reportingComponent": self.component,
            "reportingInstance": self.host,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
