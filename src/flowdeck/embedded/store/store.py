"""The store: every object as JSON bytes in one SQLite file, all of them in memory for reads.

Writes get the next revision at once and are answered when they are on disk; those of one moment commit together.
Until then readers do not see them, but later writes do (`head`), so no two writes can pass each other. Watches get
each change after its commit, in the order of revisions. A window of past changes is kept in memory, for watches that
resume and for lists at an older revision; what is before it is compacted.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import orjson
from sortedcontainers import SortedDict

from flowdeck.embedded.store.disk import Disk
from flowdeck.kube.objects import Tree

T = TypeVar("T")

HISTORY_EVENTS = 20_000
"""How many past changes are kept at most."""
HISTORY_BYTES = 12 * 1024 * 1024
"""How many bytes of past changes are kept at most."""
TREE_BYTES = 6 * 1024 * 1024
"""How many bytes of objects are kept as trees, too; the others are parsed when they are asked for."""
WATCH_BACKLOG = 20_000
"""Changes that may wait for a slow watcher; beyond that its watch ends and it has to come back."""


class StoreKey(NamedTuple):
    """Where an object is kept; `resource` is `pods` or `deployments.apps`, the namespace may be `""`."""

    resource: str
    namespace: str
    name: str


class Entry:
    """One object at one revision."""

    __slots__ = ("_facts", "_tree", "_trees", "key", "raw", "revision")

    def __init__(
        self, key: StoreKey, revision: int, raw: bytes, tree: Tree | None = None, trees: "Trees | None" = None
    ) -> None:
        self.key = key
        self.revision = revision
        self.raw = raw
        """The object as JSON, its resourceVersion included."""
        self._tree = tree
        self._trees = trees
        self._facts: dict[Callable[[Tree], Any], Any] | None = None
        if tree is not None and trees is not None:
            trees.hold(self)

    @property
    def tree(self) -> Tree:
        """The object; shared by all readers, so read-only."""
        tree = self._tree
        if tree is None:
            tree = self._tree = orjson.loads(self.raw)
            if self._trees is not None:
                self._trees.hold(self)
        return tree

    def fact(self, of: Callable[[Tree], T]) -> T:
        """What a pure function says of the object; worked out once. `of` must be one that is there for good."""
        if self._facts is None:
            self._facts = {}
        if of not in self._facts:
            self._facts[of] = of(self.tree)
        found: T = self._facts[of]
        return found

    def drop_tree(self) -> None:
        self._tree = None


class Trees:
    """The trees that were made last: they take several times the memory of the bytes, and most are never read again."""

    def __init__(self) -> None:
        self._held: deque[Entry] = deque()
        self._bytes = 0

    def hold(self, entry: Entry) -> None:
        """Notes that an entry has a tree, and drops that of those which have had one for longest."""
        self._held.append(entry)
        self._bytes += len(entry.raw)
        while self._bytes > TREE_BYTES and len(self._held) > 1:
            oldest = self._held.popleft()
            oldest.drop_tree()
            self._bytes -= len(oldest.raw)


@dataclass(frozen=True, slots=True)
class Change:
    """One committed write. `entry` is the new state (for a deletion: the last one, at the deletion's revision)."""

    entry: Entry
    previous: Entry | None
    is_deletion: bool

    @property
    def revision(self) -> int:
        return self.entry.revision


class StaleError(Exception):
    """The object was changed, created or deleted since it was read. `head` is its state now."""

    def __init__(self, head: Entry | None) -> None:
        super().__init__("stale")
        self.head = head


class CompactedError(Exception):
    """Nothing is known of that revision any more; `oldest` is the first that is."""

    def __init__(self, oldest: int) -> None:
        super().__init__(f"compacted up to {oldest}")
        self.oldest = oldest


class Watch:
    """The changes of one resource, from one revision on. Iterate over batches with `next`."""

    def __init__(self, store: "Store", resource: str) -> None:
        self._store = store
        self._resource = resource
        self._waiting: deque[Change] = deque()
        self._wake = asyncio.Event()
        self.overflowed = False
        """True when the watcher was too slow: what is left to read is not complete."""

    def push(self, change: Change) -> None:
        if self.overflowed or len(self._waiting) >= WATCH_BACKLOG:
            self.overflowed = True  # for good: what comes after a gap would look like all there is
        else:
            self._waiting.append(change)
        self._wake.set()

    async def next(self) -> Sequence[Change]:
        """All changes that have come in, at least one; an empty sequence after an overflow."""
        while not self._waiting and not self.overflowed:
            self._wake.clear()
            await self._wake.wait()
        found = list(self._waiting)
        self._waiting.clear()
        return found

    def close(self) -> None:
        self._store.forget(self._resource, self)


class Store:
    """See the module's text. All methods belong to one event loop; only the disk works in a thread of its own."""

    def __init__(self, path: Path | str) -> None:
        self._disk = Disk(path)
        self._revision = self._disk.revision()
        self._last_given = self._revision
        self._oldest = self._revision
        self._trees = Trees()
        self._objects: dict[str, SortedDict] = defaultdict(SortedDict)
        for resource, namespace, name, revision, value in self._disk.rows():
            key = StoreKey(resource, namespace, name)
            self._objects[resource][namespace, name] = Entry(key, revision, value, trees=self._trees)
        self._history: deque[Change] = deque()
        self._history_of: dict[str, deque[Change]] = defaultdict(deque)
        self._history_bytes = 0
        self._pending: dict[StoreKey, Change] = {}
        self._queue: list[tuple[Change, asyncio.Future[None]]] = []
        self._is_committing = False
        self._committed = asyncio.Event()
        self._watches: dict[str, set[Watch]] = defaultdict(set)
        self._listeners: list[Callable[[Change], None]] = []

    def close(self) -> None:
        self._disk.close()

    # ---- reads ----------------------------------------------------------------------------------------------------

    @property
    def revision(self) -> int:
        """The revision of the last committed write."""
        return self._revision

    @property
    def oldest(self) -> int:
        """Watches and lists at revisions below this one are answered by `CompactedError`."""
        return self._oldest

    def get(self, key: StoreKey) -> Entry | None:
        """The committed state of an object."""
        entry: Entry | None = self._objects[key.resource].get((key.namespace, key.name))
        return entry

    def head(self, key: StoreKey) -> Entry | None:
        """The state that the next write builds on: writes that are still on their way to the disk included."""
        change = self._pending.get(key)
        if change is None:
            return self.get(key)
        return None if change.is_deletion else change.entry

    def scan(self, resource: str, namespace: str = "", *, after: tuple[str, str] | None = None) -> Iterator[Entry]:
        """The committed objects of a resource (in a namespace), by namespace and name, those after a key."""
        objects = self._objects.get(resource)
        if not objects:
            return
        start = max(after or ("", ""), (namespace, ""))
        inclusive = (start != after, True)
        end = (namespace + "\0", "") if namespace else None
        for key in objects.irange(start, end, inclusive=inclusive):
            yield objects[key]

    def count(self, resource: str) -> int:
        return len(self._objects[resource])

    def counts(self) -> dict[str, int]:
        """How many objects of each resource there are."""
        return {resource: len(objects) for resource, objects in self._objects.items() if objects}

    def scan_at(
        self, resource: str, namespace: str, revision: int, *, after: tuple[str, str] | None = None
    ) -> Iterator[Entry]:
        """As `scan`, but as things were at `revision`. Raises `CompactedError` when that is too long ago."""
        if revision < self._oldest:
            raise CompactedError(self._oldest)
        undone: dict[tuple[str, str], Entry | None] = {}
        for change in reversed(self._history_of[resource]):
            if change.revision <= revision:
                break
            undone[change.entry.key[1:]] = change.previous
        if not undone:
            return self.scan(resource, namespace, after=after)
        then = {entry.key[1:]: entry for entry in self.scan(resource, namespace, after=after)}
        for key, entry in undone.items():
            is_in_range = (not namespace or key[0] == namespace) and (after is None or key > after)
            then.pop(key, None)
            if entry is not None and is_in_range:
                then[key] = entry
        return iter([then[key] for key in sorted(then)])

    # ---- writes ---------------------------------------------------------------------------------------------------

    async def put(self, key: StoreKey, obj: Tree, *, expected: Entry | None) -> Entry:
        """Stores `obj` (which becomes the store's: give a fresh tree) over the `head` that the caller has read.

        Raises `StaleError` when the head is another one by now; `expected=None` means that there must be none.
        """
        self._check(key, expected)
        revision = self._next_revision()
        obj["metadata"]["resourceVersion"] = str(revision)
        entry = Entry(key, revision, orjson.dumps(obj), obj, self._trees)
        await self._commit(Change(entry, expected, is_deletion=False))
        return entry

    async def delete(self, key: StoreKey, *, expected: Entry, last: Tree | None = None) -> Entry:
        """Removes the object; the answer is its last state, at the revision of its deletion.

        `last` is that state where the deletion itself changes the object: both are one write.
        """
        self._check(key, expected)
        revision = self._next_revision()
        tree = expected.tree if last is None else last
        last = {**tree, "metadata": {**tree["metadata"], "resourceVersion": str(revision)}}
        entry = Entry(key, revision, orjson.dumps(last), last, self._trees)
        await self._commit(Change(entry, expected, is_deletion=True))
        return entry

    def _check(self, key: StoreKey, expected: Entry | None) -> None:
        head = self.head(key)
        if (head.revision if head else 0) != (expected.revision if expected else 0):
            raise StaleError(head)

    def _next_revision(self) -> int:
        self._last_given += 1
        return self._last_given

    async def _commit(self, change: Change) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending[change.entry.key] = change
        self._queue.append((change, done))
        if not self._is_committing:
            self._is_committing = True
            asyncio.get_running_loop().call_soon(self._start_commit)
        await done  # who stops waiting stops nothing: the write goes on

    def _start_commit(self) -> None:
        batch, self._queue = self._queue, []
        final = {change.entry.key: change for change, _ in batch}.values()
        puts = [(*c.entry.key, c.revision, c.entry.raw) for c in final if not c.is_deletion]
        deletions = [c.entry.key for c in final if c.is_deletion]
        self._disk.write(puts, deletions, batch[-1][0].revision, lambda error: self._finish_commit(batch, error))

    def _finish_commit(self, batch: list[tuple[Change, "asyncio.Future[None]"]], error: BaseException | None) -> None:
        """Publishes a batch, or takes it (and all that was built on it) back."""
        if error is not None:
            batch, self._queue = batch + self._queue, []
            self._pending.clear()
            for _, done in batch:
                if not done.cancelled():
                    done.set_exception(OSError(f"the store could not write: {error}"))
        for change, done in batch if error is None else ():
            self._publish(change)
            if not done.cancelled():
                done.set_result(None)
        self._committed.set()
        if self._queue:
            self._start_commit()
        else:
            self._is_committing = False

    def _publish(self, change: Change) -> None:
        key = change.entry.key
        if change.is_deletion:
            del self._objects[key.resource][key.namespace, key.name]
        else:
            self._objects[key.resource][key.namespace, key.name] = change.entry
        if self._pending.get(key) is change:
            del self._pending[key]
        self._revision = change.revision
        self._remember(change)
        for listener in self._listeners:
            listener(change)
        for watch in self._watches[key.resource]:
            watch.push(change)

    def _remember(self, change: Change) -> None:
        self._history.append(change)
        self._history_of[change.entry.key.resource].append(change)
        self._history_bytes += len(change.entry.raw)
        while len(self._history) > HISTORY_EVENTS or self._history_bytes > HISTORY_BYTES:
            dropped = self._history.popleft()
            self._history_of[dropped.entry.key.resource].popleft()
            self._history_bytes -= len(dropped.entry.raw)
            self._oldest = dropped.revision

    @property
    def is_writing(self) -> bool:
        """Whether a write is on its way to the disk."""
        return self._is_committing

    async def written(self) -> None:
        """Returns once the writes that are on their way now have been answered."""
        if self._pending:
            last = max(self._pending.values(), key=lambda change: change.revision).revision
            while self._is_committing and self._revision < last:
                self._committed.clear()
                await self._committed.wait()

    def last_change(self, resource: str) -> int:
        """Revision of the newest change of a resource that is still remembered, else 0."""
        history = self._history_of.get(resource)
        return history[-1].revision if history else 0

    def changes_since(self, revision: int) -> Sequence[Change]:
        """All remembered changes above a revision, in order."""
        return [change for change in self._history if change.revision > revision]

    # ---- watches --------------------------------------------------------------------------------------------------

    def watch(self, resource: str, *, after: int) -> Watch:
        """The changes of a resource with a revision above `after`. Raises `CompactedError`."""
        if after < self._oldest:
            raise CompactedError(self._oldest)
        watch = Watch(self, resource)
        missed: list[Change] = []
        for change in reversed(self._history_of[resource]):
            if change.revision <= after:
                break
            missed.append(change)
        for change in reversed(missed):
            watch.push(change)
        self._watches[resource].add(watch)
        return watch

    def forget(self, resource: str, watch: Watch) -> None:
        self._watches[resource].discard(watch)

    def on_change(self, listener: Callable[[Change], None]) -> None:
        """Calls `listener` with each committed change, before any watch sees it; it must be quick and not raise."""
        self._listeners.append(listener)
