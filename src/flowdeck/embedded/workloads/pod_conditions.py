"""Conditions that controllers write into pods: each merged by its type, since the others belong to others."""

from datetime import datetime
from typing import Any

from flowdeck.client.base import Client, PatchType
from flowdeck.kube.conditions import Condition, set_condition
from flowdeck.kube.kinds import POD
from flowdeck.kube.objects import Tree, get_in, key_of


async def write_condition(client: Client, pod: Tree, wanted: Condition, *, now: datetime, **more: Any) -> bool:
    """Writes a condition, and `more` fields of the status; False where all of it stands there already."""
    conditions = list(get_in(pod, "status", "conditions", default=[]))
    status = pod.get("status") or {}
    if not set_condition(conditions, wanted, now=now) and more.items() <= status.items():
        return False
    (condition,) = (found for found in conditions if found["type"] == wanted.type)
    patch = {"status": {**more, "conditions": [condition]}}
    await client.patch(POD, key_of(pod), patch, type=PatchType.STRATEGIC, subresource="status")
    return True
