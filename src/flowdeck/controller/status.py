"""One status patch on the way out of a reconcile, or none where nothing changed."""

from collections.abc import Mapping
from typing import Any

from flowdeck.client.base import Client
from flowdeck.kube.objects import Kind, Tree, key_of


async def write_status(
    client: Client, kind: Kind, obj: Tree, status: Mapping[str, Any], *, if_unchanged: bool = False
) -> Tree:
    """Makes `obj.status` what is given with one merge patch, or none where it is so already; gives the object.

    A field that is None or missing in `status` is removed. Raises `NotFound` when the object is gone by now; with
    `if_unchanged` also `Conflict`, when somebody has written it since it was read.
    """
    patch = merge_patch(obj.get("status") or {}, {k: v for k, v in status.items() if v is not None})
    if not patch:
        return obj
    revision = {"metadata": {"resourceVersion": obj["metadata"]["resourceVersion"]}} if if_unchanged else {}
    return await client.patch_status(kind, key_of(obj), {**revision, "status": patch})


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> Tree:
    """The JSON merge patch (RFC 7386) that turns `old` into `new`."""
    patch: Tree = {name: None for name in old if name not in new}
    for name, value in new.items():
        before = old.get(name)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            if inner := merge_patch(before, value):
                patch[name] = inner
        elif name not in old or before != value:
            patch[name] = value
    return patch
