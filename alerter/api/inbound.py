"""What comes back without a key of ours: one-click links to incidents and drills, PagerDuty's webhooks, and those of
systems with tickets. Each proves itself.

The link's GET shows and its POST acts, because chat programs open every link that they are sent. PagerDuty signs what it
sends; a repeated event of its changes nothing.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Final
from urllib.parse import parse_qs, quote, unquote

from fastapi import APIRouter, FastAPI, Request, Response
from sqlalchemy import Connection

from alerter.api import drills, phone, ticket_inbound
from alerter.api.auth import Caller
from alerter.api.context import ApiContext
from alerter.api.problems import Problem
from alerter.api.scopes import Scope
from alerter.api.seen import held_from_outside
from alerter.desk.service import IncidentService
from alerter.escalation import page_drills
from alerter.incidents.record import IncidentRecord
from alerter.incidents.source_policy import record_outside
from alerter.incidents.store import incident_of
from alerter.incidents.transitions import Refused
from alerter.notify import endpoints, methods
from alerter.notify.formats import pagerduty
from alerter.notify.formats.notice import DRILL_KEY
from alerter.notify.links import BadLink, Expired, Ticket
from alerter.notify.outlet import Kind
from alerter.oncall.method_states import Proof
from alerter.store import audit
from alerter.store.database import DatabaseAway, Overtaken, insert_missing
from alerter.store.tables import inbound
from services.contracts.incident import Change

MAX_BODY_BYTES: Final = 256_000
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

    @routes.post("/v1/inbound/pagerduty/{name}")
    async def from_pagerduty(name: str, request: Request) -> Response:
        """PagerDuty's webhook (v3): what was acknowledged or resolved there is so here."""
        try:
            return await _from_pagerduty(service, name, request)
        except Problem as problem:
            return problem.response()
        except (DatabaseAway, Overtaken):
            return Problem(503, "the database does not answer right now", {"retry-after": "1"}).response()

    @routes.post("/v1/inbound/ticket/{name}")
    async def from_ticket(name: str, request: Request) -> Response:
        """The webhook of a system with tickets: what was solved, assigned or commented there is so here."""
        try:
            body = await _bounded(request, MAX_BODY_BYTES)
            headers = {key.lower(): value for key, value in request.headers.items()}
            return await ticket_inbound.from_tickets(service, name, body, headers)
        except Problem as problem:
            return problem.response()
        except (DatabaseAway, Overtaken):
            return Problem(503, "the database does not answer right now", {"retry-after": "1"}).response()

    app.include_router(routes)


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
    record = await service.database.read(lambda c: incident_of(c, ticket.incident))
    if record is None:
        return phone.sorry(404, "There is no such incident")
    outside = record_outside(record, context.config.source_policy)
    name = phone.name_of(context.config, ticket.endpoint, remembered)
    return phone.ask(outside, context.now, name, phone.zone_of_link(context.config, ticket.endpoint))


async def _act(service: ApiContext, token: str, request: Request) -> Response:
    context = service.context()
    ticket = service.links.read(token, context.wall)
    fields = parse_qs((await _bounded(request, MAX_FORM_BYTES)).decode("utf-8", "replace"), max_num_fields=10)
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
    fields = parse_qs((await _bounded(request, MAX_FORM_BYTES)).decode("utf-8", "replace"), max_num_fields=10)
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


async def _from_pagerduty(service: ApiContext, name: str, request: Request) -> Response:
    if not service.started:
        raise Problem(503, "not started yet", {"retry-after": "1"})
    body = await _bounded(request, MAX_BODY_BYTES)
    secret = await service.database.read(lambda c: endpoints.inbound_secret(c, name, Kind.PAGERDUTY))
    # The same answer, whether the endpoint is unknown or the signature wrong.
    right = pagerduty.verified(secret or "", body, request.headers.get("x-pagerduty-signature"))
    if secret is None or not right:
        raise Problem(401, "not signed with the inbound secret of an endpoint of this name")
    try:
        came = pagerduty.returned(body)
    except ValueError as error:
        raise Problem(422, str(error)) from None
    if came.incident is not None and came.action in (Change.ACKNOWLEDGED, Change.RESOLVED):
        try:
            await service.act(lambda desk: _returned(desk, service, name, came))
        except Refused as error:
            raise Problem(409, str(error)) from None
    return Response(status_code=204)


async def _bounded(request: Request, most: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise Problem(413, f"more than {most} bytes")
    return bytes(body)


def _returned(desk: IncidentService, service: ApiContext, name: str, came: pagerduty.Returned) -> IncidentRecord | None:
    assert came.incident is not None
    context = service.context()
    if not insert_missing(desk.connection, inbound, [{"endpoint": name, "event": came.event, "at_wall": context.wall}]):
        return None  # told already: what was undone since stays undone
    if came.incident.startswith(DRILL_KEY):
        drill, _, responder = came.incident.removeprefix(DRILL_KEY).partition(":")
        drills.confirm(service, desk.connection, name, drill, (responder, name), came.by)
        return None
    before = desk.store.load(came.incident)
    if before is None or before.ended or not endpoints.takes(desk.connection, name, before.incident.brand):
        return before
    if came.action == Change.RESOLVED:
        after = desk.people.resolve(came.incident, came.by, "")
    else:
        after = _from_endpoint(desk, name, desk.people.acknowledge(came.incident, came.by, ""))
    _note(desk.connection, service, Caller(name, Scope.RESPOND), came.action, before, after, came.by)
    return after


def _acknowledge(
    desk: IncidentService, service: ApiContext, ticket: Ticket, who: str, comment: str
) -> IncidentRecord | None:
    before = desk.store.load(ticket.incident)
    after = desk.people.acknowledge(ticket.incident, who, comment) if before is not None else None
    after = _from_endpoint(desk, ticket.endpoint, after)
    _note(desk.connection, service, Caller(ticket.endpoint, Scope.RESPOND), "acknowledged", before, after, who)
    return after


def _from_endpoint(desk: IncidentService, name: str, after: IncidentRecord | None) -> IncidentRecord | None:
    """What comes by an endpoint that is limited to brands comes from outside, whatever name it gives."""
    if after is None or endpoints.brands_of(desk.connection, name) in (None, "[]"):
        return after
    return held_from_outside(desk, after)


def _note(
    connection: Connection,
    service: ApiContext,
    caller: Caller,
    action: str,
    before: IncidentRecord | None,
    after: IncidentRecord | None,
    who: str,
) -> None:
    if after is not None and after != before:
        if action == Change.ACKNOWLEDGED:
            _reached(connection, service, caller.name, who)
        incident = after.incident
        audit.record(
            connection,
            service.context().now,
            caller.name,
            f"incident.{action}",
            incident.id,
            incident.brand,
            {"by": who},
        )


def _reached(connection: Connection, service: ApiContext, endpoint: str, who: str) -> None:
    """Whoever acknowledges by what was sent to an endpoint has shown that messages reach them there."""
    person = methods.person_of(service.process.config.responders, endpoint, who)
    if person is not None:
        methods.confirm(connection, person.id, endpoint, Proof.ACKNOWLEDGEMENT, service.context().now)


def _printable(text: str) -> str:
    return "".join(char for char in text if char.isprintable()).strip()


def _named(text: str) -> str:
    return _printable(text)[: phone.MAX_NAME_CHARS]
