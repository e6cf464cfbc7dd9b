"""Whose the replicas are, when a Scale is applied: owners of an object's replicas are owners of the Scale's, and back.

Source: k8s.io/apimachinery (pkg/util/managedfields/scalehandler.go).
"""

from collections.abc import Sequence
from typing import Any

from flowdeck.kube import fields
from flowdeck.kube.fields import Fields
from flowdeck.kube.objects import Tree

SCALE_VERSION = "autoscaling/v1"
_IN_SCALE: Fields = {"f:spec": {"f:replicas": {}}}


def of_scale(owners: Sequence[Tree], path: str) -> list[Tree]:
    """The entries of an object's managedFields that have its replicas, as entries of the Scale's."""
    wanted = _fields_at(path)
    return [
        {**entry, "apiVersion": SCALE_VERSION, "fieldsV1": _IN_SCALE}
        for entry in owners
        if fields.intersection(entry.get("fieldsV1") or {}, wanted)
    ]


def of_object(owners: Sequence[Tree], scale_owners: Sequence[Tree], path: str, api_version: str) -> list[Tree]:
    """An object's entries after a Scale was applied: who lost the Scale's replicas has lost the object's.

    Who is new among the owners has an entry without a time.
    """
    wanted = _fields_at(path)
    left = {_identity(entry): entry for entry in scale_owners if entry.get("fieldsV1")}
    found: list[Tree] = []
    for entry in owners:
        owned = entry.get("fieldsV1") or {}
        own = _identity(entry)
        is_kept = entry["operation"] == "Apply" and left.pop(own, None) is not None
        if is_kept or not fields.intersection(owned, wanted):
            found.append(entry)
        elif rest := fields.difference(owned, wanted):
            # who has updated more than the replicas loses them, whatever was applied: upstream makes a second entry of
            # them, and reads but one
            left.pop(own, None)
            found.append({**entry, "fieldsV1": rest})
    for entry in left.values():
        timeless = {name: value for name, value in entry.items() if name != "time"}
        found.append({**timeless, "apiVersion": api_version, "fieldsV1": wanted})
    return found


def _identity(entry: Tree) -> tuple[Any, ...]:
    return tuple(entry.get(name, "") for name in ("manager", "operation", "subresource"))


def _fields_at(path: str) -> Fields:
    """`.spec.replicas` as a set of fields."""
    found: Fields = {}
    for name in reversed(path.strip(".").split(".")):
        found = {f"f:{name}": found}
    return found
