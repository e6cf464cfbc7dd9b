"""The history of templates as ControllerRevisions: for StatefulSets and DaemonSets, as `kubectl rollout` reads it.

The data of a revision is a strategic merge patch that brings its template back:
`{"spec": {"template": {..., "$patch": "replace"}}}`. Source: kubernetes (pkg/controller/history)
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flowdeck.client.base import Client
from flowdeck.embedded.workloads.adoption import adopt
from flowdeck.embedded.workloads.pods import created_at
from flowdeck.embedded.workloads.templates import safe_hash
from flowdeck.kube.errors import AlreadyExists
from flowdeck.kube.kinds import CONTROLLER_REVISION
from flowdeck.kube.objects import (
    Kind,
    Tree,
    annotations_of,
    copy_of,
    get_in,
    is_controlled_by,
    key_of,
    labels_of,
    owner_reference,
    uid_of,
)
from flowdeck.kube.selectors import label_selector_of

REVISION_LABEL = "controller-revision-hash"
"""On pods: the revision's name (StatefulSet) or its hash (DaemonSet)."""


@dataclass(frozen=True)
class History:
    """The revisions of one object, lowest number first; `update` is that of its present template."""

    revisions: Sequence[Tree]
    update: Tree
    collision_count: int


def data_of(owner: Tree) -> Tree:
    return {"spec": {"template": {**copy_of(owner["spec"]["template"]), "$patch": "replace"}}}


def template_of(revision: Tree) -> Tree:
    """The pod template that a revision remembers."""
    template = copy_of(get_in(revision, "data", "spec", "template", default={}))
    template.pop("$patch", None)
    return template


def hash_of(revision: Tree, label: str) -> str:
    return labels_of(revision).get(label, "")


def in_order(revisions: Iterable[Tree]) -> list[Tree]:
    return sorted(revisions, key=lambda r: (int(r.get("revision") or 0), created_at(r), r["metadata"]["name"]))


async def keep_history(client: Client, kind: Kind, owner: Tree, hash_label: str) -> History:
    """Reads the history and makes the present template its latest revision: an old one again, or a new one.

    On a name that something else has taken, `status.collisionCount` is raised and `AlreadyExists` raised.
    """
    selector = label_selector_of(owner["spec"]["selector"])
    found = in_order(await adopt(client, CONTROLLER_REVISION, owner, selector))
    collisions = int(get_in(owner, "status", "collisionCount", default=0))
    number = max((int(r.get("revision") or 0) for r in found), default=0)
    data = data_of(owner)
    same = [r for r in found if r.get("data") == data]
    if not same:
        update = await _create(client, kind, owner, data, number + 1, collisions, hash_label)
    elif int(same[-1].get("revision") or 0) == number:
        return History(found, same[-1], collisions)
    else:
        update = await client.patch(CONTROLLER_REVISION, key_of(same[-1]), {"revision": number + 1})
    others = [r for r in found if uid_of(r) != uid_of(update)]
    return History([*others, update], update, collisions)


async def _create(
    client: Client, kind: Kind, owner: Tree, data: Tree, number: int, collisions: int, hash_label: str
) -> Tree:
    digest = safe_hash(data, collisions)
    revision: Tree = {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": f"{owner['metadata']['name'][:223]}-{digest}",
            "namespace": owner["metadata"]["namespace"],
            "labels": {**get_in(owner, "spec", "template", "metadata", "labels", default={}), hash_label: digest},
            "annotations": dict(annotations_of(owner)),
            "ownerReferences": [owner_reference(owner)],
        },
        "data": data,
        "revision": number,
    }
    try:
        return await client.create(CONTROLLER_REVISION, revision)
    except AlreadyExists:
        there = await client.get(CONTROLLER_REVISION, key_of(revision))
        if is_controlled_by(there, owner) and there.get("data") == data:
            return there
        await client.patch_status(kind, key_of(owner), {"status": {"collisionCount": collisions + 1}})
        raise


async def truncate_history(client: Client, owner: Tree, history: History, live: set[str]) -> None:
    """Deletes the oldest revisions beyond `revisionHistoryLimit`, but none of the `live` names."""
    limit = get_in(owner, "spec", "revisionHistoryLimit", default=10)
    unused = [r for r in history.revisions if r["metadata"]["name"] not in live]
    for revision in unused[: max(0, len(unused) - limit)]:
        await client.delete(CONTROLLER_REVISION, key_of(revision), uid=uid_of(revision), missing_ok=True)
