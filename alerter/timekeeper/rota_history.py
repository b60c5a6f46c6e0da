"""Notes what the schedules say whenever another configuration is taken, so that nobody is put on call by an edit alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import Connection

from alerter.desk.context import Context
from alerter.metrics import AlerterMetrics
from alerter.oncall import declarations, histories
from alerter.oncall.declared_config import DeclaredConfig
from alerter.store.database import Database
from alerter.store.loops import PeriodicLoop
from services.config.rota import Schedule

logger = structlog.get_logger()

AGAIN_AFTER: Final = timedelta(hours=1)
"""How often they are noted although they did not change here: a replica with an older file may have come and gone. Seldom,
because two that stay would write in turns."""


class RotaHistory(PeriodicLoop):
    """Compares the schedules in force with those noted last. Between a reload and the next turn, every reader works the
    edit out for itself (`Roster`), with the same result for who is on call at that time."""

    name = "rota-history"
    every_seconds = 2.0

    def __init__(
        self, database: Database, context: Callable[[], Context], declared: DeclaredConfig, metrics: AlerterMetrics
    ) -> None:
        super().__init__(metrics)
        self._database = database
        self._context = context
        self._declared = declared
        self._noted: Sequence[Schedule] | None = None
        self._noted_at: datetime | None = None

    async def turn(self) -> None:
        context = self._context()
        schedules = context.config.schedules
        lately = self._noted_at is not None and abs(context.now - self._noted_at) < AGAIN_AFTER
        if schedules is self._noted and lately:
            return
        seen = self._declared.held.revision

        def note(connection: Connection) -> list[str] | None:
            # What this replica has not read yet would be taken back here, and then noted again.
            if declarations.revision(connection) != seen:
                return None
            return histories.take(connection, schedules, context.now)

        changed = await self._database.write(note)
        if changed is None:
            return
        self._noted, self._noted_at = schedules, context.now
        if changed:
            logger.info("schedules_changed", schedules=changed)
