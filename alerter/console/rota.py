"""Who is on call, now and next, when nobody is; forms to stand in, to swap shifts, to take an open one, and to be absent."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from alerter.api import absences as absences_api
from alerter.api import oncall as api
from alerter.api import swaps
from alerter.api.context import ApiContext
from alerter.api.problems import Problem
from alerter.api.scopes import Scope
from alerter.api.seen import people as seen_people
from alerter.console import flash, live, people, rendering, zones
from alerter.console.actions import filled, may
from alerter.console.middleware import HOME, Form, Signed
from alerter.escalation import page_drills
from alerter.oncall import overrides, rosters
from alerter.oncall.absences import AbsenceKind
from alerter.oncall.roster import Roster
from alerter.oncall.shifts import Coverage, Override, Shift, covered
from alerter.oncall.wallclock import instant, wall_of
from services.config.model import Config
from services.config.rota import Responder, Schedule, zone_of
from services.config.section import Slug

AHEAD: Final = timedelta(days=14)
NEXT_SHIFTS: Final = 6
MAX_SCHEDULES: Final = 100
MAX_WARNED: Final = 50
"""Most overrides, the newest ones, whose hours are looked at for warnings."""


@dataclass(frozen=True, slots=True)
class RotaView:
    """One schedule as the page shows it."""

    schedule: Schedule
    now: Shift
    next: tuple[Shift, ...]
    shifts: tuple[Shift, ...]
    """Those that can be swapped: the present one and the next ones."""
    coverage: Coverage
    overrides: tuple[Override, ...]
    warnings: Mapping[str, tuple[str, ...]]
    open: tuple[api.OpenShiftOut, ...]
    responders: tuple[tuple[str, str], ...]


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.get("/on-call")
    async def show_rotas(request: Request, visit: Signed, done: str = "") -> Response:
        context = service.context()
        schedules = api.visible(visit.caller, context.config)[:MAX_SCHEDULES]
        until = context.now + AHEAD
        seen = seen_people(visit.caller, context.config)
        own = _among(seen, context.config.responders)
        roster, away, drill, team, version = await service.database.read(
            lambda c: (
                rosters.between(c, context.now, until, context.now),
                absences_api.known(c, visit.caller, context.config, context.now),
                None if visit.caller.outside else page_drills.latest(c),
                people.overview(c, own, context.config),
                live.fingerprint(c, visit.caller),
            )
        )
        warnings = await api.warn(service, visit.caller, roster.overrides[-MAX_WARNED:])
        offered = await api.open_shifts(service, visit.caller, schedules, context.now, until) if away else {}
        may_change = absences_api.may_change(visit.caller, context.config)
        return rendering.page(
            service,
            request,
            "on-call.html",
            rotas=[
                rota(one, roster, warnings, offered.get(one.id, []), seen, context.config, context.now)
                for one in schedules
            ],
            away=away,
            kinds=tuple(AbsenceKind),
            people=sorted(
                (one.called, one.id, one.zone or "UTC") for one in _among(may_change, context.config.responders)
            ),
            may_change=may_change,
            drill=drill,
            team=team,
            is_short=len(own) > len(team),
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
        zone = one.zone if form.get("zone") in ("", None, one.zone) else zone_in(service, request, visit, form)
        asked = filled(
            api.OverrideIn,
            visit,
            form,
            begins=moment_in(form, "begins", zone),
            ends=moment_in(form, "ends", zone),
            responder=form.get("responder") or None,
            replaces=form.get("replaces") or None,
        )
        await api.stand_in(service, caller, schedule, asked)
        service.ring()
        return RedirectResponse(f"{HOME}/on-call?done=overridden", 303)

    @routes.post("/on-call/{schedule}/swaps")
    async def swap(visit: Signed, schedule: Slug, form: Form) -> Response:
        caller = may(visit, Scope.RESPOND)
        shifts = {field: _shift(form, field) for field in ("first", "second")}
        await swaps.swap(service, caller, schedule, filled(swaps.SwapIn, visit, form, **shifts))
        service.ring()
        return RedirectResponse(f"{HOME}/on-call?done=swapped", 303)

    @routes.post("/on-call/{schedule}/open-shifts")
    async def take(visit: Signed, schedule: Slug, form: Form) -> Response:
        caller = may(visit, Scope.RESPOND)
        fields = {"begins": form.get("begins", ""), "ends": form.get("ends", ""), "responder": form.get("responder")}
        await api.stand_in(service, caller, schedule, filled(api.OverrideIn, visit, form, **fields))
        service.ring()
        return RedirectResponse(f"{HOME}/on-call?done=taken", 303)

    @routes.post("/absences")
    async def be_absent(visit: Signed, form: Form) -> Response:
        caller = may(visit, Scope.RESPOND)
        fields = {field: form.get(field, "") for field in ("responder", "kind", "begins", "ends")}
        await absences_api.be_absent(service, caller, filled(absences_api.AbsenceIn, visit, form, **fields))
        service.ring()
        return RedirectResponse(f"{HOME}/on-call?done=absent", 303)

    @routes.post("/absences/{absence}/end")
    async def be_back(visit: Signed, absence: overrides.Key) -> Response:
        await absences_api.be_back(service, may(visit, Scope.RESPOND), absence)
        service.ring()
        return RedirectResponse(f"{HOME}/on-call?done=back", 303)

    @routes.post("/on-call/{schedule}/overrides/{override}/remove")
    async def step_back(visit: Signed, schedule: Slug, override: str) -> Response:
        await api.step_back(service, may(visit, Scope.RESPOND), schedule, override)
        service.ring()
        return RedirectResponse(f"{HOME}/on-call?done=removed", 303)


def rota(
    schedule: Schedule,
    roster: Roster,
    warnings: Mapping[str, tuple[str, ...]],
    offered: Sequence[api.OpenShiftOut],
    seen: Collection[str] | None,
    config: Config,
    now: datetime,
) -> RotaView:
    rota = roster.unroll(schedule, now, now + AHEAD)
    serving = {name for layer in schedule.layers for name in layer.responders}
    listed = sorted((one.id not in serving, one.called, one.id) for one in _among(seen, config.responders))
    return RotaView(
        schedule=schedule,
        now=rota[0],
        next=tuple(rota[1 : NEXT_SHIFTS + 1]),
        shifts=tuple(rota[: NEXT_SHIFTS + 1]),
        coverage=covered(rota),
        overrides=tuple(one for one in roster.overrides if one.schedule == schedule.id),
        warnings=warnings,
        open=tuple(offered),
        responders=tuple((id_, called) for _, called, id_ in listed),
    )


def _among(ids: Collection[str] | None, responders: Iterable[Responder]) -> list[Responder]:
    """Returns those with these ids; `None` stands for everybody."""
    return [one for one in responders if ids is None or one.id in ids]


def _shift(form: dict[str, str], field: str) -> dict[str, str]:
    """The shift that an option of the form stands for: whose it is, and its two times."""
    responder, _, times = form.get(field, "").partition(" ")
    begins, _, ends = times.partition(" ")
    return {"responder": responder, "begins": begins, "ends": ends}


def zone_in(service: ApiContext, request: Request, visit: Signed, form: Mapping[str, str]) -> str:
    """Returns the zone in which a form was filled in, which the page says; otherwise that of the page. Raises `Problem` 422."""
    own = zones.chosen(request, visit, service.process.config)
    zone = form.get("zone") or own
    if zone != own and not zones.known(zone):
        raise Problem(422, "zone: that is not a zone of the IANA database; Europe/Berlin is one")
    return zone


def moment_in(form: Mapping[str, str], field: str, zone: str) -> datetime:
    """The moment at which the clocks in the zone show what the form says."""
    try:
        wall = datetime.fromisoformat(form.get(field, ""))
    except ValueError:
        raise Problem(422, f"{field}: a date and a time are needed") from None
    if wall.tzinfo is not None or not 2000 <= wall.year <= 2200:
        raise Problem(422, f"{field}: a date and a time on the clocks of {zone} are needed")
    return instant(wall, zone_of(zone))
