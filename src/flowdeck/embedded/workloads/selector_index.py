"""Who selects an object: label selectors, asked the other way round."""

from flowdeck.kube.objects import ObjectKey, Tree, controller_of, is_being_deleted, key_of, labels_of
from flowdeck.kube.selectors import LabelSelector

_Place = tuple[str, tuple[str, str] | None]


def _place(key: ObjectKey, selector: LabelSelector) -> _Place:
    for requirement in selector.requirements:
        if requirement.operator == "In" and len(requirement.values) == 1:
            return key.namespace, (requirement.key, requirement.values[0])
    return key.namespace, None


class SelectorIndex:
    """Who selects an object: the reverse of many label selectors, for `Maps` of objects that name no owner.

    A controller `remember`s, each time it reconciles a key and before it looks, what that key selects. An object that
    changed before that is seen by this look anyway, so the index may start empty.
    """

    def __init__(self) -> None:
        self._selectors: dict[ObjectKey, LabelSelector] = {}
        self._by_place: dict[_Place, dict[ObjectKey, LabelSelector]] = {}
        """Namespace and one label that a selector asks for (None: it asks for no certain one) -> the selectors."""

    def remember(self, key: ObjectKey, selector: LabelSelector | None) -> None:
        """`selector` None: the key selects nothing (any more), or is gone."""
        old = self._selectors.pop(key, None)
        if old is not None:
            del self._by_place[_place(key, old)][key]
            if not self._by_place[_place(key, old)]:
                del self._by_place[_place(key, old)]
        if selector is not None:
            self._selectors[key] = selector
            self._by_place.setdefault(_place(key, selector), {})[key] = selector

    def keys_for(self, obj: Tree) -> list[ObjectKey]:
        """Everyone who selects the object."""
        namespace, labels = key_of(obj).namespace, labels_of(obj)
        places = [(namespace, label) for label in (None, *labels.items())]
        return [
            key
            for place in places
            for key, selector in self._by_place.get(place, {}).items()
            if selector.matches(labels)
        ]

    def keys_for_orphan(self, obj: Tree) -> list[ObjectKey]:
        """Everyone who would adopt the object; nobody when it has a controller."""
        return [] if controller_of(obj) is not None or is_being_deleted(obj) else self.keys_for(obj)
