"""Server-side apply and managedFields. To be filled by the machinery builder; the seam that verbs.py calls."""

from datetime import datetime
from typing import Any

from flowdeck.kube.objects import Tree
from flowdeck.kube.schema import Schema


def track(
    schema: Schema, old: Tree | None, new: Tree, *, manager: str, now: datetime, subresource: str = ""
) -> None:
    """Sets `metadata.managedFields` of `new` for a write that is not an apply."""


def apply(
    schema: Schema,
    live: Tree | None,
    config: Tree,
    *,
    manager: str,
    force: bool,
    now: datetime,
    subresource: str = "",
) -> Tree:
    """The object after `manager` has applied `config` on `live` (None: there is none). Raises `Conflict`."""
    raise NotImplementedError


def is_same(one: Any, other: Any) -> bool:
    """Whether two managedFields say the same, times apart."""
    return bool(one == other)
