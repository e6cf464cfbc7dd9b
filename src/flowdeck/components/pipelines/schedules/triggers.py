"""When a recurring run is due: a line of cron, an interval, or once. Pure.

    trigger = read_trigger({"cron_schedule": {"cron": "0 0 9 * * MON"}}, zone="Europe/Berlin")
    trigger.next(last, created)     # the next point after the last one that was run

Points are whole seconds. Source: kubeflow/pipelines (backend/src/crd/controller/scheduledworkflow/util).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Protocol

from flowdeck.components.pipelines.errors import InvalidTrigger
from flowdeck.kube.objects import Tree
from flowdeck.kube.schedule import BadSchedule, Schedule, read_schedule
from flowdeck.kube.times import parse_time

_LONGEST_S = 100 * 366 * 24 * 3600
"""An interval that calendars can still add."""
_YEARS = range(1971, 9001)


class Trigger(Protocol):
    """One of the three below."""

    def next(self, last: datetime | None, created: datetime) -> datetime | None:
        """The first point after the last one that was run; None: never again."""
        ...

    def newest(self, point: datetime, now: datetime) -> datetime:
        """What is run at `now` for `point` and all that were missed since, where missed ones are passed over."""
        ...

    def points(self, created: datetime, begin: datetime, end: datetime) -> Iterator[datetime]:
        """Those of a time range, its ends included: for backfills."""
        ...


@dataclass(frozen=True)
class Cron:
    """A line of cron: seconds first."""

    schedule: Schedule
    start: datetime | None = None
    end: datetime | None = None

    def next(self, last: datetime | None, created: datetime) -> datetime | None:
        point = next(self.schedule.after(last or self.start or created), None)
        return None if point is None or _is_past(point, self.end) else point

    def newest(self, point: datetime, now: datetime) -> datetime:
        latest, _ = self.schedule.latest(point, now if self.end is None else min(now, self.end))
        return latest or point

    def points(self, created: datetime, begin: datetime, end: datetime) -> Iterator[datetime]:
        return takewhile(lambda point: point <= end, self.schedule.after(_floor(begin - timedelta(microseconds=1))))


@dataclass(frozen=True)
class Interval:
    """So often."""

    every: timedelta
    start: datetime | None = None
    end: datetime | None = None

    def next(self, last: datetime | None, created: datetime) -> datetime | None:
        point = self._first(created) if last is None else last + self.every
        return None if _is_past(point, self.end) else point

    def newest(self, point: datetime, now: datetime) -> datetime:
        if now < point + self.every:
            return point
        return _floor(now if self.end is None else min(now, self.end))

    def points(self, created: datetime, begin: datetime, end: datetime) -> Iterator[datetime]:
        anchor = self._first(created)
        point = anchor + -((anchor - begin) // self.every) * self.every
        while point <= end:
            yield point
            point += self.every

    def _first(self, created: datetime) -> datetime:
        if self.start is not None and self.start > created:
            return _floor(self.start)
        return _floor(created) + self.every


@dataclass(frozen=True)
class Once:
    """At once, and never again."""

    def next(self, last: datetime | None, created: datetime) -> datetime | None:
        return _floor(created) if last is None else None

    def newest(self, point: datetime, now: datetime) -> datetime:
        return point

    def points(self, created: datetime, begin: datetime, end: datetime) -> Iterator[datetime]:
        return iter(())


def read_trigger(tree: Tree, zone: str) -> Trigger:
    """The trigger in `trigger` of the API, in `snake_case`; `zone`, where cron is read, may be empty: UTC.

    Raises `InvalidTrigger`.
    """
    if (cron := tree.get("cron_schedule")) is not None:
        try:
            schedule = read_schedule(cron.get("cron", ""), zone, with_seconds=True)
        except BadSchedule as error:
            raise InvalidTrigger(
                "Invalid input error: Schedule cron is not a supported format"
                f"(https://godoc.org/github.com/robfig/cron). Error: {error}"
            ) from error
        return Cron(schedule, *_bounds(cron))
    if (periodic := tree.get("periodic_schedule")) is not None:
        seconds = int(periodic.get("interval_second", 0))
        if not 1 <= seconds <= _LONGEST_S:
            raise InvalidTrigger(
                f"Invalid input error: Found invalid period schedule interval {seconds}. "
                "Set at interval to least 1 second."
            )
        return Interval(timedelta(seconds=seconds), *_bounds(periodic))
    return Once()


def warnings_about(tree: Tree) -> list[str]:
    """What somebody may not have meant."""
    line = (tree.get("cron_schedule") or {}).get("cron", "").strip()
    if line.startswith("@") or len(line.split()) != 5:
        return []
    return [
        "cron has five fields, and they are read as second, minute, hour, day of month and month; "
        f'if you mean the five fields of Unix, write "0 {line}"'
    ]


def calendar_time(text: str) -> datetime:
    """A time that schedules can reckon with. Raises `ValueError`."""
    try:
        moment = parse_time(text)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text[:100]!r} is no RFC 3339 time") from error
    if moment.year not in _YEARS:
        raise ValueError(f"{text[:100]!r} is not between the years {_YEARS.start} and {_YEARS.stop - 1}")
    return moment


def _bounds(tree: Tree) -> tuple[datetime | None, datetime | None]:
    start, end = (_moment(tree.get(name, ""), name) for name in ("start_time", "end_time"))
    if start is not None and end is not None and end < start:
        raise InvalidTrigger("Invalid input error: trigger.end_time is before trigger.start_time")
    return start, end


def _moment(text: str, name: str) -> datetime | None:
    if not text:
        return None
    try:
        return calendar_time(text)
    except ValueError as error:
        raise InvalidTrigger(f"Invalid input error: trigger.{name}: {error}") from error


def _is_past(point: datetime, end: datetime | None) -> bool:
    return end is not None and point > end


def _floor(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)
