"""Periodic loops: work that is repeated for as long as the alerter runs."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import ClassVar

import structlog

from alerter.metrics import AlerterMetrics
from alerter.store.database import DatabaseAway
from services.base.clock import set_within

logger = structlog.get_logger()


class PeriodicLoop(ABC):
    """Repeats its turn until it is stopped. If the database is away, that is counted, and the next turn tries again."""

    name: ClassVar[str]
    every_seconds: ClassVar[float]
    """Real seconds between the end of a turn and the next."""

    def __init__(self, metrics: AlerterMetrics) -> None:
        self._metrics = metrics
        self._stop = asyncio.Event()

    @abstractmethod
    async def turn(self) -> None:
        """Do the work once. Raises `DatabaseAway`."""

    def stop(self) -> None:
        self._stop.set()

    async def run(self) -> None:
        while not self._stop.is_set():
            try:
                await self.turn()
            except DatabaseAway as error:
                self._metrics.loop_errors.labels(self.name).inc()
                logger.warning("tries_again", loop=self.name, why=str(error))
            await set_within(self._stop, self.every_seconds)
