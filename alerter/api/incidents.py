"""What people work on: incidents listed, shown, explained, acknowledged and resolved."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter

from alerter.api import schemas, views
from alerter.api.auth import Caller, Reader, Responder
from alerter.api.context import ApiContext, Cursor, Limit, found, paged
from alerter.api.problems import ABSENT, CONFLICT, Problem
from alerter.api.schemas import IncidentKey
from alerter.desk.service import IncidentService
from alerter.incidents.record import IncidentRecord
from alerter.incidents.transitions import Refused
from alerter.store import audit
from services.config.section import Slug
from services.contracts.incident import Incident, IncidentState


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.get("/incidents")
    async def list_incidents(
        caller: Reader,
        brand: Slug | None = None,
        state: IncidentState | None = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> schemas.Incidents:
        """Newest first."""
        terms = service.context().config.source_policy
        return await paged(service, lambda c: views.incident_page(c, caller, terms, brand, state, cursor, limit))

    @routes.get("/incidents/{incident}", responses=ABSENT)
    async def get_incident(caller: Reader, incident: IncidentKey) -> Incident:
        terms = service.context().config.source_policy
        return found(await service.database.read(lambda c: views.record_shown(c, caller, terms, incident))).incident

    @routes.get("/incidents/{incident}/explain", responses=ABSENT)
    async def explain_incident(caller: Reader, incident: IncidentKey) -> schemas.Explanation:
        """Every decision with its reason and the record that caused it; the steps, and every attempt to tell somebody."""
        terms = service.context().config.source_policy
        return found(await service.database.read(lambda c: views.explanation(c, caller, terms, incident)))

    @routes.post("/incidents/{incident}/acknowledge", responses={**ABSENT, **CONFLICT})
    async def acknowledge_incident(caller: Responder, incident: IncidentKey, deed: schemas.Acknowledgement) -> Incident:
        """Somebody has it, for a while: the steps that wait are cancelled, everybody told so far hears who. Repeating it
        prolongs it. When it expires, whoever had it is told, and the policy goes on."""
        return await do(
            service,
            caller,
            incident,
            "acknowledged",
            deed,
            lambda d: d.acknowledge(incident, deed.by, deed.comment, deed.minutes),
        )

    @routes.post("/incidents/{incident}/resolve", responses={**ABSENT, **CONFLICT})
    async def resolve_incident(caller: Responder, incident: IncidentKey, deed: schemas.Deed) -> Incident:
        """It is over. It comes back only when the story gets worse than it was."""
        return await do(
            service, caller, incident, "resolved", deed, lambda d: d.resolve(incident, deed.by, deed.comment)
        )


async def do(
    service: ApiContext,
    caller: Caller,
    incident: str,
    what: str,
    deed: schemas.Deed,
    work: Callable[[IncidentService], IncidentRecord | None],
) -> Incident:
    """A person's deed, done and written into the audit log where it changed something. Raises `Problem` 404 or 409."""

    def act(desk: IncidentService) -> IncidentRecord | None:
        before = views.record_of(desk.connection, caller, incident)
        after = work(desk) if before is not None else None
        if before is not None and after is not None and after != before:
            detail = {"by": deed.by, "comment": deed.comment}
            brand = after.incident.brand
            audit.record(
                desk.connection, service.context().now, caller.name, f"incident.{what}", incident, brand, detail
            )
        return after

    try:
        done = found(await service.act(act))
    except Refused as error:
        raise Problem(409, str(error)) from None
    return views.shown_to(caller, done, service.context().config.source_policy).incident
