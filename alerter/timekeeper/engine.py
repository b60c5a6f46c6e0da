"""The engine: does what is due on the injected clock: steps of policies, pages, rings, timers of incidents, digests.

What is due is in the database, so a process that was killed goes on where it stopped. Each is one transaction that
takes the row, changes the incident and writes the deliveries, so none is missed and none is done twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final

import structlog
from sqlalchemy import Connection

from alerter.answers import digest
from alerter.desk.context import Context
from alerter.desk.service import IncidentService
from alerter.escalation import pages, rings, steps, untold
from alerter.incidents import store
from alerter.metrics import AlerterMetrics
from alerter.store.database import Database, DatabaseAway, Overtaken
from alerter.store.wakeup import until_due
from services.base.clock import Clock
from services.base.crashpoints import seam

logger = structlog.get_logger()

AT_ONCE: Final = 100
"""How many due rows are looked up together; each is done in its own transaction."""


class Engine:
    def __init__(
        self,
        database: Database,
        clock: Clock,
        context: Callable[[], Context],
        committed: Callable[[], None],
        metrics: AlerterMetrics,
    ) -> None:
        self._database = database
        self._clock = clock
        self._context = context
        self._committed = committed
        self._metrics = metrics
        self.bell = asyncio.Event()
        self._stop = asyncio.Event()

    def stop(self) -> None:
        self._stop.set()
        self.bell.set()

    async def run(self) -> None:
        while not self._stop.is_set():
            self.bell.clear()
            try:
                # One look, because the bell rings after each commit, and hardly any makes something due at once.
                due = await self._database.read(next_due)
                if due is not None and due <= self._clock.now():
                    await self.turn()
                    continue
            except (DatabaseAway, Overtaken) as error:
                self._metrics.loop_errors.labels("engine").inc()
                logger.warning("engine_tries_again", kind=type(error).__name__, why=str(error))
                await asyncio.sleep(0.2)
                continue
            await until_due(due, self.bell, self._stop, self._clock)

    async def turn(self) -> None:
        """Do what is due now."""
        now = self._clock.now()
        due_steps = await self._database.read(lambda c: steps.due(c, now, AT_ONCE))
        for incident, number in due_steps:
            await self._do(lambda desk, i=incident, n=number: desk.timers.step(i, n))  # type: ignore[misc]
        due_pages = await self._database.read(lambda c: pages.due(c, now, AT_ONCE))
        for incident, page in due_pages:
            await self._do(lambda desk, i=incident, p=page: desk.timers.unreached(i, p))  # type: ignore[misc]
        due_rings = await self._database.read(lambda c: rings.due(c, now, AT_ONCE))
        for incident, ring in due_rings:
            await self._do(lambda desk, i=incident, r=ring: desk.timers.ring(i, r))  # type: ignore[misc]
        for incident in await self._database.read(lambda c: untold.due(c, now, AT_ONCE)):
            await self._do(lambda desk, i=incident: desk.timers.look_again(i))  # type: ignore[misc]
        due_timers = await self._database.read(lambda c: store.IncidentStore(c).due(now, AT_ONCE))
        for incident in due_timers:
            await self._do(lambda desk, i=incident: desk.timers.fire(i))  # type: ignore[misc]
        due_digests = await self._database.read(lambda c: digest.due(c, now, AT_ONCE))
        for account in due_digests:
            await self._tell(account)

    async def _tell(self, account: digest.Due) -> None:
        """Send an account's owner a digest of overdue answers."""

        def transact(connection: Connection) -> digest.Sent | None:
            seam("alerter.begun")
            context = self._context()
            return digest.send(connection, context.config, context.now, context.wall, account)

        sent = await self._database.write(transact)
        seam("alerter.committed")
        if sent is not None:
            self._metrics.answer_digests.labels("sent" if sent.delivery else "unowned").inc()
            if sent.delivery is None:
                logger.warning("overdue_answers_untold", brand=account.brand, account=account.account, why=sent.because)
        self._committed()

    async def _do(self, work: Callable[[IncidentService], bool]) -> None:
        def transact(connection: Connection) -> IncidentService:
            seam("alerter.begun")
            desk = IncidentService(connection, self._context())
            work(desk)
            return desk

        done = await self._database.write(transact)
        seam("alerter.committed")
        self._metrics.count_announced(done.published, done.decisions)
        self._committed()


def next_due(connection: Connection) -> datetime | None:
    """Returns when the next step (or look at one that reached nobody), page, ring, timer or digest is due."""
    moments = [
        moment
        for moment in (module.next_due(connection) for module in (steps, untold, pages, rings, store, digest))
        if moment is not None
    ]
    return min(moments, default=None)
