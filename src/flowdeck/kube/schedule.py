"""When a schedule is due: five fields or six, `@daily` and the like, `@every 90s`; in a time zone.

Times that a clock change skips are skipped, times that it repeats come twice. Source: robfig/cron v3, which Kubernetes
uses, for five fields; v1, which Kubeflow Pipelines uses, for six.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

_WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_UNITS_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(h|ms|us|µs|ns|m|s)")
_MINUTE = timedelta(minutes=1)
_LONGEST_S = 100 * 366 * 24 * 3600.0


class BadSchedule(ValueError):
    """The schedule or its time zone can't be read."""


class BadTimeZone(BadSchedule):
    """There is no such time zone."""


@dataclass(frozen=True)
class Schedule:
    """A schedule that was read."""

    expression: str
    """Five fields, or six with seconds first; `""` for `@every`."""
    every: timedelta
    zone: tzinfo

    def after(self, moment: datetime) -> Iterator[datetime]:
        """The times it is due after a moment, in order, in UTC; without end, but for dates that never come."""
        if self.every:
            first = moment.replace(microsecond=0)
            return (first + self.every * count for count in itertools.count(1))
        return self._in_zone(moment.astimezone(UTC))

    def _in_zone(self, moment: datetime) -> Iterator[datetime]:
        """Goes on with one offset from UTC until the zone changes it, then with the next."""
        offset = _offset(self.zone, moment)
        while True:
            change = None
            for local in CronSim(self.expression, (moment + offset).replace(tzinfo=None)):
                due = local.replace(tzinfo=UTC) - offset
                if _offset(self.zone, due) != offset:
                    change = _change(self.zone, moment, due)
                    break
                yield due
                moment = due
            if change is None:
                return
            moment, offset = change - timedelta(seconds=1), _offset(self.zone, change)

    def latest(self, earliest: datetime, now: datetime) -> tuple[datetime | None, int]:
        """The last time that was due after `earliest` and not after `now`, and how many were (at most 101)."""
        due = list(itertools.islice(itertools.takewhile(lambda t: t <= now, self.after(earliest)), 101))
        if len(due) <= 100:
            return (due[-1] if due else None), len(due)
        if self.every:
            return now - (now - earliest) % self.every, len(due)
        for window in (timedelta(hours=1), timedelta(days=1), timedelta(days=40), timedelta(days=400)):
            start = max(earliest, now - window)
            recent = list(itertools.takewhile(lambda t: t <= now, self.after(start)))
            if recent:
                return recent[-1], len(due)
        return due[-1], len(due)


def read_schedule(text: str, time_zone: str | None, *, with_seconds: bool = False) -> Schedule:
    """Without a zone: in UTC. Raises `BadSchedule`, `BadTimeZone`.

    `with_seconds`: six fields, seconds first; the last one, the day of the week, may be left out.
    """
    zone = read_zone(time_zone) if time_zone else UTC
    text = text.strip()
    if text.startswith("@every "):
        return Schedule("", _duration(text.removeprefix("@every ").strip()), zone)
    if text.startswith("@") and text not in _WORDS:
        raise BadSchedule(f"unrecognized descriptor: {text}")
    expression = _six_fields(text) if with_seconds and text not in _WORDS else _five_fields(_WORDS.get(text, text))
    try:
        CronSim(expression, datetime(2024, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise BadSchedule(str(error)) from error
    return Schedule(expression, timedelta(0), zone)


def _five_fields(text: str) -> str:
    fields = text.replace("?", "*").split()
    if len(fields) != 5:
        raise BadSchedule(f"expected exactly 5 fields, found {len(fields)}: [{text}]")
    return " ".join([*fields[:2], _stepped(fields[2], "1-31"), fields[3], _stepped(fields[4], "0-6")])


def _six_fields(text: str) -> str:
    fields = text.replace("?", "*").split()
    if len(fields) not in (5, 6):
        raise BadSchedule(f"expected 5 to 6 fields, found {len(fields)}: [{text}]")
    return " ".join(fields if len(fields) == 6 else [*fields, "*"])


def read_zone(name: str) -> tzinfo:
    """Raises `BadTimeZone`."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadTimeZone(f"unknown time zone {name}") from error


def _stepped(field: str, whole: str) -> str:
    """`*/2` is no star for the question whether day of month and day of week must both match."""
    return f"{whole}{field[1:]}" if field.startswith("*/") and field != "*/1" else field


def _duration(text: str) -> timedelta:
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise BadSchedule(f"failed to parse duration @every {text}")
    seconds = sum(float(number) * _UNITS_S[unit] for number, unit in parts)
    if seconds > _LONGEST_S:
        raise BadSchedule(f"failed to parse duration @every {text}: it is longer than a century")
    return timedelta(seconds=max(1, int(seconds)))


def _offset(zone: tzinfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def _change(zone: tzinfo, before: datetime, after: datetime) -> datetime:
    """The first whole minute between two moments at which the zone's offset is not any more what it was before."""
    was = _offset(zone, before)
    low, high = before.replace(second=0, microsecond=0), after
    while high - low > _MINUTE:
        middle = low + timedelta(minutes=int((high - low) / _MINUTE) // 2)
        if _offset(zone, middle) == was:
            low = middle
        else:
            high = middle
    return high
