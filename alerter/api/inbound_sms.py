"""Text messages that people send back: a reply code takes the incident, and a word before or behind it does something else.

The address is that of one endpoint, and takes the codes of all endpoints with the same inbound secret, because a telephone
number has one address for all that comes in. Twilio signs what it sends, and the person is answered in the response. Other
services prove themselves by the secret as a token; to them the answer is a field that nobody has to read.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from datetime import timedelta
from typing import Any, Final
from urllib.parse import parse_qsl

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy import Connection, or_, select

from alerter.api import replies
from alerter.api.context import ApiContext
from alerter.api.problems import Problem
from alerter.incidents import words
from alerter.incidents.record import IncidentRecord
from alerter.incidents.store import incident_of
from alerter.notify import buttons, endpoints, sms
from alerter.notify.buttons import Button, CodeOwner
from alerter.notify.outlet import Kind
from alerter.notify.sms import Ask, TextMessage
from alerter.states import ENDED
from alerter.store.tables import deliveries, incidents
from alerter.store.tables import endpoints as endpoint_rows

MAX_FIELDS: Final = 100
MOST_TOLD: Final = 5000
"""Incidents and endpoints that a code is looked for in, the newest first."""
OVER_FOR: Final = timedelta(days=1)
"""So long after its end whoever sends the code of an incident is told that it is over."""
HELP: Final = (
    f"Reply with the {buttons.CODE_DIGITS} digits that the message ends its line 'To take it' with. Before them you may write "
    "R (it is over), E (next step now) or M (more)."
)
UNKNOWN: Final = "That is the code of no open incident, so nobody has it by that. Look at the digits, or open the link."
SEVERAL: Final = "That code is one of two incidents. Open the link of the one that you mean."
_DOES: Final = {Ask.TAKE: Button.TAKE, Ask.RESOLVE: Button.RESOLVE, Ask.ESCALATE: Button.ESCALATE}


async def receive(service: ApiContext, name: str, request: Request) -> Response:
    body = await replies.bounded(request)
    secret = await replies.inbound_secret(service, name, Kind.APPRISE)
    from_twilio = "x-twilio-signature" in request.headers
    if secret is None or not _proven(service, request, secret, body, from_twilio):
        raise replies.unsigned("signed with the inbound secret, or sent with it as a token,")
    fields = _fields(body, request.headers.get("content-type", ""))
    options = await service.database.read(lambda c: _options(c, name))
    try:
        message = sms.message_of(fields, options)
    except ValueError as error:
        raise Problem(422, str(error)) from None
    said = await _heard(service, secret, message)
    if from_twilio:
        return Response(sms.twiml(said), media_type="text/xml")
    return JSONResponse({"answer": said})


def _proven(service: ApiContext, request: Request, secret: str, body: bytes, from_twilio: bool) -> bool:
    if not from_twilio:
        return hmac.compare_digest(_token(request).encode("utf-8", "replace"), secret.encode())
    base = (service.process.settings.public_url or "").rstrip("/")
    query = f"?{request.url.query}" if request.url.query else ""
    given = request.headers.get("x-twilio-signature", "")
    try:
        signed = _pairs(body)
    except ValueError:
        return False
    return sms.signed_by_twilio(secret, f"{base}{request.url.path}{query}", signed, given)


def _pairs(body: bytes) -> list[tuple[str, str]]:
    return parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MAX_FIELDS)


def _token(request: Request) -> str:
    """The token of a request: as a bearer's, as a password, or in the address, where a service can do nothing else."""
    how, _, given = request.headers.get("authorization", "").partition(" ")
    if how.lower() == "bearer":
        return given.strip()
    if how.lower() == "basic":
        try:
            return base64.b64decode(given, validate=True).decode("utf-8", "replace").partition(":")[2]
        except (binascii.Error, ValueError):
            return ""
    return request.query_params.get("token", "")


