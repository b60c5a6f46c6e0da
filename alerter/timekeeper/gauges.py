"""What waits and for whom, read from the database for the gauges: every replica says the same, so ask for the maximum.

Only endpoints in trouble and brands with open incidents have a series: as many as somebody has to look at.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from alerter.metrics import AlerterMetrics
from alerter.notify.health import TRIP_FAILURES
from alerter.states import ENDED, DeliveryState, EndpointState
from alerter.store.tables import deliveries, endpoints, incidents


@dataclass(frozen=True, slots=True)
class Waiting:
    oldest_seconds: float
    failing: Mapping[str, int]
    """Endpoint -> deliveries that failed at least once and will be tried again."""
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
