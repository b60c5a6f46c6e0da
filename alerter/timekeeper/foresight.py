"""Says in the log which steps of which policies reach nobody in the coming week, and which names do not exist: at the start,
and whenever another configuration is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from alerter.desk.context import Context
from alerter.escalation import dry_run
from alerter.metrics import AlerterMetrics
from alerter.oncall import declared_config
from alerter.oncall.declared_config import DeclaredConfig
from alerter.store.database import Database, DatabaseAway
from alerter.store.loops import PeriodicLoop
from services.config.model import Config

logger = structlog.get_logger()


class Foresight(PeriodicLoop):
    """Plays the policies of each configuration once. On a thread: a large one takes a second."""

    name = "foresight"
    every_seconds = 2.0

    def __init__(
        self, database: Database, declared: DeclaredConfig, context: Callable[[], Context], metrics: AlerterMetrics
    ) -> None:
        super().__init__(metrics)
        self._database = database
        self._declared = declared
        self._context = context
        self._played: Config | None = None

    async def turn(self) -> None:
        at, before = self._context(), self._played
        if at.config is before:
            return
        self._played = at.config
        try:
            known = await self._database.read(lambda c: dry_run.read(c, at.now, at.config))
        except DatabaseAway:
            self._played = before
            raise
        for words in declared_config.findings(self._declared.whole):
            logger.warning("configuration_is_not_whole", why=words)
        for finding in await asyncio.to_thread(dry_run.findings, at.config, known, at.now):
            logger.warning(
                "nobody_would_be_told" if finding.is_wrong else "policy_name_leads_nowhere", why=finding.words
            )
