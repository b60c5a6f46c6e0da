"""Tells the operators when the configuration file cannot be taken, and when it was mended."""

from __future__ import annotations

from collections.abc import Callable

from alerter.desk.context import Context
from alerter.metrics import AlerterMetrics
from alerter.notify.operators import tell_of_config
from alerter.store.database import Database
from alerter.store.loops import PeriodicLoop
from services.config.current import CurrentConfig


class ConfigNews(PeriodicLoop):
    """Compares what this process sees with what was told. What it saw before is kept in memory, so that a calm installation
    writes nothing."""

    name = "config-news"
    every_seconds = 2.0

    def __init__(
        self,
        database: Database,
        current: CurrentConfig,
        context: Callable[[], Context],
        told: Callable[[], None],
        metrics: AlerterMetrics,
    ) -> None:
        """`told` is called when there is something to deliver."""
        super().__init__(metrics)
        self._database = database
        self._current = current
        self._context = context
        self._told = told
        self._seen: str | None = None

    async def turn(self) -> None:
        refused, version, context = self._current.refused, self._current.version, self._context()
        state = "" if refused is None else refused.version
        if state == self._seen:
            return
        news = None if refused is None else (refused.version, refused.mistakes)
        operators, now, wall = context.config.operators, context.now, context.wall
        if await self._database.write(lambda c: tell_of_config(c, operators, version, news, now, wall)):
            self._told()
        self._seen = state
