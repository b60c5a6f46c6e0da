"""Who is on call, who will be, and when nobody is; open shifts, overrides, and a calendar to subscribe to."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Query, Response
from pydantic import Field
from sqlalchemy import Connection

from alerter.api.auth import Caller, Reader, Responder
from alerter.api.context import ApiContext
from alerter.api.problems import ABSENT, CONFLICT, Problem
from alerter.api.schemas import Comment, Person, Shape
from alerter.api.seen import people, person_of
from alerter.escalation import untold
from alerter.oncall import calendar, duty, overrides, rosters, shifts
from alerter.oncall.brand_people import people_of
from alerter.oncall.roster import OpenShift, Roster
from alerter.oncall.shifts import Override
from alerter.store import audit
from services.base.rfc3339 import Rfc3339
from services.config.model import Config
from services.config.rota import Responder as PersonOnCall
from services.config.rota import Schedule
from services.config.section import Slug

MOST_AHEAD: Final = timedelta(days=366)
MOST_OPEN: Final = 50
"""Most open shifts of a schedule that are listed, the next ones."""
EARLIEST, LATEST = datetime(1971, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
"""A moment outside of these is taken as the nearer of the two."""
Days = Annotated[int, Query(ge=1, le=366)]
Weeks = Annotated[int, Query(ge=1, le=62)]
At = Annotated[Rfc3339 | None, Query(description="a time with a zone; by default now")]


class ShiftOut(Shape):
    """Who is on call from `begins` up to, and without, `ends`; `responder` null: nobody."""

    begins: datetime
    ends: datetime
    responder: str | None
    name: str | None
    why: str | None = Field(description="the layer, or the override")


class OnCall(Shape):
    schedule: str
    description: str
    zone: str
    now: ShiftOut = Field(description="its end is looked up as far as 32 days ahead")


class OnCalls(Shape):
    at: datetime
    items: tuple[OnCall, ...]


class RotaOut(Shape):
    schedule: str
    zone: str
    shifts: tuple[ShiftOut, ...]


class CoverageOut(Shape):
    """When nobody is on call, and how many hours each person is."""

    schedule: str
    begins: datetime
    ends: datetime
    gap_hours: float
    gaps: tuple[ShiftOut, ...]
    hours: dict[str, float]


class Coverages(Shape):
    items: tuple[CoverageOut, ...]


class OverrideIn(Shape):
    """Somebody else is on call for a while."""

    begins: Rfc3339
    ends: Rfc3339
    responder: Slug | None = Field(description="null: nobody is on call", examples=["lee"])
    replaces: Slug | None = Field(None, description="only while this person would be on call")
    by: Person
    comment: Comment = ""


class OverrideOut(OverrideIn):
    id: str
    schedule: str
    made_at: datetime


class OverrideMade(OverrideOut):
    warnings: tuple[str, ...] = Field(
        description="what it brings about: more than 48 h on duty without a break, less than 11 h of rest, duty in an absence"
    )


class Overrides(Shape):
    items: tuple[OverrideOut, ...]


class OpenShiftOut(Shape):
    """A part of a shift whose person is absent, and which nobody has taken by an override."""

    begins: datetime
    ends: datetime
    absent: str
    filled_by: str | None = Field(description="whoever the layer below puts on call; null: nobody is")
    free: tuple[str, ...] = Field(
        description="people of the schedule who are neither absent nor on call then, those with the least duty first"
    )


class OpenShifts(Shape):
    items: tuple[OpenShiftOut, ...]


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.get("/on-call")
    async def who_is_on_call(caller: Reader, at: At = None) -> OnCalls:
        """Everybody who is on call now, or at a future time."""
        moment = _near(service, at)
        now, config = service.context().now, service.process.config
        roster = await service.database.read(lambda c: rosters.between(c, moment, moment + shifts.LOOK_AHEAD, now))
        items = [
            OnCall(
                schedule=one.id,
                description=one.description,
                zone=one.zone,
                now=shift_out(roster.on_call(one, moment), config),
            )
            for one in visible(caller, config)
        ]
        return OnCalls(at=moment, items=tuple(items))

    @routes.get("/on-call/coverage")
    async def show_coverage(caller: Reader, days: Days = 28) -> Coverages:
        """Gaps in the coming days, by schedule, and how the hours are shared."""
        config, begin = service.process.config, service.context().now
        end = begin + timedelta(days=days)
        roster = await service.database.read(lambda c: rosters.between(c, begin, end, begin))
        return Coverages(items=tuple(_coverage(one, roster, begin, end, config) for one in visible(caller, config)))

    @routes.get("/schedules/{schedule}/shifts", responses=ABSENT)
    async def list_shifts(caller: Reader, schedule: Slug, begins: At = None, days: Days = 14) -> RotaOut:
        """Every shift of the coming days, including gaps."""
        one = schedule_of(service, caller, schedule)
        begin = _near(service, begins)
        end = begin + timedelta(days=days)
        now, config = service.context().now, service.process.config
        roster = await service.database.read(lambda c: rosters.between(c, begin, end, now, [schedule]))
        rota = roster.unroll(one, begin, end)
        return RotaOut(schedule=one.id, zone=one.zone, shifts=tuple(shift_out(shift, config) for shift in rota))

    @routes.get("/schedules/{schedule}/open-shifts", responses=ABSENT)
    async def list_open_shifts(caller: Reader, schedule: Slug, days: Weeks = 28) -> OpenShifts:
        """Shifts of the coming days whose person is absent, with those who could take them. An override takes one."""
        one, begin = schedule_of(service, caller, schedule), service.context().now
        found = await open_shifts(service, caller, [one], begin, begin + timedelta(days=days))
        return OpenShifts(items=tuple(found[one.id]))

    @routes.get("/schedules/{schedule}/calendar.ics", responses=ABSENT, response_class=Response)
    async def calendar_feed(caller: Reader, schedule: Slug) -> Response:
        """The last two weeks and the next twelve, as iCalendar (RFC 5545). `calendar` gives you an address to subscribe to."""
        return await feed(service, caller, schedule)

    @routes.get("/responders/{responder}/calendar.ics", responses=ABSENT, response_class=Response)
    async def personal_calendar(caller: Reader, responder: Slug) -> Response:
        """One person's turns in all schedules, as iCalendar. `calendar` gives you an address to subscribe to."""
        return await feed_of_person(service, caller, responder)

    @routes.get("/schedules/{schedule}/overrides", responses=ABSENT)
    async def list_overrides(caller: Reader, schedule: Slug) -> Overrides:
        """Overrides that have not ended, oldest first."""
        schedule_of(service, caller, schedule)
        now = service.context().now
        held = await service.database.read(lambda c: overrides.between(c, now, _ever(now), [schedule]))
        return Overrides(items=tuple(_override(one) for one in held))

    @routes.post("/schedules/{schedule}/overrides", status_code=201, responses={**ABSENT, **CONFLICT})
    async def create_override(caller: Responder, schedule: Slug, body: OverrideIn) -> OverrideMade:
        """Put somebody else on call for a while. It takes effect at once, even for open incidents."""
        return await stand_in(service, caller, schedule, body)

    @routes.delete("/schedules/{schedule}/overrides/{override}", status_code=204, responses=ABSENT)
    async def delete_override(caller: Responder, schedule: Slug, override: overrides.Key) -> None:
        """End the override now, or remove it if it has not begun; the schedule applies again."""
        await step_back(service, caller, schedule, override)


