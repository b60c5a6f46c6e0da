"""Forgets what is old, a little at a time, so that nobody waits for it: deliveries with their attempts, then ended incidents
with all that hangs on them. What is open, or waits to be sent, stays whatever its age.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import structlog
from sqlalchemy import Column, ColumnElement, Connection, Table, and_, delete, select, update

from alerter.incidents.suppression import STORM
from alerter.metrics import AlerterMetrics
from alerter.states import ENDED, ClockState, DeliveryState
from alerter.store.database import Database
from alerter.store.loops import PeriodicLoop
from alerter.store.tables import (
    answer_clocks,
    attempts,
    deliveries,
    inbound,
    incidents,
    metadata,
    overrides,
    secrets,
    sessions,
    silences,
    sources,
    stories,
    volumes,
)

logger = structlog.get_logger()

MOST_DELIVERIES: Final = 500
"""In one transaction."""
MOST_INCIDENTS: Final = 50


@dataclass(frozen=True, slots=True)
class Keep:
    """For how long: deliveries after they ended, incidents after their last change."""

    deliveries: timedelta
    incidents: timedelta


class Kept(NamedTuple):
    """Rows of one table are kept until `moment` lies this long ago. Columns that end in `_wall` are real time, others are the
    injected clock. `only`: the others stay."""

    moment: Column[datetime]
    keep: timedelta
    only: ColumnElement[bool] | None = None


KEPT: Final = (
    Kept(inbound.c.at_wall, timedelta(days=30)),
    Kept(secrets.c.ends_wall, timedelta(0)),
    Kept(sessions.c.ends_wall, timedelta(0)),
    # So that what a silence held back can be explained.
    Kept(silences.c.ends_at, timedelta(days=90)),
    # So that last year's on-call can be shown.
    Kept(overrides.c.ends, timedelta(days=400)),
    # So that a year can be compared with the one before.
    Kept(volumes.c.hour, timedelta(days=400)),
    # A connector that is gone for so long was taken away: what it promised keeps no story unknown for ever.
    Kept(sources.c.reported_at, timedelta(days=7)),
    # A quarter, and some: what fairness is shown over.
    Kept(answer_clocks.c.noted_at, timedelta(days=100)),
    # An answer to what was not seen, or not seen as a complaint: the post may come late.
    Kept(answer_clocks.c.noted_at, timedelta(days=2), answer_clocks.c.state == ClockState.EARLY),
    # What was noted of a story without an incident; no story grows for so long. A brand's storms come again for ever, and go on
    # counting.
    Kept(stories.c.touched_at, timedelta(days=14), and_(stories.c.incident.is_(None), stories.c.story != STORM)),
)
"""What is forgotten by age alone. Deliveries and incidents go by settings (`Keep`), with all that hangs on them."""


def forget(connection: Connection, now: datetime, wall: datetime) -> dict[str, int]:
    """Drop the rows of `KEPT` that are old by now. Returns how many of each table."""
    gone: Counter[str] = Counter()
    for kept in KEPT:
        clock = wall if kept.moment.name.endswith("_wall") else now
        old = delete(kept.moment.table).where(kept.moment < clock - kept.keep)
        gone[kept.moment.table.name] += connection.execute(old if kept.only is None else old.where(kept.only)).rowcount
    return dict(gone)


def purge(connection: Connection, now: datetime, wall: datetime, keep: Keep) -> int:
    """Forget some of what is old. Returns how many deliveries and incidents; ask again while there are any."""
    forget(connection, now, wall)
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
            logger.info("purged", deliveries_and_incidents=gone)
