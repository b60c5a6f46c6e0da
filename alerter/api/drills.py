"""Page drills: everybody on duty is rung once, and who confirmed it is kept. A key that is limited to brands sees none."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter
from pydantic import ConfigDict, Field, StringConstraints
from sqlalchemy import Connection

from alerter.api.auth import Admin, Caller, Reader, Responder
from alerter.api.context import ApiContext
from alerter.api.problems import ABSENT, CONFLICT, Problem
from alerter.api.schemas import Person, Shape
from alerter.escalation import page_drills
from alerter.escalation.page_drills import DrillPage, DrillPart, PageDrill
from alerter.store import audit
from services.config.section import Slug

MOST_LISTED: Final = 50
DrillKey = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]


class DrillIn(Shape):
    by: Person
    wait_minutes: Annotated[float, Field(ge=0.05, le=120)] = Field(
        5, description="how long people have to confirm; what their own rules send later than that is not sent"
    )
    every_method: bool = Field(False, description="ring each person by every method at once; each is to be confirmed")
    id: DrillKey | None = Field(None, description="a repeated request with the same id rings nobody again")


class DrillPageOut(Shape):
    """One test page."""

    method: str = Field(description="empty: the person has none that works")
    due_at: datetime
    delivery: str | None
    state: str | None = Field(description="of the delivery")
    trouble: str | None = Field(description="why it has not arrived")
    confirmed_at: datetime | None
    confirmed_by: str | None


class DrillPartOut(Shape):
    """One person. They `confirmed` if they did so in time, and by every method if that was asked."""

    responder: str
    name: str
    confirmed: bool
    method: str | None = Field(description="the one by which they confirmed")
    confirmed_at: datetime | None
    after_seconds: float | None = Field(description="from the beginning of the drill")
    late: bool = Field(description="they confirmed after the end")
    pages: tuple[DrillPageOut, ...]


class DrillOut(Shape):
    id: str
    begun_at: datetime
    ends_at: datetime
    by: str
    every_method: bool
    over: bool = Field(description="everybody confirmed, or the time is up")
    asked: int
    confirmed: int
    gaps: tuple[str, ...] = Field(description="where nobody was on duty")
    links: bool = Field(description="test pages have a link to confirm: a public URL is set")
    people: tuple[DrillPartOut, ...]


class Drills(Shape):
    items: tuple[DrillOut, ...]


class ConfirmIn(Shape):
    """A test page reached a person."""

    responder: Slug
    method: Slug
    by: Person


class DrillLinks(Shape):
    confirm: str | None = None


class DrilledPerson(Shape):
    model_config = ConfigDict(extra="ignore")
    drill: str
    responder: str
    who: str
    by: str
    because: str
    began: datetime
    confirm_by: datetime
    links: DrillLinks = DrillLinks()


class DrillMessage(Shape):
    """Body of a `page.test` or `page.over` webhook: a drill rings everybody on duty once. Show it like a page of severity 1,
    and say that it is a drill. `page.over` goes only where something would ring on."""

    model_config = ConfigDict(extra="ignore")
    type: str = Field(pattern=r"^page\.(test|over)$")
    timestamp: datetime
    data: DrilledPerson


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.post("/drills", status_code=201, responses=CONFLICT)
    async def begin_drill(caller: Admin, body: DrillIn) -> DrillOut:
        """Ring everybody on duty once with a test page, outside any incident. One drill at a time."""
        return shown(service, await begin(service, caller, body))

    @routes.get("/drills")
    async def list_drills(caller: Reader) -> Drills:
        """The last drills, the newest first."""
        found = await service.database.read(lambda c: page_drills.newest(c, 0 if caller.outside else MOST_LISTED))
        return Drills(items=tuple(shown(service, one) for one in found))

    @routes.get("/drills/{drill}", responses=ABSENT)
    async def get_drill(caller: Reader, drill: DrillKey) -> DrillOut:
        """Who has confirmed, by which method, and after how long."""
        found = await service.database.read(lambda c: page_drills.find(c, drill))
        return shown(service, _seen(caller, drill, found))

    @routes.post("/drills/{drill}/confirm", responses=ABSENT)
    async def confirm_page(caller: Responder, drill: DrillKey, body: ConfirmIn) -> DrillOut:
        """Say that a test page reached a person by this method."""
        return shown(service, await confirm_for(service, caller, drill, (body.responder, body.method), body.by))


def _seen(caller: Caller, drill: str, found: PageDrill | None) -> PageDrill:
    """Raises `Problem` 404, also to a key that is limited to brands."""
    if found is None or caller.outside:
        raise Problem(404, f"there is no drill {drill} with such a page")
    return found


async def confirm_for(service: ApiContext, caller: Caller, drill: str, way: tuple[str, str], by: str) -> PageDrill:
    """Note that a test page reached a person by one of the methods by which they were rung. Raises `Problem` 404."""

    def write(connection: Connection) -> PageDrill | None:
        found = None if caller.outside else page_drills.find(connection, drill)
        people = found.people if found is not None else ()
        rung = {(one.responder, page.method) for one in people for page in one.pages}
        return confirm(service, connection, caller.name, drill, way, by) if way in rung else None

    found = _seen(caller, drill, await service.database.write(write))
    service.ring()
    return found


async def begin(service: ApiContext, caller: Caller, body: DrillIn) -> PageDrill:
    """Raises `Problem` 403 or 409."""
    if caller.outside:
        raise Problem(403, "a drill rings everybody: this needs a key that is not limited to brands")
    context = service.context()
    id_, wait = body.id or secrets.token_hex(16), timedelta(minutes=body.wait_minutes)

    def write(connection: Connection) -> PageDrill | None:
        is_new = page_drills.find(connection, id_) is None
        made = page_drills.begin(
            connection, context.config, id_, body.by, wait, body.every_method, context.now, context.wall
        )
        if made is not None and is_new:
            detail = {"by": body.by, "asked": len(made.people), "every_method": body.every_method}
            audit.record(connection, context.now, caller.name, "drill.begun", id_, None, detail)
        return made

    made = await service.database.write(write)
    if made is None:
        raise Problem(409, "another drill goes on: nobody is rung by two at once")
    service.ring()
    return made


def confirm(
    service: ApiContext, connection: Connection, actor: str, drill: str, way: tuple[str, str], by: str
) -> PageDrill | None:
    """Note that a person confirmed by a method, and write it into the audit log. Returns `None` if they have no part in it."""
    now, config = service.context().now, service.process.config
    before = page_drills.find(connection, drill)
    found = page_drills.confirm(connection, config, drill, *way, by, now)
    if found is not None and found != before:
        audit.record(connection, now, actor, "drill.confirmed", f"{drill}/{'/'.join(way)}", None, {"by": by})
    return found


def shown(service: ApiContext, drill: PageDrill) -> DrillOut:
    return DrillOut(
        id=drill.id,
        begun_at=drill.begun_at,
        ends_at=drill.ends_at,
        by=drill.by,
        every_method=drill.every_method,
        over=drill.is_over(service.context().now),
        asked=len(drill.people),
        confirmed=drill.confirmed,
        gaps=drill.gaps,
        links=bool(service.process.settings.public_url),
        people=tuple(_called(drill, one) for one in drill.people),
    )


def _called(drill: PageDrill, one: DrillPart) -> DrillPartOut:
    page = one.confirmed(drill.every_method)
    at = page.confirmed_at if page is not None else None
    in_time = drill.in_time(one) is not None
    return DrillPartOut(
        responder=one.responder,
        name=one.who,
        confirmed=in_time,
        method=page.method if page is not None else None,
        confirmed_at=at,
        after_seconds=(at - drill.begun_at).total_seconds() if at is not None else None,
        late=at is not None and not in_time,
        pages=tuple(_page(page) for page in one.pages),
    )


def _page(one: DrillPage) -> DrillPageOut:
    return DrillPageOut(
        method=one.method,
        due_at=one.due_at,
        delivery=one.delivery,
        state=one.state,
        trouble=one.trouble,
        confirmed_at=one.confirmed_at,
        confirmed_by=one.confirmed_by,
    )
