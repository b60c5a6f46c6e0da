"""Who is on call, now and next, when nobody is, and a form to stand in for somebody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from alerter.api import oncall as api
from alerter.api.context import ApiContext
from alerter.api.problems import Problem
from alerter.api.scopes import Scope
from alerter.console import flash, live, rendering, zones
from alerter.console.actions import filled, may
from alerter.console.middleware import HOME, Form, Signed
from alerter.oncall import overrides, shifts
from alerter.oncall.shifts import Coverage, Override, Shift
from alerter.oncall.wallclock import instant, wall_of
from services.config.model import Config
from services.config.rota import Schedule, zone_of
from services.config.section import Slug

AHEAD: Final = timedelta(days=14)
NEXT_SHIFTS: Final = 6
MAX_SCHEDULES: Final = 100


@dataclass(frozen=True, slots=True)
class RotaView:
    """One schedule as the page shows it."""

    schedule: Schedule
    now: Shift
    next: tuple[Shift, ...]
    coverage: Coverage
    overrides: tuple[Override, ...]
    responders: tuple[tuple[str, str], ...]


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.get("/on-call")
    async def show_rotas(request: Request, visit: Signed, done: str = "") -> Response:
        context = service.context()
        schedules = api.visible(visit.caller, context.config)[:MAX_SCHEDULES]
        standing, version = await service.database.read(
            lambda c: (overrides.between(c, context.now, context.now + AHEAD), live.fingerprint(c, visit.caller))
        )
        return rendering.page(
            service,
            request,
            "on-call.html",
            rotas=[rota(one, standing, context.config, context.now) for one in schedules],
            names={one.id: one.called for one in context.config.responders},
            today=wall_of(context.now, zone_of(zones.chosen(request, visit, context.config))),
            version=version,
            may_act=visit.caller.may(Scope.RESPOND),
            said=flash.WORDS.get(done),
        )

    @routes.post("/on-call/{schedule}/overrides")
    async def stand_in(request: Request, visit: Signed, schedule: Slug, form: Form) -> Response:
        caller = may(visit, Scope.RESPOND)
        one = next((one for one in api.visible(caller, service.process.config) if one.id == schedule), None)
        if one is None:
            raise Problem(404, f"there is no schedule {schedule}")
        # The page says in which zone its form is; a form without one means the clocks of the schedule.
        zone = form.get("zone") or one.zone
        if zone not in (one.zone, zones.chosen(request, visit, service.process.config)) and not zones.known(zone):
            raise Problem(422, "zone: that is not a zone of the IANA database; Europe/Berlin is one")
        asked = filled(
            api.OverrideIn,
            visit,
            form,
            begins=_moment(form, "begins", zone),
            ends=_moment(form, "ends", zone),
            responder=form.get("responder") or None,
            replaces=form.get("replaces") or None,
        )
        await api.stand_in(service, caller, schedule, asked)
        service.ring()
        return RedirectResponse(f"{HOME}/on-call?done=overridden", 303)

    @routes.post("/on-call/{schedule}/overrides/{override}/remove")
    async def step_back(visit: Signed, schedule: Slug, override: str) -> Response:
        await api.step_back(service, may(visit, Scope.RESPOND), schedule, override)
        service.ring()
        return RedirectResponse(f"{HOME}/on-call?done=removed", 303)


def rota(schedule: Schedule, standing: Sequence[Override], config: Config, now: datetime) -> RotaView:
    rota = shifts.unroll(schedule, standing, now, now + AHEAD)
    serving = {name for layer in schedule.layers for name in layer.responders}
    listed = sorted((one.id not in serving, one.called, one.id) for one in config.responders)
    return RotaView(
        schedule=schedule,
        now=rota[0],
        next=tuple(rota[1 : NEXT_SHIFTS + 1]),
        coverage=shifts.coverage(schedule, standing, now, now + AHEAD),
        overrides=tuple(one for one in standing if one.schedule == schedule.id),
        responders=tuple((id_, called) for _, called, id_ in listed),
    )


def _moment(form: dict[str, str], field: str, zone: str) -> datetime:
    """The moment at which the clocks in the zone show what the form says."""
    try:
        wall = datetime.fromisoformat(form.get(field, ""))
    except ValueError:
        raise Problem(422, f"{field}: a date and a time are needed") from None
    if wall.tzinfo is not None or not 2000 <= wall.year <= 2200:
        raise Problem(422, f"{field}: a date and a time on the clocks of {zone} are needed")
    return instant(wall, zone_of(zone))
