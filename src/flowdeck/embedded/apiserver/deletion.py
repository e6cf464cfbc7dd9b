"""What deleting one object means: preconditions, finalizers for propagation, grace periods. Pure.

Source: k8s.io/apiserver (pkg/registry/rest/delete.go, pkg/registry/generic/registry/store.go).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flowdeck.kube.errors import BadRequest, Conflict, invalid, invalid_options, not_supported
from flowdeck.kube.objects import Kind, Tree, copy_of
from flowdeck.kube.openapi import schema_for
from flowdeck.kube.times import format_time

ORPHAN = "orphan"
FOREGROUND = "foregroundDeletion"
DEFAULT_POD_GRACE_S = 30
_ORPHANING = ("jobs.batch", "replicationcontrollers")
"""Kinds whose dependents stay unless something else is said: older than garbage collection."""
_ENDING_BY_THEMSELVES = ("namespaces", "customresourcedefinitions.apiextensions.k8s.io")
"""Kinds whose deletion upstream does by code of its own, which counts nothing."""
_JOB_WARNING = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set "
    "propagationPolicy=Orphan to suppress this warning"
)
_POLICIES = ("Foreground", "Background", "Orphan")
_KIND = "DeleteOptions"
SCHEME = "pkg/runtime/scheme.go:111"
"""Where upstream's scheme of kinds was made: it says so."""