def _fields(body: bytes, kind: str) -> dict[str, Any]:
    """The fields of a body, which is a form or JSON. Raises `Problem` 422 if it is neither."""
    try:
        if "json" in kind:
            found = json.loads(body)
            return found if isinstance(found, dict) else {}
        return dict(_pairs(body))
    except (ValueError, RecursionError):
        raise Problem(422, "neither a form nor JSON") from None


def _options(connection: Connection, name: str) -> dict[str, Any]:
    text = connection.scalar(select(endpoint_rows.c.options).where(endpoint_rows.c.name == name))
    return json.loads(text) if text else {}


async def _heard(service: ApiContext, secret: str, message: TextMessage) -> str | None:
    """Returns what the person is answered, or `None` if they are answered no more."""
    config, limits = service.context().config, service.reply_limits
    sender = config.known_as(f"sms:{message.sender}")
    order = sms.order_of(message.text)
    if order.code is None or order.ask is None or service.links.key is None:
        return HELP if limits.may_help(message.sender) else None
    if not limits.may(message.sender, sender is not None):
        return None
    code = order.code

    def look(connection: Connection) -> list[CodeOwner]:
        names = endpoints.sharing(connection, secret, Kind.APPRISE)
        return buttons.coded(service.links, code, _told(connection, service, names))

    found = await service.database.read(look)
    if not found:
        limits.wrong(message.sender, sender is not None)
        return UNKNOWN
    own = [one for one in found if sender is not None and one.endpoint in sender.methods] or found
    if len({one.incident for one in own}) > 1:
        return SEVERAL
    return await _done(service, own[0], message, order.ask)


def _told(connection: Connection, service: ApiContext, names: tuple[str, ...]) -> list[CodeOwner]:
    """Returns of which incidents these endpoints were told: of those that are open, or were until a short time ago."""
    lately = incidents.c.changed_at > service.context().now - OVER_FOR
    query = (
        select(deliveries.c.incident, deliveries.c.endpoint)
        .join(incidents, incidents.c.id == deliveries.c.incident)
        .where(deliveries.c.endpoint.in_(names), or_(incidents.c.state.not_in(ENDED), lately))
        .group_by(deliveries.c.incident, deliveries.c.endpoint, incidents.c.state, incidents.c.opened_at)
        .order_by(incidents.c.state.in_(ENDED), incidents.c.opened_at.desc())
    )
    return [CodeOwner(row.incident, row.endpoint) for row in connection.execute(query.limit(MOST_TOLD))]


async def _done(service: ApiContext, told: CodeOwner, message: TextMessage, ask: Ask) -> str:
    by = _actor(service, told.endpoint, message.sender)
    if ask is Ask.MORE:
        record = await service.database.read(lambda c: incident_of(c, told.incident))
        return replies.GONE if record is None else _more(service, record, told, by)
    asked = replies.Reply(told.endpoint, f"sms:{message.id}", told.incident, _DOES[ask], by)
    return (await replies.reply(service, asked)).words


def _actor(service: ApiContext, endpoint: str, number: str) -> replies.Actor:
    """Who sends this: whose number it is, or else who was sent the code, with the end of the number."""
    config = service.context().config
    sender = config.known_as(f"sms:{number}")
    if sender is not None:
        return replies.person(sender, "SMS")
    ending = f"from a number ending in {number[-4:]}" if number[-4:].isdigit() else "by SMS"
    responder = replies.only_person(config, endpoint)
    if responder is not None:
        return replies.person(responder, f"{endpoint}, {ending}")
    return replies.Actor(f"{endpoint} ({ending})")


def _more(service: ApiContext, record: IncidentRecord, told: CodeOwner, by: replies.Actor) -> str:
    context, incident = service.context(), record.incident
    if record.ended:
        return replies.over(record, by, context.now)
    due = incident.answer_by
    lines = [
        f"SEV{incident.severity}: {incident.title}",
        words.by_when(incident) if due is None else f"Answer by {replies.clock(due, by.zone, context.now)}",
        words.who_has_it(incident),
        f"First step: {incident.first_step}" if incident.first_step else "",
        service.links.acknowledge(told.incident, told.endpoint, context.wall) or "",
    ]
    return "\n".join(line for line in lines if line)
