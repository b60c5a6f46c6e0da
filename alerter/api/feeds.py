"""Addresses of calendar feeds. Calendars cannot send a key, so the address is one: for one schedule or one person, and for
reading alone.

It is sealed with the digest of the key that asked for it and ends when that key is revoked, expires or is exchanged.
"""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, FastAPI, Request, Response
from pydantic import Field

from alerter.api import keys
from alerter.api.auth import Caller, Reader
from alerter.api.context import ApiContext
from alerter.api.oncall import feed, feed_of_person, responder_of, schedule_of
from alerter.api.problems import ABSENT, Problem
from alerter.api.schemas import Shape
from alerter.notify.links import BadLink
from alerter.store.database import DatabaseAway
from services.config.section import Slug

PATH: Final = "/calendars/"
_PURPOSE: Final = b"calendar:"
_PERSON: Final = "responder:"
"""Before the name of a person. No schedule's name has a colon."""


class Feed(Shape):
    url: str = Field(
        description="subscribe to this; whoever knows it can read the calendar, so treat it like a password"
    )


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.get("/schedules/{schedule}/calendar", responses=ABSENT)
    async def calendar_address(caller: Reader, schedule: Slug, request: Request) -> Feed:
        """A secret address for this schedule's calendar. It works as long as the key that asks for it."""
        schedule_of(service, caller, schedule)
        return await _address(service, caller, schedule, request)

    @routes.get("/responders/{responder}/calendar", responses=ABSENT)
    async def personal_calendar_address(caller: Reader, responder: Slug, request: Request) -> Feed:
        """A secret address for this person's calendar: their turns in all schedules that the key sees. It works as long as
        the key that asks for it."""
        responder_of(service, caller, responder)
        return await _address(service, caller, f"{_PERSON}{responder}", request)


async def _address(service: ApiContext, caller: Caller, of: str, request: Request) -> Feed:
    """Raises `Problem` 404."""
    known = await keys.named(service, caller.name)
    if known is None:
        raise Problem(404, "the key has just ended")
    token = service.links.seal(_PURPOSE + known[1].encode(), f"{caller.name}/{of}")
    base = service.process.settings.public_url or str(request.base_url)
    return Feed(url=f"{base.rstrip('/')}{PATH}{token}.ics")


def mount_feeds(app: FastAPI, service: ApiContext) -> None:
    @app.get(PATH + "{token}.ics", include_in_schema=False)
    async def secret_feed(token: str) -> Response:
        try:
            return await _answer(service, token)
        except BadLink:
            return Problem(404, "there is no such calendar").response()
        except Problem as problem:
            return problem.response()
        except DatabaseAway:
            return Problem(503, "the database does not answer right now", {"retry-after": "1"}).response()


async def _answer(service: ApiContext, token: str) -> Response:
    """Raises `BadLink` or `Problem`."""
    if not service.started:
        raise Problem(503, "not started yet", {"retry-after": "1"})
    name, _, of = service.links.said(token).partition("/")
    known = await keys.named(service, name)
    if known is None:
        raise BadLink("the key has ended")
    caller, digest = known
    service.links.check(_PURPOSE + digest.encode(), token)
    person = of.removeprefix(_PERSON)
    answer = await (feed(service, caller, of) if person == of else feed_of_person(service, caller, person))
    answer.headers["cache-control"] = "private, max-age=300"
    return answer
