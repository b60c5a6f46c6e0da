"""Writes shifts as iCalendar (RFC 5545). Times are in UTC, so that no reader needs the rules of our zone. Pure.

A calendar program knows an event by its `UID`: one that moved would be a second event. So each turn is an event of its own,
which begins where it really began, however long ago, and never where this reading of the schedule happens to begin.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from alerter.oncall.roster import Roster
from alerter.oncall.shifts import WEEK, Shift
from alerter.oncall.wallclock import MARGIN
from services.config.model import Config
from services.config.rota import Schedule

BACK: Final = timedelta(weeks=2)
AHEAD: Final = timedelta(weeks=12)
LONGEST: Final = timedelta(days=367)
"""No turn and no override lasts longer: how far back the begin of a running one is looked for at most."""
_MONDAY: Final = datetime(1970, 1, 5, tzinfo=UTC)
"""Gaps have no turns. They are counted in weeks from here, so that they too begin where they began before."""


class CalendarEntry(NamedTuple):
    """One event: a shift of a schedule."""

    schedule: Schedule
    shift: Shift


def entries(schedule: Schedule, roster: Roster, now: datetime) -> list[CalendarEntry]:
    """Returns the turns of the last two weeks and the next twelve, gaps included. `roster` is that of this time and of the year
    before.

    The first and the last are whole, so two readings agree on when a turn begins and ends.
    """
    begin, end = now - BACK, now + AHEAD
    running = [one.begins for one in roster.overrides if one.schedule == schedule.id and one.begins < begin < one.ends]
    longest = max([WEEK, *(layer.shift for layer in schedule.layers)])
    first = max(min([begin - longest - MARGIN, *running]), begin - LONGEST)
    rota = roster.turns(schedule, first, end + longest + MARGIN)
    turns = (piece for shift in rota for piece in _weekly(shift))
    return [CalendarEntry(schedule, turn) for turn in turns if turn.ends > begin and turn.begins < end]


def _weekly(shift: Shift) -> Iterator[Shift]:
    """Yield a gap week by week, and any other shift as it is."""
    at = shift.begins
    while shift.responder is None and shift.why is None:
        monday = at - (at - _MONDAY) % WEEK + WEEK
        if monday >= shift.ends:
            break
        yield replace(shift, begins=at, ends=monday)
        at = monday
    yield replace(shift, begins=at)


def feed(name: str, listed: Iterable[CalendarEntry], config: Config, now: datetime) -> bytes:
    """Returns the calendar: one event a turn, with an id that stays the same. A gap is an event too, and says so."""
    from icalendar import Calendar, Event  # late: few processes are ever asked for a calendar

    calendar = Calendar()
    calendar.add("prodid", "-//Firebreak//on-call//EN")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", f"On call: {name}")
    calendar.add("refresh-interval", timedelta(hours=1), parameters={"VALUE": "DURATION"})
    for schedule, shift in listed:
        person = config.responder(shift.responder) if shift.responder is not None else None
        who = person.called if person is not None else shift.responder
        event = Event()
        event.add("uid", f"{schedule.id}-{shift.begins:%Y%m%dT%H%M%SZ}@firebreak")
        event.add("dtstamp", now)
        event.add("dtstart", shift.begins)
        event.add("dtend", shift.ends)
        event.add("summary", f"{who} on call ({schedule.id})" if who else f"NOBODY on call ({schedule.id})")
        if shift.why is not None:
            event.add("description", shift.why)
        event.add("transp", "TRANSPARENT")
        calendar.add_component(event)
    return bytes(calendar.to_ical())
