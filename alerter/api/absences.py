"""Absences of people: entered and ended at run time. Their shifts in them are open until somebody takes them.

Days and times without a zone are those of the clocks where the person lives.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter
from pydantic import Field, StringConstraints
from sqlalchemy import Connection

from alerter.api.auth import Caller, Reader, Responder
from alerter.api.context import ApiContext
from alerter.api.oncall import MOST_AHEAD, visible
from alerter.api.problems import ABSENT, CONFLICT, Problem
from alerter.api.schemas import Comment, Person, Shape
from alerter.api.seen import people
from alerter.escalation import untold
from alerter.oncall import absences
from alerter.oncall.absences import AbsenceKind
from alerter.oncall.overrides import Key
from alerter.oncall.shifts import Absence
from alerter.oncall.wallclock import instant
from alerter.store import audit
from services.config.model import Config
from services.config.rota import Zone, zone_of
from services.config.section import Slug

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
When = Annotated[
    str,
    StringConstraints(max_length=40, pattern=r"^\d{4}-\d{2}-\d{2}([Tt ]\d{2}:\d{2}.*)?$"),
    Field(
        description="a day, or a date and time; without an offset it is local time in the zone", examples=["2026-08-03"]
    ),
]


class AbsenceIn(Shape):
    """Somebody cannot be on call. What would begin in the past begins now."""

    responder: Slug = Field(examples=["dana"])
    kind: AbsenceKind = AbsenceKind.VACATION
    begins: When = Field(description="a day begins at 0:00")
    ends: When = Field(description="a day ends at 24:00: it is the last one of the absence")
    zone: Zone | None = Field(None, description="IANA name; without it, the zone of the responder in the configuration")
    by: Person
    comment: Comment = ""


class AbsenceOut(Shape):
    """`kind` and `comment` are null for a key that is limited to brands."""

    id: str
    responder: str
    kind: AbsenceKind | None
    begins: datetime
    ends: datetime
    zone: str
    by: str
    comment: str | None
    made_at: datetime


class Absences(Shape):
    items: tuple[AbsenceOut, ...]


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.get("/absences")
    async def list_absences(caller: Reader) -> Absences:
        """Absences that have not ended, the first to begin first."""
        now = service.context().now
        held = await service.database.read(lambda c: known(c, caller, service.process.config, now))
        return Absences(items=tuple(_absence(one, caller) for one in held))

    @routes.post("/absences", status_code=201, responses=CONFLICT)
    async def create_absence(caller: Responder, body: AbsenceIn) -> AbsenceOut:
        """Say that somebody cannot be on call. The layer below fills their shifts; what nobody fills is a gap, and open."""
        return _absence(await be_absent(service, caller, body), caller)

    @routes.delete("/absences/{absence}", status_code=204, responses=ABSENT)
    async def delete_absence(caller: Responder, absence: Key) -> None:
        """End the absence now, or remove it if it has not begun."""
        await be_back(service, caller, absence)


def known(connection: Connection, caller: Caller, config: Config, now: datetime) -> list[Absence]:
    """Returns the absences that have not ended, of the people whom the caller may see."""
    return absences.between(connection, now, now + 10 * MOST_AHEAD, people(caller, config))


async def be_absent(service: ApiContext, caller: Caller, body: AbsenceIn) -> Absence:
    """Raises `Problem` 409 or 422."""
    now, config = service.context().now, service.process.config
    person, own = config.responder(body.responder), may_change(caller, config)
    if person is None or (own is not None and person.id not in own):
        why = f"there is no responder {body.responder}" + ("" if own is None else " whose absence you may enter")
        raise Problem(422, f"responder: {why}", errors=[{"at": "body.responder", "why": why}])
    zone = body.zone or person.zone or "UTC"
    begins, ends = _moment("begins", body.begins, zone), _moment("ends", body.ends, zone, last_day=True)
    if ends <= max(begins, now) or ends - begins > MOST_AHEAD or ends > now + 3 * MOST_AHEAD:
        too_long = "an absence may last a year at most, and must end within three years"
        why = "is in the past" if ends <= now else "is not after begins" if ends <= begins else too_long
        raise Problem(422, f"ends: {why}", errors=[{"at": "body.ends", "why": why}])
    made = Absence(
        id=absences.new_id(person.id, body.by, now, secrets.token_hex(8)),
        responder=person.id,
        begins=max(begins, now),
        ends=ends,
        kind=body.kind.value,
        zone=zone,
        by=body.by,
        comment=body.comment,
        made_at=now,
    )

    def write(connection: Connection) -> bool:
        if len(absences.between(connection, now, now + 10 * MOST_AHEAD, [person.id])) >= absences.MOST:
            return False
        absences.add(connection, made)
        # Not why: the audit log is kept for longer than that is anybody's business.
        detail = {"by": made.by, "begins": made.begins.isoformat(), "ends": made.ends.isoformat()}
        audit.record(connection, now, caller.name, "absence.created", f"{person.id}/{made.id}", None, detail)
        untold.look_now(connection, now)  # whoever stands in for them may be somebody who can be told
        return True

    if not await service.database.write(write):
        raise Problem(409, f"{person.id} already has {absences.MOST} absences")
    service.ring()
    return made


async def be_back(service: ApiContext, caller: Caller, absence: str) -> None:
    """Raises `Problem` 404."""
    now, own = service.context().now, may_change(caller, service.process.config)

    def write(connection: Connection) -> bool:
        one = absences.find(connection, absence)
        if one is None or (own is not None and one.responder not in own):
            return False
        gone = absences.end(connection, absence, now)
        if gone:
            audit.record(connection, now, caller.name, "absence.ended", f"{one.responder}/{absence}")
            untold.look_now(connection, now)
        return gone

    if not await service.database.write(write):
        raise Problem(404, f"there is no absence {absence}")
    service.ring()


def may_change(caller: Caller, config: Config) -> Collection[str] | None:
    """Returns the people whose absences the caller may enter and end, or `None` if that is everybody.

    For a key that is limited to brands those are the people whom it sees, but for who also has turns in a schedule that it
    does not see: an absence would put somebody else on call there. It can still make an override in its own schedule.
    """
    seen = people(caller, config)
    if seen is None:
        return None
    own = {schedule.id for schedule in visible(caller, config)}
    elsewhere = (one for one in config.schedules if one.id not in own)
    return set(seen) - {who for schedule in elsewhere for layer in schedule.layers for who in layer.responders}


def _moment(field: str, text: str, zone: str, *, last_day: bool = False) -> datetime:
    """Raises `Problem` 422."""
    try:
        if _DAY.fullmatch(text):
            day = datetime.combine(date.fromisoformat(text), datetime.min.time())
            moment = instant(day + timedelta(days=last_day), zone_of(zone))
        else:
            said = datetime.fromisoformat(text)
            moment = said.astimezone(UTC) if said.tzinfo is not None else instant(said, zone_of(zone))
        if 2000 <= moment.year <= 2200:
            return moment
    except (ValueError, OverflowError):
        pass
    why = "must be a day such as 2026-08-03, or a date and time"
    raise Problem(422, f"{field}: {why}", errors=[{"at": f"body.{field}", "why": why}])


def _absence(one: Absence, caller: Caller) -> AbsenceOut:
    return AbsenceOut(
        id=one.id,
        responder=one.responder,
        kind=None if caller.outside else AbsenceKind(one.kind),
        begins=one.begins,
        ends=one.ends,
        zone=one.zone,
        by=one.by,
        comment=None if caller.outside else one.comment,
        made_at=one.made_at,
    )
