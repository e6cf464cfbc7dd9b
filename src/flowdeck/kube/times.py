"""Times as the API writes them: RFC 3339 in UTC, whole seconds (`Time`) or microseconds (`MicroTime`)."""

from datetime import UTC, datetime


def format_time(when: datetime) -> str:
    """`2026-11-24T07:08:19Z`."""
    return when.astimezone(UTC).isoformat(timespec="seconds")[:19] + "Z"


def format_micro_time(when: datetime) -> str:
    """`2026-11-24T07:08:19.000123Z`."""
    return when.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z"


def parse_time(text: str) -> datetime:
    """The moment that an RFC 3339 text names; raises `ValueError` when it is none."""
    when = datetime.fromisoformat(text)
    if when.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return when.astimezone(UTC)
