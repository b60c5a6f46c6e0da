"""What a calendar program reads twice: an event keeps its id, its begin and its end, whenever the feed is read."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import icalendar
import pytest

from alerter.oncall import calendar
from alerter.oncall.roster import Roster
from alerter.oncall.shifts import Override, on_call
from services.config.rota import Schedule
from tests.unit.alerter import make

HOUR = timedelta(hours=1)
BEGIN = datetime(2026, 2, 20, 3, 17, tzinfo=UTC)
WORKDAYS = [{"days": ["mon", "tue", "wed", "thu", "fri"], "begins": "09:00", "ends": "17:00"}]


def layer(
    name: str = "base", rotation: str = "weekly", who: Sequence[str] = ("dana", "lee"), **more: Any
) -> dict[str, Any]:
    return {"id": name, "rotation": rotation, "begins": "2026-01-05T09:00", "responders": list(who), **more}


def schedule(*layers: dict[str, Any], zone: str = "Europe/Berlin") -> Schedule:
    return Schedule.model_validate({"id": "night", "zone": zone, "layers": list(layers)})


def override(begins: datetime, ends: datetime, replaces: str | None = None) -> Override:
    return Override(f"{begins:%m%d}", "night", begins, ends, "max", replaces, "dana", "", BEGIN)


SCHEDULES = {
    "weekly": schedule(layer()),
    "one person alone": schedule(layer(who=["dana"])),
    "daily, by working days": schedule(layer(rotation="daily", only=WORKDAYS)),
    "every five hours": schedule(layer(rotation="custom", shift_hours=5)),
    "a quarter each": schedule(layer(rotation="custom", shift_hours=90 * 24)),
    "one above the other": schedule(layer(), layer("office", "daily", ["max"], only=WORKDAYS)),
    "begins later": schedule(layer(begins="2026-04-01T09:00")),
    "ended": schedule(layer(ends="2026-02-25T12:00:00")),
    "New York": schedule(layer(rotation="daily"), zone="America/New_York"),
    "Lord Howe": schedule(layer(rotation="daily"), zone="Australia/Lord_Howe"),
}
STOOD_IN = [
    override(BEGIN - timedelta(days=200), BEGIN + timedelta(days=10)),
    override(BEGIN + timedelta(days=20), BEGIN + timedelta(days=22, hours=5), "lee"),
]
EVENTS = dict[str, tuple[datetime, datetime, str]]


def read(of: Schedule, overrides: Sequence[Override], now: datetime) -> EVENTS:
    text = calendar.feed(of.id, calendar.entries(of, Roster(overrides), now), make.config(), now)
    events = icalendar.Calendar.from_ical(text).walk("VEVENT")
    found = {str(e["uid"]): (e.decoded("dtstart"), e.decoded("dtend"), str(e["summary"])) for e in events}
    assert len(found) == len(events), "no two events have one id"
    return found


@pytest.mark.parametrize("overrides", [[], STOOD_IN], ids=["as planned", "with overrides"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_an_event_is_the_same_whenever_the_calendar_is_read(name: str, overrides: list[Override]) -> None:
    of = SCHEDULES[name]
    first = read(of, overrides, BEGIN)
    for later in (timedelta(seconds=1), 7 * HOUR, timedelta(days=3), timedelta(days=9), timedelta(days=40)):
        now = BEGIN + later
        again = read(of, overrides, now)
        both = (now - calendar.BACK, BEGIN + calendar.AHEAD)

        def common(events: EVENTS, span: tuple[datetime, datetime] = both) -> EVENTS:
            return {uid: event for uid, event in events.items() if event[1] > span[0] and event[0] < span[1]}

        assert common(first) == common(again)
        assert common(first)


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_calendar_says_at_every_moment_who_is_on_call(name: str) -> None:
    of = SCHEDULES[name]
    events = sorted(read(of, STOOD_IN, BEGIN).values())
    assert events[0][0] <= BEGIN - calendar.BACK
    assert events[-1][1] >= BEGIN + calendar.AHEAD
    assert all(before[1] == after[0] for before, after in itertools.pairwise(events)), "no holes"
    for begins, _, summary in events:
        shift = on_call(of, STOOD_IN, max(begins, BEGIN - calendar.BACK))
        assert summary.startswith(f"{shift.responder} " if shift.responder else "NOBODY ")


def test_somebody_who_stands_in_moves_no_other_event() -> None:
    of = SCHEDULES["weekly"]
    planned, now = read(of, [], BEGIN), BEGIN + HOUR
    stand_in = override(BEGIN + timedelta(days=5), BEGIN + timedelta(days=5, hours=4))
    changed = read(of, [stand_in], now)
    assert set(planned) <= set(changed)
    assert {uid: event[0] for uid, event in planned.items()} == {uid: changed[uid][0] for uid in planned}
    assert len(changed) == len(planned) + 2, "hers, and the rest of the shift that it divides"
