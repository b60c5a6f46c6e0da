"""Takes deliveries from the outbox to their endpoints; each delivery is durable before it is tried.

Claim (lease it, record the attempt as begun) -> send -> record the end, with a crash seam after each. After a kill only
attempts in flight may be repeated, under the same id. One transaction records what ended and claims what is due, so the
more there is to do, the less each delivery costs. An endpoint that stalls takes up its own places and nobody else's.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Final

import structlog
from sqlalchemy import Connection

from alerter.metrics import AlerterMetrics
from alerter.notify import claims, endpoint_health, outbox
from alerter.notify.attempt import Result
from alerter.notify.claims import Claimed, Claims, Ended, Recording
from alerter.notify.health import Turn
from alerter.notify.listener import DeliveryListener
from alerter.notify.outlet import Outlet
from alerter.states import AttemptOutcome, DeliveryState
from alerter.store.database import Database, DatabaseAway
from alerter.store.wakeup import GLANCE_SECONDS, until_due
from services.base.clock import Clock
from services.base.crashpoints import seam

logger = structlog.get_logger()

MOST_AT_ONCE: Final = 256
"""Attempts in flight from one process."""
FALLBACKS_EVERY_SECONDS: Final = 1.0


class Deliverer:
    def __init__(
        self,
        database: Database,
        outlets: Outlet,
        clock: Clock,
        wall: Callable[[], float],
        owner: str,
        metrics: AlerterMetrics,
        listener: DeliveryListener,
        rng: Random | None = None,
    ) -> None:
        self._database = database
        self._outlets = outlets
        self._clock = clock
        self._wall = wall
        self._owner = owner
        self._metrics = metrics
        self._listener = listener
        self._rng = rng or Random()  # noqa: S311 - jitter
        self.bell = asyncio.Event()
        self.page_failed: Callable[[], None] = lambda: None
        """Called when a page failed, so that the engine acts at once."""
        self._stop = asyncio.Event()
        self._busy: Counter[str] = Counter()
        self._ended: list[Ended] = []
        self._looked_for_fallbacks = 0.0

    def stop(self) -> None:
        """Claim nothing more. `run` returns once all attempts in flight are recorded."""
        self._stop.set()
        self.bell.set()

    def wall_now(self) -> datetime:
        return datetime.fromtimestamp(self._wall(), UTC)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as flights:
            while not self._stop.is_set() or self._busy or self._ended:
                self.bell.clear()
                try:
                    found = await self._turn()
                    for one in found.claimed:
                        flights.create_task(self._deliver(one), name=f"delivery-{one.message.delivery}")
                    if found.claimed:
                        # Let their requests go out before the next turn.
                        await asyncio.sleep(0)
                    elif not self._ended:
                        await self._wait(found.wait_seconds)
                except DatabaseAway as error:
                    self._metrics.loop_errors.labels("deliverer").inc()
                    logger.warning("deliverer_tries_again", why=str(error), not_recorded=len(self._ended))
                    await asyncio.sleep(0.2)
                    if self._stop.is_set():
                        # Their leases end by themselves, and they are tried again under the same ids.
                        self._forget_ended()

    async def _wait(self, seconds: float | None) -> None:
        if self._stop.is_set():
            if self._busy:  # with nothing in flight nobody would ring the bell
                await self.bell.wait()
            return
        now = self._clock.now()
        # What is due but was not claimed waits for a place or a rate. The bell rings when there is one.
        later = [moment for moment in await self._next() if moment is not None and moment > now]
        due = min(later, default=None)
        await until_due(due, self.bell, self._stop, self._clock, GLANCE_SECONDS if seconds is None else seconds)

    def _room(self) -> int:
        return 0 if self._stop.is_set() else MOST_AT_ONCE - self._busy.total()

    async def _turn(self) -> Claims:
        """Record what ended and claim what is due, in one transaction."""
        ended, self._ended = self._ended, []
        now, wall, busy = self._clock.now(), self.wall_now(), self._busy.copy()
        for claimed, _ in ended:
            busy[claimed.message.endpoint] -= 1
        room = self._room() + (len(ended) if not self._stop.is_set() else 0)

        if ended:
            fallbacks = self._look_for_fallbacks(ended)
        else:  # a read costs less than a transaction that may write
            due, forsaken = await self._next()
            fallbacks = forsaken is not None and forsaken <= now
            if not fallbacks and (not room or due is None or due > now):
                return Claims()

        def work(connection: Connection) -> tuple[Recording, Claims]:
            recorded = claims.record_attempts(connection, ended, now, wall, self._rng, self._listener)
            if fallbacks:
                endpoint_health.fall_back(connection, now, wall)
            return recorded, claims.claim(connection, self._owner, now, wall, room, busy)

        try:
            recorded, found = await self._database.write(work)
        except BaseException:
            self._ended = ended + self._ended
            raise
        self._busy.subtract(claimed.message.endpoint for claimed, _ in ended)
        self._busy.update(one.message.endpoint for one in found.claimed)
        self._busy += Counter()
        for one, result in ended:
            seam("delivery.recorded")
            self._say(one, result, recorded)
        self._say_turns(recorded)
        if recorded.page_failed:
            self.page_failed()
        if found.claimed:
            seam("delivery.claimed")
            self._metrics.swept.inc(sum(one.swept for one in found.claimed))
        return found

    def _forget_ended(self) -> None:
        self._busy.subtract(claimed.message.endpoint for claimed, _ in self._ended)
        self._busy += Counter()
        self._ended.clear()

    async def _next(self) -> tuple[datetime | None, datetime | None]:
        """Returns when the next delivery is due, and when the next message goes to a fallback."""
        wall = self.wall_now()
        return await self._database.read(lambda c: (outbox.next_due(c, wall), outbox.next_fallback(c)))

    def _look_for_fallbacks(self, ended: Sequence[Ended]) -> bool:
        """Returns True if it is time to look for messages to send to fallbacks."""
        failed = any(
            one.tries >= outbox.FALLBACK_TRIES and result.outcome is not AttemptOutcome.DELIVERED
            for one, result in ended
        )
        mono = time.monotonic()
        if failed or mono - self._looked_for_fallbacks > FALLBACKS_EVERY_SECONDS:
            self._looked_for_fallbacks = mono
            return True
        return False

    async def _deliver(self, claimed: Claimed) -> None:
        result = await self._send(claimed)
        seam("delivery.sent")
        self._ended.append(Ended(claimed, result))
        self.bell.set()

    async def _send(self, claimed: Claimed) -> Result:
        try:
            return await self._outlets.deliver(claimed.message)
        except Exception as error:
            # A root of work: an attempt that raises is recorded as failed, and the others go on.
            logger.exception("attempt_broke", delivery=claimed.message.delivery, endpoint=claimed.message.endpoint)
            return Result(AttemptOutcome.UNREACHABLE, detail=type(error).__name__)

    def _say(self, claimed: Claimed, result: Result, record: Recording) -> None:
        self._metrics.attempts.labels(result.outcome).inc()
        recorded = record.deliveries.get(claimed.message.delivery)
        if recorded is None:
            return
        if recorded.state is not DeliveryState.PENDING:
            self._metrics.deliveries.labels(recorded.state).inc()
        if result.outcome is AttemptOutcome.DELIVERED:
            waited = (self.wall_now() - recorded.created_wall).total_seconds()
            self._metrics.incident_to_delivery_seconds.observe(max(0.0, waited))
            return
        logger.warning(
            "delivery_failed",
            delivery=claimed.message.delivery,
            endpoint=claimed.message.endpoint,
            attempt=claimed.number,
            outcome=result.outcome.value,
            status=result.status,
            state=recorded.state.value,
        )

    def _say_turns(self, record: Recording) -> None:
        for endpoint, turn in record.turns:
            if turn is Turn.DISABLED:
                self._metrics.endpoints_disabled.inc()
            logger.warning("endpoint_turned", endpoint=endpoint, turn=turn.value)
