"""What people work on: incidents listed, shown and explained."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from alerter.api import schemas, views
from alerter.api.auth import Reader
from alerter.api.context import ApiContext, Cursor, Limit, found, paged
from alerter.api.incident_filter import MOST_CHARS, IncidentFilter, StateSet
from alerter.api.problems import ABSENT
from alerter.api.schemas import IncidentKey
from services.base.rfc3339 import Rfc3339
from services.config.section import Slug
from services.contracts.incident import Incident

States = Annotated[
    list[StateSet], Query(max_length=8, description="`open`, `over`, or a state", examples=[["open"], ["resolved"]])
]
Severities = Annotated[
    list[schemas.Severity], Query(max_length=4, description="1 to 4; 1 is the worst", examples=[[1, 2]])
]
Word = Annotated[str | None, Query(min_length=1, max_length=MOST_CHARS)]
Text = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=MOST_CHARS,
        description="words, all of which stand in its posts, their authors or its labels, whatever their case",
        examples=["smoke cabin"],
    ),
]
Since = Annotated[Rfc3339 | None, Query(description="opened then or later", examples=["2026-03-01T09:00:00Z"])]


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.get("/incidents")
    async def list_incidents(
        caller: Reader,
        brand: Slug | None = None,
        state: States = [],  # noqa: B006 - FastAPI copies it
        severity: Severities = [],  # noqa: B006
        network: Word = None,
        language: Word = None,
        label: Word = None,
        text: Text = None,
        since: Since = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> schemas.Incidents:
        """Newest first. A parameter that may be given several times asks for any of its values."""
        asked = IncidentFilter(
            states=tuple(state),
            severities=tuple(severity),
            brand=brand,
            network=network,
            language=language,
            label=label,
            text=text,
            since=since,
        )
        config = service.context().config
        return await paged(service, lambda c: views.incident_page(c, caller, config, asked, cursor, limit))

    @routes.get("/incidents/{incident}", responses=ABSENT)
    async def get_incident(caller: Reader, incident: IncidentKey) -> Incident:
        terms = service.context().config.source_policy
        return found(await service.database.read(lambda c: views.record_shown(c, caller, terms, incident))).incident

    @routes.get("/incidents/{incident}/explain", responses=ABSENT)
    async def explain_incident(caller: Reader, incident: IncidentKey) -> schemas.Explanation:
        """Every decision with its reason and the record that caused it, the steps, and every attempt to tell somebody."""
        terms = service.context().config.source_policy
        return found(await service.database.read(lambda c: views.explanation(c, caller, terms, incident)))
