"""What somebody does from a service that they were told by: a button, a reply code, a webhook. Behind all of them alike.

A repeated event changes nothing, what is over says so in words, and the audit log names who acted. A user of a service who is
known as a responder acts in that name; the name of anybody else stands in quotes, because they chose it themselves.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from fastapi import Request
from sqlalchemy import Connection

from alerter.api import seen
from alerter.api.auth import Caller
from alerter.api.context import ApiContext
from alerter.api.problems import Problem
from alerter.api.scopes import Scope
from alerter.desk.handover import NotThere
from alerter.desk.people import People
from alerter.desk.service import IncidentService
from alerter.incidents import words
from alerter.incidents.record import IncidentRecord
from alerter.incidents.transitions import Refused
from alerter.notify import endpoints, methods
from alerter.notify.buttons import SNOOZE_MINUTES, Button
from alerter.notify.outlet import Kind
from alerter.oncall.method_states import Proof
from alerter.store import audit
from alerter.store.database import insert_missing
from alerter.store.tables import inbound
from services.config.model import Config
from services.config.rota import Responder, zone_of
from services.contracts.direction import settled, shown_name

MAX_BODY_BYTES: Final = 256_000
MAX_NAME_CHARS: Final = 80
MAX_EVENT_CHARS: Final = 200
GONE: Final = "There is no such incident any more."


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, as the others will read it, and the zone in which they are told times."""

    name: str
    zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Reply:
    """What somebody asks for. `event` is the service's id of it, and `to` who is asked to take the incident."""

    endpoint: str
    event: str
    incident: str
    does: Button | None
    by: Actor
    to: str = ""


@dataclass(frozen=True, slots=True)
class Replied:
    """What became of it, in words for the person."""

    words: str
    done: bool
    record: IncidentRecord | None = None


@dataclass(frozen=True, slots=True)
class _Act:
    done: str
    """The word of the audit log."""
    apply: Callable[[People, str, str], IncidentRecord | None]
    said: Callable[[IncidentRecord, Actor, datetime], str]


def _has_it(record: IncidentRecord, by: Actor, now: datetime) -> str:
    until = record.incident.acknowledged_until
    return "OK, you have it." if until is None else f"OK, you have it until {clock(until, by.zone, now)}."


def _asleep(record: IncidentRecord, by: Actor, now: datetime) -> str:
    until = record.incident.snoozed_until
    return "OK." if until is None else f"OK, nobody is told of it until {clock(until, by.zone, now)}."


_ACTS: Final[Mapping[Button, _Act]] = {
    Button.TAKE: _Act("acknowledged", lambda people, one, by: people.acknowledge(one, by, ""), _has_it),
    Button.SNOOZE: _Act("snoozed", lambda people, one, by: people.snooze(one, by, "", SNOOZE_MINUTES), _asleep),
    Button.ESCALATE: _Act(
        "escalated",
        lambda people, one, by: people.escalate(one, by, ""),
        lambda *_: "OK, the next step is done now. Nobody has it until somebody takes it.",
    ),
    Button.RESOLVE: _Act(
        "resolved",
        lambda people, one, by: people.resolve(one, by, ""),
        lambda *_: "OK, it is over. It can be reopened on its page.",
    ),
}


def actor(config: Config, service: str, user: str, shown: str, label: str) -> Actor:
    """Returns who `user` of a service is: the responder who is known as that, or what the service shows as their name."""
    known = config.known_as(f"{service}:{user}")
    if known is not None:
        return person(known, label)
    name = shown_name(settled(shown)).strip()[:MAX_NAME_CHARS] or "somebody"
    return Actor(f"\u201c{name}\u201d ({label})")


def person(responder: Responder, label: str) -> Actor:
    return Actor(f"{responder.called} ({label})", responder.zone or "UTC")


def only_person(config: Config, endpoint: str) -> Responder | None:
    """Returns the only responder who is reached by this endpoint, or `None`."""
    own = [one for one in config.responders if endpoint in one.methods]
    return own[0] if len(own) == 1 else None


async def reply(service: ApiContext, asked: Reply) -> Replied:
    """Do what was asked for. Never raises because of the incident's state: the words say what is so."""
    try:
        return await service.act(lambda desk: _replied(desk, service, asked))
    except (Refused, NotThere) as error:
        said = str(error)
        return Replied(f"{said[:1].upper()}{said[1:]}.", False)


