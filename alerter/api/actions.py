"""What people do to incidents besides acknowledging and resolving them, and what the alarms were worth."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from alerter.api import schemas
from alerter.api.auth import Reader, Responder, seen_by
from alerter.api.context import ApiContext
from alerter.api.incidents import do
from alerter.api.problems import ABSENT, CONFLICT
from alerter.api.schemas import IncidentKey
from alerter.incidents import outcomes
from alerter.store import tables
from services.config.section import Slug
from services.contracts.incident import Incident


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.post("/incidents/{incident}/snooze", responses={**ABSENT, **CONFLICT})
    async def snooze_incident(caller: Responder, incident: IncidentKey, deed: schemas.Snooze) -> Incident:
        """Nobody is told for a while, unless it becomes severity 1; then the policy goes on. Severity 1 is refused."""
        return await do(
            service,
            caller,
            incident,
            "snoozed",
            deed,
            lambda d: d.snooze(incident, deed.by, deed.comment, deed.minutes),
        )

    @routes.post("/incidents/{incident}/reassign", responses={**ABSENT, **CONFLICT})
    async def reassign_incident(caller: Responder, incident: IncidentKey, deed: schemas.Reassignment) -> Incident:
        """Ask somebody to take it. They are told, and have five minutes to acknowledge it before the policy goes on."""
        return await do(
            service,
            caller,
            incident,
            "reassigned",
            deed,
            lambda d: d.reassign(incident, deed.by, deed.to, deed.comment),
        )

    @routes.post("/incidents/{incident}/outcome", responses=ABSENT)
    async def mark_incident(caller: Responder, incident: IncidentKey, deed: schemas.OutcomeIn) -> Incident:
        """Say what the alarm was worth, also after its end. The newest word counts."""
        return await do(
            service, caller, incident, "marked", deed, lambda d: d.mark(incident, deed.by, deed.outcome, deed.comment)
        )

    @routes.get("/outcomes")
    async def report_outcomes(
        caller: Reader, brand: Slug | None = None, days: Annotated[int, Query(ge=1, le=366)] = 30
    ) -> schemas.Outcomes:
        """How many alarms of the last days were right, and how long before the line people knew. What was answered before
        it crossed is counted apart, not as false."""
        since = service.context().now - timedelta(days=days)
        where = [seen_by(caller, tables.outcomes.c.brand)]
        if brand is not None:
            where.append(tables.outcomes.c.brand == brand)
        alarms = await service.database.read(lambda c: outcomes.kept(c, since, *where))
        rules = sorted({alarm.rule for alarm in alarms})
        return schemas.Outcomes(
            since=since,
            total=_summary(alarms),
            rules={rule: _summary([alarm for alarm in alarms if alarm.rule == rule]) for rule in rules},
        )


def _summary(alarms: list[outcomes.Alarm]) -> schemas.OutcomeSummary:
    summary = outcomes.summarize(alarms)
    return schemas.OutcomeSummary.model_validate(summary, from_attributes=True)
