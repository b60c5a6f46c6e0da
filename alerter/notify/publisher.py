"""Takes publications from the outbox to the event log, in their order, at least once."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from alerter.metrics import AlerterMetrics
from alerter.notify import outbox
from alerter.store.database import Database, DatabaseAway
from alerter.store.wakeup import until_due
from services.base.clock import Clock, set_within
from services.base.retry import backoff
from services.eventlog.base import EventLog, Message, TooLarge, Unavailable

logger = structlog.get_logger()

PUBLISH_ROWS: Final = 200


class Publisher:
    """Appends publications to the event log in their order. A row is deleted once the log has it."""

    def __init__(self, database: Database, log: EventLog, clock: Clock, metrics: AlerterMetrics) -> None:
        self._database = database
        self._log = log
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
                logger.warning("publisher_tries_again", why=str(error))
                await set_within(self._stop, next(waits))
                continue
            await until_due(None, self.bell, self._stop, self._clock)

    async def _publish(self) -> bool:
        rows = await self._database.read(lambda c: outbox.unpublished(c, PUBLISH_ROWS))
        if not rows:
            return False
        try:
            await self._log.append([message for _, message in rows])
        except TooLarge:
            await self._one_by_one(rows)
        ids = [number for number, _ in rows]
        await self._database.write(lambda c: outbox.published(c, ids), bulk=True)
        return True

    async def _one_by_one(self, rows: list[tuple[int, Message]]) -> None:
        """Append publications one by one, and drop those that are too large for the event log, with an error."""
        for number, message in rows:
            try:
                await self._log.append([message])
            except TooLarge as error:
                self._metrics.loop_errors.labels("publisher").inc()
                logger.error("publication_too_large", publication=number, topic=message.topic, why=str(error))