async def feed(service: ApiContext, caller: Caller, schedule: str) -> Response:
    """The calendar of a schedule. Raises `Problem` 404."""
    one = schedule_of(service, caller, schedule)
    return await _calendar(service, schedule, [one], None)


async def feed_of_person(service: ApiContext, caller: Caller, responder: str) -> Response:
    """The calendar of a responder: their turns in every schedule that the caller sees. Raises `Problem` 404."""
    who = responder_of(service, caller, responder)
    return await _calendar(service, who.called, visible(caller, service.process.config), responder)


async def _calendar(service: ApiContext, name: str, schedules: Sequence[Schedule], responder: str | None) -> Response:
    """Made in a thread: a year of hourly turns takes a while."""
    now, config = service.context().now, service.process.config
    begin, end = now - calendar.BACK - calendar.LONGEST, now + calendar.AHEAD + calendar.LONGEST
    ids = [one.id for one in schedules]
    roster = await service.database.read(lambda c: rosters.between(c, begin, end, now, ids))

    def write() -> bytes:
        listed = [
            entry
            for one in schedules
            for entry in calendar.entries(one, roster, now)
            if responder is None or entry.shift.responder == responder
        ]
        return calendar.feed(name, listed, config, now)

    return Response(await asyncio.to_thread(write), media_type="text/calendar; charset=utf-8")


