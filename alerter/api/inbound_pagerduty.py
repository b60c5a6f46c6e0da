"""PagerDuty's webhooks (v3): what a person acknowledged, resolved or handed over there is so here.

Only what a person did counts. PagerDuty also tells us of what we asked it to do ourselves, and of what its own rules did: the
first would be our own echo, and the second says nothing about the story.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from alerter.api import drills, replies
from alerter.api.context import ApiContext
from alerter.api.problems import Problem
from alerter.desk.service import IncidentService
from alerter.notify.buttons import Button
from alerter.notify.formats import pagerduty
from alerter.notify.formats.notice import DRILL_KEY
from alerter.notify.outlet import Kind
from alerter.store.database import insert_missing
from alerter.store.tables import inbound
from services.config.model import Config

_DOES: Final = {"acknowledged": Button.TAKE, "resolved": Button.RESOLVE, "reassigned": None}
OLDEST: Final = timedelta(days=7)
"""An older event is not taken: the ids of events are kept for longer than this, so that none is taken twice."""


async def receive(service: ApiContext, name: str, request: Request) -> Response:
    body = await replies.bounded(request)
    secret = await replies.inbound_secret(service, name, Kind.PAGERDUTY)
    right = pagerduty.verified(secret or "", body, request.headers.get("x-pagerduty-signature"))
    if secret is None or not right:
        raise replies.unsigned("signed with the inbound secret")
    try:
        came = pagerduty.returned(body)
    except ValueError as error:
        raise Problem(422, str(error)) from None
    if came.incident is None or came.action not in _DOES:
        return Response(status_code=204)
    context = service.context()
    if not came.by_person:
        return _nothing("no person did it: it is our own echo, or one of PagerDuty's rules")
    if came.at is not None and context.wall - came.at > OLDEST:
        return _nothing(f"the event is more than {OLDEST.days} days old")
    if came.incident.startswith(DRILL_KEY):
        await service.act(lambda desk: _confirm_drill(desk, service, name, came))
        return Response(status_code=204)
    does, to = _DOES[came.action], ""
    if does is None:
        to = _whom(context.config, came.to)
        if not to:
            return _nothing("no person was asked to take it")
    by = _actor(context.config, came)
    done = await replies.reply(service, replies.Reply(name, came.event, came.incident, does, by, to))
    return Response(status_code=204) if done.done else _nothing(done.words)


def _confirm_drill(desk: IncidentService, service: ApiContext, name: str, came: pagerduty.Returned) -> None:
    """A test page that a person acknowledged or resolved there has reached them."""
    if came.incident is None or came.action == "reassigned":
        return
    event = {"endpoint": name, "event": came.event, "at_wall": service.context().wall}
    if insert_missing(desk.connection, inbound, [event]):
        drill, _, responder = came.incident.removeprefix(DRILL_KEY).partition(":")
        drills.confirm(service, desk.connection, name, drill, (responder, name), came.by)


def _nothing(because: str) -> Response:
    """Says that nothing was done. It is a success: PagerDuty disables a webhook that answers too many errors."""
    return JSONResponse({"done": False, "because": because})


def _actor(config: Config, came: pagerduty.Returned) -> replies.Actor:
    known = config.known_as(f"pagerduty:{came.user}")
    # The names there are given by the house, so they need no quotes.
    return replies.person(known, "PagerDuty") if known is not None else replies.Actor(f"{came.by} (PagerDuty)")


def _whom(config: Config, to: tuple[pagerduty.Assignee, ...]) -> str:
    """Returns the first of these who is a responder here, or else the name of the first, or nothing."""
    known = next((found for one in to if (found := config.known_as(f"pagerduty:{one.user}")) is not None), None)
    return known.called if known is not None else to[0].name if to else ""
