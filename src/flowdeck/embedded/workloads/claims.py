"""Which children belong to a controller: those it owns and selects, and orphans that it adopts.

Used by all controllers that find children by label selector (ReplicaSet, Deployment, StatefulSet, DaemonSet, Job).
"""

from flowdeck.client.base import Client, PatchType
from flowdeck.kube.errors import Conflict, Invalid, NotFound
from flowdeck.kube.objects import (
    Kind,
    ObjectKey,
    Tree,
    controller_of,
    is_being_deleted,
    key_of,
    labels_of,
    owner_reference,
    uid_of,
)
from flowdeck.kube.selectors import LabelSelector, format_label_selector


async def claim(client: Client, kind: Kind, owner: Tree, selector: LabelSelector) -> list[Tree]:
    """The owner's children of `kind`, sorted by name: adopts orphans that match, releases those that no longer do.

    An owner that is being deleted adopts nothing (its children may just have been orphaned on purpose).
    Source: kubernetes (pkg/controller/controller_ref_manager.go).
    """
    mine: list[Tree] = []
    strangers: list[Tree] = []
    for child in await client.owned(kind, owner):
        (mine if selector.matches(labels_of(child)) else strangers).append(child)
    for child in strangers:
        await _release(client, kind, owner, child)
    if not is_being_deleted(owner) and not selector.is_everything:
        for orphan in await _orphans(client, kind, key_of(owner).namespace, selector):
            changed = await _patch_owners(client, kind, orphan, owner_reference(owner))
            mine += [changed] if changed is not None else []
    return sorted(mine, key=lambda child: str(child["metadata"]["name"]))


async def _orphans(client: Client, kind: Kind, namespace: str, selector: LabelSelector) -> list[Tree]:
    found = await client.list(kind, namespace=namespace, labels=format_label_selector(selector))
    return [obj for obj in found.items if controller_of(obj) is None and not is_being_deleted(obj)]


async def _release(client: Client, kind: Kind, owner: Tree, child: Tree) -> None:
    if not is_being_deleted(child):
        await _patch_owners(client, kind, child, {"$patch": "delete", "uid": uid_of(owner)})


async def _patch_owners(client: Client, kind: Kind, child: Tree, reference: Tree) -> Tree | None:
    """Changes one owner reference of exactly this child; None when it is gone, or somebody else was faster."""
    patch: Tree = {"metadata": {"uid": uid_of(child), "ownerReferences": [reference]}}
    try:
        return await client.patch(kind, key_of(child), patch, type=PatchType.STRATEGIC)
    except (NotFound, Conflict, Invalid):
        return None


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
