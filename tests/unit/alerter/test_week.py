"""The grid of a week: days of 23 and 25 hours, shifts over midnight, absences, and when nobody is on call."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from alerter.console import week
from alerter.console.week import BlockMark
from alerter.oncall.roster import Roster
from alerter.oncall.shifts import Absence
from services.config.rota import Schedule, zone_of

BERLIN = zone_of("Europe/Berlin")


def nights(*responders: str, **more: Any) -> Schedule:
    layer = {
        "id": "nights", "rotation": "daily", "begins": "2026-01-05T09:00:00", "responders": list(responders),
        "only": [{"begins": "20:00", "ends": "08:00"}],
    }  # fmt: skip
    return Schedule.model_validate({"id": "night", "zone": "Europe/Berlin", "layers": [layer], **more})


def away(who: str, begins: datetime, ends: datetime) -> Absence:
    return Absence("a", who, begins, ends, "holiday", "UTC", "dana", "", begins)


@pytest.mark.parametrize(
    ("first", "hours"),
    [(date(2026, 3, 23), [24, 24, 24, 24, 24, 24, 23]), (date(2026, 10, 19), [24, 24, 24, 24, 24, 24, 25])],
)
def test_a_day_is_as_long_as_the_clocks_of_the_zone_make_it(first: date, hours: list[int]) -> None:
    days = week.days_of(first, BERLIN)
    assert [(day.ends - day.begins) / timedelta(hours=1) for day in days] == hours
    assert all(before.ends == after.begins for before, after in itertools.pairwise(days))


def test_a_night_stands_in_both_of_its_days_and_the_open_hours_in_a_row_of_their_own() -> None:
    days = week.days_of(date(2026, 3, 2), BERLIN)
    nobody, dana = week.grid(days, [nights("dana")], Roster(), [], ["dana"])
    assert nobody.responder is None
    assert {block.mark for day in nobody.days for block in day} == {BlockMark.GAP}
    assert all(len(day) == 1 for day in nobody.days)
    for blocks in dana.days:
        assert [(round(24 * one.left), round(24 * one.width)) for one in blocks] == [(0, 8), (20, 4)]
        assert {(one.mark, one.about) for one in blocks} == {(BlockMark.SHIFT, "night")}
    covered = sum(one.width for row in (nobody, dana) for day in row.days for one in day)
    assert covered == pytest.approx(7)


def test_who_is_absent_is_shown_as_absent_and_what_they_leave_as_a_gap() -> None:
    days = week.days_of(date(2026, 3, 2), BERLIN)
    gone = away("dana", days[1].begins, days[3].begins)
    nobody, dana, lee = week.grid(days, [nights("dana")], Roster(absences=[gone]), [gone], ["dana", "lee"])
    assert [[one.mark for one in day] for day in dana.days[1:3]] == [[BlockMark.ABSENT], [BlockMark.ABSENT]]
    assert sum(one.width for one in nobody.days[1]) == pytest.approx(1)
    assert lee.is_empty, "whoever has no shift has a row all the same"


def test_what_lies_outside_the_week_is_not_in_it() -> None:
    days = week.days_of(date(2026, 3, 2), BERLIN)
    early = away("dana", datetime(2026, 2, 1, tzinfo=UTC), days[0].begins)
    (_, dana) = week.grid(days, [nights("dana")], Roster(), [early], ["dana"])
    assert BlockMark.ABSENT not in {one.mark for day in dana.days for one in day}


def test_a_week_begins_on_its_monday() -> None:
    assert {week.monday_of(date(2026, 3, 2) + timedelta(days=n)) for n in range(7)} == {date(2026, 3, 2)}
