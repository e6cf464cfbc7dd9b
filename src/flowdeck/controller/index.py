"""Objects found by a value of theirs: their owner, a label, a field."""

from collections.abc import Callable, Iterable
from typing import Any

from flowdeck.kube.objects import ObjectKey, Tree, key_of


class Index:
    """Objects by what `value_of` says of them; those of which it says None are left out."""

    def __init__(self, value_of: Callable[[Tree], str | None], objects: Iterable[Tree] = ()) -> None:
        self._value_of = value_of
        self._by_value: dict[str, dict[ObjectKey, Tree]] = {}
        for obj in objects:
            self.put(key_of(obj), obj)

    def find(self, value: str) -> list[Tree]:
        """The objects with that value, by namespace and name."""
        found = self._by_value.get(value)
        return [found[key] for key in sorted(found)] if found else []

    def put(self, key: ObjectKey, obj: Tree) -> None:
        """The object as it is now; its former state has been removed."""
        value = self._value_of(obj)
        if value is not None:
            self._by_value.setdefault(value, {})[key] = obj

    def remove(self, key: ObjectKey, obj: Tree) -> None:
        value: Any = self._value_of(obj)
        found = self._by_value.get(value)
        if found is not None:
            found.pop(key, None)
            if not found:
                del self._by_value[value]
