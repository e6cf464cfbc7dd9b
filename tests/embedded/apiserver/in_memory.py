"""A `Storage` for tables of cases: objects in a dict, with the revisions that caches go by."""

from collections import Counter
from collections.abc import Callable, Sequence

from flowdeck.embedded.apiserver.contract import Storage, T
from flowdeck.kube.objects import Kind, ObjectKey, Tree, key_of


class InMemoryStorage(Storage):
    def __init__(self, *objects: tuple[Kind, Tree]) -> None:
        self._objects: dict[Kind, dict[ObjectKey, Tree]] = {}
        self._revisions: Counter[Kind] = Counter()
        for kind, obj in objects:
            self.put(kind, obj)

    def put(self, kind: Kind, obj: Tree) -> Tree:
        obj.setdefault("kind", kind.kind)
        obj.setdefault("apiVersion", kind.api_version)
        obj["metadata"].setdefault("uid", f"uid-of-{obj['metadata']['name']}")
        self._objects.setdefault(kind, {})[key_of(obj)] = obj
        self._revisions[kind] += 1
        return obj

    def remove(self, kind: Kind, key: ObjectKey) -> None:
        del self._objects[kind][key]
        self._revisions[kind] += 1

    def get(self, kind: Kind, key: ObjectKey) -> Tree | None:
        return self._objects.get(kind, {}).get(key)

    def list(self, kind: Kind, namespace: str = "") -> Sequence[Tree]:
        found = self._objects.get(kind, {})
        return [found[key] for key in sorted(found) if not namespace or key.namespace == namespace]

    def facts(self, kind: Kind, of: Callable[[Tree], T], namespace: str = "") -> Sequence[T]:
        return [of(obj) for obj in self.list(kind, namespace)]

    def revision(self, kind: Kind) -> int:
        return self._revisions[kind]
