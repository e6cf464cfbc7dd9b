"""`[[ScheduledTime]]`, `[[Index]]` and their kin in the parameters of a run, replaced when the run is made.

    [[ScheduledTime]]  [[CurrentTime]]            20060102150405, UTC
    [[ScheduledTime.2006-01-02]]                  Go's layout of its reference time
    {{$.scheduledTime.strftime('%Y-%m-%d')}}      Python's format; likewise currentTime
    [[Index]]  [[RunUUID]]

What means nothing for a run (a one-off run has no index) stays as it is, and so does what is no macro.

Source: kubeflow/pipelines (backend/src/common/util/parameter_formatter.go).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

_MACRO = re.compile(r"\[\[(\w+)(?:\.([^\]]*))?\]\]|\{\{\$\.(\w+)\.strftime\('([^']*)'\)\}\}")
_DEFAULT: Final = "20060102150405"
_LAYOUT = re.compile(
    r"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|002|0[1-6]|15|1|2006|__2|_2006|_2|2|3|4|5|PM|pm"
    r"|[-Z]07:00:00|[-Z]070000|[-Z]07:00|[-Z]0700|[-Z]07|[.,](?:0+|9+)(?!\d)"
)


@dataclass(frozen=True, kw_only=True)
class Moment:
    """What macros mean for one run."""

    run_id: str
    now: datetime
    scheduled_at: datetime | None = None
    """Of a run that a schedule made."""
    index: int | None = None
    """Likewise: which one, from 1."""


def with_macros(parameters: Mapping[str, Any], moment: Moment) -> dict[str, Any]:
    """The parameters with macros in texts replaced; other values are left alone."""
    return {
        name: _MACRO.sub(lambda match: _value(match, moment), value) if isinstance(value, str) else value
        for name, value in parameters.items()
    }


def go_format(when: datetime, layout: str) -> str:
    """A time as Go's `Time.Format` writes it, in UTC.

    >>> go_format(datetime(2027, 3, 4, 5, 6, 7, tzinfo=UTC), "2006-01-02T15:04:05Z07:00")
    '2027-03-04T05:06:07Z'
    """
    moment = when.astimezone(UTC)
    return _LAYOUT.sub(lambda match: _part(match[0], moment), layout)


def _value(match: re.Match[str], moment: Moment) -> str:
    name, layout, formatted, python_format = match.groups()
    if formatted is not None:
        when = {"scheduledTime": moment.scheduled_at, "currentTime": moment.now}.get(formatted)
        return match[0] if when is None else when.astimezone(UTC).strftime(python_format)
    when = {"ScheduledTime": moment.scheduled_at, "CurrentTime": moment.now}.get(name)
    if when is not None:
        return go_format(when, _DEFAULT if layout is None else layout)
    if name == "RunUUID" and layout is None:
        return moment.run_id
    if name == "Index" and layout is None and moment.index is not None:
        return str(moment.index)
    return match[0]


def _part(token: str, when: datetime) -> str:
    """One element of a layout."""
    if token in _PARTS:
        return _PARTS[token](when)
    if token[0] in ".,":
        digits = f"{when.microsecond:06d}000"[: len(token) - 1].ljust(len(token) - 1, "0")
        kept = digits if token[1] == "0" else digits.rstrip("0")
        return token[0] + kept if kept else ""
    if token[0] == "Z":
        return "Z"
    return {"-07": "+00", "-0700": "+0000", "-070000": "+000000", "-07:00": "+00:00"}.get(token, "+00:00:00")


_PARTS: Final[Mapping[str, Callable[[datetime], str]]] = {
    "2006": lambda at: f"{at.year:04d}",
    "_2006": lambda at: f"_{at.year:04d}",
    "06": lambda at: f"{at.year % 100:02d}",
    "January": lambda at: at.strftime("%B"),
    "Jan": lambda at: at.strftime("%b"),
    "01": lambda at: f"{at.month:02d}",
    "1": lambda at: str(at.month),
    "Monday": lambda at: at.strftime("%A"),
    "Mon": lambda at: at.strftime("%a"),
    "02": lambda at: f"{at.day:02d}",
    "_2": lambda at: f"{at.day:2d}",
    "2": lambda at: str(at.day),
    "002": lambda at: f"{at.timetuple().tm_yday:03d}",
    "__2": lambda at: f"{at.timetuple().tm_yday:3d}",
    "15": lambda at: f"{at.hour:02d}",
    "03": lambda at: f"{at.hour % 12 or 12:02d}",
    "3": lambda at: str(at.hour % 12 or 12),
    "04": lambda at: f"{at.minute:02d}",
    "4": lambda at: str(at.minute),
    "05": lambda at: f"{at.second:02d}",
    "5": lambda at: str(at.second),
    "PM": lambda at: "PM" if at.hour >= 12 else "AM",
    "pm": lambda at: "pm" if at.hour >= 12 else "am",
    "MST": lambda at: "UTC",
}
