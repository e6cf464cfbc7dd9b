"""When recurring runs are due, and what they want at a moment."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from flowdeck.components.pipelines.errors import InvalidTrigger
from flowdeck.components.pipelines.schedules.decide import Seen, Step, decide
from flowdeck.components.pipelines.schedules.triggers import Once, read_trigger, warnings_about
from flowdeck.kube.objects import Tree
from flowdeck.kube.times import format_time, parse_time

CREATED = "2026-01-01T10:00:00Z"


def cron(line: str, **more: str) -> Tree:
    return {"cron_schedule": {"cron": line, **more}}


def every(seconds: int, **more: str) -> Tree:
    return {"periodic_schedule": {"interval_second": str(seconds), **more}}


def series(trigger: Tree, count: int, zone: str = "", created: str = CREATED) -> list[str]:
    """The points of a trigger that is run whenever it is due, without their year."""
    read, last, found = read_trigger(trigger, zone), None, []
    for _ in range(count):
        last = read.next(last, parse_time(created))
        if last is None:
            break
        found.append(format_time(last)[5:19])
    return found


@pytest.mark.parametrize(
    ("trigger", "points"),
    [
        pytest.param(cron("*/5 * * * * *"), ["01-01T10:00:05", "01-01T10:00:10"], id="seconds-come-first"),
        pytest.param(cron("0 30 9 * * MON-FRI"), ["01-02T09:30:00", "01-05T09:30:00"], id="names"),
        pytest.param(cron("0 0 0 1 jan,JUL ?"), ["07-01T00:00:00", "01-01T00:00:00"], id="lists-and-question-marks"),
        pytest.param(cron("0 0 0 13 * FRI"), ["01-02T00:00:00", "01-09T00:00:00", "01-13T00:00:00"], id="either-day"),
        pytest.param(cron("0 0 0 * * 5"), ["01-02T00:00:00", "01-09T00:00:00"], id="star-leaves-the-other-day"),
        pytest.param(cron("5 30 9 * *"), ["01-02T09:30:05", "01-03T09:30:05"], id="five-fields-begin-with-seconds"),
        pytest.param(cron("@hourly"), ["01-01T11:00:00"], id="descriptor"),
        pytest.param(cron("@every 1h30m"), ["01-01T11:30:00", "01-01T13:00:00"], id="every"),
        pytest.param(
            cron("0 0 12 * * *", start_time="2026-03-01T12:00:00Z"), ["03-02T12:00:00"], id="cron-strictly-after-start"
        ),
        pytest.param(
            cron("0 0 * * * *", start_time="2025-12-31T22:30:00Z"),
            ["12-31T23:00:00", "01-01T00:00:00"],
            id="past",
        ),
        pytest.param(
            cron("0 0 * * * *", end_time="2026-01-01T12:00:00Z"),
            ["01-01T11:00:00", "01-01T12:00:00"],
            id="end",
        ),
        pytest.param(every(3), ["01-01T10:00:03", "01-01T10:00:06"], id="interval"),
        pytest.param(
            every(60, start_time="2026-01-01T10:05:00Z"), ["01-01T10:05:00", "01-01T10:06:00"], id="interval-at-start"
        ),
        pytest.param(every(60, start_time="2025-01-01T00:00:00Z"), ["01-01T10:01:00"], id="interval-with-a-past-start"),
        pytest.param(every(60, end_time="2026-01-01T10:01:30Z"), ["01-01T10:01:00"], id="interval-with-an-end"),
        pytest.param({}, ["01-01T10:00:00"], id="once"),
    ],
)
def test_points_of_triggers(trigger: Tree, points: list[str]) -> None:
    is_finite = not trigger or "end_time" in str(trigger)
    assert series(trigger, len(points) + is_finite) == points


def test_cron_is_read_in_the_zone_that_is_set() -> None:
    assert series(cron("0 0 9 * * *"), 1, zone="Asia/Tokyo") == ["01-02T00:00:00"]


@pytest.mark.parametrize(
    ("trigger", "told"),
    [
        (cron(""), "Schedule cron is not a supported format"),
        (cron("* * * *"), "Schedule cron is not a supported format"),
        (cron("0 0 0 0 0 0 0"), "Schedule cron is not a supported format"),
        (cron("@sometimes"), "Schedule cron is not a supported format"),
        (cron("61 * * * * *"), "Schedule cron is not a supported format"),
        (every(0), "Found invalid period schedule interval 0. Set at interval to least 1 second."),
        (every(-3), "Found invalid period schedule interval -3."),
        (every(10**12), "Found invalid period schedule interval 1000000000000."),
        (every(1, start_time="yesterday"), "trigger.start_time: 'yesterday' is no RFC 3339 time"),
        (every(1, start_time="0001-01-01T00:00:00+14:00"), "is no RFC 3339 time"),
        (every(1, start_time="1969-01-01T00:00:00Z"), "is not between the years 1971 and 9000"),
        (cron("@every 99999999999999h"), "Schedule cron is not a supported format"),
        (
            cron("* * * * * *", end_time="2026-01-01T00:00:00"),
            "trigger.end_time: '2026-01-01T00:00:00' is no RFC 3339 time",
        ),
        (
            every(1, start_time="2026-01-02T00:00:00Z", end_time="2026-01-01T00:00:00Z"),
            "trigger.end_time is before trigger.start_time",
        ),
    ],
)
def test_what_is_no_trigger(trigger: Tree, told: str) -> None:
    with pytest.raises(InvalidTrigger, match=told.replace(".", r"\.")):
        read_trigger(trigger, "")


def test_five_fields_are_warned_of() -> None:
    assert 'write "0 30 9 * * *"' in warnings_about(cron("30 9 * * *"))[0]
    assert warnings_about(cron("0 30 9 * * *")) == []
    assert warnings_about(cron("@every 1h 2m 3s 4s 5s")) == []
    assert warnings_about(every(1)) == []


def range_of(trigger: Tree, begin: str, end: str) -> list[str]:
    found = read_trigger(trigger, "").points(parse_time(CREATED), parse_time(begin), parse_time(end))
    return [format_time(point)[5:19] for point in found]


def test_points_of_a_range_of_time() -> None:
    hourly = range_of(cron("0 0 * * * *"), "2025-12-31T23:00:00Z", "2026-01-01T01:00:00Z")
    assert hourly == ["12-31T23:00:00", "01-01T00:00:00", "01-01T01:00:00"]
    before = range_of(every(3600), "2026-01-01T07:30:00Z", "2026-01-01T09:30:00Z")
    assert before == ["01-01T08:00:00", "01-01T09:00:00"]
    assert range_of(every(3600), "2026-01-01T11:00:00Z", "2026-01-01T11:00:00Z") == ["01-01T11:00:00"]
    assert list(Once().points(*[parse_time(CREATED)] * 3)) == []


# ---- what is wanted at a moment ---------------------------------------------------------------------------------


def seen(trigger: Tree, **more: Any) -> Seen:
    given: Mapping[str, Any] = {"last_at": None, "is_enabled": True, "catches_up": True, "slots": 1, **more}
    return Seen(trigger=read_trigger(trigger, ""), created_at=parse_time(CREATED), **given)


def at(text: str) -> datetime:
    return parse_time(f"2026-01-01T{text}Z")


@pytest.mark.parametrize(
    ("state", "now", "step"),
    [
        pytest.param(seen(every(3)), "10:00:02", Step(next_at=at("10:00:03")), id="not-yet"),
        pytest.param(seen(every(3)), "10:00:03", Step(due=at("10:00:03")), id="on-time"),
        pytest.param(seen(every(3)), "10:00:10", Step(due=at("10:00:03")), id="missed-ones-in-order"),
        pytest.param(
            seen(every(3), last_at=at("10:00:03")), "10:00:10", Step(due=at("10:00:06")), id="then-the-second"
        ),
        pytest.param(seen(every(3), catches_up=False), "10:00:04", Step(due=at("10:00:03")), id="a-little-late"),
        pytest.param(seen(every(3), catches_up=False), "10:00:10", Step(due=at("10:00:10")), id="interval-from-now"),
        pytest.param(
            seen(every(3, end_time="2026-01-01T10:00:07Z"), catches_up=False),
            "10:00:10",
            Step(due=at("10:00:07")),
            id="interval-until-its-end",
        ),
        pytest.param(
            seen(cron("*/5 * * * * *"), catches_up=False), "10:00:18", Step(due=at("10:00:15")), id="newest-of-cron"
        ),
        pytest.param(
            seen(cron("*/5 * * * * *", end_time="2026-01-01T10:00:11Z"), catches_up=False),
            "10:00:18",
            Step(due=at("10:00:10")),
            id="newest-of-cron-before-its-end",
        ),
        pytest.param(seen(every(3), slots=0), "10:00:03", Step(has_to_wait=True), id="full"),
        pytest.param(seen(every(3), is_enabled=False), "10:00:10", Step(), id="disabled"),
        pytest.param(seen({}), "10:00:00", Step(due=at("10:00:00")), id="once"),
        pytest.param(seen({}, last_at=at("10:00:00")), "10:00:01", Step(), id="once-and-no-more"),
        pytest.param(
            seen(every(3600), is_enabled=False, backfill=(at("07:00:00"), at("09:00:00"))),
            "10:30:00",
            Step(due=at("07:00:00"), is_backfill=True),
            id="backfill-although-disabled",
        ),
        pytest.param(
            seen(every(3600), backfill=(at("07:00:00"), at("09:00:00"))),
            "11:00:00",
            Step(due=at("11:00:00")),
            id="what-is-due-comes-before-backfills",
        ),
        pytest.param(
            seen(every(3600), backfill=(at("09:00:01"), at("09:00:00"))),
            "10:30:00",
            Step(backfill_is_done=True),
            id="backfill-is-done",
        ),
        pytest.param(
            seen(every(3600), slots=0, backfill=(at("07:00:00"), at("09:00:00"))),
            "10:30:00",
            Step(has_to_wait=True),
            id="backfill-has-to-wait",
        ),
    ],
)
def test_what_a_recurring_run_wants(state: Seen, now: str, step: Step) -> None:
    assert decide(state, now=at(now)) == step


def test_a_year_of_missed_seconds_is_passed_over_quickly() -> None:
    state = seen(cron("* * * * * *"), catches_up=False)
    assert decide(state, now=at("10:00:00") + timedelta(days=365)).due == at("10:00:00") + timedelta(days=365)
