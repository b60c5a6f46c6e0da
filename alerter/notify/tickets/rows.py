"""Tickets as rows: which incident has which ticket at which endpoint, and whose turn it is. Runs inside the caller's
transaction.

A row is there from the moment at which a delivery that may open the ticket is claimed. While a delivery about a ticket is under
way no other one about it is claimed, by no replica: each takes the lock of the row first, and then looks for leases.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, bindparam, or_, select, tuple_, update

from alerter.notify.attempt import Result, TicketNews
from alerter.notify.outlet import Kind, KnownTicket, OutboundMessage
from alerter.notify.tickets.recipe import TICKET_ID
from alerter.notify.tickets.setup import prepared
from alerter.store.database import insert_missing
from alerter.store.tables import deliveries, endpoints, secrets, tickets
from services.contracts.incident import ExternalId

Place = tuple[str, str]
"""An endpoint and a subject."""


def subject_of(row: Any) -> str:
    """Returns what the ticket of a delivery is about: its incident, or else only itself."""
    return str(row.incident or row.id)


def _place(row: Any) -> Place:
    return str(row.endpoint), subject_of(row)


def in_turn(
    connection: Connection, rows: Sequence[Any], known: Mapping[str, Any], held: Collection[str], now: datetime
) -> list[Any]:
    """Returns the deliveries that may be claimed: all but those about a ticket that another one is under way about.

    `known` has the row of each endpoint, and `held` are the deliveries that this process has in hand.
    """
    about = {_place(row): row for row in rows if Kind(known[row.endpoint].kind) is Kind.HTTP}
    if not about:
        return list(rows)
    fresh = [
        {"endpoint": endpoint, "subject": subject, "incident": row.incident, "touched_at": now}
        for (endpoint, subject), row in sorted(about.items())
    ]
    insert_missing(connection, tickets, fresh)
    mine = select(*tickets.c["endpoint", "subject"]).where(_at(about)).order_by(*tickets.c["endpoint", "subject"])
    free = {(row.endpoint, row.subject) for row in connection.execute(mine.with_for_update(skip_locked=True))}
    incidents = [row.incident for row in about.values() if row.incident is not None]
    busy = select(*deliveries.c["endpoint", "incident"]).where(
        deliveries.c.endpoint.in_(sorted({endpoint for endpoint, _ in about})),
        deliveries.c.incident.in_(sorted(set(incidents))),
        or_(deliveries.c.lease_ends_wall.is_not(None), deliveries.c.id.in_(sorted(held))),
    )
    free -= {(row.endpoint, row.incident) for row in connection.execute(busy)}
    return [row for row in rows if _place(row) not in about or _place(row) in free]


def one_each(rows: Sequence[Any], known: Mapping[str, Any]) -> list[Any]:
    """Returns the deliveries, of those about one ticket only the first."""
    seen: set[Place] = set()
    found = []
    for row in rows:
        if Kind(known[row.endpoint].kind) is Kind.HTTP:
            if _place(row) in seen:
                continue
            seen.add(_place(row))
        found.append(row)
    return found


_ASKED: Final = (
    update(tickets)
    .where(tickets.c.endpoint == bindparam("of_endpoint"), tickets.c.subject == bindparam("of_subject"))
    .values(asked_wall=bindparam("at"))
)


def begun(
    connection: Connection, rows: Sequence[Any], known: Mapping[str, Any], wall: datetime
) -> dict[str, KnownTicket]:
    """Note that these deliveries may open tickets. Returns by delivery what was known before."""
    about = {_place(row): row for row in rows if Kind(known[row.endpoint].kind) is Kind.HTTP}
    if not about:
        return {}
    found: dict[str, KnownTicket] = {}
    asking = []
    for row in connection.execute(select(tickets).where(_at(about))):
        asked = row.asked_wall
        found[about[row.endpoint, row.subject].id] = KnownTicket(
            row.subject,
            json.loads(row.fields),
            row.said,
            asked,
            0.0 if asked is None else max(0.0, (wall - asked).total_seconds()),
            row.asked_sequence,
            row.made,
        )
        # Before the request is made: if this process dies with it, nobody knows.
        if row.ticket is None and not row.said:
            asking.append({"of_endpoint": row.endpoint, "of_subject": row.subject, "at": wall})
    if asking:
        connection.execute(_ASKED, asking)
    return found


_NOTE: Final = tickets.update().where(
    tickets.c.endpoint == bindparam("of_endpoint"), tickets.c.subject == bindparam("of_subject")
)


def note(connection: Connection, ended: Sequence[tuple[OutboundMessage, Result]], now: datetime) -> None:
    """Record what attempts taught us of tickets. One that broke taught nothing: it may have made one."""
    for message, result in sorted(ended, key=lambda one: one[0].delivery):
        if message.ticket is None or result.ticket is None:
            continue
        values = _values(message, message.ticket, result.ticket)
        if values:
            where = {"of_endpoint": message.endpoint, "of_subject": message.ticket.subject}
            connection.execute(_NOTE.values(**values, touched_at=now), where)


def _values(message: OutboundMessage, known: KnownTicket, news: TicketNews) -> dict[str, Any]:
    values: dict[str, Any] = {"said": news.said} if news.said else {}
    if news.fields:
        shows = prepared(message.options).recipe.shows
        values |= {"ticket": news.fields[TICKET_ID], "shown": news.fields.get(shows), "url": news.url}
        values["fields"] = json.dumps(dict(news.fields))
    if news.made:
        values["made"] = True
    if news.unclear:
        values["asked_sequence"] = news.sequence
    elif values:
        values |= {"asked_wall": None, "asked_sequence": None}
    else:  # this attempt made none; an earlier one still may have
        values["asked_wall"] = known.asked_at
    return values


def _at(places: Collection[Place]) -> Any:
    return tuple_(tickets.c.endpoint, tickets.c.subject).in_(sorted(places))


def external_ids(connection: Connection, incidents: Collection[str]) -> dict[str, tuple[ExternalId, ...]]:
    """Returns the tickets about these incidents, in the order of their endpoints."""
    if not incidents:
        return {}
    query = select(*tickets.c["endpoint", "incident", "ticket", "shown", "url"]).where(
        tickets.c.incident.in_(sorted(incidents)), tickets.c.ticket.is_not(None)
    )
    found: dict[str, tuple[ExternalId, ...]] = {}
    for row in connection.execute(query.order_by(tickets.c.endpoint)):
        one = ExternalId(endpoint=row.endpoint, id=row.shown or row.ticket, url=row.url)
        found[row.incident] = (*found.get(row.incident, ()), one)
    return found


def incident_of_ticket(connection: Connection, endpoint: str, ticket: str) -> str | None:
    query = select(tickets.c.incident).where(tickets.c.endpoint == endpoint, tickets.c.ticket == ticket)
    found: str | None = connection.scalar(query.order_by(tickets.c.touched_at.desc()).limit(1))
    return found


def last_said(connection: Connection, endpoint: str, incident: str) -> str:
    """Returns the last thing that we did to the ticket about an incident; empty: nothing."""
    query = select(tickets.c.said).where(tickets.c.endpoint == endpoint, tickets.c.subject == incident)
    return connection.scalar(query) or ""


def inbound_setup(connection: Connection, endpoint: str, purpose: str) -> tuple[dict[str, Any], str] | None:
    """Returns the options and the inbound secret of an endpoint that keeps tickets, or `None`."""
    query = select(endpoints.c.options, secrets.c.secret).join(secrets, secrets.c.endpoint == endpoints.c.name)
    row = connection.execute(
        query.where(endpoints.c.name == endpoint, endpoints.c.kind == Kind.HTTP, secrets.c.purpose == purpose)
    ).first()
    return None if row is None else (json.loads(row.options), row.secret)


def has_ticket(connection: Connection, endpoint: str, incident: str) -> bool:
    query = select(tickets.c.subject).where(tickets.c.endpoint == endpoint, tickets.c.incident == incident)
    return connection.scalar(query.limit(1)) is not None
