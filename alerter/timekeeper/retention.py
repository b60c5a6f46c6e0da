"""Forgets what is old, a little at a time, so that nobody has to wait for it.

Deliveries go with their attempts, then ended incidents with all rows that refer to them. What is open, or waits to be
sent, stays whatever its age.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import structlog
from sqlalchemy import Column, ColumnElement, Connection, Table, and_, delete, func, select, update

from alerter.incidents.suppression import STORM
from alerter.metrics import AlerterMetrics
from alerter.states import ENDED, ClockState, DeliveryState
from alerter.store.database import Database
from alerter.store.loops import PeriodicLoop
from alerter.store.tables import (
    absences,
    answer_clocks,
    attempts,
    declarations,
    deliveries,
    drills,
    erased_authors,
    inbound,
    incidents,
    metadata,
    method_codes,
    overrides,
    redactions,
    schedule_versions,
    secrets,
    sessions,
    silences,
    sources,
    stories,
    tickets,
    volumes,
)

logger = structlog.get_logger()

MOST_DELIVERIES: Final = 500
"""Most deliveries forgotten in one transaction."""
MOST_INCIDENTS: Final = 50


@dataclass(frozen=True, slots=True)
class Keep:
    """How long deliveries are kept after their end, and incidents after their last change."""

    deliveries: timedelta
    incidents: timedelta


class Kept(NamedTuple):
    """Rows of one table are kept until `moment` is this long ago: by real time if its name ends in `_wall`, or else by
    the injected clock. With `only`, rows for which it does not hold stay."""

    moment: Column[datetime]
    keep: timedelta
    only: ColumnElement[bool] | None = None


_NEWEST_DECLARATION: Final = select(func.max(declarations.c.revision)).scalar_subquery()

KEPT: Final = (
    Kept(inbound.c.at_wall, timedelta(days=30)),
    Kept(secrets.c.ends_wall, timedelta(0)),
    Kept(sessions.c.ends_wall, timedelta(0)),
    # So that what a silence held back can be explained.
    Kept(silences.c.ends_at, timedelta(days=90)),
    # So that last year's on-call can be shown.
    Kept(overrides.c.ends, timedelta(days=400)),
    Kept(absences.c.ends, timedelta(days=400)),
    Kept(schedule_versions.c.ends, timedelta(days=400)),
    # Those of a year and the one before, to show that somebody practises. Their pages go with them.
    Kept(drills.c.begun_at, timedelta(days=400)),
    # They end after minutes, and count towards the bound of an hour.
    Kept(method_codes.c.made_at, timedelta(days=1)),
    # The newest stays, whatever it is: changes are counted from it.
    Kept(declarations.c.ends, timedelta(days=400), declarations.c.revision < _NEWEST_DECLARATION),
    # Those about incidents go with them.
    Kept(tickets.c.touched_at, timedelta(days=30), tickets.c.incident.is_(None)),
    # So that a year can be compared with the one before.
    Kept(volumes.c.hour, timedelta(days=400)),
    # A connector that is gone for so long was taken away: what it promised keeps no story unknown for ever.
    Kept(sources.c.reported_at, timedelta(days=7)),
    # A good quarter, the longest period that fairness is shown for.
    Kept(answer_clocks.c.noted_at, timedelta(days=100)),
    # Answers to posts that we have not seen, or not as a complaint: the post may come late.
    Kept(answer_clocks.c.noted_at, timedelta(days=2), answer_clocks.c.state == ClockState.EARLY),
    # Far longer than any signal is under way, and than the scorer remembers a deletion.
    Kept(redactions.c.at, timedelta(days=100)),
    Kept(erased_authors.c.noted_at, timedelta(days=100)),
    # What was noted of stories without an incident: no story grows for so long. The row of a brand's storms stays,
    # because it counts them.
    Kept(stories.c.touched_at, timedelta(days=14), and_(stories.c.incident.is_(None), stories.c.story != STORM)),
)
"""What is forgotten by age alone. For deliveries and incidents the settings decide (`Keep`)."""


def forget(connection: Connection, now: datetime, wall: datetime) -> dict[str, int]:
    """Delete the rows of `KEPT` that are old now. Returns how many of each table."""
    gone: Counter[str] = Counter()
    for kept in KEPT:
        clock = wall if kept.moment.name.endswith("_wall") else now
        old = delete(kept.moment.table).where(kept.moment < clock - kept.keep)
        gone[kept.moment.table.name] += connection.execute(old if kept.only is None else old.where(kept.only)).rowcount
    return dict(gone)


def purge(connection: Connection, now: datetime, wall: datetime, keep: Keep) -> int:
    """Forget some of what is old. Returns how many deliveries and incidents; call again until there are none."""
    forget(connection, now, wall)
    over = (deliveries.c.state != DeliveryState.PENDING, deliveries.c.finished_at < now - keep.deliveries)
    done = list(connection.scalars(select(deliveries.c.id).where(*over).limit(MOST_DELIVERIES)))
    drop_deliveries(connection, done)
    return len(done) + drop_incidents(connection, ended_before(now - keep.incidents))


def ended_before(before: datetime) -> ColumnElement[bool]:
    """Returns a condition: the incident is over and has not changed since `before`."""
    return and_(incidents.c.state.in_(ENDED), incidents.c.changed_at < before)


def drop_incidents(connection: Connection, which: ColumnElement[bool]) -> int:
    """Forget some of these incidents, and all rows that refer to them. Returns how many; call again until it is 0."""
    # Locked, so that nobody enqueues a message about an incident that is being deleted.
    query = select(incidents.c.id).where(which).limit(MOST_INCIDENTS).with_for_update(skip_locked=True)
    old = list(connection.scalars(query))
    if not old:
        return 0
    about = connection.scalars(select(deliveries.c.id).where(deliveries.c.incident.in_(old)))
    drop_deliveries(connection, list(about))
    # How many incidents a story has opened stays, so that the next one does not get an id that receivers have seen.
    connection.execute(update(stories).where(stories.c.incident.in_(old)).values(incident=None))
    for table, column in hanging_on(incidents):
        connection.execute(delete(table).where(table.c[column].in_(old)))
    connection.execute(delete(tickets).where(tickets.c.incident.in_(old)))
    connection.execute(delete(incidents).where(incidents.c.id.in_(old)))
    return len(old)


def drop_deliveries(connection: Connection, ids: list[str]) -> None:
    """Forget these deliveries, with their attempts."""
    for begin in range(0, len(ids), MOST_DELIVERIES):
        some = ids[begin : begin + MOST_DELIVERIES]
        connection.execute(delete(attempts).where(attempts.c.delivery.in_(some)))
        connection.execute(delete(deliveries).where(deliveries.c.id.in_(some)))


def hanging_on(parent: Table) -> list[tuple[Table, str]]:
    """Returns the tables that refer to this one, with the column, in an order in which they can be deleted."""
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
        """Forget everything that is old now."""
        gone = 0
        while not self._stop.is_set():
            some = await self._database.write(lambda c: purge(c, self._now(), self._wall(), self._keep), bulk=True)
            gone += some
            if not some:
                break
        await self._database.fold()
        if gone:
            logger.info("purged", deliveries_and_incidents=gone)
