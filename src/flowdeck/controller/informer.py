"""One shared copy of all objects of a kind, kept up to date by list and watch, with indexes.

Handlers are told of each change by the object's old and new state. Trees are shared: read-only. They come without
`managedFields`, which are a third of what an object takes and which no controller asks for.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from random import Random

import structlog

from flowdeck.client.base import Reader, WatchEvent
from flowdeck.clock import Clock
from flowdeck.controller.index import Index
from flowdeck.kube.errors import ApiError, Expired
from flowdeck.kube.objects import Kind, ObjectKey, Tree, key_of, labels_of, uid_of
from flowdeck.kube.selectors import read_field

RETRY_S = (0.2, 30.0)
"""First and longest wait after a list or watch that failed; doubled each time, with jitter."""

Handler = Callable[[Tree | None, Tree | None], None]
"""`(old, new)`; None stands for "was not there" and "is gone". Must be quick and not raise."""

log = structlog.get_logger()


class Informer:
    """The objects of one kind; `run` keeps them up to date."""

    def __init__(self, kind: Kind, reader: Reader, clock: Clock) -> None:
        self.kind = kind
        self._reader = reader
        self._clock = clock
        self._random = Random()
        self._objects: dict[str, dict[str, Tree]] = defaultdict(dict)
        self._owned = Index(_controller_uid)
        self._indexes: dict[str, Index] = {}
        """Made at the first question of their sort: by label (`label app`) and by field (`field spec.nodeName`)."""
        self._handlers: list[Handler] = []
        self._gone_uids: set[str] = set()
        self._progress = asyncio.Event()
        self._failures = 0
        """Lists and watches that failed since the last one that was answered."""
        self.revision = 0
        """Of the newest change that was seen."""
        self.is_synced = False

    # ---- reads ----------------------------------------------------------------------------------------------------

    def find(self, key: ObjectKey) -> Tree | None:
        obj = self._objects[key.namespace].get(key.name) if key.namespace in self._objects else None
        return None if obj is not None and uid_of(obj) in self._gone_uids else obj

    def list(self, namespace: str = "") -> Sequence[Tree]:
        """The objects of a namespace, or of all, sorted by namespace and name."""
        spaces = [namespace] if namespace else sorted(self._objects)
        found = [objects[name] for space in spaces if (objects := self._objects.get(space)) for name in sorted(objects)]
        return self._there(found)

    def owned(self, owner_uid: str) -> Sequence[Tree]:
        """The objects whose controller has that uid, sorted by name."""
        return self._there(self._owned.find(owner_uid))

    def labelled(self, label: str, value: str) -> Sequence[Tree]:
        """The objects of all namespaces with that label."""
        return self._indexed(f"label {label}", lambda obj: labels_of(obj).get(label), value)

    def with_field(self, path: str, value: str) -> Sequence[Tree]:
        """The objects of all namespaces with that value at a path such as `spec.nodeName`; missing counts as `""`."""
        return self._indexed(f"field {path}", lambda obj: read_field(obj, path), value)

    def _indexed(self, name: str, value_of: Callable[[Tree], str | None], value: str) -> Sequence[Tree]:
        index = self._indexes.get(name)
        if index is None:
            everything = (obj for objects in self._objects.values() for obj in objects.values())
            index = self._indexes[name] = Index(value_of, everything)
        return self._there(index.find(value))

    def _there(self, found: Sequence[Tree]) -> Sequence[Tree]:
        return [obj for obj in found if uid_of(obj) not in self._gone_uids] if self._gone_uids else found

    async def wait_for(self, revision: int) -> None:
        """Returns once changes up to `revision` (of this kind) are in."""
        while self.revision < revision:
            self._progress.clear()
            await self._progress.wait()

    async def wait_synced(self) -> None:
        while not self.is_synced:
            self._progress.clear()
            await self._progress.wait()

    # ---- changes --------------------------------------------------------------------------------------------------

    def add_handler(self, handler: Handler) -> None:
        """Tells `handler` of every object there is, and of each change from now on."""
        self._handlers.append(handler)
        for obj in self.list():
            handler(None, obj)

    def forget(self, obj: Tree) -> None:
        """Hides an object that its deleter knows to be gone, until the watch says so too."""
        key = key_of(obj)
        known = self._objects.get(key.namespace, {}).get(key.name)
        if known is not None and uid_of(known) == uid_of(obj):
            self._gone_uids.add(uid_of(obj))

    async def run(self) -> None:
        """Lists, then watches, for ever; starts again (after a while) from what went wrong."""
        while True:
            try:
                if not self.is_synced:
                    await self._relist()
                await self._follow()
            except Expired:
                self.is_synced = False
            except (ApiError, OSError) as error:
                wait_s = min(RETRY_S[1], RETRY_S[0] * float(2**self._failures)) * (0.5 + self._random.random())
                self._failures = min(self._failures + 1, 10)
                log.warning("watch failed, trying again", kind=self.kind.resource, error=str(error), wait_s=wait_s)
                await self._clock.sleep(wait_s)

    async def _relist(self) -> None:
        found = await self._reader.list(self.kind)
        known = {key_of(obj) for objects in self._objects.values() for obj in objects.values()}
        for key in known - {key_of(obj) for obj in found.items}:
            self._remove(key)
        for obj in found.items:
            self._put(obj)
        self._advance(int(found.resource_version))
        self.is_synced = True
        self._progress.set()

    async def _follow(self) -> None:
        async with self._reader.watch(self.kind, resource_version=str(self.revision)) as events:
            self._failures = 0
            async for event in events:
                self._take(event)

    def _take(self, event: WatchEvent) -> None:
        if event.type == "DELETED":
            self._remove(key_of(event.object))
        elif event.type != "BOOKMARK":
            self._put(event.object)
        self._advance(int(event.object["metadata"]["resourceVersion"]))

    def _advance(self, revision: int) -> None:
        self.revision = max(self.revision, revision)
        self._progress.set()

    def _put(self, obj: Tree) -> None:
        key = key_of(obj)
        old = self._objects[key.namespace].get(key.name)
        if old is not None:
            if old["metadata"]["resourceVersion"] == obj["metadata"]["resourceVersion"]:
                return
            self._unindex(key, old)
            if uid_of(old) != uid_of(obj):
                self._gone_uids.discard(uid_of(old))
        obj = _without_owners(obj)
        self._objects[key.namespace][key.name] = obj
        for index in (self._owned, *self._indexes.values()):
            index.put(key, obj)
        self._tell(old, obj)

    def _remove(self, key: ObjectKey) -> None:
        old = self._objects[key.namespace].pop(key.name, None)
        if not self._objects[key.namespace]:
            del self._objects[key.namespace]
        if old is not None:
            self._unindex(key, old)
            self._gone_uids.discard(uid_of(old))
            self._tell(old, None)

    def _unindex(self, key: ObjectKey, obj: Tree) -> None:
        for index in (self._owned, *self._indexes.values()):
            index.remove(key, obj)

    def _tell(self, old: Tree | None, new: Tree | None) -> None:
        for handler in self._handlers:
            handler(old, new)


def _without_owners(obj: Tree) -> Tree:
    return {**obj, "metadata": {name: value for name, value in obj["metadata"].items() if name != "managedFields"}}


def _controller_uid(obj: Tree) -> str | None:
    for ref in obj["metadata"].get("ownerReferences") or ():
        if ref.get("controller"):
            return str(ref["uid"])
    return None


class Informers:
    """The informers of one process, one a kind."""

    def __init__(self, reader: Reader, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock
        self._by_kind: dict[Kind, Informer] = {}

    def add(self, kind: Kind) -> Informer:
        """The informer of `kind`, made when there is none yet."""
        if kind not in self._by_kind:
            self._by_kind[kind] = Informer(kind, self._reader, self._clock)
        return self._by_kind[kind]

    def of(self, kind: Kind) -> Informer | None:
        return self._by_kind.get(kind)

    def __iter__(self) -> Iterator[Informer]:
        return iter(self._by_kind.values())
