"""Finds that the clock was set back while no process ran, and moves what is to come with it.

Times to come are kept as moments. Were the clock set back by an hour between two lives, each would come an hour late: a step of
a policy, a second try, a lease of a process that died. So the database knows how late it was when it was last used. What is
overdue by either reading is due, and what was to come in five minutes comes in five minutes. What somebody has said as a time
of day stays: shifts, overrides, absences, the end of a silence or of an acknowledgement, and the hours of an endpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import BigInteger, Column, Connection, func, select, type_coerce, update

from alerter.desk.context import Context
from alerter.metrics import AlerterMetrics
from alerter.states import ENDED, ClockState, DeliveryState, PageState, StepState
from alerter.store import installation
from alerter.store.database import Database
from alerter.store.loops import PeriodicLoop
from alerter.store.tables import (
    answer_clocks,
    answer_digests,
    deliveries,
    endpoints,
    incidents,
    method_codes,
    pages,
    rings,
    standing,
    steps,
    timeline,
)

TOLERANCE: Final = timedelta(minutes=1)
"""Clocks of replicas that are less than this apart are the same clock."""

_CLOCK, _WALL = "latest_clock", "latest_wall"
_OF_OPEN: Final = select(incidents.c.id).where(incidents.c.state.not_in(ENDED))
BY_CLOCK: Final = (
    (incidents.c.due_at, incidents.c.due_at.is_not(None)),
    (steps.c.due_at, steps.c.state.in_((StepState.WAITING, StepState.UNTOLD))),
    (rings.c.due_at, rings.c.state == StepState.WAITING),
    (pages.c.check_at, pages.c.state == PageState.SENT),
    # What is to come is reckoned from these two: a wait that shrinks, and what a step has paged since it was done.
    (steps.c.done_at, steps.c.incident.in_(_OF_OPEN)),
    (pages.c.paged_at, pages.c.incident.in_(_OF_OPEN)),
    (deliveries.c.next_attempt_at, deliveries.c.state == DeliveryState.PENDING),
    # For its fallback: since when its receiver should have it.
    (deliveries.c.waits_since, deliveries.c.state == DeliveryState.PENDING),
    (method_codes.c.ends_at, method_codes.c.ends_at.is_not(None)),
    (answer_clocks.c.tell_at, answer_clocks.c.state == ClockState.RUNNING),
    (answer_clocks.c.snoozed_until, answer_clocks.c.state == ClockState.RUNNING),
    (answer_digests.c.next_at, answer_digests.c.next_at.is_not(None)),
    (endpoints.c.paused_until, endpoints.c.paused_until.is_not(None)),
)
_ELSE: Final = {deliveries.c.waits_since: deliveries.c.created_at}
"""Where a column is empty: what counts in its place, and is left as it is."""
BY_WALL: Final = (
    (deliveries.c.lease_ends_wall, deliveries.c.lease_ends_wall.is_not(None)),
    (endpoints.c.next_send_wall, endpoints.c.next_send_wall.is_not(None)),
    (standing.c.due_wall, standing.c.due_wall.is_not(None)),
    (standing.c.ends_wall, standing.c.ends_wall.is_not(None)),
)


def note(connection: Connection, now: datetime, wall: datetime) -> None:
    """Note how late it is, by the injected clock and in reality."""
    for name, at in ((_CLOCK, now), (_WALL, wall)):
        installation.note(connection, name, at.isoformat().encode())


def mend(connection: Connection, now: datetime, wall: datetime) -> timedelta:
    """Move what is to come if a clock was set back since `note`, and note the time. Returns by how much, at the most."""
    newest_entry = select(timeline.c.at).order_by(timeline.c.id.desc()).limit(1)
    latest = max(_noted(connection, _CLOCK) or now, connection.scalar(newest_entry) or now)
    back = _move(connection, BY_CLOCK, latest - now)
    back_wall = _move(connection, BY_WALL, (_noted(connection, _WALL) or wall) - wall)
    note(connection, now, wall)
    return max(back, back_wall)


def _noted(connection: Connection, name: str) -> datetime | None:
    value = installation.noted(connection, name)
    return None if value is None else datetime.fromisoformat(value.decode())


def _move(connection: Connection, columns: tuple[tuple[Column[datetime], object], ...], back: timedelta) -> timedelta:
    if back <= TOLERANCE:
        return timedelta(0)
    for column, concerned in columns:
        since = func.coalesce(column, _ELSE[column]) if column in _ELSE else column
        earlier = type_coerce(since, BigInteger) - back // timedelta(microseconds=1)
        connection.execute(update(column.table).where(concerned).values({column.name: earlier}))  # type: ignore[arg-type]
    return back


class ClockNotes(PeriodicLoop):
    """Notes how late it is, for the next life of this process or another."""

    name = "clock-notes"
    every_seconds = 5.0

    def __init__(self, database: Database, context: Callable[[], Context], metrics: AlerterMetrics) -> None:
        super().__init__(metrics)
        self._database = database
        self._context = context

    async def turn(self) -> None:
        at = self._context()
        await self._database.write(lambda c: note(c, at.now, at.wall))
