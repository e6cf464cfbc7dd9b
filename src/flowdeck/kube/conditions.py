"""`status.conditions`, as k8s.io/apimachinery (pkg/api/meta/conditions) keeps them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from flowdeck.kube.objects import Tree
from flowdeck.kube.times import format_time


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What a controller has found out about one aspect of an object."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str = ""


def find_condition(obj: Mapping[str, Any], type_: str) -> Tree | None:
    """The condition of that type in `obj.status`, if there is one."""
    for condition in (obj.get("status") or {}).get("conditions") or ():
        if condition.get("type") == type_:
            return dict(condition)
    return None


def is_true(obj: Mapping[str, Any], type_: str) -> bool:
    condition = find_condition(obj, type_)
    return condition is not None and condition.get("status") == "True"


def set_condition(
    conditions: list[Tree], wanted: Condition, *, now: datetime, observed_generation: int | None = None
) -> bool:
    """Puts `wanted` into the list, in place; says whether anything changed.

    `lastTransitionTime` moves only when the status does, so an unchanged condition stays byte-equal.
    """
    new: Tree = {"type": wanted.type, "status": wanted.status}
    if observed_generation is not None:
        new["observedGeneration"] = observed_generation
    new |= {"lastTransitionTime": format_time(now), "reason": wanted.reason, "message": wanted.message}
    for index, old in enumerate(conditions):
        if old.get("type") == wanted.type:
            if old.get("status") == wanted.status and "lastTransitionTime" in old:
                new["lastTransitionTime"] = old["lastTransitionTime"]
            merged = {**old, **new}
            if merged == old:
                return False
            conditions[index] = merged
            return True
    conditions.append(new)
    return True


def finished_type(tree: Tree) -> str:
    """`Complete` or `Failed` once a Job is over, else `""`."""
    for type_ in ("Complete", "Failed"):
        condition = find_condition(tree, type_)
        if condition and condition["status"] == "True":
            return type_
    return ""
