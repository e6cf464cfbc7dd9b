"""Which ReplicaSet is the Deployment's new one, and the annotations that `kubectl rollout` reads. Pure.

Source: kubernetes (pkg/controller/deployment/util/deployment_util.go, sync.go)
"""

from collections.abc import Mapping, Sequence
from typing import Any

from flowdeck.embedded.workloads.deployment.sizes import DESIRED_REPLICAS, MAX_REPLICAS, largest_total, replicas_of
from flowdeck.embedded.workloads.pods import created_at
from flowdeck.embedded.workloads.templates import template_hash
from flowdeck.kube.objects import (
    Tree,
    annotations_of,
    copy_of,
    get_in,
    is_being_deleted,
    owner_reference,
)

REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
TEMPLATE_HASH = "pod-template-hash"
MAX_HISTORY_CHARS = 2000

_NOT_COPIED = frozenset(
    (
        "kubectl.kubernetes.io/last-applied-configuration",
        REVISION,
        REVISION_HISTORY,
        DESIRED_REPLICAS,
        MAX_REPLICAS,
        "deprecated.deployment.rollback.to",
    )
)


def same_template(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two pod templates are equal but for the hash label that we put on them."""
    return _without_hash(one) == _without_hash(other)


def _without_hash(template: Mapping[str, Any]) -> Tree:
    labels = dict(get_in(template, "metadata", "labels", default={}))
    labels.pop(TEMPLATE_HASH, None)
    metadata = {**(template.get("metadata") or {}), "labels": labels}
    metadata.pop("creationTimestamp", None)
    return {**template, "metadata": {name: value for name, value in metadata.items() if value}}


def new_and_old(deployment: Tree, replica_sets: Sequence[Tree]) -> tuple[Tree | None, list[Tree]]:
    """The oldest set that has the Deployment's template, and all the others."""
    template = deployment["spec"]["template"]
    same = [rs for rs in replica_sets if same_template(rs["spec"].get("template") or {}, template)]
    new = min(same, key=created_at, default=None)
    return new, [rs for rs in replica_sets if rs is not new]


def revision_of(obj: Tree) -> int:
    text = annotations_of(obj).get(REVISION, "")
    return int(text) if text.isdigit() else 0


def next_revision(old: Sequence[Tree]) -> int:
    return max(map(revision_of, old), default=0) + 1


def size_annotations(deployment: Tree) -> dict[str, str]:
    """What a set remembers of the Deployment's size, for scaling in proportion."""
    return {DESIRED_REPLICAS: str(replicas_of(deployment)), MAX_REPLICAS: str(largest_total(deployment))}


def annotations_for_new(deployment: Tree, new: Tree | None, revision: int) -> dict[str, str]:
    """The annotations that the new set shall have: the Deployment's, its revision, and which ones it was before."""
    had = dict(annotations_of(new)) if new else {}
    given = {name: text for name, text in annotations_of(deployment).items() if name not in _NOT_COPIED}
    wanted = had | given
    old_revision = had.get(REVISION, "")
    if not old_revision.isdigit() or int(old_revision) < revision:
        wanted[REVISION] = str(revision)
        if old_revision:
            wanted[REVISION_HISTORY] = _history(had.get(REVISION_HISTORY, ""), old_revision)
    return wanted if new else wanted | size_annotations(deployment)


def _history(before: str, revision: str) -> str:
    parts = [*(part for part in before.split(",") if part), revision]
    while len(parts) > 1 and len(",".join(parts)) > MAX_HISTORY_CHARS:
        parts.pop(0)
    return ",".join(parts)


def build_new(deployment: Tree, revision: int, size: int) -> Tree:
    """The ReplicaSet of the Deployment's present template."""
    spec, meta = deployment["spec"], deployment["metadata"]
    digest = template_hash(spec["template"], get_in(deployment, "status", "collisionCount"))
    template = copy_of(spec["template"])
    metadata = template.setdefault("metadata", {})
    labels = metadata["labels"] = {**(metadata.get("labels") or {}), TEMPLATE_HASH: digest}
    selector = copy_of(spec["selector"])
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), TEMPLATE_HASH: digest}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{meta['name']}-{digest}",
            "namespace": meta["namespace"],
            "labels": dict(labels),
            "annotations": annotations_for_new(deployment, None, revision),
            "ownerReferences": [owner_reference(deployment)],
        },
        "spec": {
            "replicas": size,
            **({"minReadySeconds": int(spec["minReadySeconds"])} if spec.get("minReadySeconds") else {}),
            "selector": selector,
            "template": template,
        },
    }


def outdated(deployment: Tree, old: Sequence[Tree]) -> list[Tree]:
    """The old sets that the revision history has no place for: lowest revisions first, and only empty ones."""
    limit = get_in(deployment, "spec", "revisionHistoryLimit", default=10)
    alive = sorted((rs for rs in old if not is_being_deleted(rs)), key=lambda rs: (revision_of(rs), created_at(rs)))
    return [rs for rs in alive[: max(0, len(alive) - limit)] if _is_settled_at_zero(rs)]


def _is_settled_at_zero(rs: Tree) -> bool:
    status = rs.get("status") or {}
    return (
        replicas_of(rs) == 0
        and not status.get("replicas")
        and rs["metadata"].get("generation", 0) <= status.get("observedGeneration", 0)
    )
