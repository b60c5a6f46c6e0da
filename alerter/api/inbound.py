"""What comes back without a key of ours: links to incidents and drills, buttons, text messages, and webhooks of services and of
systems with tickets. Each proves itself.

The link's GET shows and its POST acts, because chat programs open every link that they are sent. What a service sends has a
file of its own, and is the same deed in the end (`replies`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Coroutine
from typing import Any, Final
from urllib.parse import parse_qs, quote, unquote

from fastapi import APIRouter, FastAPI, Request, Response
from sqlalchemy import Connection

from alerter.api import drills, inbound_pagerduty, inbound_slack, inbound_sms, inbound_telegram, phone, ticket_inbound
from alerter.api.context import ApiContext
from alerter.api.problems import Problem
from alerter.api.replies import Actor, Reply, bounded, from_endpoint, only_person, person, reached, reply
from alerter.desk.service import IncidentService
from alerter.escalation import page_drills
from alerter.incidents.record import IncidentRecord
from alerter.incidents.source_policy import record_outside
from alerter.incidents.store import incident_of
from alerter.incidents.transitions import Refused
from alerter.notify import buttons, endpoints
from alerter.notify.links import BadLink, Expired, Ticket
from alerter.store import audit
from alerter.store.database import DatabaseAway, Overtaken

MAX_FORM_BYTES: Final = 4_000
NAME_COOKIE: Final = "firebreak_name"
"""The name that was typed last on this phone, for the next page that comes at night."""
YEAR_SECONDS: Final = 365 * 86400


def mount_inbound(app: FastAPI, service: ApiContext) -> None:
    routes = APIRouter(include_in_schema=False)

    @routes.get("/acknowledge/{token}")
    async def show(token: str, request: Request) -> Response:
        """What would be taken. Changes nothing."""
        remembered = _named(unquote(request.cookies.get(NAME_COOKIE, "")))
        return await _explained(_show(service, token, remembered))

    @routes.post("/acknowledge/{token}")
    async def act(token: str, request: Request) -> Response:
        """Somebody has it. Repeating it is harmless."""
        return await _explained(_act(service, token, request))

    @routes.get("/confirm/{token}")
    async def show_drill(token: str) -> Response:
        """What would be confirmed. Changes nothing."""
        return await _explained(_show_drill(service, token))

    @routes.post("/confirm/{token}")
    async def confirm_drill(token: str, request: Request) -> Response:
        """A drill's page reached its person. Repeating it is harmless."""
        return await _explained(_confirm_drill(service, token, request))

    @routes.post("/acknowledge/once/{token}")
    async def press(token: str, request: Request) -> Response:
        """A button of a push message: it acts at once, and once."""
        return await _explained(_press(service, token, request))

    @routes.post("/v1/inbound/pagerduty/{name}")
    async def from_pagerduty(name: str, request: Request) -> Response:
        """PagerDuty's webhook (v3): what a person did there is so here."""
        return await _answered(inbound_pagerduty.receive(service, name, request))

    @routes.post("/v1/inbound/sms/{name}")
    async def from_sms(name: str, request: Request) -> Response:
        """A text message that somebody sent to our number: a reply code, perhaps with a word."""
        return await _answered(inbound_sms.receive(service, name, request))

    @routes.post("/v1/inbound/telegram/{name}")
    async def from_telegram(name: str, request: Request) -> Response:
        """A button that was pressed in Telegram."""
        return await _answered(inbound_telegram.receive(service, name, request))

    @routes.post("/v1/inbound/slack/{name}")
    async def from_slack(name: str, request: Request) -> Response:
        """A button that was pressed in Slack."""
        return await _answered(inbound_slack.receive(service, name, request))

    @routes.post("/v1/inbound/ticket/{name}")
    async def from_ticket(name: str, request: Request) -> Response:
        """The webhook of a system with tickets: what was solved, assigned or commented there is so here."""
        return await _answered(ticket_inbound.receive(service, name, request))

    app.include_router(routes)


async def _answered(answer: Coroutine[Any, Any, Response]) -> Response:
    try:
        return await answer
    except Problem as problem:
        return problem.response()
    except (DatabaseAway, Overtaken):
        return Problem(503, "the database does not answer right now", {"retry-after": "1"}).response()


async def _explained(answer: Coroutine[Any, Any, Response]) -> Response:
    """The page, or one that says in words why there is none."""
    try:
        return await answer
    except BadLink as error:
        return phone.sorry(410 if isinstance(error, Expired) else 404, str(error).capitalize())
    except Refused as error:
        return phone.sorry(409, str(error).capitalize())
    except (Problem, ValueError):
        return phone.sorry(413, "That is too long")
    except (DatabaseAway, Overtaken):
        return phone.sorry(503, "Try again in a moment")


async def _show(service: ApiContext, token: str, remembered: str) -> Response:
    context = service.context()
    ticket = service.links.read(token, context.wall)
    record = await service.database.read(lambda c: _told_there(c, ticket, incident_of(c, ticket.incident)))
    if record is None:
        return phone.sorry(404, "There is no such incident")
    outside = record_outside(record, context.config.source_policy)
    name = phone.name_of(context.config, ticket.endpoint, remembered)
    return phone.ask(outside, context.now, name, phone.zone_of_link(context.config, ticket.endpoint))


