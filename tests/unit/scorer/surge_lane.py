"""One lane of the second stage on a manual clock, for the tests of surges."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from prometheus_client import CollectorRegistry

from scorer.metrics import ScorerMetrics
from scorer.surge_processor import SurgeProcessor
from scorer.watched import Watched
from services.base.clock import ManualClock
from services.base.metrics import FloorMetrics
from services.config.model import Brand
from services.contracts.base import BrandId, ConversationId, Event, StoryId, event_id
from services.contracts.codec import decode, encode
from services.contracts.post import PostKind
from services.contracts.signal import (
    BrandSurge,
    PostCard,
    PostNegative,
    Relevance,
    Sentiment,
)
from services.contracts.topics import SIGNALS
from services.eventlog.base import Record
from services.stream.deadletter import DeadLetters
from services.stream.processor import StepResult

BEGIN = datetime(2026, 3, 2, 18, 0, tzinfo=UTC)
ACME = BrandId("acme")


class Lane:
    def __init__(self, surges: Literal["balanced", "more"] = "balanced") -> None:
        self.brands: dict[str, Brand] = {ACME: Brand(id=ACME, name="Acme", surges=surges)}
        registry = CollectorRegistry()
        self.clock = ManualClock(BEGIN)
        self.metrics = ScorerMetrics(registry)
        self.letters = DeadLetters("surges", 1000, self.clock, FloorMetrics(registry).dead_letters)
        self.state: dict[str, bytes] = {}
        self.offset = 0
        self.restart()

    def restart(self) -> None:
        self.processor = SurgeProcessor(0, self.letters, self.metrics, lambda: Watched(self.brands))
        self.processor.restore(self.state)

    def commit(self, outcome: StepResult) -> list[Event]:
        for key, value in outcome.changes.items():
            assert value is not None
            self.state[key] = value
        return [decode(message.value).event for message in outcome.appends]

    async def take(self, *events: Event) -> list[BrandSurge]:
        return [event for event in await self.hear(*events) if isinstance(event, BrandSurge)]

    async def hear(self, *events: Event) -> list[Event]:
        records = []
        for event in events:
            self.offset += 1
            value = encode(event, event_id("test", self.offset))
            records.append(Record(SIGNALS.name, 0, self.offset, ACME, value, 0))
        return self.commit(await self.processor.process(records, self.clock.now()))

    async def wait(self, seconds: float) -> list[BrandSurge]:
        said: list[Event] = []
        for _ in range(int(seconds // 60)):
            self.clock.advance(60)
            due = self.processor.due()
            if due is not None and due <= self.clock.now():
                said += self.commit(await self.processor.fire(self.clock.now()))
        return [event for event in said if isinstance(event, BrandSurge)]

    def complaint(self, number: int, *, backfill: bool = False) -> PostNegative:
        return PostNegative(
            brand=ACME,
            story=StoryId(f"x:{number}"),
            conversation=ConversationId(f"x:{number}"),
            post=PostCard(
                network="x",
                post_id=str(number),
                kind=PostKind.ORIGINAL,
                text=f"card declined {number}a {number}b {number}c {number}d {number}e till",
                language="en",
                at=self.clock.now(),
                negative=min(1.0, 0.5 + number / 1000),
            ),
            sentiment=Sentiment(negative=0.9, neutral=0.1, positive=0.0),
            relevance=Relevance(score=1.0, reason="named"),
            backfill=backfill,
            model="test",
        )

    async def storm(self, posts: int, *, backfill: bool = False) -> list[BrandSurge]:
        said = []
        for number in range(posts):
            self.clock.advance(2)
            said += await self.take(self.complaint(number, backfill=backfill))
        return said
