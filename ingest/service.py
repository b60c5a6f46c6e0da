"""Ingest as a service: its wiring and its health.

It is ready if the log answers and no append is overdue. It is live unless an append is stuck while the log answers other
questions; a log that cannot be reached is no reason to be restarted. When it stops, it refuses new requests and serves those
inside until the deadline.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import structlog

from ingest.admission import Admission, LagWatch
from ingest.api import PostsEndpoint, direct_route, posts_routes
from ingest.auth import ApiKeys
from ingest.authors import author_routes
from ingest.brands import BrandBook
from ingest.coverage import coverage_routes
from ingest.metrics import IngestMetrics
from ingest.normalize import Normalizer
from ingest.parsing import Parser
from ingest.publisher import Publisher
from ingest.sources.intake import Intake
from ingest.sources.metrics import SourceMetrics
from ingest.sources.receiving import Receivers, receiver_routes
from ingest.sources.runner import SourceRunner
from services.base.tasks import Health, Tasks
from services.config.model import Config
from services.runtime.lifecycle import ServiceContext

logger = structlog.get_logger()

STUCK_SECONDS: Final = 60.0
"""An append that has had no answer for so long will have none, if the log answers other questions."""


class IngestService:
    """Ingest of one process (protocol `services.runtime.lifecycle.Service`)."""

    name = "ingest"

    def __init__(self, endpoint: PostsEndpoint, watch: LagWatch, sources: SourceRunner, receivers: Receivers) -> None:
        self._endpoint = endpoint
        self._watch = watch
        self._sources = sources
        self._receivers = receivers
        self._stop = asyncio.Event()

    async def start(self, tasks: Tasks) -> None:
        await self._watch.poll()
        tasks.spawn("ingest-lag", lambda: self._watch.run(self._stop), ends=self._stop.is_set)
        await self._sources.start(tasks)
        logger.info("ingest_started", keys=list(self._endpoint.keys.names), trouble=self._watch.trouble)

    def ready(self) -> Health:
        overdue = self._endpoint.publisher.overdue_seconds
        trouble = "stopping" if self._stop.is_set() else self._watch.trouble
        if trouble is None and overdue:
            trouble = f"an append has had no answer for {overdue:.0f} s"
        detail: dict[str, Any] = {"scorer_lag": self._watch.lag, **({"why": trouble} if trouble else {})}
        phases = self._sources.phases
        return Health(trouble is None, detail | ({"sources": phases} if phases else {}))

    def live(self) -> Health:
        overdue = self._endpoint.publisher.overdue_seconds
        stuck = overdue > STUCK_SECONDS and self._watch.trouble is None
        if stuck:
            return Health(False, {"why": f"an append is stuck for {overdue:.0f} s"})
        return self._sources.live()

    async def idle(self) -> bool:
        return self._endpoint.admission.is_empty and not self._endpoint.publisher.overdue_seconds

    def mount(self, app: Any) -> None:
        app.router.routes.insert(0, direct_route(self._endpoint))
        app.include_router(posts_routes(self._endpoint))
        app.include_router(coverage_routes(self._endpoint))
        app.include_router(author_routes(self._endpoint))
        app.include_router(receiver_routes(self._receivers))

    async def stop(self, deadline: float) -> None:
        """Stop. May be called again. Requests that are still inside at the deadline end with the process."""
        self._stop.set()
        self._endpoint.admission.close()
        left = max(0.0, deadline - asyncio.get_running_loop().time())
        try:
            await asyncio.wait_for(self._endpoint.admission.drain(), left)
        except TimeoutError:
            logger.warning("ingest_stopped_with_requests_in_hand")
        await self._receivers.close()
        await self._sources.stop(deadline)
        await self._endpoint.publisher.close(deadline)


def build(context: ServiceContext) -> IngestService:
    """The ingest service of one process. Raises `ConfigError` if an API key cannot be used."""
    settings, current = context.settings, context.current
    metrics = IngestMetrics(context.registry, current.config.networks)
    current.after.append(lambda _: metrics.expect(current.config.networks))
    watch = LagWatch(context.log, metrics)
    normalizer = current.derive(lambda config: _normalizer(config, settings.max_text_chars))
    publisher = Publisher(context.log, metrics, settings.append_timeout_seconds)
    parser = Parser(settings.max_batch_posts)
    admission = Admission(settings, watch, metrics)
    endpoint = PostsEndpoint(
        settings=settings,
        clock=context.clock,
        keys=ApiKeys(settings.api_keys),
        admission=admission,
        parser=parser,
        normalizer=normalizer,
        publisher=publisher,
        metrics=metrics,
    )
    heard = SourceMetrics(context.registry)
    intake = Intake(parser, normalizer, publisher, context.clock, settings.max_batch_posts)
    sources = SourceRunner(settings, current, context.log, context.clock, intake, heard, context.metrics)
    receivers = Receivers(sources, intake, publisher, admission, settings, context.clock, heard)
    return IngestService(endpoint, watch, sources, receivers)


def _normalizer(config: Config, max_text_chars: int) -> Normalizer:
    policies = {source.network: config.source_policy(source.network) for source in config.sources}
    return Normalizer(BrandBook(config.brands), policies, max_text_chars)
