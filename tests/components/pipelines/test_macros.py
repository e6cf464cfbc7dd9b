"""Macros in the parameters of runs, of schedules and of single ones."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from flowdeck.components.pipelines.values.macros import Moment, go_format, with_macros

WHEN = datetime(2027, 3, 4, 17, 6, 7, 120000, tzinfo=UTC)
NOW = datetime(2027, 12, 31, 23, 59, 58, tzinfo=UTC)
SCHEDULED = Moment(run_id="r-1", now=NOW, scheduled_at=WHEN, index=7)
SINGLE = Moment(run_id="r-1", now=NOW)


@pytest.mark.parametrize(
    ("text", "scheduled", "single"),
    [
        ("[[ScheduledTime]]", "20270304170607", None),
        ("[[CurrentTime]]", "20271231235958", "20271231235958"),
        ("at [[ScheduledTime.2006-01-02]]!", "at 2027-03-04!", None),
        ("[[CurrentTime.15:04]]", "23:59", "23:59"),
        ("[[Index]]-[[RunUUID]]", "7-r-1", "[[Index]]-r-1"),
        ("{{$.scheduledTime.strftime('%Y/%m/%d')}}", "2027/03/04", None),
        ("{{$.currentTime.strftime('%d')}}", "31", "31"),
        ("[[Unknown]] [[Index.x]] [x] {{$.other}}", None, None),
    ],
)
def test_a_macro_becomes_its_value_where_it_has_one(text: str, scheduled: str | None, single: str | None) -> None:
    assert with_macros({"p": text}, SCHEDULED) == {"p": text if scheduled is None else scheduled}
    assert with_macros({"p": text}, SINGLE) == {"p": text if single is None else single}


def test_only_texts_have_macros() -> None:
    values = {"n": 1, "l": ["[[Index]]"], "s": {"a": "[[Index]]"}, "b": True}
    assert with_macros(values, SCHEDULED) == values


@pytest.mark.parametrize(
    ("layout", "text"),
    [
        ("2006-01-02T15:04:05Z07:00", "2027-03-04T17:06:07Z"),
        ("Mon Jan _2 15:04:05 2006", "Thu Mar  4 17:06:07 2027"),
        ("Monday, 02-Jan-06 15:04:05 MST", "Thursday, 04-Mar-27 17:06:07 UTC"),
        ("Mon, 02 Jan 2006 15:04:05 -0700", "Thu, 04 Mar 2027 17:06:07 +0000"),
        ("3:04PM", "5:06PM"),
        ("03.04pm", "05.06pm"),
        ("15:04:05.000", "17:06:07.120"),
        ("15:04:05.999999999", "17:06:07.12"),
        ("2006.002", "2027.063"),
        ("1/2/06 4 5", "3/4/27 6 7"),
        ("January", "March"),
        ("-07:00", "+00:00"),
        ("plain", "plain"),
    ],
)
def test_a_time_is_written_in_gos_layout(layout: str, text: str) -> None:
    assert go_format(WHEN, layout) == text
    assert go_format(WHEN.astimezone(timezone(timedelta(hours=5))), layout) == text