async def open_shifts(
    service: ApiContext, caller: Caller, schedules: Sequence[Schedule], begin: datetime, end: datetime
) -> dict[str, list[OpenShiftOut]]:
    """Returns the shifts of absent people that nobody has taken, with those who could, by the ids of the schedules."""
    now, seen = service.context().now, visible(caller, service.process.config)
    read = (begin - duty.AROUND, end + duty.AROUND)
    roster = await service.database.read(lambda c: rosters.between(c, *read, now))

    def offered() -> dict[str, list[OpenShiftOut]]:
        open_ = {one.id: roster.open_shifts(one, begin, end)[:MOST_OPEN] for one in schedules}
        return {
            id_: [_open_shift(one, free) for one, free in pairs]
            for id_, pairs in duty.offers(roster, seen, open_).items()
        }

    return await asyncio.to_thread(offered)


async def stand_in(service: ApiContext, caller: Caller, schedule: str, body: OverrideIn) -> OverrideMade:
    """Raises `Problem` 404, 409 or 422."""
    schedule_of(service, caller, schedule)
    _check(body, caller, service.process.config, service.context().now)
    (made,) = await stand_in_for(service, caller, schedule, [body])
    return made


async def stand_in_for(
    service: ApiContext, caller: Caller, schedule: str, bodies: Sequence[OverrideIn]
) -> list[OverrideMade]:
    """Make all of these overrides or none. Raises `Problem` 409."""
    now = service.context().now
    made = [
        Override(
            id=overrides.new_id(schedule, body.by, now, secrets.token_hex(8)),
            schedule=schedule,
            made_at=now,
            **body.model_dump(),
        )
        for body in bodies
    ]

    def write(connection: Connection) -> bool:
        if len(overrides.between(connection, now, _ever(now), [schedule])) + len(made) > overrides.MOST:
            return False
        for one, body in zip(made, bodies, strict=True):
            overrides.add(connection, one)
            detail, on = body.model_dump(mode="json"), f"{schedule}/{one.id}"
            audit.record(connection, service.context().now, caller.name, "override.created", on, None, detail)
        untold.look_now(connection, now)
        return True

    if not await service.database.write(write):
        raise Problem(409, f"{schedule} already has {overrides.MOST} overrides")
    service.ring()
    warnings = await warn(service, caller, made)
    return [OverrideMade(**_override(one).model_dump(), warnings=warnings[one.id]) for one in made]


async def warn(service: ApiContext, caller: Caller, made: Sequence[Override]) -> dict[str, tuple[str, ...]]:
    """Returns what these overrides make worse for whoever stands in, by their ids, in the schedules that the caller sees.

    It learns so of its own people alone: one of others may stand in for them, but when they are absent is theirs.
    """
    config, now = service.process.config, service.context().now
    seen, own = visible(caller, config), people(caller, config)
    if not made:
        return {}
    periods = [duty.around(one) for one in made]
    begin, end = min(period.begins for period in periods), max(period.ends for period in periods)
    roster = await service.database.read(lambda c: rosters.between(c, begin, end, now))

    def warnings(one: Override) -> tuple[str, ...]:
        return duty.warnings(config, seen, roster, one) if own is None or one.responder in own else ()

    return await asyncio.to_thread(lambda: {one.id: warnings(one) for one in made})


