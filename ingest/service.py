"""Ingest as a service: straight-line wiring from the context to the route, and an honest word about its health.

Ready: the log answers and owes no append. Live: unless an append is stuck although the log answers otherwise; a log that
is away is no reason to be restarted. Stop: nobody comes in, those inside are served by the deadline.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import structlog

from ingest.admission import Admission, LagWatch
from ingest.api import PostsDesk, posts_routes
from ingest.auth import ApiKeys
from ingest.brands import BrandBook
from ingest.metrics import IngestMetrics
from ingest.normalize import Normalizer
from ingest.parsing import Parser
from ingest.publisher import Publisher
from services.base.tasks import Health, Tasks
from services.runtime.lifecycle import ServiceContext

logger = structlog.get_logger()

STUCK_SECONDS: Final = 60.0
"""An append that has had no answer for so long, from a log that answers, will have none."""


class IngestService:
    name = "ingest"

    def __init__(self, desk: PostsDesk, watch: LagWatch) -> None:
        self._desk = desk
        self._watch = watch
        self._stop = asyncio.Event()

    async def start(self, tasks: Tasks) -> None:
        await self._watch.poll()
        tasks.spawn("ingest-lag", lambda: self._watch.run(self._stop), ends=self._stop.is_set)
        logger.info("ingest_started", keys=list(self._desk.keys.names), trouble=self._watch.trouble)

    def ready(self) -> Health:
        overdue = self._desk.publisher.overdue_seconds
        trouble = "stopping" if self._stop.is_set() else self._watch.trouble
        if trouble is None and overdue:
            trouble = f"an append has had no answer for {overdue:.0f} s"
        return Health(trouble is None, {"scorer_lag": self._watch.lag, **({"why": trouble} if trouble else {})})

    def live(self) -> Health:
        overdue = self._desk.publisher.overdue_seconds
        stuck = overdue > STUCK_SECONDS and self._watch.trouble is None
        return Health(not stuck, {"why": f"an append is stuck for {overdue:.0f} s"} if stuck else {})

    async def idle(self) -> bool:
        return self._desk.admission.is_empty and not self._desk.publisher.overdue_seconds

    def mount(self, app: Any) -> None:
        app.include_router(posts_routes(self._desk))

    async def stop(self, deadline: float) -> None:
        """Idempotent. What is still inside at the deadline is left to the process to end."""
        self._stop.set()
        self._desk.admission.close()
        left = max(0.0, deadline - asyncio.get_running_loop().time())
        try:
            await asyncio.wait_for(self._desk.admission.drain(), left)
        except TimeoutError:
            logger.warning("ingest_stopped_with_requests_in_hand")
        await self._desk.publisher.close(deadline)


def build(context: ServiceContext) -> IngestService:
    """Wire it. Raises `ConfigError` for keys that cannot be used."""
    settings, config = context.settings, context.config
    policies = {source.network: config.source_policy(source.network) for source in config.sources}
    metrics = IngestMetrics(context.registry, config.networks)
    watch = LagWatch(context.log, metrics)
    desk = PostsDesk(
        settings=settings,
        clock=context.clock,
        keys=ApiKeys(settings.api_keys),
        admission=Admission(settings, watch, metrics),
        parser=Parser(settings.max_batch_posts),
        normalizer=Normalizer(BrandBook(config.brands), policies, settings.max_text_chars),
        publisher=Publisher(context.log, metrics, settings.append_timeout_seconds),
        metrics=metrics,
    )
    return IngestService(desk, watch)
