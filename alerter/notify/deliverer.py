"""Takes deliveries from the outbox to their endpoints, and publications to the event log.

Claim (lease, attempt recorded as begun) -> send -> record, with a crash seam between each. After a kill only attempts in
flight may be repeated, under the same id. One endpoint that stalls holds up to `MOST_EACH` of its own places and nobody
else's.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from typing import Final

import structlog

from alerter.bells import until_due
from alerter.metrics import AlerterMetrics
from alerter.notify import outbox
from alerter.notify.attempt import AttemptOutcome, Result
from alerter.notify.outbox import Claimed, DeliveryState
from alerter.notify.outlet import Outlet
from alerter.store.database import Database, DatabaseAway
from services.clock import Clock
from services.crashpoints import seam
from services.eventlog.base import EventLog, Message, TooLarge, Unavailable
from services.retry import backoff

log = structlog.get_logger()

MOST_AT_ONCE: Final = 32
MOST_EACH: Final = 4
PUBLISH_ROWS: Final = 200


class Deliverer:
    def __init__(
        self,
        database: Database,
        outlets: Outlet,
        clock: Clock,
        wall: Callable[[], float],
        owner: str,
        metrics: AlerterMetrics,
        rng: Random | None = None,
    ) -> None:
        self._database = database
        self._outlets = outlets
        self._clock = clock
        self._wall = wall
        self._owner = owner
        self._metrics = metrics
        self._rng = rng or Random()  # noqa: S311 - jitter
        self.bell = asyncio.Event()
        self.page_failed: Callable[[], None] = lambda: None
        """Called when a page of a step did not get through: the engine need not wait for its next glance."""
        self._stop = asyncio.Event()
        self._busy: Counter[str] = Counter()

    def stop(self) -> None:
        """Claim nothing more; `run` returns when what is in flight has been recorded."""
        self._stop.set()
        self.bell.set()

    def wall_now(self) -> datetime:
        return datetime.fromtimestamp(self._wall(), UTC)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as flights:
            while not self._stop.is_set():
                self.bell.clear()
                due: datetime | None = None
                try:
                    room = MOST_AT_ONCE - self._busy.total()
                    if room:
                        claimed = await self._claim(room)
                        for one in claimed:
                            flights.create_task(self._deliver(one), name=f"delivery-{one.letter.delivery}")
                        if not claimed:
                            due = await self._database.read(lambda c: outbox.next_due(c, self.wall_now()))
                            # What is due and was not claimed waits for a place: the bell rings when one is free.
                            due = None if due is not None and due <= self._clock.now() and self._busy else due
                except DatabaseAway as error:
                    self._metrics.loop_errors.labels("deliverer").inc()
                    log.warning("deliverer_tries_again", why=str(error))
                    await asyncio.sleep(0.2)
                    continue
                if room and claimed:
                    continue
                await until_due(due, self.bell, self._stop, self._clock)

    async def _claim(self, room: int) -> list[Claimed]:
        now, wall = self._clock.now(), self.wall_now()
        busy = dict(self._busy)
        claimed = await self._database.write(
            lambda c: outbox.claim(c, self._owner, now, wall, room, lambda name: busy.get(name, 0), MOST_EACH)
        )
        for one in claimed:
            self._busy[one.letter.endpoint] += 1
            if one.swept:
                self._metrics.swept.inc()
        if claimed:
            seam("delivery.claimed")
        return claimed

    async def _deliver(self, claimed: Claimed) -> None:
        try:
            result = await self._send(claimed)
            seam("delivery.sent")
            now = self._clock.now()
            recorded = await self._database.write(lambda c: outbox.record(c, claimed, result, now, self._rng))
            seam("delivery.recorded")
        except DatabaseAway as error:
            # Not recorded: its lease ends, and it is tried again under the same id.
            self._metrics.loop_errors.labels("deliverer").inc()
            log.warning("attempt_not_recorded", delivery=claimed.letter.delivery, why=str(error))
            return
        finally:
            self._busy[claimed.letter.endpoint] -= 1
            self._busy += Counter()
            self.bell.set()
        self._metrics.attempts.labels(result.outcome).inc()
        if recorded.state is not DeliveryState.PENDING:
            self._metrics.deliveries.labels(recorded.state).inc()
        if result.outcome is AttemptOutcome.DELIVERED:
            waited = (self.wall_now() - recorded.created_wall).total_seconds()
            self._metrics.incident_to_delivery_seconds.observe(max(0.0, waited))
        else:
            log.warning(
                "delivery_failed",
                delivery=claimed.letter.delivery,
                endpoint=claimed.letter.endpoint,
                attempt=claimed.number,
                outcome=result.outcome.value,
                status=result.status,
                state=recorded.state.value,
            )
        if recorded.page_failed:
            self.page_failed()
        if recorded.disabled:
            self._metrics.endpoints_disabled.inc()
            log.error("endpoint_disabled", endpoint=claimed.letter.endpoint, because="410 Gone")

    async def _send(self, claimed: Claimed) -> Result:
        try:
            return await self._outlets.deliver(claimed.letter)
        except Exception as error:
            # A root of work: whatever one attempt dies of, it is recorded and the others go on.
            log.exception("attempt_broke", delivery=claimed.letter.delivery, endpoint=claimed.letter.endpoint)
            return Result(AttemptOutcome.UNREACHABLE, detail=type(error).__name__)


class Publisher:
    """Appends publications to the event log in their order, and forgets them when the log has them: at least once."""

    def __init__(self, database: Database, log_: EventLog, clock: Clock, metrics: AlerterMetrics) -> None:
        self._database = database
        self._log = log_
        self._clock = clock
        self._metrics = metrics
        self.bell = asyncio.Event()
        self._stop = asyncio.Event()

    def stop(self) -> None:
        self._stop.set()
        self.bell.set()

    async def run(self) -> None:
        waits = backoff(0.2, 5.0)
        while not self._stop.is_set():
            self.bell.clear()
            try:
                while not self._stop.is_set() and await self._publish():
                    waits = backoff(0.2, 5.0)
            except (Unavailable, DatabaseAway) as error:
                self._metrics.loop_errors.labels("publisher").inc()
                log.warning("publisher_tries_again", why=str(error))
                await self._pause(next(waits))
                continue
            await until_due(None, self.bell, self._stop, self._clock)

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return

    async def _publish(self) -> bool:
        rows = await self._database.read(lambda c: outbox.unpublished(c, PUBLISH_ROWS))
        if not rows:
            return False
        try:
            await self._log.append([message for _, message in rows])
        except TooLarge:
            await self._one_by_one(rows)
        ids = [number for number, _ in rows]
        await self._database.write(lambda c: outbox.published(c, ids))
        return True

    async def _one_by_one(self, rows: list[tuple[int, Message]]) -> None:
        """One that is too large for the log is dropped, loudly: nobody could ever read it there."""
        for number, message in rows:
            try:
                await self._log.append([message])
            except TooLarge as error:
                self._metrics.loop_errors.labels("publisher").inc()
                log.error("publication_too_large", publication=number, topic=message.topic, why=str(error))
