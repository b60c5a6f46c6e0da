"""Notes what the schedules say whenever another configuration is taken, so that nobody is put on call by an edit alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from alerter.desk.context import Context
from alerter.metrics import AlerterMetrics
from alerter.oncall import histories
from alerter.store.database import Database
from alerter.store.loops import PeriodicLoop
from services.config.rota import Schedule

logger = structlog.get_logger()


class RotaHistory(PeriodicLoop):
    """Compares the schedules in force with those noted last. Between a reload and the next turn, every reader works the
    edit out for itself (`Roster`), with the same result for who is on call at that time."""

    name = "rota-history"
    every_seconds = 2.0

    def __init__(self, database: Database, context: Callable[[], Context], metrics: AlerterMetrics) -> None:
        super().__init__(metrics)
        self._database = database
        self._context = context
        self._noted: Sequence[Schedule] | None = None

    async def turn(self) -> None:
        context = self._context()
        schedules = context.config.schedules
        if schedules is self._noted:
            return
        changed = await self._database.write(lambda c: histories.take(c, schedules, context.now))
        self._noted = schedules
        if changed:
            logger.info("schedules_changed", schedules=changed)
