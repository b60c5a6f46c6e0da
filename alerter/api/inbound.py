"""What comes back from people without a key of ours: one-click links, and PagerDuty's webhooks. Each proves itself.

The link's GET shows and its POST acts, because chat programs open every link that they are sent. PagerDuty signs what it
sends; a repeated event of its changes nothing.
"""

from __future__ import annotations

import html
from typing import Final
from urllib.parse import parse_qs

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from sqlalchemy import Connection

from alerter.api.auth import Caller
from alerter.api.context import ApiContext
from alerter.api.problems import Problem
from alerter.api.scopes import Scope
from alerter.desk.service import IncidentService
from alerter.incidents import words
from alerter.incidents.record import IncidentRecord
from alerter.incidents.store import incident_of
from alerter.incidents.transitions import Refused
from alerter.notify import endpoints
from alerter.notify.formats import pagerduty
from alerter.notify.links import BadLink, Expired, LinkSigner, Ticket
from alerter.notify.outlet import Kind
from alerter.store import audit
from alerter.store.database import DatabaseAway, Overtaken, insert_missing
from alerter.store.tables import inbound
from services.contracts.direction import settled
from services.contracts.incident import Change

MAX_BODY_BYTES: Final = 256_000
MAX_FORM_BYTES: Final = 4_000
_HEADERS: Final = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
}
_PAGE: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Firebreak</title>
<meta name="viewport" content="width=device-width,initial-scale=1">
<style>body{{font:1.1rem/1.5 system-ui;max-width:34rem;margin:3rem auto;padding:0 1rem;color-scheme:light dark}}
button{{font:inherit;padding:.6rem 1.4rem}}input{{font:inherit;width:100%;margin:.2rem 0 1rem}}</style>{body}</html>"""
_FORM: Final = """<form method="post"><label>Your name<input name="by" maxlength="80" placeholder="{endpoint}"></label>
<label>Comment for the others<input name="comment" maxlength="300"></label><button>I have it</button></form>"""


def mount_inbound(app: FastAPI, service: ApiContext) -> None:
    routes = APIRouter(include_in_schema=False)
    links: LinkSigner = service.links

    @routes.get("/acknowledge/{token}")
    async def show(token: str) -> Response:
        """What would be taken. Changes nothing."""
        try:
            ticket = links.read(token, service.context().wall)
            record = await service.database.read(lambda c: incident_of(c, ticket.incident))
        except BadLink as error:
            return _page(410 if isinstance(error, Expired) else 404, f"<h1>{html.escape(str(error).capitalize())}</h1>")
        except DatabaseAway:
            return _busy()
        if record is None:
            return _page(404, "<h1>There is no such incident</h1>")
        form = "" if record.ended else _FORM.format(endpoint=html.escape(ticket.endpoint))
        return _page(200, _about(record) + form)

    @routes.post("/acknowledge/{token}")
    async def act(token: str, request: Request) -> Response:
        """Somebody has it. Repeating it is harmless."""
        try:
            ticket = links.read(token, service.context().wall)
            fields = parse_qs((await _bounded(request, MAX_FORM_BYTES)).decode("utf-8", "replace"), max_num_fields=10)
            who, comment = (_printable(fields.get(name, [""])[0]) for name in ("by", "comment"))
            who = f"{who[:80]} ({ticket.endpoint})" if who else ticket.endpoint
            record = await service.act(lambda desk: _acknowledge(desk, service, ticket, who, comment[:300]))
        except BadLink as error:
            return _page(410 if isinstance(error, Expired) else 404, f"<h1>{html.escape(str(error).capitalize())}</h1>")
        except Refused as error:
            return _page(409, f"<h1>{html.escape(str(error))}</h1>")
        except (Problem, ValueError):
            return _page(413, "<h1>That is too long</h1>")
        except (DatabaseAway, Overtaken):
            return _busy()
        if record is None:
            return _page(404, "<h1>There is no such incident</h1>")
        return _page(200, _about(record) + "<p>Everybody who was told will hear that you have it.</p>")

    @routes.post("/v1/inbound/pagerduty/{name}")
    async def from_pagerduty(name: str, request: Request) -> Response:
        """PagerDuty's webhook (v3): what was acknowledged or resolved there is so here."""
        try:
            return await _from_pagerduty(service, name, request)
        except Problem as problem:
            return problem.response()
        except (DatabaseAway, Overtaken):
            return Problem(503, "the database does not answer right now", {"retry-after": "1"}).response()

    app.include_router(routes)


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
    before = desk.store.load(came.incident)
    if before is None or before.ended:
        return before
    if came.action == Change.RESOLVED:
        after = desk.people.resolve(came.incident, came.by, "")
    else:
        after = desk.people.acknowledge(came.incident, came.by, "")
    _note(desk.connection, service, Caller(name, Scope.RESPOND), came.action, before, after, came.by)
    return after


def _acknowledge(
    desk: IncidentService, service: ApiContext, ticket: Ticket, who: str, comment: str
) -> IncidentRecord | None:
    before = desk.store.load(ticket.incident)
    after = desk.people.acknowledge(ticket.incident, who, comment) if before is not None else None
    _note(desk.connection, service, Caller(ticket.endpoint, Scope.RESPOND), "acknowledged", before, after, who)
    return after


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


def _about(record: IncidentRecord) -> str:
    incident = record.incident
    said = (words.who_has_it(incident), words.by_when(incident), incident.first_step or "")
    lines = "".join(f"<p>{_foreign(line)}</p>" for line in said if line)
    return f"<h1>{_foreign(incident.title)}</h1>{lines}"


def _foreign(text: str) -> str:
    return f"<bdi>{html.escape(settled(text))}</bdi>"


def _printable(text: str) -> str:
    return "".join(char for char in text if char.isprintable()).strip()


def _page(status: int, body: str) -> Response:
    return HTMLResponse(_PAGE.format(body=body), status, _HEADERS)


def _busy() -> Response:
    return _page(503, "<h1>Try again in a moment</h1>")
