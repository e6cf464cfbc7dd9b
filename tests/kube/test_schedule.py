"""When schedules are due."""

from datetime import UTC, datetime
from itertools import islice

import pytest

from flowdeck.kube.schedule import BadSchedule, BadTimeZone, read_schedule


def moment(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def due(text, zone, after, count):
    return [f"{time:%m-%d %H:%M}" for time in islice(read_schedule(text, zone).after(moment(after)), count)]


@pytest.mark.parametrize(
    ("text", "zone", "after", "times"),
    [
        ("*/15 * * * *", None, "2026-01-01T00:07", ["01-01 00:15", "01-01 00:30"]),
        ("0 9 * * MON-FRI", None, "2026-01-02T10:00", ["01-05 09:00", "01-06 09:00"]),
        ("0 0 31 * *", None, "2026-02-01T00:00", ["03-31 00:00", "05-31 00:00"]),
        ("0 0 13 * 5", None, "2026-01-01T00:00", ["01-02 00:00", "01-09 00:00", "01-13 00:00"]),
        ("0 0 */10 * 5", None, "2026-01-01T00:00", ["01-02 00:00", "01-09 00:00", "01-11 00:00"]),
        ("@daily", None, "2026-01-01T00:00", ["01-02 00:00"]),
        ("@hourly", None, "2026-01-01T00:00", ["01-01 01:00"]),
        ("@every 90m", None, "2026-01-01T00:00", ["01-01 01:30", "01-01 03:00"]),
        ("0 9 * * ?", "Asia/Tokyo", "2026-01-01T00:00", ["01-02 00:00"]),
        pytest.param(
            "30 2 * * *", "Europe/Berlin", "2026-03-28T00:00", ["03-28 01:30", "03-30 00:30"], id="hour-left-out"
        ),
        pytest.param(
            "30 * * * *",
            "Europe/Berlin",
            "2026-03-29T00:00",
            ["03-29 00:30", "03-29 01:30", "03-29 02:30"],
            id="hourly-over-the-gap",
        ),
        pytest.param(
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-24T12:00",
            ["10-25 00:30", "10-25 01:30", "10-26 01:30"],
            id="hour-twice",
        ),
    ],
)
def test_a_schedule_is_due(text, zone, after, times):
    assert due(text, zone, after, len(times)) == times


@pytest.mark.parametrize("text", ["", "* * * *", "60 * * * *", "@sometimes", "@every soon", "a b c d e"])
def test_nonsense_is_no_schedule(text):
    with pytest.raises(BadSchedule):
        read_schedule(text, None)


def test_an_unknown_time_zone_is_said_to_be_one():
    with pytest.raises(BadTimeZone, match="unknown time zone Mars/Base"):
        read_schedule("* * * * *", "Mars/Base")


@pytest.mark.parametrize(
    ("text", "earliest", "latest", "count"),
    [
        ("0 * * * *", "2026-01-01T00:30", None, 0),
        ("*/10 * * * *", "2026-01-01T00:00", "2026-01-01T00:50", 5),
        ("* * * * *", "2025-06-01T00:00", "2026-01-01T00:55", 101),
        ("@every 7m", "2025-12-01T00:00", "2026-01-01T00:55", 101),
    ],
)
def test_the_latest_time_is_found_however_long_ago_the_last_look_was(text, earliest, latest, count):
    found, missed = read_schedule(text, None).latest(moment(earliest), moment("2026-01-01T00:55"))
    assert (found, missed) == (latest and moment(latest), count)


def test_a_date_that_never_comes_ends_the_search():
    assert list(islice(read_schedule("0 0 29 2 *", None).after(moment("2026-01-01T00:00")), 2))
    with pytest.raises(BadSchedule):
        read_schedule("0 0 30 2 *", None)
