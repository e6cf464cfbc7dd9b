"""What strategies, authorizers and admission read: the store's objects as they are now, without I/O."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TypeVar

from flowdeck.embedded.store.store import Change, Store, StoreKey
from flowdeck.kube.objects import Kind, ObjectKey, Tree

T = TypeVar("T")


class StoredObjects:
    """Implements `contract.Storage` on the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._revisions: dict[str, int] = defaultdict(int)
        store.on_change(self._note)

    def _note(self, change: Change) -> None:
        self._revisions[change.entry.key.resource] = change.revision

    def get(self, kind: Kind, key: ObjectKey) -> Tree | None:
        entry = self._store.head(StoreKey(kind.resource, key.namespace, key.name))
        return entry.tree if entry else None

    def list(self, kind: Kind, namespace: str = "") -> Sequence[Tree]:
        return [entry.tree for entry in self._store.scan(kind.resource, namespace)]

    def facts(self, kind: Kind, of: Callable[[Tree], T], namespace: str = "") -> Sequence[T]:
        return [entry.fact(of) for entry in self._store.scan(kind.resource, namespace)]

    def revision(self, kind: Kind) -> int:
        return self._revisions[kind.resource]
