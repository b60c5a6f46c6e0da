"""What people work on: incidents listed, shown and explained."""

from __future__ import annotations

from fastapi import APIRouter

from alerter.api import schemas, views
from alerter.api.auth import Reader
from alerter.api.context import ApiContext, Cursor, Limit, found, paged
from alerter.api.problems import ABSENT
from alerter.api.schemas import IncidentKey
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
        """Every decision with its reason and the record that caused it, the steps, and every attempt to tell somebody."""
        terms = service.context().config.source_policy
        return found(await service.database.read(lambda c: views.explanation(c, caller, terms, incident)))
