"""Deletes what has lost its owners, and carries out foreground and orphan deletion.

Reads   every stored object's ownerReferences, finalizers and deletion mark, straight from the store's changes
Writes  deletions; ownerReferences and the finalizers `foregroundDeletion`, `orphan`; Events

The keys of the queue name objects of all kinds: `(namespace, "pods/name")`. Nothing is assumed of an owner that the
index says nothing of: whether it exists is looked up, under the name and uid that the reference gives.

Source: Kubernetes (pkg/controller/garbagecollector).
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from flowdeck.client.base import Client, Propagation
from flowdeck.controller.contract import DONE, Feeds, Result
from flowdeck.controller.events import Events
from flowdeck.embedded.apiserver.contract import Resource
from flowdeck.embedded.apiserver.deletion import FOREGROUND, ORPHAN
from flowdeck.embedded.apiserver.registry import Registry
from flowdeck.embedded.store.store import Change, Store, StoreKey
from flowdeck.kube.objects import ObjectKey, Tree, finalizers_of, is_being_deleted, uid_of

REMEMBERED = 1000
_UNOWNED = frozenset({"events"})
"""Resources without owners, of which there are many."""


class Owner(Enum):
    """What an owner reference leads to."""

    THERE = "there"
    ABSENT = "absent"
    WAITS = "waits"
    """Being deleted in the foreground: it waits for its dependents."""
    UNKNOWN = "unknown"
    """A kind that is not served, or a namespaced owner of a cluster-scoped object: nothing is concluded."""


@dataclass(frozen=True, kw_only=True)
class GarbageCollector:
    """One controller for objects of all kinds."""

    client: Client
    events: Events
    store: Store
    registry: Registry
    name: str = "garbage-collector"
    kind: None = None
    _dependents: dict[str, set[StoreKey]] = field(default_factory=lambda: defaultdict(set))
    """Owner uid -> the objects that name it."""
    _gone: deque[str] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    """Uids that were seen to be deleted: no use in looking for them in other namespaces."""

    @property
    def watches(self) -> Sequence[Feeds]:
        return (Feeds(self._connect),)

    # ---- what to look at --------------------------------------------------------------------------------------------

    def _connect(self, add: Callable[[ObjectKey], None]) -> None:
        for resource in self.store.counts():
            for entry in self.store.scan(resource):
                if resource not in _UNOWNED and (b'"ownerReferences"' in entry.raw or b'"finalizers"' in entry.raw):
                    self._index(entry.key, (), _owners(entry.tree))
                    add(_queue_key(entry.key))
        self.store.on_change(lambda change: self._note(change, add))

    def _note(self, change: Change, add: Callable[[ObjectKey], None]) -> None:
        key, obj = change.entry.key, change.entry.tree
        if key.resource in _UNOWNED:
            return
        before = _owners(change.previous.tree) if change.previous else ()
        after = () if change.is_deletion else _owners(obj)
        if before != after:
            self._index(key, before, after)
        if change.is_deletion:
            dependents = self._dependents.pop(uid_of(obj), ())
            if dependents:
                self._gone.append(uid_of(obj))
            for dependent in dependents:
                add(_queue_key(dependent))
        elif is_being_deleted(obj):
            if not {ORPHAN, FOREGROUND}.isdisjoint(finalizers_of(obj)):
                add(_queue_key(key))
        elif after and (before != after or change.previous is None):
            add(_queue_key(key))
        if change.is_deletion or before != after:
            self._wake_waiting_owners(key, before, add)

    def _index(self, key: StoreKey, before: Sequence[Tree], after: Sequence[Tree]) -> None:
        for uid in {ref["uid"] for ref in before} - {ref["uid"] for ref in after}:
            self._dependents[uid].discard(key)
            if not self._dependents[uid]:
                del self._dependents[uid]
        for ref in after:
            self._dependents[ref["uid"]].add(key)

    def _wake_waiting_owners(self, key: StoreKey, refs: Sequence[Tree], add: Callable[[ObjectKey], None]) -> None:
        for ref in refs:
            if self._owner_of(key, ref) is Owner.WAITS and (owner := self._owner_key(key, ref)):
                add(_queue_key(owner))

    # ---- reconcile --------------------------------------------------------------------------------------------------

    async def reconcile(self, key: ObjectKey) -> Result:
        resource, _, name = key.name.partition("/")
        entry = self.store.get(StoreKey(resource, key.namespace, name))
        served = self._served(resource)
        if entry is None or served is None:
            return DONE
        obj = entry.tree
        if is_being_deleted(obj):
            await self._help_delete(served, obj)
        elif _owners(obj):
            await self._check_owners(served, entry.key, obj)
        return DONE

    async def _help_delete(self, served: Resource, obj: Tree) -> None:
        """Lets go of the dependents of an object, or waits for them, as its finalizers say."""
        dependents = self._live_dependents(uid_of(obj))
        if ORPHAN in finalizers_of(obj):
            for dependent in dependents:
                await self._drop_references(dependent, {uid_of(obj)})
            await self._drop_finalizer(served, obj, ORPHAN)
        elif FOREGROUND in finalizers_of(obj):
            for dependent in dependents:
                await self._let_follow(dependent)
            if not any(self._blocks(dependent, uid_of(obj)) for dependent in self._live_dependents(uid_of(obj))):
                await self._drop_finalizer(served, obj, FOREGROUND)

    async def _let_follow(self, dependent: StoreKey) -> None:
        """Deletes a dependent whose owner waits for it; one that is on its way out already sees to itself."""
        entry, served = self.store.get(dependent), self._served(dependent.resource)
        if entry is not None and served is not None and not is_being_deleted(entry.tree):
            await self._check_owners(served, dependent, entry.tree)

    def _live_dependents(self, uid: str) -> list[StoreKey]:
        return sorted(key for key in self._dependents.get(uid, ()) if self.store.get(key))

    def _blocks(self, dependent: StoreKey, owner_uid: str) -> bool:
        entry = self.store.get(dependent)
        refs = _owners(entry.tree) if entry else ()
        return any(ref["uid"] == owner_uid and ref.get("blockOwnerDeletion") for ref in refs)

    async def _check_owners(self, served: Resource, key: StoreKey, obj: Tree) -> None:
        states = {ref["uid"]: self._owner_of(key, ref) for ref in _owners(obj)}
        await self._tell_of_strangers(key, obj, states)
        lost = {uid for uid, state in states.items() if state in (Owner.ABSENT, Owner.WAITS)}
        if not lost:
            return
        if len(lost) < len(states):
            await self._drop_references(key, lost)
            return
        waits = Owner.WAITS in states.values()
        if waits and self._is_in_a_circle(obj):
            await self._unblock(served, obj)
        await self.client.delete(
            served.kind,
            ObjectKey(key.namespace, key.name),
            propagation=self._propagation(obj, waits=waits),
            uid=uid_of(obj),
            missing_ok=True,
        )

    def _propagation(self, obj: Tree, *, waits: bool) -> Propagation:
        """In the foreground when an owner waits for all that is below; else as the object's finalizers ask."""
        if waits and self._live_dependents(uid_of(obj)):
            return "Foreground"
        if ORPHAN in finalizers_of(obj):
            return "Orphan"
        return "Foreground" if FOREGROUND in finalizers_of(obj) else "Background"

    def _is_in_a_circle(self, obj: Tree) -> bool:
        """One of its dependents waits for its own dependents: maybe, in the end, for this object."""
        entries = (self.store.get(key) for key in self._live_dependents(uid_of(obj)))
        return any(entry is not None and _waits(entry.tree) for entry in entries)

    async def _unblock(self, served: Resource, obj: Tree) -> None:
        """Nobody waits for this object any more."""
        if any(ref.get("blockOwnerDeletion") for ref in _owners(obj)):
            refs = [{**ref, "blockOwnerDeletion": False} for ref in _owners(obj)]
            await self._patch(served, obj, {"ownerReferences": refs})

    # ---- owners -----------------------------------------------------------------------------------------------------

    def _owner_of(self, dependent: StoreKey, ref: Tree) -> Owner:
        key = self._owner_key(dependent, ref)
        if key is None:
            return Owner.UNKNOWN
        entry = self.store.get(key)
        if entry is None or uid_of(entry.tree) != ref["uid"]:
            return Owner.ABSENT
        if _waits(entry.tree):
            return Owner.WAITS
        return Owner.THERE

    def _owner_key(self, dependent: StoreKey, ref: Tree) -> StoreKey | None:
        """Where the owner must be: in the dependent's namespace, or cluster-wide; None when that can't be said."""
        group = ref["apiVersion"].rpartition("/")[0]
        served = self.registry.by_kind(group, ref["kind"])
        if served is None or (served.kind.namespaced and not dependent.namespace):
            return None
        return StoreKey(served.kind.resource, dependent.namespace if served.kind.namespaced else "", ref["name"])

    def _served(self, resource: str) -> Resource | None:
        for served in self.registry:
            if served.kind.resource == resource:
                return served
        return None

    async def _tell_of_strangers(self, key: StoreKey, obj: Tree, states: dict[str, Owner]) -> None:
        for ref in _owners(obj):
            is_elsewhere = states[ref["uid"]] is Owner.ABSENT and self._lives_elsewhere(ref)
            is_out_of_scope = states[ref["uid"]] is Owner.UNKNOWN and not key.namespace and self._is_namespaced(ref)
            if is_elsewhere or is_out_of_scope:
                told = f"{ref['apiVersion']}/{ref['kind']}, namespace: {key.namespace}, name: {ref['name']}"
                message = f'ownerRef [{told}, uid: {ref["uid"]}] does not exist in namespace "{key.namespace}"'
                await self.events.event(obj, type="Warning", reason="OwnerRefInvalidNamespace", message=message)

    def _is_namespaced(self, ref: Tree) -> bool:
        served = self.registry.by_kind(ref["apiVersion"].rpartition("/")[0], ref["kind"])
        return served is not None and served.kind.namespaced

    def _lives_elsewhere(self, ref: Tree) -> bool:
        served = self.registry.by_kind(ref["apiVersion"].rpartition("/")[0], ref["kind"])
        if served is None or not served.kind.namespaced or ref["uid"] in self._gone:
            return False
        return any(uid_of(entry.tree) == ref["uid"] for entry in self.store.scan(served.kind.resource))

    # ---- writes -----------------------------------------------------------------------------------------------------

    async def _drop_references(self, key: StoreKey, uids: Iterable[str]) -> None:
        entry, served = self.store.get(key), self._served(key.resource)
        if entry is None or served is None:
            return
        unwanted = set(uids)
        kept = [ref for ref in _owners(entry.tree) if ref["uid"] not in unwanted]
        await self._patch(served, entry.tree, {"ownerReferences": kept or None})

    async def _drop_finalizer(self, served: Resource, obj: Tree, finalizer: str) -> None:
        kept = [name for name in finalizers_of(obj) if name != finalizer]
        await self._patch(served, obj, {"finalizers": kept or None})

    async def _patch(self, served: Resource, obj: Tree, metadata: Tree) -> None:
        meta = obj["metadata"]
        seen = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
        key = ObjectKey(meta.get("namespace") or "", meta["name"])
        await self.client.patch(served.kind, key, {"metadata": {**seen, **metadata}})


def _queue_key(key: StoreKey) -> ObjectKey:
    return ObjectKey(key.namespace, f"{key.resource}/{key.name}")


def _owners(obj: Tree) -> Sequence[Tree]:
    return tuple(obj["metadata"].get("ownerReferences") or ())


def _waits(obj: Tree) -> bool:
    """It is being deleted in the foreground."""
    return is_being_deleted(obj) and FOREGROUND in finalizers_of(obj)