async def step_back(service: ApiContext, caller: Caller, schedule: str, override: str) -> None:
    """Raises `Problem` 404."""
    schedule_of(service, caller, schedule)
    now = service.context().now

    def write(connection: Connection) -> bool:
        gone = overrides.end(connection, schedule, override, now)
        if gone:
            audit.record(connection, now, caller.name, "override.deleted", f"{schedule}/{override}")
            untold.look_now(connection, now)
        return gone

    if not await service.database.write(write):
        raise Problem(404, f"{schedule} has no override {override}")
    service.ring()


def visible(caller: Caller, config: Config) -> Sequence[Schedule]:
    """A key that is limited to brands sees the schedules that their policies and accounts lead to."""
    if caller.brands is None:
        return config.schedules
    seen = people_of(config, caller.brands).schedules
    return [one for one in config.schedules if one.id in seen]


def schedule_of(service: ApiContext, caller: Caller, name: str) -> Schedule:
    """Raises `Problem` 404."""
    found = next((one for one in visible(caller, service.process.config) if one.id == name), None)
    if found is None:
        raise Problem(404, f"there is no schedule {name}")
    return found


def responder_of(service: ApiContext, caller: Caller, name: str) -> PersonOnCall:
    """Raises `Problem` 404 if the caller sees nobody with this id."""
    found = person_of(caller, service.process.config, name)
    if found is None:
        raise Problem(404, f"there is no responder {name}")
    return found


def _near(service: ApiContext, at: datetime | None) -> datetime:
    """The moment that was asked for, within what calendars can count."""
    return service.context().now if at is None else min(max(at, EARLIEST), LATEST).astimezone(UTC)


def _ever(now: datetime) -> datetime:
    return now + 10 * MOST_AHEAD


def _check(body: OverrideIn, caller: Caller, config: Config, now: datetime) -> None:
    wrong = []
    if body.ends <= body.begins:
        wrong.append(("ends", "is not after begins"))
    elif body.ends <= now:
        wrong.append(("ends", "is in the past"))
    elif body.ends - body.begins > MOST_AHEAD or body.ends > now + 3 * MOST_AHEAD:
        wrong.append(("ends", "an override may last a year at most, and must end within three years"))
    for field, name in (("responder", body.responder), ("replaces", body.replaces)):
        if name is not None and person_of(caller, config, name) is None:
            wrong.append((field, f"there is no responder {name}"))
    if wrong:
        errors = [{"at": f"body.{field}", "why": why} for field, why in wrong]
        raise Problem(422, "; ".join(f"{field}: {why}" for field, why in wrong), errors=errors)


def shift_out(shift: shifts.Shift, config: Config) -> ShiftOut:
    person = config.responder(shift.responder) if shift.responder is not None else None
    name = person.called if person is not None else None
    return ShiftOut(begins=shift.begins, ends=shift.ends, responder=shift.responder, name=name, why=shift.why)


def _open_shift(one: OpenShift, free: tuple[str, ...]) -> OpenShiftOut:
    return OpenShiftOut(begins=one.begins, ends=one.ends, absent=one.responder, filled_by=one.filled_by, free=free)


def _coverage(schedule: Schedule, roster: Roster, begin: datetime, end: datetime, config: Config) -> CoverageOut:
    seen = roster.coverage(schedule, begin, end)
    return CoverageOut(
        schedule=schedule.id,
        begins=begin,
        ends=end,
        gap_hours=round(seen.gap_seconds / 3600, 2),
        gaps=tuple(shift_out(gap, config) for gap in seen.gaps),
        hours=seen.hours,
    )


def _override(one: Override) -> OverrideOut:
    return OverrideOut(**{name: getattr(one, name) for name in OverrideOut.model_fields})
