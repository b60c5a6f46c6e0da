"""Who is on call, now and next, when nobody is, and a form to stand in for somebody."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import Connection

from alerter.api import audit
from alerter.api.backstage import Backstage
from alerter.api.problems import Problem
from alerter.api.scopes import Scope
from alerter.console import live, paper, said
from alerter.console.door import HOME, Form, Signed
from alerter.console.sessions import Visitor
from alerter.escalation import oncall, overrides
from alerter.escalation.oncall import Coverage, Override, Shift
from alerter.escalation.wallclock import instant, wall_of
from services.config import Config, Slug
from services.rota import Schedule, zone_of

AHEAD: Final = timedelta(days=14)
NEXT_SHIFTS: Final = 6
MAX_SCHEDULES: Final = 100
MAX_COMMENT_CHARS: Final = 1000


@dataclass(frozen=True, slots=True)
class Rota:
    """One schedule as the page shows it; the times of its form are what the clocks in its zone show."""

    schedule: Schedule
    now: Shift
    next: tuple[Shift, ...]
    coverage: Coverage
    overrides: tuple[Override, ...]
    today: datetime
    responders: tuple[tuple[str, str], ...]


def mount(routes: APIRouter, service: Backstage) -> None:
    @routes.get("/on-call")
    async def show_rotas(request: Request, visit: Signed, done: str = "") -> Response:
        present = service.present()
        schedules = present.config.schedules[:MAX_SCHEDULES]
        standing, version = await service.database.read(
            lambda c: (overrides.between(c, present.now, present.now + AHEAD), live.fingerprint(c, visit.caller))
        )
        return paper.page(
            service,
            request,
            "on-call.html",
            rotas=[rota(one, standing, present.config, present.now) for one in schedules],
            names={one.id: one.called for one in present.config.responders},
            zone_of=zone_of,
            version=version,
            may_act=_may_stand_in(visit),
            said=said.WORDS.get(done),
        )

    @routes.post("/on-call/{schedule}/overrides")
    async def stand_in(visit: Signed, schedule: Slug, form: Form) -> Response:
        present = service.present()
        made = _override(present.config, schedule, form, visit, present.now)

        def write(connection: Connection) -> None:
            standing = overrides.between(connection, present.now, made.ends + timedelta(days=3660), [schedule])
            if len(standing) >= overrides.MOST:
                raise Problem(409, f"{schedule} has {overrides.MOST} overrides already")
            overrides.add(connection, made)
            detail = {"schedule": schedule, "responder": made.responder, "by": visit.person, "comment": made.comment}
            audit.record(connection, present, visit.caller, "override.created", made.id, None, detail)

        await service.database.write(write)
        service.ring()
        return RedirectResponse(f"{HOME}/on-call?done=overridden", 303)

    @routes.post("/on-call/{schedule}/overrides/{override}/remove")
    async def step_back(visit: Signed, schedule: Slug, override: str, form: Form) -> Response:  # noqa: ARG001 - its token
        present = service.present()
        if not _may_stand_in(visit):
            raise Problem(403, "this needs a key with the scope respond, for every brand")

        def write(connection: Connection) -> bool:
            removed = overrides.remove(connection, schedule, override)
            if removed:
                detail = {"schedule": schedule, "by": visit.person}
                audit.record(connection, present, visit.caller, "override.removed", override, None, detail)
            return removed

        if not await service.database.write(write):
            raise Problem(404, "there is no such override")
        service.ring()
        return RedirectResponse(f"{HOME}/on-call?done=removed", 303)


def _may_stand_in(visit: Visitor) -> bool:
    """A schedule serves many brands: whoever sees only some of them must not change it."""
    return visit.caller.may(Scope.RESPOND) and visit.caller.brands is None


def rota(schedule: Schedule, standing: Sequence[Override], config: Config, now: datetime) -> Rota:
    shifts = oncall.shifts(schedule, standing, now, now + AHEAD)
    serving = {name for layer in schedule.layers for name in layer.responders}
    listed = sorted((one.id not in serving, one.called, one.id) for one in config.responders)
    return Rota(
        schedule=schedule,
        now=shifts[0],
        next=tuple(shifts[1 : NEXT_SHIFTS + 1]),
        coverage=oncall.coverage(schedule, standing, now, now + AHEAD),
        overrides=tuple(one for one in standing if one.schedule == schedule.id),
        today=wall_of(now, zone_of(schedule.zone)).replace(second=0, microsecond=0),
        responders=tuple((id_, called) for _, called, id_ in listed),
    )


def _override(config: Config, name: str, form: dict[str, str], visit: Visitor, now: datetime) -> Override:
    """What the form asks for. Raises `Problem` 403, 404 or 422 that says what is wrong."""
    schedule = next((one for one in config.schedules if one.id == name), None)
    if schedule is None:
        raise Problem(404, f"there is no schedule {name}")
    if not _may_stand_in(visit):
        raise Problem(403, "this needs a key with the scope respond, for every brand")
    known = {one.id for one in config.responders}
    responder, replaces = (form.get(field, "").strip() or None for field in ("responder", "replaces"))
    if strange := {one for one in (responder, replaces) if one is not None} - known:
        raise Problem(422, f"there is no responder {strange.pop()[:64]}")
    begins, ends = (_moment(form, field, schedule) for field in ("begins", "ends"))
    if ends <= begins or ends <= now:
        raise Problem(422, "the end must lie after the beginning, and not in the past")
    comment = form.get("comment", "").strip()[:MAX_COMMENT_CHARS]
    identity = overrides.new_id(name, visit.person, now, secrets.token_hex(8))
    return Override(identity, name, begins, ends, responder, replaces, visit.person, comment, now)


def _moment(form: dict[str, str], field: str, schedule: Schedule) -> datetime:
    """What the clocks in the schedule's zone showed when the form says so."""
    try:
        wall = datetime.fromisoformat(form.get(field, ""))
    except ValueError:
        raise Problem(422, f"{field}: a date and a time are needed") from None
    if wall.tzinfo is not None or not 2000 <= wall.year <= 2200:
        raise Problem(422, f"{field}: a date and a time on the schedule's own clock are needed")
    return instant(wall, zone_of(schedule.zone))
