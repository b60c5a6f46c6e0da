"""Takes what was declared at run time by another replica, or by a person at this one, within seconds."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from alerter.desk.context import Context
from alerter.escalation import untold
from alerter.metrics import AlerterMetrics
from alerter.oncall.declared_config import DeclaredConfig
from alerter.store.database import Database
from alerter.store.loops import PeriodicLoop

logger = structlog.get_logger()


class DeclarationNews(PeriodicLoop):
    """Asks the database for the number of the newest change, and reads what was declared when it is another one."""

    name = "declarations"
    every_seconds = 2.0

    def __init__(
        self,
        database: Database,
        declared: DeclaredConfig,
        context: Callable[[], Context],
        taken: Callable[[], None],
        metrics: AlerterMetrics,
    ) -> None:
        """`taken` is called when another configuration is in force."""
        super().__init__(metrics)
        self._database = database
        self._declared = declared
        self._context = context
        self._taken = taken

    async def turn(self) -> None:
        if await self._declared.look(self._database):
            logger.info("declarations_taken", revision=self._declared.held.revision)
            await self._database.write(lambda c: untold.look_now(c, self._context().now))
            self._taken()
