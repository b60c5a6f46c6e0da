"""A brand's last thirty days on one page, to be printed: how much of what is said is negative, what the alarms were worth,
and whether the small are answered like the large.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection

from alerter.answers import fairness
from alerter.answers.answer_clocks import waited
from alerter.api import views
from alerter.api.context import ApiContext
from alerter.api.incident_filter import IncidentFilter
from alerter.api.problems import Problem
from alerter.console import days, live, rendering
from alerter.console.middleware import Signed
from alerter.incidents import outcomes, words
from alerter.store import volume
from alerter.store.tables import answer_clocks
from alerter.store.tables import outcomes as alarms
from services.config.section import Slug

DAYS: Final = 30
MAX_BRANDS: Final = 500
MAX_INCIDENTS: Final = 50
CHART: Final = (720.0, 160.0)


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.get("/brands")
    async def list_brands(request: Request, visit: Signed) -> Response:
        seen = [brand for brand in service.process.config.brands if visit.caller.sees(brand.id)]
        return rendering.page(service, request, "brands.html", brands=seen[:MAX_BRANDS], more=len(seen) > MAX_BRANDS)

    @routes.get("/brands/{brand}")
    async def show_brand(request: Request, visit: Signed, brand: Slug) -> Response:
        context, caller = service.context(), visit.caller
        known = next((one for one in context.config.brands if one.id == brand), None)
        if known is None or not caller.sees(brand):
            raise Problem(404, f"there is no brand {brand}")
        since = context.now - timedelta(days=DAYS)

        def read(connection: Connection) -> dict[str, Any]:
            # From the first midnight on, so that the first bar is a whole day.
            begin = (since + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
            kept_waiting = waited(connection, answer_clocks.c.brand == brand, since, context.now)
            return {
                "hours": volume.hours(connection, brand, begin),
                "alarms": outcomes.kept(connection, since, alarms.c.brand == brand),
                "treatments": fairness.treatments(kept_waiting),
                "incidents": views.incident_page(
                    connection, caller, context.config, IncidentFilter(brand=brand), None, MAX_INCIDENTS
                ).items,
                "version": live.fingerprint(connection, caller),
            }

        facts = await service.database.read(read)
        return rendering.page(
            service,
            request,
            "brand.html",
            brand=known,
            since=since,
            month=days.month(facts["hours"], context.now, DAYS, *CHART),
            size=CHART,
            summary=outcomes.summarize(facts["alarms"]),
            treatments=facts["treatments"],
            incidents=[one for one in facts["incidents"] if one.opened_at >= since],
            state_words=words.STATE_WORDS,
            version=facts["version"],
        )
