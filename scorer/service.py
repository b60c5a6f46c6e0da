"""Wires the scorer: one sentiment model on one thread, one forecaster, and two stages with a lane for each partition: the
cascades, which read `firebreak.posts`, and the surges, which read `firebreak.signals`."""

from __future__ import annotations

from typing import Any, Final

import structlog

from scorer.metrics import ScorerMetrics
from scorer.pipeline import CascadeProcessor
from scorer.sentiment.batcher import Batcher, BatcherMetrics
from scorer.sentiment.choose import choose
from scorer.sentiment.metrics import ModelMetrics
from scorer.sentiment.model import SentimentModel
from scorer.sentiment.text import spell
from scorer.surge_processor import SurgeProcessor
from scorer.virality.forecast import Forecaster
from scorer.virality.learned import shipped
from scorer.watched import Watched
from services.base.tasks import Health, Tasks
from services.contracts.topics import BASELINES, CASCADES, POSTS, SIGNALS
from services.eventlog.base import Group
from services.runtime.lifecycle import ServiceContext
from services.stream.deadletter import DeadLetters
from services.stream.runner import Runner, Stage

logger = structlog.get_logger()

GROUP: Final = "firebreak-scorer"
"""Ingest refuses posts when this group is too far behind."""
SURGE_GROUP: Final = "firebreak-surge"


def build(context: ServiceContext) -> Scorer:
    """The scorer of one process, with the model that the settings name. Raises `ConfigError` if that cannot be loaded."""
    counted = ModelMetrics(context.registry)
    model = choose(context.settings.sentiment, counted.truncated.inc)
    return Scorer(context, model, shipped())


class Scorer:
    """The scorer as a service (protocol `services.runtime.lifecycle.Service`)."""

    name = "scorer"

    def __init__(self, context: ServiceContext, model: SentimentModel, forecaster: Forecaster) -> None:
        settings = context.settings
        self._model = model
        self._forecaster = forecaster
        current = context.current
        self._metrics = ScorerMetrics(context.registry, current.config.networks)
        current.after.append(lambda _: self._metrics.expect(current.config.networks))
        self._metrics.degraded.set(model.degraded)
        self._batcher = Batcher(model, BatcherMetrics(context.registry), spell=spell)
        self._watched = current.derive(Watched.of)
        self._horizon = settings.horizon_hours * 3600
        self._expire = settings.expire_hours * 3600
        group = Group(GROUP, POSTS.name, CASCADES.name, settings.instance)
        self._runner = Runner(
            Stage("cascades", group, self._lane, settings.batch_records),
            context.log,
            context.clock,
            context.metrics,
            settings.dead_letters_per_minute,
        )
        self._surges = Runner(
            Stage(
                "surges",
                Group(SURGE_GROUP, SIGNALS.name, BASELINES.name, settings.instance),
                lambda partition, letters: SurgeProcessor(partition, letters, self._metrics, self._watching),
                settings.batch_records,
            ),
            context.log,
            context.clock,
            context.metrics,
            settings.dead_letters_per_minute,
        )

    def _watching(self) -> Watched:
        return self._watched.now

    def _lane(self, partition: int, letters: DeadLetters) -> CascadeProcessor:
        return CascadeProcessor(
            partition,
            letters,
            score=self._batcher.score,
            model=self._model.name,
            forecaster=self._forecaster,
            watching=self._watching,
            horizon_seconds=self._horizon,
            expire_seconds=self._expire,
            metrics=self._metrics,
        )

    async def start(self, tasks: Tasks) -> None:
        logger.info(
            "model", sentiment=self._model.name, degraded=self._model.degraded, forecaster=self._forecaster.name
        )
        tasks.spawn("inference", self._batcher.run)
        await self._runner.start(tasks)
        await self._surges.start(tasks)

    def ready(self) -> Health:
        ok, detail = self._runner.ready()
        surges_ok, surges = self._surges.ready()
        return Health(
            ok and surges_ok,
            {
                **detail,
                "surges": surges,
                "model": self._model.name,
                "degraded": self._model.degraded,
                "forecaster": self._forecaster.name,
            },
        )

    def live(self) -> Health:
        ok, detail = self._runner.live()
        surges_ok, surges = self._surges.live()
        return Health(ok and surges_ok, {**detail, "surges": surges})

    async def idle(self) -> bool:
        # In the order of the flow: signals of the first stage would wake the second.
        return await self._runner.idle() and await self._surges.idle()

    def mount(self, app: Any) -> None:
        """The scorer has no routes of its own."""

    async def stop(self, deadline: float) -> None:
        # Lanes first: they wait for readings of the batch in hand.
        await self._runner.stop(deadline)
        await self._surges.stop(deadline)
        await self._batcher.stop(deadline)
