"""core/v1 Events: what `kubectl describe` and `get_job_events` show. Written after the change that they tell of.

The same message about the same object is one Event whose `count` grows.
"""

import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Literal, Protocol

import structlog

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.kube.errors import ApiError, NotFound
from flowdeck.kube.kinds import EVENT
from flowdeck.kube.objects import ObjectKey, Tree
from flowdeck.kube.times import format_time

MAX_MESSAGE = 1024
REMEMBERED = 4096
"""Events whose count is known without asking the server."""

log = structlog.get_logger()


class Events(Protocol):
    """Records core/v1 Events about objects."""

    async def event(
        self, obj: Tree, *, type: Literal["Normal", "Warning"] = "Normal", reason: str, message: str
    ) -> None:
        """Tells about `obj`, which must carry apiVersion, kind and uid. Never raises: events are best effort."""
        ...


@dataclass
class EventRecorder:
    """Writes events in the name of one component."""

    client: Client
    clock: Clock
    component: str
    """`source.component`: `job-controller`, `kubelet`."""
    host: str = ""
    _run: str = field(default_factory=lambda: secrets.token_hex(4))
    """Part of the events' names: what an earlier process wrote is left alone, so nobody needs to read events."""
    _counts: "OrderedDict[ObjectKey, int]" = field(default_factory=OrderedDict)

    async def event(
        self, obj: Tree, *, type: Literal["Normal", "Warning"] = "Normal", reason: str, message: str
    ) -> None:
        event = self._event(obj, type, reason, message[:MAX_MESSAGE])
        key = ObjectKey(event["metadata"]["namespace"], event["metadata"]["name"])
        try:
            await self._write(key, event)
        except ApiError as error:
            log.debug("event was not written", name=str(key), reason=reason, error=str(error))

    async def _write(self, key: ObjectKey, event: Tree) -> None:
        if key not in self._counts:
            await self.client.create(EVENT, event)
            self._remember(key, 1)
            return
        count = self._counts[key] + 1
        try:
            await self.client.patch(EVENT, key, {"count": count, "lastTimestamp": event["lastTimestamp"]})
            self._remember(key, count)
        except NotFound:
            del self._counts[key]
            await self.client.create(EVENT, event)

    def _remember(self, key: ObjectKey, count: int) -> None:
        self._counts[key] = count
        self._counts.move_to_end(key)
        if len(self._counts) > REMEMBERED:
            self._counts.popitem(last=False)

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
        about = "\0".join((self._run, involved["uid"], self.component, type_, reason, message))
        digest = hashlib.sha256(about.encode()).hexdigest()[:16]
        now = format_time(self.clock.now())
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"namespace": meta.get("namespace") or "default", "name": f"{meta['name']}.{digest}"},
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
