"""Takes deliveries from the outbox to their endpoints; each delivery is durable before it is tried.

Claim (lease it, record the attempt as begun) -> send -> record the end, with a crash seam after each. After a kill only
attempts in flight may be repeated, under the same id. One transaction records what ended and claims what is due, so the
more there is to do, the less each delivery costs. An endpoint that stalls takes up its own places and nobody else's.
What is in hand here keeps its lease, and is never claimed here again, however long the database keeps us waiting.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Final

import structlog
from sqlalchemy import Connection

from alerter.metrics import AlerterMetrics
from alerter.notify import claims, endpoint_health, leases, outbox
from alerter.notify.attempt import Result
from alerter.notify.claims import Claimant, Claimed, Claims
from alerter.notify.health import Turn
from alerter.notify.kinds import TRAITS
from alerter.notify.leases import LeaseKeeper
from alerter.notify.listener import DeliveryListener
from alerter.notify.outlet import OutboundMessage, Outlet
from alerter.notify.places import PROCESSES, REQUESTS, Places
from alerter.notify.recording import Ended, Recording, record_attempts
from alerter.states import AttemptOutcome, DeliveryState
from alerter.store.database import Database, DatabaseAway
from alerter.store.wakeup import GLANCE_SECONDS, until_due
from services.base.clock import Clock
from services.base.crashpoints import seam

logger = structlog.get_logger()

MOST_AT_ONCE: Final = REQUESTS.total + PROCESSES.total
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
        self._places = {True: Places(REQUESTS), False: Places(PROCESSES)}
        self._held: dict[str, int] = {}
        """What is in hand, by id, with the number of the attempt: claimed, and its end not recorded yet."""
        self.leases = LeaseKeeper(database, owner, lambda: self._held, self.wall_now, clock.now, self.bell.set, metrics)
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
            flights.create_task(self.leases.run(), name="delivery-leases")
            while not self._stop.is_set() or self._held:
                self.bell.clear()
                try:
                    found = await self._turn()
                    for one in found.claimed:
                        flights.create_task(self._deliver(one), name=f"delivery-{one.message.delivery}")
                    if found.claimed or found.put_off:
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
                        self._let_go(self._ended)
                        self._ended.clear()
            self.leases.stop()

    async def _wait(self, seconds: float | None) -> None:
        if self._stop.is_set():
            if self._held:  # with nothing in flight nobody would ring the bell
                await self.bell.wait()
            return
        now = self._clock.now()
        moments = [moment for moment in await self._next() if moment is not None]
        most = GLANCE_SECONDS if seconds is None else seconds
        if any(moment <= now for moment in moments):
            # What is due but was not claimed waits for a place or a rate. The bell rings when an attempt ends, but not
            # when receivers are found to be slow and their places are given to others.
            most = min(most, REQUESTS.slow_seconds)
        due = min((moment for moment in moments if moment > now), default=None)
        await until_due(due, self.bell, self._stop, self._clock, most)

    async def _turn(self) -> Claims:
        """Record what ended and claim what is due, in one transaction."""
        ended, self._ended = self._ended, []
        now = self._clock.now()
        if ended:
            fallbacks = self._look_for_fallbacks(ended)
        else:  # a read costs less than a transaction that may write
            due, forsaken = await self._next()
            fallbacks = forsaken is not None and forsaken <= now
            if not fallbacks and (self._stop.is_set() or due is None or due > now):
                return Claims()
        mono = time.monotonic()
        places = {} if self._stop.is_set() else {http: some.view(mono) for http, some in self._places.items()}
        # What ended is recorded in the same transaction, and may be claimed again.
        held = self._held.keys() - {claimed.message.delivery for claimed, _ in ended}
        claimant = Claimant(self._owner, places, held)

        def work(connection: Connection) -> tuple[Recording, Claims]:
            # Now, and not before the wait for the writer, or else a lease would have run out when it is committed.
            wall = self.wall_now()
            recorded = record_attempts(connection, ended, now, wall, self._rng, self._listener)
            if fallbacks:
                endpoint_health.fall_back(connection, now, wall)
            return recorded, claims.claim(connection, claimant, now, wall, self._listener)

        try:
            recorded, found = await self._database.write(work)
        except BaseException:
            self._ended = ended + self._ended
            raise
        self._let_go(ended)
        for one in found.claimed:
            self._held[one.message.delivery] = one.number
        for one, result in ended:
            seam("delivery.recorded")
            self._say(one, result, recorded)
        self._say_turns(recorded)
        if recorded.page_failed or found.page_failed:
            self.page_failed()
        self._metrics.deliveries.labels(DeliveryState.SUPERSEDED).inc(found.superseded)
        if found.claimed:
            seam("delivery.claimed")
            self._metrics.swept.inc(sum(one.swept for one in found.claimed))
            await self._keep_fresh(found)
        began = time.monotonic()
        for one in found.claimed:
            self._places_of(one.message).begin(one.message.endpoint, one.message.delivery, began)
        return found

    async def _keep_fresh(self, found: Claims) -> None:
        """Renew leases that are half over when their claim is committed: the writer was busy. What is not ours any more
        is let go. Raises `DatabaseAway`; then nothing of it is sent, and the leases end by themselves."""
        if found.ends is None or found.ends - self.wall_now() >= leases.FRESH:
            return
        numbers = {one.message.delivery: one.number for one in found.claimed}
        ours: Collection[str] = ()
        try:
            ours = await self._database.write_beside(lambda c: leases.renewed(c, self._owner, numbers, self.wall_now()))
        finally:
            for one in numbers.keys() - set(ours):
                self._held.pop(one, None)
        found.claimed = [one for one in found.claimed if one.message.delivery in self._held]

    def _let_go(self, ended: Sequence[Ended]) -> None:
        for claimed, _ in ended:
            self._held.pop(claimed.message.delivery, None)

    def _places_of(self, message: OutboundMessage) -> Places:
        return self._places[TRAITS[message.kind].http]

    async def _next(self) -> tuple[datetime | None, datetime | None]:
        """Returns when the next delivery is due, and when the next message goes to a fallback."""
        return await self._database.read(lambda c: (outbox.next_due(c), outbox.next_fallback(c)))

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
        message = claimed.message
        self._places_of(message).end(message.endpoint, message.delivery, time.monotonic())
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