@dataclass(frozen=True, kw_only=True)
class DeleteOptions:
    """`DeleteOptions` of the wire."""

    propagation: str = ""
    """`Background`, `Foreground`, `Orphan`, or `""`: as the object's finalizers say, else Background."""
    grace_period_s: int | None = None
    uid: str = ""
    resource_version: str = ""
    dry_run: bool = False
    """Asked for in the body."""
    is_cascading: bool = False
    """`orphanDependents: false`: an object that does not go at once is answered by 202."""

    @classmethod
    def parse(cls, body: Any, query: Mapping[str, str]) -> "DeleteOptions":
        """Reads them from the body, else from the query. Raises `BadRequest`, `Invalid`."""
        body = _options_tree(body)
        propagation = body.get("propagationPolicy") or query.get("propagationPolicy") or ""
        orphan = body.get("orphanDependents", {"true": True, "false": False}.get(query.get("orphanDependents", "")))
        dry_run = body.get("dryRun") or []
        errors = []
        if propagation and orphan is not None:
            told = "orphanDependents and deletionPropagation cannot be both set"
            errors.append(invalid("propagationPolicy", propagation, told))
        if propagation not in ("", *_POLICIES):
            errors.append(not_supported("propagationPolicy", propagation, [*_POLICIES, "nil"]))
        if any(value != "All" for value in dry_run):
            errors.append(not_supported("dryRun", dry_run, ["All"]))
        if errors:
            raise invalid_options("DeleteOptions", errors)
        if orphan is not None:
            propagation = "Orphan" if orphan else "Background"
        conditions = body.get("preconditions") or {}
        return cls(
            dry_run=bool(dry_run),
            is_cascading=orphan is False,
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


def _options_tree(body: Any) -> Tree:
    """The body as DeleteOptions. Raises `BadRequest`, as decoding them does."""
    if not isinstance(body, dict):
        return {}
    kind, version = body.get("kind", _KIND), body.get("apiVersion", "v1")
    if kind != _KIND:
        raise BadRequest(
            f'no kind "{kind}" is registered for version "{version}" in scheme "pkg/runtime/scheme.go:111"'
        )
    if errors := schema_for(Kind("", "v1", _KIND, "")).type_errors(body):
        raise BadRequest(errors[0])
    return body


def _whole(seconds: Any) -> int | None:
    try:
        return None if seconds is None else int(seconds)
    except ValueError as error:
        raise BadRequest(f'strconv.ParseInt: parsing "{seconds}": invalid syntax') from error


@dataclass(frozen=True)
class DeletionPlan:
    """What a delete does to the object."""

    marked: Tree | None
    """The object with its deletion marks and finalizers: stored, or the last state of what goes; None: as it is."""
    is_final: bool
    """Whether the object goes away right now."""


def check_preconditions(kind: Kind, obj: Tree, wanted: DeleteOptions) -> None:
    """Raises `Conflict` when the object is not the one that is meant."""
    meta = obj["metadata"]
    for label, asked, is_now, why in (
        ("UID", wanted.uid, meta["uid"], "deleted and then recreated"),
        ("ResourceVersion", wanted.resource_version, meta["resourceVersion"], "modified"),
    ):
        if asked and asked != is_now:
            named = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
            raise Conflict(
                f'Operation cannot be fulfilled on {named} "{meta["name"]}": the {label} in the precondition '
                f"({asked}) does not match the {label} in record ({is_now}). The object might have been {why}",
                group=kind.group,
                kind=kind.kind,
                name=meta["name"],
            )


def plan(kind: Kind, obj: Tree, wanted: DeleteOptions, now: datetime) -> DeletionPlan:
    """Decides whether the object goes now, or is marked and waits for its finalizers and grace."""
    finalizers = _finalizers(kind, obj, wanted.propagation)
    grace_s = _grace(kind, obj, wanted)
    meta = obj["metadata"]
    is_marked = bool(meta.get("deletionTimestamp"))
    is_guarded = _is_guarded(obj)
    shortens = not is_marked or grace_s < (meta.get("deletionGracePeriodSeconds") or 0)
    is_final = not finalizers and grace_s == 0 and not is_guarded
    if is_final and not (_has_grace(kind) and shortens):
        return DeletionPlan(None, is_final=True)
    if meta.get("deletionGracePeriodSeconds") and not shortens:
        return DeletionPlan(None, is_final=False)
    marked = copy_of(obj)
    if shortens:
        marked["metadata"]["deletionTimestamp"] = format_time(now + timedelta(seconds=grace_s))
    if shortens and kind.resource not in _ENDING_BY_THEMSELVES:
        marked["metadata"]["deletionGracePeriodSeconds"] = grace_s
        if meta.get("generation") and not is_marked:
            marked["metadata"]["generation"] = meta["generation"] + 1
    marked["metadata"].pop("finalizers", None)
    if finalizers:
        marked["metadata"]["finalizers"] = finalizers
    if is_guarded:
        marked["status"] = {**(marked.get("status") or {}), "phase": "Terminating"}
    return DeletionPlan(marked, is_final=is_final)


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


def warnings(kind: Kind) -> Sequence[str]:
    """For who deletes an object of the kind without a word on what hangs on it."""
    return (_JOB_WARNING,) if kind.resource == "jobs.batch" else ()


def _finalizers(kind: Kind, obj: Tree, propagation: str) -> list[str]:
    was = obj["metadata"].get("finalizers") or ()
    kept = [name for name in was if name not in (ORPHAN, FOREGROUND)]
    if not propagation and len(kept) == len(was) and kind.resource in _ORPHANING:
        propagation = "Orphan"
    match propagation:
        case "Orphan":
            return [*kept, ORPHAN]
        case "Foreground":
            return [*kept, FOREGROUND]
        case "Background":
            return kept
    return list(obj["metadata"].get("finalizers") or ())


def _has_grace(kind: Kind) -> bool:
    return (kind.group, kind.kind) == ("", "Pod")


def _grace(kind: Kind, obj: Tree, wanted: DeleteOptions) -> int:
    """Seconds that a pod has to end; other kinds go at once."""
    if not _has_grace(kind):
        return 0
    if not obj["spec"].get("nodeName") or (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return 0
    own = obj["spec"].get("terminationGracePeriodSeconds")
    asked = wanted.grace_period_s
    if asked is None:
        was = obj["metadata"].get("deletionGracePeriodSeconds")
        asked = was if was is not None else (DEFAULT_POD_GRACE_S if own is None else own)
    return max(int(asked), 0) if asked >= 0 else 1
