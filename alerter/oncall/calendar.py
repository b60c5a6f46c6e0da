"""Writes shifts as iCalendar (RFC 5545). Times are in UTC, so that no reader needs the rules of our zone. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from alerter.oncall.shifts import Shift
from services.config.model import Config
from services.config.rota import Schedule

BACK: Final = timedelta(weeks=2)
AHEAD: Final = timedelta(weeks=12)


def feed(schedule: Schedule, shifts: Iterable[Shift], config: Config, now: datetime) -> bytes:
    """Returns the calendar: one event a shift, with an id that stays the same. A gap is an event too, and says so."""
    from icalendar import Calendar, Event  # late: few processes are ever asked for a calendar

    calendar = Calendar()
    calendar.add("prodid", "-//Firebreak//on-call//EN")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", f"On call: {schedule.id}")
    calendar.add("refresh-interval", timedelta(hours=1), parameters={"VALUE": "DURATION"})
    for shift in shifts:
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
