"""Forgets what is old, a little at a time, so that nobody waits for it: deliveries with their attempts, then ended incidents
with all that hangs on them. What is open, or waits to be sent, stays whatever its age.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import ColumnElement, Connection, Table, and_, delete, select, update

from alerter.metrics import AlerterMetrics
from alerter.states import ENDED, DeliveryState
from alerter.store.database import Database
from alerter.store.loops import PeriodicLoop
from alerter.store.tables import attempts, deliveries, inbound, incidents, metadata, secrets, stories

log = structlog.get_logger()

MOST_DELIVERIES: Final = 500
"""In one transaction."""
MOST_INCIDENTS: Final = 50
INBOUND_FOR: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Keep:
    """For how long: deliveries after they ended, incidents after their last change."""

    deliveries: timedelta
    incidents: timedelta


def purge(connection: Connection, now: datetime, wall: datetime, keep: Keep) -> int:
    """Forget some of what is old; how many deliveries and incidents. Ask again while there are any."""
    connection.execute(delete(inbound).where(inbound.c.at_wall < wall - INBOUND_FOR))
    connection.execute(delete(secrets).where(secrets.c.ends_wall < wall))
    over = (deliveries.c.state != DeliveryState.PENDING, deliveries.c.finished_at < now - keep.deliveries)
    done = list(connection.scalars(select(deliveries.c.id).where(*over).limit(MOST_DELIVERIES)))
    _drop_deliveries(connection, done)
    return len(done) + drop_incidents(connection, ended_before(now - keep.incidents))


def ended_before(before: datetime) -> ColumnElement[bool]:
    """Incidents that ended, and that nothing has changed since."""
    return and_(incidents.c.state.in_(ENDED), incidents.c.changed_at < before)


def drop_incidents(connection: Connection, which: ColumnElement[bool]) -> int:
    """Forget some of these with all that hangs on them; how many. Ask again while there are any."""
    # Locked: nobody may enqueue a message about one that goes in this moment.
    query = select(incidents.c.id).where(which).limit(MOST_INCIDENTS).with_for_update(skip_locked=True)
    old = list(connection.scalars(query))
    if not old:
        return 0
    about = connection.scalars(select(deliveries.c.id).where(deliveries.c.incident.in_(old)))
    _drop_deliveries(connection, list(about))
    # How often a story has opened stays: the next time must not have the ids of one that receivers have seen.
    connection.execute(update(stories).where(stories.c.incident.in_(old)).values(incident=None))
    for table, column in hanging_on(incidents):
        connection.execute(delete(table).where(table.c[column].in_(old)))
    connection.execute(delete(incidents).where(incidents.c.id.in_(old)))
    return len(old)


def _drop_deliveries(connection: Connection, ids: list[str]) -> None:
    for begin in range(0, len(ids), MOST_DELIVERIES):
        some = ids[begin : begin + MOST_DELIVERIES]
        connection.execute(delete(attempts).where(attempts.c.delivery.in_(some)))
        connection.execute(delete(deliveries).where(deliveries.c.id.in_(some)))


def hanging_on(parent: Table) -> list[tuple[Table, str]]:
    """The tables with a foreign key to this one, those that nothing hangs on first."""
    return [
        (table, key.parent.name)
        for table in reversed(metadata.sorted_tables)
        for key in table.foreign_keys
        if key.column.table is parent and table is not deliveries
    ]


class Purger(PeriodicLoop):
    name = "purger"
    every_seconds = 600.0

    def __init__(
        self,
        database: Database,
        now: Callable[[], datetime],
        wall: Callable[[], datetime],
        keep: Keep,
        metrics: AlerterMetrics,
    ) -> None:
        super().__init__(metrics)
        self._database = database
        self._now = now
        self._wall = wall
        self._keep = keep

    async def turn(self) -> None:
        """Forget all that is old now."""
        gone = 0
        while not self._stop.is_set():
            some = await self._database.write(lambda c: purge(c, self._now(), self._wall(), self._keep))
            gone += some
            if not some:
                break
        if gone:
            log.info("purged", deliveries_and_incidents=gone)
