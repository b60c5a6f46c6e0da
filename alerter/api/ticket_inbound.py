"""What comes back from systems with tickets: solved, assigned and commented there is resolved, acknowledged and noted here.

It proves itself as the recipe says, by a signature or a bearer token. Our own doing is recognised and changes nothing: an
incident that somebody has is not taken by what our own message did to the ticket, and one that was reopened here is not
resolved by the closing that we had sent before.
"""

from __future__ import annotations

import asyncio
import hashlib

from fastapi import Request, Response

from alerter.api.auth import Caller
from alerter.api.context import ApiContext
from alerter.api.problems import Problem
from alerter.api.replies import bounded, from_endpoint
from alerter.api.scopes import Scope
from alerter.desk.service import IncidentService
from alerter.incidents.record import IncidentRecord
from alerter.notify import endpoints
from alerter.notify.endpoints import Purpose
from alerter.notify.tickets import returned, rows
from alerter.notify.tickets.outlet import CLOSE
from alerter.notify.tickets.returned import Deed, TicketEvent
from alerter.notify.tickets.setup import prepared
from alerter.store import audit
from alerter.store.database import insert_missing
from alerter.store.tables import inbound

DONE = {"resolve": "resolved", "acknowledge": "acknowledged", "note": "noted"}
"""A deed -> the word of the audit log."""


async def receive(service: ApiContext, name: str, request: Request) -> Response:
    """Apply what a system says. Raises `Problem` 401 if it is not from there, and 422 if it cannot be read."""
    if not service.started:
        raise Problem(503, "not started yet", {"retry-after": "1"})
    body = await bounded(request)
    headers = {key.lower(): value for key, value in request.headers.items()}
    found = await service.database.read(lambda c: rows.inbound_setup(c, name, Purpose.INBOUND))
    known = None if found is None else await asyncio.to_thread(prepared, found[0])
    said = None if known is None else known.recipe.inbound
    # The same answer, whether the endpoint is unknown or the proof wrong.
    if found is None or known is None or said is None:
        raise Problem(401, "not signed with the inbound secret of an endpoint of this name")
    if not returned.is_from(said.verify, found[1], body, headers, service.context().wall):
        raise Problem(401, "not signed with the inbound secret of an endpoint of this name")
    try:
        came = await asyncio.to_thread(returned.read, said, known.values, body, name)
    except ValueError as error:
        raise Problem(422, str(error)) from None
    if came is not None and (came.deeds or came.labels):
        await service.act(lambda desk: _apply(desk, service, name, came))
    return Response(status_code=204)


def _apply(desk: IncidentService, service: ApiContext, name: str, came: TicketEvent) -> None:
    incident = _incident(desk, name, came)
    record = None if incident is None else desk.store.load(incident)
    if incident is None or record is None or not endpoints.takes(desk.connection, name, record.incident.brand):
        return
    seen = [{"endpoint": name, "event": came.event, "at_wall": service.context().wall}]
    if not insert_missing(desk.connection, inbound, seen):
        return  # told already: what was undone since stays undone
    for deed in came.deeds:
        before = desk.store.load(incident)
        if before is None or not _means_something(desk, name, before, deed):
            continue
        if deed.name == "acknowledge" and not _is_first(desk, service, name, incident, came.by):
            continue
        after = _done(desk, name, before, came.by, deed)
        _audit(desk, service, name, DONE[deed.name], before, after, came.by)
    before = desk.store.load(incident)
    if came.labels and before is not None:
        after = desk.people.label(incident, came.by, came.labels, ())
        _audit(desk, service, name, "labelled", before, after, came.by)


def _incident(desk: IncidentService, name: str, came: TicketEvent) -> str | None:
    """Returns the incident that the ticket is about. Our key counts only where this endpoint has a ticket about it."""
    found = None if came.ticket is None else rows.incident_of_ticket(desk.connection, name, came.ticket)
    if found is None and came.incident is not None and rows.has_ticket(desk.connection, name, came.incident):
        found = came.incident
    return found


def _means_something(desk: IncidentService, name: str, before: IncidentRecord, deed: Deed) -> bool:
    """Returns True if this is news, and not the echo of what we did to the ticket."""
    if deed.name == "note":
        return True
    if before.ended:
        return False
    if deed.name == "acknowledge":
        return before.incident.acknowledged_by is None
    return rows.last_said(desk.connection, name, before.incident.id) != CLOSE


def _is_first(desk: IncidentService, service: ApiContext, name: str, incident: str, by: str) -> bool:
    """Returns True if this person has not taken the incident there before. Many systems repeat with every change of a ticket
    who it is assigned to: somebody who let an acknowledgement expire would have it again without knowing."""
    event = f"taken:{incident}:{hashlib.sha256(by.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"
    seen = [{"endpoint": name, "event": event, "at_wall": service.context().wall}]
    return bool(insert_missing(desk.connection, inbound, seen))


def _done(desk: IncidentService, name: str, before: IncidentRecord, by: str, deed: Deed) -> IncidentRecord | None:
    incident = before.incident.id
    if deed.name == "resolve":
        return desk.people.resolve(incident, by, deed.text)
    if deed.name == "acknowledge":
        return from_endpoint(desk, name, desk.people.acknowledge(incident, by, deed.text))
    return desk.people.note(incident, by, deed.text)


def _audit(
    desk: IncidentService,
    service: ApiContext,
    name: str,
    word: str,
    before: IncidentRecord,
    after: IncidentRecord | None,
    by: str,
) -> None:
    if after is not None and after != before:
        caller, incident = Caller(name, Scope.RESPOND), after.incident
        now = service.context().now
        audit.record(desk.connection, now, caller.name, f"incident.{word}", incident.id, incident.brand, {"by": by})