def _replied(desk: IncidentService, service: ApiContext, asked: Reply) -> Replied:
    context = service.context()
    before = desk.store.load(asked.incident)
    # An endpoint that is limited to other brands may be of somebody outside the house.
    if before is None or not endpoints.takes(desk.connection, asked.endpoint, before.incident.brand):
        return Replied(GONE, False)
    if before.ended:
        return Replied(over(before, asked.by, context.now), False, before)
    event = {"endpoint": asked.endpoint, "event": _storable(asked.event), "at_wall": context.wall}
    if not insert_missing(desk.connection, inbound, [event]):
        return Replied(standing(before, asked.by, context.now), False, before)
    if asked.does is None:
        if not _may_ask(desk, context.config, asked, before, context.now):
            return Replied(f"There is nobody called {asked.to}.", False, before)
        done, after = "reassigned", desk.people.reassign(asked.incident, asked.by.name, asked.to, "")
    else:
        act = _ACTS[asked.does]
        done, after = act.done, act.apply(desk.people, asked.incident, asked.by.name)
        after = from_endpoint(desk, asked.endpoint, after) if asked.does is Button.TAKE else after
    if after is None:
        return Replied(GONE, False)
    if after != before:
        if asked.does is Button.TAKE:
            reached(desk.connection, service, asked.endpoint, asked.by.name)
        incident = after.incident
        detail: dict[str, Any] = {"by": asked.by.name} | ({"to": asked.to} if asked.to else {})
        audit.record(
            desk.connection, context.now, asked.endpoint, f"incident.{done}", incident.id, incident.brand, detail
        )
    said = (
        f"OK, {asked.to} was asked to take it."
        if asked.does is None
        else _ACTS[asked.does].said(after, asked.by, context.now)
    )
    return Replied(said, True, after)


def _storable(event: str) -> str:
    """Returns an id as the database takes it, whatever a service calls its events."""
    if event.isascii() and event.isprintable() and len(event) <= MAX_EVENT_CHARS:
        return event
    return hashlib.sha256(event.encode("utf-8", "surrogatepass")).hexdigest()


def _may_ask(desk: IncidentService, config: Config, asked: Reply, record: IncidentRecord, now: datetime) -> bool:
    brands = _limits(desk.connection, asked.endpoint)
    caller = Caller(asked.endpoint, Scope.RESPOND, brands or None)
    return seen.may_ask(desk.connection, caller, config, record.incident.brand, asked.to, now)


def _limits(connection: Connection, endpoint: str) -> frozenset[str]:
    """Returns the brands to which the endpoint is limited; none: it takes them all."""
    return frozenset(json.loads(endpoints.brands_of(connection, endpoint) or "[]"))


def from_endpoint(desk: IncidentService, endpoint: str, after: IncidentRecord | None) -> IncidentRecord | None:
    """What comes by an endpoint that is limited to brands comes from outside, whatever name it gives."""
    if after is None or not _limits(desk.connection, endpoint):
        return after
    return seen.held_from_outside(desk, after)


def reached(connection: Connection, service: ApiContext, endpoint: str, who: str) -> None:
    """Whoever acknowledges by what was sent to an endpoint has shown that messages reach them there."""
    person = methods.person_of(service.process.config.responders, endpoint, who)
    if person is not None:
        methods.confirm(connection, person.id, endpoint, Proof.ACKNOWLEDGEMENT, service.context().now)


def over(record: IncidentRecord, by: Actor, now: datetime) -> str:
    """Says to somebody who wants to act that there is nothing left to do."""
    who = f", {record.resolved_by} said so" if record.resolved_by else ""
    when = f" since {clock(record.ended_at, by.zone, now)}" if record.ended_at is not None else ""
    return f"Nothing to do any more: {words.STATE_WORDS[record.incident.state]}{when}{who}."


def standing(record: IncidentRecord, by: Actor, now: datetime) -> str:
    """Says how the incident stands, to somebody whose request was heard before."""
    incident = record.incident
    if incident.acknowledged_by is None:
        return "That was heard already. Nobody has it now."
    until = incident.acknowledged_until
    upto = f" until {clock(until, by.zone, now)}" if until is not None else ""
    who = "you have" if incident.acknowledged_by == by.name else f"{incident.acknowledged_by} has"
    return f"That was heard already: {who} it{upto}."


def clock(at: datetime, zone: str, now: datetime) -> str:
    """Returns a time as the clock of a person's zone shows it, with the day if that is another."""
    local, today = at.astimezone(zone_of(zone)), now.astimezone(zone_of(zone))
    return f"{local:%H:%M}{'' if local.date() == today.date() else f' on {local:%d %b}'} {zone}"


async def inbound_secret(service: ApiContext, name: str, kind: Kind) -> str | None:
    """Returns the secret of what comes back by this endpoint. Raises `Problem` 503 before the start."""
    if not service.started:
        raise Problem(503, "not started yet", {"retry-after": "1"})
    return await service.database.read(lambda c: endpoints.inbound_secret(c, name, kind))


async def bounded(request: Request, most: int = MAX_BODY_BYTES) -> bytes:
    """Returns the body. Raises `Problem` 413 if it is longer than `most` bytes."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise Problem(413, f"more than {most} bytes")
    return bytes(body)


def unsigned(what: str) -> Problem:
    """The same answer, whether the endpoint is unknown or the proof wrong."""
    return Problem(401, f"not {what} of an endpoint of this name")
