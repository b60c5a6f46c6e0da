"""Leases on deliveries: whoever holds one delivers, and nobody else does until the holder is dead.

A lease is renewed for as long as its delivery is in hand, so how long an attempt or its recording takes does not matter.
It is taken from a process only if it has run out *and* then did not move for a while in which the database could be
written: a holder that was only kept from writing renews it in that time. Leases are in real time, because requests
are, whatever a drill's clock says.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import Connection, select, update

from alerter.metrics import AlerterMetrics
from alerter.notify import outbox
from alerter.states import DeliveryState
from alerter.store.database import Database
from alerter.store.loops import PeriodicLoop
from alerter.store.tables import deliveries

logger = structlog.get_logger()

LEASE: Final = timedelta(seconds=20)
"""After a kill a delivery in flight waits for this and the grace, unless the next process knows the leases as its own."""
FRESH: Final = LEASE / 2
"""A request begins with no less than this left of its lease."""
RENEW_SECONDS: Final = 5.0
GRACE_SECONDS: Final = 10.0
"""Two renewals: for so long a lease must be seen to have run out before it is taken from its holder."""
ORPHANS_SECONDS: Final = 60.0
MOST_EXPIRED: Final = 1000


class LeaseKeeper(PeriodicLoop):
    """Renews the leases of what is in hand here, and ends those of the dead."""

    name = "leases"
    every_seconds = RENEW_SECONDS

    def __init__(
        self,
        database: Database,
        owner: str,
        held: Callable[[], Mapping[str, int]],
        wall: Callable[[], datetime],
        now: Callable[[], datetime],
        freed: Callable[[], None],
        metrics: AlerterMetrics,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`held` returns the deliveries in hand with the number of their attempt; `freed` is called after leases ended."""
        super().__init__(metrics)
        self._database = database
        self._owner = owner
        self._held = held
        self._wall = wall
        self._now = now
        self._freed = freed
        self._monotonic = monotonic
        self._expired: dict[str, tuple[datetime, float]] = {}
        self._orphans_at = monotonic()

    async def turn(self) -> None:
        held = dict(self._held())
        if not held and not await self._database.read(lambda c: expired(c, self._wall(), 1)):
            self._expired.clear()
        elif not self._stop.is_set():
            dead = await self._database.write_beside(lambda c: self._keep(c, held))
            if dead:
                logger.warning("leases_of_the_dead_ended", deliveries=dead)
                self._freed()
        if self._monotonic() - self._orphans_at > ORPHANS_SECONDS:
            self._orphans_at = self._monotonic()
            orphans = await self._database.read(outbox.orphans)
            if orphans:
                await self._database.write(lambda c: outbox.cancel(c, orphans, self._now()))

    def _keep(self, connection: Connection, held: Mapping[str, int]) -> int:
        # Inside the transaction: before it, time may have passed while others wrote.
        wall = self._wall()
        renewed(connection, self._owner, held, wall)
        seen = {one: ends for one, ends in expired(connection, wall, MOST_EXPIRED).items() if one not in held}
        dead = self._dead(seen, self._monotonic())
        if dead:
            release(connection, {one: seen[one] for one in dead})
        return len(dead)

    def _dead(self, seen: Mapping[str, datetime], at: float) -> list[str]:
        """Returns which of the leases that have run out did not move since they were first seen to have."""
        before, self._expired = self._expired, {}
        for one, ends in seen.items():
            known = before.get(one)
            self._expired[one] = known if known is not None and known[0] == ends else (ends, at)
        return [one for one, (_, since) in self._expired.items() if at - since >= GRACE_SECONDS]


def renewed(connection: Connection, owner: str, held: Mapping[str, int], wall: datetime) -> Collection[str]:
    """Renew the leases of these attempts, from `wall` on. Returns the deliveries whose lease is still ours."""
    if not held:
        return ()
    query = select(*deliveries.c["id", "attempts"]).where(
        deliveries.c.id.in_(list(held)), deliveries.c.lease_owner == owner, deliveries.c.lease_ends_wall.is_not(None)
    )
    # What another transaction holds is being recorded or cancelled, and nobody claims it: waiting for it could deadlock.
    rows = connection.execute(query.with_for_update(skip_locked=True))
    ours = [row.id for row in rows if row.attempts == held[row.id]]
    if ours:
        connection.execute(update(deliveries).where(deliveries.c.id.in_(ours)).values(lease_ends_wall=wall + LEASE))
    return ours


def expired(connection: Connection, wall: datetime, most: int) -> dict[str, datetime]:
    """Returns deliveries whose lease has run out, with its end."""
    query = select(*deliveries.c["id", "lease_ends_wall"]).where(
        deliveries.c.lease_ends_wall < wall, deliveries.c.state == DeliveryState.PENDING
    )
    return {row.id: row.lease_ends_wall for row in connection.execute(query.limit(most))}


def release(connection: Connection, dead: Mapping[str, datetime]) -> None:
    """End these leases, if they still are as they were seen."""
    for one, ends in sorted(dead.items()):
        connection.execute(
            update(deliveries)
            .where(deliveries.c.id == one, deliveries.c.lease_ends_wall == ends)
            .values(lease_owner=None, lease_ends_wall=None)
        )
