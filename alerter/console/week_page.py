"""The page of a week: who is on call on which day, who is absent, and when nobody is; with a form to stand in."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import Connection

from alerter.api import oncall as api
from alerter.api.context import ApiContext
from alerter.api.scopes import Scope
from alerter.api.seen import people as seen_people
from alerter.console import live, rendering, week, zones
from alerter.console.middleware import Signed
from alerter.oncall import absences, rosters
from alerter.oncall.responders import Directory
from alerter.oncall.roster import Roster
from alerter.oncall.shifts import Absence
from alerter.oncall.wallclock import wall_of
from services.config.rota import zone_of

MAX_SCHEDULES: Final = 100
MAX_ROWS: Final = 200
"""A page of more people is no grid that anybody reads; the API has them all."""
FAR: Final = timedelta(days=400)
"""How far from today a week may lie: so long turns and absences are kept."""
First = Annotated[str, Query(alias="from", max_length=10)]


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.get("/on-call/week")
    async def show_week(
        request: Request, visit: Signed, first: First = "", mine: Annotated[str, Query(max_length=1)] = ""
    ) -> Response:
        context = service.context()
        zone_name = zones.chosen(request, visit, context.config)
        zone = zone_of(zone_name)
        today = wall_of(context.now, zone).date()
        begin = _first_day(first, today)
        days = week.days_of(begin, zone)
        schedules = api.visible(visit.caller, context.config)[:MAX_SCHEDULES]
        seen = seen_people(visit.caller, context.config)

        def read(connection: Connection) -> tuple[Roster, list[Absence], str]:
            period = (days[0].begins, days[-1].ends)
            roster = rosters.between(connection, *period, context.now)
            return roster, absences.between(connection, *period, seen), live.fingerprint(connection, visit.caller)

        roster, away, version = await service.database.read(read)
        serving = {name for schedule in schedules for layer in schedule.layers for name in layer.responders}
        people = serving if seen is None else serving & set(seen)
        rows = week.grid(days, schedules, roster, away, people)
        me = Directory(context.config).responder_called(visit.person)
        if mine == "1" and me is not None:
            rows = [row for row in rows if row.responder == me.id]
        return rendering.page(
            service,
            request,
            "week.html",
            days=days,
            rows=rows[:MAX_ROWS],
            left_out=max(0, len(rows) - MAX_ROWS),
            schedules=schedules,
            names={one.id: one.called for one in context.config.responders},
            people=sorted((one.called, one.id) for one in context.config.responders if seen is None or one.id in seen),
            today=today,
            zone_name=zone_name,
            earlier=(begin - timedelta(days=week.DAYS)).isoformat(),
            later=(begin + timedelta(days=week.DAYS)).isoformat(),
            this_week=week.monday_of(today).isoformat(),
            mine=mine == "1",
            is_somebody=me is not None,
            may_act=visit.caller.may(Scope.RESPOND),
            version=version,
        )


def _first_day(text: str, today: date) -> date:
    """Returns the Monday of the week that an address asks for; without one, or with nonsense, of this week."""
    try:
        asked = date.fromisoformat(text)
    except ValueError:
        asked = today
    return week.monday_of(asked if abs(asked - today) <= FAR else today)
