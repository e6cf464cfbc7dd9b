"""Which children belong to a controller: those it owns and selects, and orphans that it adopts.

Used by all controllers that find children by label selector (ReplicaSet, Deployment, StatefulSet, DaemonSet).
"""

from flowdeck.client.base import Client, PatchType
from flowdeck.kube.errors import Conflict, Invalid, NotFound
from flowdeck.kube.objects import (
    Kind,
    Tree,
    controller_of,
    is_being_deleted,
    key_of,
    labels_of,
    owner_reference,
    uid_of,
)
from flowdeck.kube.selectors import LabelSelector, format_label_selector


async def adopt(client: Client, kind: Kind, owner: Tree, selector: LabelSelector) -> list[Tree]:
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
