"""What a recurring run wants now: a run, or to be looked at again later. Pure.

What is due by its trigger comes before backfills; a backfill goes on while the recurring run is disabled, too.
"""

from dataclasses import dataclass
from datetime import datetime

from flowdeck.components.pipelines.schedules.triggers import Trigger


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A recurring run as it is."""

    trigger: Trigger
    created_at: datetime
    last_at: datetime | None
    """The last point of its trigger that was run."""
    is_enabled: bool
    catches_up: bool
    """Whether every missed point is run, or the newest alone."""
    slots: int
    """How many more of its runs may be unfinished."""
    backfill: tuple[datetime, datetime] | None = None
    """What is left of the oldest one: the range, its ends included."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """What to do."""

    due: datetime | None = None
    """The point that a run is started for."""
    is_backfill: bool = False
    """Whether `due` is a backfill's."""
    backfill_is_done: bool = False
    has_to_wait: bool = False
    """Something is due, but as many of its runs as may be are unfinished."""
    next_at: datetime | None = None
    """When there is something to do again."""


def decide(seen: Seen, *, now: datetime) -> Step:
    point = seen.trigger.next(seen.last_at, seen.created_at) if seen.is_enabled else None
    if point is not None and point <= now:
        due = point if seen.catches_up else seen.trigger.newest(point, now)
        return Step(due=due) if seen.slots > 0 else Step(has_to_wait=True)
    if seen.backfill is None:
        return Step(next_at=point)
    missing = next(seen.trigger.points(seen.created_at, *seen.backfill), None)
    if missing is None:
        return Step(backfill_is_done=True)
    return Step(due=missing, is_backfill=True) if seen.slots > 0 else Step(has_to_wait=True)
