"""What the alarms were worth."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from alerter.api import schemas
from alerter.api.auth import Reader, seen_by
from alerter.api.context import ApiContext
from alerter.incidents import outcomes
from alerter.store import tables
from services.config.section import Slug


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.get("/outcomes")
    async def report_outcomes(
        caller: Reader, brand: Slug | None = None, days: Annotated[int, Query(ge=1, le=366)] = 30
    ) -> schemas.Outcomes:
        """How many of the last days' alarms were right, and how long before the line people knew. What was answered before
        it crossed is counted separately, not as false."""
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
