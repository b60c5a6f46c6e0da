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
from alerter.desk import due
from alerter.desk.context import Context
from alerter.desk.due import KINDS
from alerter.desk.service import IncidentService
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
                moment = await self._database.read(next_due)
                if moment is not None and moment <= self._clock.now():
                    await self.turn()
                    continue
            except (DatabaseAway, Overtaken) as error:
                self._metrics.loop_errors.labels("engine").inc()
                logger.warning("engine_tries_again", kind=type(error).__name__, why=str(error))
                await asyncio.sleep(0.2)
                continue
            await until_due(moment, self.bell, self._stop, self._clock)

    async def turn(self) -> None:
        """Do what is due now."""
        now = self._clock.now()
        for kind in KINDS:
            for one in await self._database.read(lambda c, k=kind: k.due(c, now, AT_ONCE)):  # type: ignore[misc]
                await self._do(lambda desk, k=kind, o=one: k.do(desk.timers, o))  # type: ignore[misc]
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
    moments = (due.next_due(connection), digest.next_due(connection))
    return min((moment for moment in moments if moment is not None), default=None)