async def _act(service: ApiContext, token: str, request: Request) -> Response:
    context = service.context()
    ticket = service.links.read(token, context.wall)
    fields = parse_qs((await bounded(request, MAX_FORM_BYTES)).decode("utf-8", "replace"), max_num_fields=10)
    name, comment = _named(fields.get("by", [""])[0]), _printable(fields.get("comment", [""])[0])
    who = f"{name} ({ticket.endpoint})" if name else ticket.endpoint
    record = await service.act(lambda desk: _acknowledge(desk, service, ticket, who, comment[:300]))
    if record is None:
        return phone.sorry(404, "There is no such incident")
    outside = record_outside(record, context.config.source_policy)
    page = phone.taken(outside, context.now, phone.zone_of_link(context.config, ticket.endpoint))
    if name:
        secure = (service.process.settings.public_url or "").startswith("https://")
        page.set_cookie(
            NAME_COOKIE, quote(name), max_age=YEAR_SECONDS, path="/acknowledge", secure=secure, httponly=True,
            samesite="lax",
        )  # fmt: skip
    return page


async def _show_drill(service: ApiContext, token: str) -> Response:
    context = service.context()
    ticket = service.links.read_confirm(token, context.wall)
    found = await service.database.read(lambda c: page_drills.find(c, ticket.drill))
    part = next((one for one in found.people if one.responder == ticket.responder), None) if found is not None else None
    if found is None or part is None:
        return phone.sorry(404, "There is no such drill")
    page = next((one for one in part.pages if one.method == ticket.endpoint), None)
    person = context.config.responder(ticket.responder)
    name, zone = (person.called, person.zone or "UTC") if person is not None else ("", "UTC")
    return phone.ask_drill(found, part.who, page.confirmed_at if page is not None else None, name, zone)


async def _confirm_drill(service: ApiContext, token: str, request: Request) -> Response:
    context = service.context()
    ticket = service.links.read_confirm(token, context.wall)
    fields = parse_qs((await bounded(request, MAX_FORM_BYTES)).decode("utf-8", "replace"), max_num_fields=10)
    name = _named(fields.get("by", [""])[0])
    way, by = (ticket.responder, ticket.endpoint), f"{name} ({ticket.endpoint})" if name else ticket.endpoint
    found = await service.database.write(lambda c: drills.confirm(service, c, ticket.endpoint, ticket.drill, way, by))
    part = next((one for one in found.people if one.responder == ticket.responder), None) if found is not None else None
    if found is None or part is None:
        return phone.sorry(404, "There is no such drill")
    service.ring()
    at = next(one.confirmed_at for one in part.pages if one.method == ticket.endpoint)
    person = context.config.responder(ticket.responder)
    return phone.drill_confirmed(found, part.who, at or context.now, (person and person.zone) or "UTC")


async def _press(service: ApiContext, token: str, request: Request) -> Response:
    await bounded(request, MAX_FORM_BYTES)
    context = service.context()
    pressed = buttons.read_once(service.links, token, context.wall)
    responder = only_person(context.config, pressed.endpoint)
    by = Actor(pressed.endpoint) if responder is None else person(responder, pressed.endpoint)
    event = f"once:{hashlib.sha256(token.encode()).hexdigest()}"
    done = await reply(service, Reply(pressed.endpoint, event, pressed.incident, pressed.button, by))
    return phone.said(200 if done.done else 409, done.words)


def _acknowledge(
    desk: IncidentService, service: ApiContext, ticket: Ticket, who: str, comment: str
) -> IncidentRecord | None:
    before = _told_there(desk.connection, ticket, desk.store.load(ticket.incident))
    after = desk.people.acknowledge(ticket.incident, who, comment) if before is not None else None
    after = from_endpoint(desk, ticket.endpoint, after)
    _note(desk.connection, service, ticket.endpoint, before, after, who)
    return after


def _told_there(connection: Connection, ticket: Ticket, record: IncidentRecord | None) -> IncidentRecord | None:
    """Returns the incident if the endpoint to which the link was sent is still there, and still takes the brand."""
    takes = record is not None and endpoints.takes(connection, ticket.endpoint, record.incident.brand)
    return record if takes else None


def _note(
    connection: Connection,
    service: ApiContext,
    endpoint: str,
    before: IncidentRecord | None,
    after: IncidentRecord | None,
    who: str,
) -> None:
    if after is not None and after != before:
        reached(connection, service, endpoint, who)
        now, incident = service.context().now, after.incident
        detail = {"by": who}
        audit.record(connection, now, endpoint, "incident.acknowledged", incident.id, incident.brand, detail)


def _printable(text: str) -> str:
    return "".join(char for char in text if char.isprintable()).strip()


def _named(text: str) -> str:
    return _printable(text)[: phone.MAX_NAME_CHARS]
