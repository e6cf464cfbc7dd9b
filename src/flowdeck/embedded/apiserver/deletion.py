"""What deleting one object means: preconditions, finalizers for propagation, grace periods. Pure.

Source: k8s.io/apiserver (pkg/registry/rest/delete.go, pkg/registry/generic/registry/store.go).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flowdeck.kube.errors import BadRequest, Conflict
from flowdeck.kube.objects import Kind, Tree, copy_of
from flowdeck.kube.times import format_time

ORPHAN = "orphan"
FOREGROUND = "foregroundDeletion"
DEFAULT_POD_GRACE_S = 30


@dataclass(frozen=True, kw_only=True)
class DeleteOptions:
    """`DeleteOptions` of the wire."""

    propagation: str = ""
    """`Background`, `Foreground`, `Orphan`, or `""`: as the object's finalizers say, else Background."""
    grace_period_s: int | None = None
    uid: str = ""
    resource_version: str = ""

    @classmethod
    def parse(cls, body: Any, query: Mapping[str, str]) -> "DeleteOptions":
        """Reads them from the body, else from the query. Raises `BadRequest`."""
        body = body if isinstance(body, dict) else {}
        propagation = body.get("propagationPolicy") or query.get("propagationPolicy") or ""
        orphan = body.get("orphanDependents", {"true": True, "false": False}.get(query.get("orphanDependents", "")))
        if propagation and orphan is not None:
            raise BadRequest("orphanDependents and deletionPropagation cannot be both set")
        if propagation not in ("", "Background", "Foreground", "Orphan"):
            raise BadRequest(
                f'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: "{propagation}": '
                'supported values: "Foreground", "Background", "Orphan", "nil"'
            )
        if orphan is not None:
            propagation = "Orphan" if orphan else "Background"
        conditions = body.get("preconditions") or {}
        if not isinstance(conditions, dict):
            raise BadRequest("DeleteOptions.preconditions: must be an object")
        return cls(
            propagation=propagation,
            grace_period_s=_whole(body.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))),
            uid=conditions.get("uid") or "",
            resource_version=conditions.get("resourceVersion") or "",
        )

    def to_tree(self) -> Tree:
        tree: Tree = {"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1"}
        if self.grace_period_s is not None:
            tree["gracePeriodSeconds"] = self.grace_period_s
        if self.propagation:
            tree["propagationPolicy"] = self.propagation
        return tree


def _whole(seconds: Any) -> int | None:
    try:
        return None if seconds is None else int(seconds)
    except (TypeError, ValueError) as error:
        raise BadRequest("DeleteOptions.gracePeriodSeconds: must be a whole number") from error


@dataclass(frozen=True)
class DeletionPlan:
    """What a delete does to the object."""

    marked: Tree | None
    """The object to store first: with its deletion marks and finalizers; None: store nothing."""
    is_final: bool
    """Whether the object goes away right now."""


def check_preconditions(kind: Kind, obj: Tree, wanted: DeleteOptions) -> None:
    """Raises `Conflict` when the object is not the one that is meant."""
    meta = obj["metadata"]
    for label, asked, is_now in (
        ("UID", wanted.uid, meta["uid"]),
        ("ResourceVersion", wanted.resource_version, meta["resourceVersion"]),
    ):
        if asked and asked != is_now:
            raise Conflict(
                f'Operation cannot be fulfilled on {kind.resource} "{meta["name"]}": the {label} in the precondition '
                f"({asked}) does not match the {label} in record ({is_now}). The object might have been deleted and "
                "then recreated",
                group=kind.group,
                kind=kind.plural,
                name=meta["name"],
            )


def plan(kind: Kind, obj: Tree, wanted: DeleteOptions, now: datetime) -> DeletionPlan:
    """Decides whether the object goes now, or is marked and waits for its finalizers and grace."""
    finalizers = _finalizers(obj, wanted.propagation)
    grace_s = _grace(kind, obj, wanted)
    meta = obj["metadata"]
    is_marked = bool(meta.get("deletionTimestamp"))
    is_guarded = _is_guarded(obj)
    shortens = not is_marked or grace_s < (meta.get("deletionGracePeriodSeconds") or 0)
    if not finalizers and grace_s == 0 and not is_guarded:
        return DeletionPlan(None, is_final=True)
    marked = copy_of(obj)
    if shortens:
        marked["metadata"]["deletionTimestamp"] = format_time(now + timedelta(seconds=grace_s))
        marked["metadata"]["deletionGracePeriodSeconds"] = grace_s
        if meta.get("generation") and not is_marked:
            marked["metadata"]["generation"] = meta["generation"] + 1
    marked["metadata"].pop("finalizers", None)
    if finalizers:
        marked["metadata"]["finalizers"] = finalizers
    if is_guarded:
        marked["status"] = {**(marked.get("status") or {}), "phase": "Terminating"}
    return DeletionPlan(marked, is_final=False)


def is_finished(obj: Tree) -> bool:
    """True when nothing holds an object back that is being deleted: it goes with the write that made it so."""
    meta = obj["metadata"]
    return (
        bool(meta.get("deletionTimestamp"))
        and not meta.get("finalizers")
        and not meta.get("deletionGracePeriodSeconds")
        and not _is_guarded(obj)
    )


def _is_guarded(obj: Tree) -> bool:
    """A Namespace stays until its content is gone: it has finalizers of its own sort, in its spec."""
    return (
        obj.get("kind") == "Namespace"
        and obj.get("apiVersion") == "v1"
        and bool((obj.get("spec") or {}).get("finalizers"))
    )


def _finalizers(obj: Tree, propagation: str) -> list[str]:
    kept = [name for name in obj["metadata"].get("finalizers") or () if name not in (ORPHAN, FOREGROUND)]
    match propagation:
        case "Orphan":
            return [*kept, ORPHAN]
        case "Foreground":
            return [*kept, FOREGROUND]
        case "Background":
            return kept
    return list(obj["metadata"].get("finalizers") or ())


def _grace(kind: Kind, obj: Tree, wanted: DeleteOptions) -> int:
    """Seconds that a pod has to end; other kinds go at once."""
    if (kind.group, kind.kind) != ("", "Pod"):
        return 0
    if not obj["spec"].get("nodeName") or (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return 0
    own = obj["spec"].get("terminationGracePeriodSeconds")
    asked = wanted.grace_period_s
    if asked is None:
        was = obj["metadata"].get("deletionGracePeriodSeconds")
        asked = was if was is not None else (DEFAULT_POD_GRACE_S if own is None else own)
    return max(int(asked), 0) if asked >= 0 else 1
