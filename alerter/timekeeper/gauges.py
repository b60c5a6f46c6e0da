"""Reads the gauges from the database. Every replica shows the same values, so queries take the maximum.

Only endpoints in trouble and brands with open incidents have a series: those that somebody has to look at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import nan
from typing import Final

from sqlalchemy import Connection, func, select

from alerter.answers import answer_clocks
from alerter.desk.context import Context
from alerter.escalation import untold
from alerter.incidents import outcomes, store
from alerter.metrics import AlerterMetrics
from alerter.notify import outbox
from alerter.notify.health import TRIP_FAILURES
from alerter.oncall import coverage, rosters
from alerter.states import ENDED, DeliveryState, EndpointState
from alerter.store.database import Database
from alerter.store.loops import PeriodicLoop
from alerter.store.tables import deliveries, endpoints, incidents
from services.config.rota import Schedule

WORTH_OVER: Final = timedelta(days=30)
"""The gauges of precision and lead time cover the alarms of this period."""
COVERAGE_EVERY: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Waiting:
    oldest_seconds: float
    failing: Mapping[str, int]
    """Endpoint -> deliveries that failed at least once and will be retried."""
    tripped: Collection[str]
    """Endpoints that only fail."""
    incidents: Mapping[tuple[str, int], int]
    """(brand, severity) -> incidents that are not over."""


def look(connection: Connection, wall: datetime) -> Waiting:
    pending = deliveries.c.state == DeliveryState.PENDING
    oldest = connection.scalar(select(func.min(deliveries.c.created_wall)).where(pending))
    failing = connection.execute(
        select(deliveries.c.endpoint, func.count())
        .where(pending, deliveries.c.outcome.is_not(None))
        .group_by(deliveries.c.endpoint)
    )
    tripped = select(endpoints.c.name).where(
        endpoints.c.failures >= TRIP_FAILURES, endpoints.c.state == EndpointState.ENABLED
    )
    open_ = connection.execute(
        select(incidents.c.brand, incidents.c.severity, func.count())
        .where(incidents.c.state.not_in(ENDED))
        .group_by(incidents.c.brand, incidents.c.severity)
    )
    return Waiting(
        0.0 if oldest is None else max(0.0, (wall - oldest).total_seconds()),
        {row[0]: row[1] for row in failing},
        list(connection.scalars(tripped)),
        {(brand, severity): count for brand, severity, count in open_},
    )


def show(waiting: Waiting, metrics: AlerterMetrics) -> None:
    metrics.outbox_oldest_seconds.set(waiting.oldest_seconds)
    metrics.endpoint_failing.clear()
    for endpoint, count in waiting.failing.items():
        metrics.endpoint_failing.labels(endpoint).set(count)
    metrics.endpoint_tripped.clear()
    for endpoint in waiting.tripped:
        metrics.endpoint_tripped.labels(endpoint).set(1)
    metrics.brand_incidents.clear()
    for (brand, severity), count in waiting.incidents.items():
        metrics.brand_incidents.labels(brand, str(severity)).set(count)


class GaugeReader(PeriodicLoop):
    """Brings the gauges up to date every few seconds."""

    name = "gauges"
    every_seconds = 5.0

    def __init__(self, database: Database, context: Callable[[], Context], metrics: AlerterMetrics) -> None:
        super().__init__(metrics)
        self._database = database
        self._context = context
        self._covered: datetime | None = None
        self._schedules: Sequence[Schedule] = ()
        self.untold = 0
        """How many open incidents nobody was told of, when it was last counted."""

    async def turn(self) -> None:
        await self._database.probe()  # or nobody would know that it is locked while nothing is to be written
        context, metrics = self._context(), self._metrics
        counts, depths = await self._database.read(lambda c: (store.counts(c), outbox.depths(c)))
        since = context.now - WORTH_OVER
        summary = outcomes.summarize(await self._database.read(lambda c: outcomes.kept(c, since)))
        metrics.precision.set(nan if summary.precision is None else summary.precision)
        metrics.lead_seconds.set(nan if summary.lead is None else summary.lead.median_minutes * 60)
        metrics.incidents.clear()
        for (state, severity), count in counts.items():
            metrics.incidents.labels(state, str(severity)).set(count)
        self.untold = await self._database.read(untold.count)
        metrics.untold.set(self.untold)
        for kind, depth in depths.items():
            metrics.outbox_rows.labels(kind).set(depth)
        await self._measure_coverage(context)
        overdue = await self._database.read(lambda c: answer_clocks.overdue_counts(c, context.now))
        metrics.answers_overdue.clear()
        for brand, count in overdue.items():
            metrics.answers_overdue.labels(brand).set(count)
        show(await self._database.read(lambda c: look(c, context.wall)), metrics)

    def _changed(self, context: Context) -> bool:
        """Returns True if the configuration has other schedules now: of one that is gone nobody is missing."""
        return context.config.schedules != self._schedules

    async def _measure_coverage(self, context: Context) -> None:
        """Measure on-call coverage once a minute, on a thread: a thousand schedules over a week take a second."""
        if self._covered is not None and context.now - self._covered < COVERAGE_EVERY and not self._changed(context):
            return
        until = context.now + coverage.AHEAD
        roster = await self._database.read(lambda c: rosters.between(c, context.now, until, context.now))
        found = await asyncio.to_thread(coverage.measure, context.config, roster, context.now)
        self._metrics.oncall_gap_seconds.clear()
        self._metrics.oncall_covered.clear()
        for schedule, covered in found.items():
            self._metrics.oncall_gap_seconds.labels(schedule).set(covered.gap_seconds)
            self._metrics.oncall_covered.labels(schedule).set(covered.now)
        self._covered, self._schedules = context.now, context.config.schedules
