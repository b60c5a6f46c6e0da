"""The second stage: negative posts of a brand in, surges out; restart and redo say the same; a catch-up is no storm."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from prometheus_client import CollectorRegistry

from scorer.metrics import ScorerMetrics
from scorer.surge_processor import SurgeProcessor
from services.base.clock import ManualClock
from services.base.metrics import FloorMetrics
from services.config.model import Brand
from services.contracts.base import BrandId, ConversationId, Event, StoryId, event_id
from services.contracts.codec import decode, encode
from services.contracts.post import PostKind
from services.contracts.signal import (
    BrandSurge,
    BrandVolume,
    PostCard,
    PostNegative,
    PostRedacted,
    Relevance,
    Sentiment,
    SurgePhase,
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
        self.processor = SurgeProcessor(0, self.letters, self.metrics, self.brands)
        self.processor.restore(self.state)

    def commit(self, outcome: StepResult) -> list[Event]:
        for key, value in outcome.changes.items():
            assert value is not None
            self.state[key] = value
        return [decode(message.value).event for message in outcome.appends]

    async def take(self, *events: Event) -> list[BrandSurge]:
        records = []
        for event in events:
            self.offset += 1
            value = encode(event, event_id("test", self.offset))
            records.append(Record(SIGNALS.name, 0, self.offset, ACME, value, 0))
        said = self.commit(await self.processor.process(records, self.clock.now()))
        return [event for event in said if isinstance(event, BrandSurge)]

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
                negative=0.5 + number / 1000,
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


async def test_an_outage_is_told_once_with_what_sets_it_apart() -> None:
    lane = Lane()
    said = await lane.storm(200)
    assert [surge.phase for surge in said] == [SurgePhase.START]
    (surge,) = said
    assert surge.factor > 3
    assert surge.observed <= 60, "told by then"
    assert "declined" in surge.terms
    assert len(surge.exemplars) == 5
    assert surge.exemplars[0].negative == max(card.negative or 0 for card in surge.exemplars)
    assert surge.networks == {"x": surge.observed}
    assert surge.languages == {"en": surge.observed}
    assert "negative posts in" in surge.reason


async def test_silence_ends_it_by_timer() -> None:
    lane = Lane()
    await lane.storm(200)
    said = await lane.wait(2 * 3600)
    assert [surge.phase for surge in said] == [SurgePhase.GROWING, SurgePhase.END], "it had grown sevenfold meanwhile"
    assert said[-1].begins < said[-1].at
    assert lane.processor.due() is None


@pytest.mark.parametrize(("surges", "told"), [("balanced", []), ("more", [SurgePhase.START])])
async def test_a_brand_that_wants_more_is_told_of_smaller_surges(
    surges: Literal["balanced", "more"], told: list[SurgePhase]
) -> None:
    lane = Lane(surges)
    for number in range(3 * 24 * 6):
        lane.clock.advance(600)
        await lane.take(lane.complaint(number))
    assert [surge.phase for surge in await lane.storm(14)] + [s.phase for s in await lane.wait(300)] == told


async def test_a_catch_up_is_no_storm() -> None:
    assert await Lane().storm(300, backfill=True) == []


async def test_a_storm_told_late_is_told_as_what_it_is() -> None:
    lane = Lane()
    await lane.take(lane.complaint(0))
    lane.clock.advance(3 * 3600)
    known = [lane.complaint(number) for number in range(1, 60)]
    then = lane.clock.now() - timedelta(hours=2)
    late = [
        one.model_copy(update={"post": one.post.model_copy(update={"at": then + timedelta(seconds=5 * number)})})
        for number, one in enumerate(known)
    ]
    (surge,) = await lane.take(*late)
    assert surge.phase is SurgePhase.START
    assert surge.begins <= then
    assert surge.window_seconds <= 1800
    assert "late" in surge.reason
    assert [end.phase for end in await lane.wait(3600)] == [SurgePhase.END]


async def test_a_restart_changes_nothing() -> None:
    one, other = Lane(), Lane()
    told = [await one.storm(100), await one.wait(3600)]
    again = []
    for number in range(100):
        other.clock.advance(2)
        again += await other.take(other.complaint(number))
        other.restart()
    assert [told[0], told[1]] == [again, await other.wait(3600)]


async def test_the_share_comes_from_the_volumes() -> None:
    lane = Lane()
    await lane.take(lane.complaint(1))
    minute = BEGIN - timedelta(minutes=1)
    await lane.take(
        BrandVolume(brand=ACME, minute=minute, lane=0, posts=50, scored=40, negative=10, abstained=10),
        BrandVolume(brand=ACME, minute=minute, lane=1, posts=50, scored=40, negative=30, abstained=10),
    )
    (surge,) = await lane.storm(100)
    assert surge.share == 0.5


async def test_deletion_takes_the_words_out_of_the_exemplars() -> None:
    lane = Lane()
    await lane.storm(5)
    await lane.take(
        PostRedacted(
            brand=ACME, story=StoryId("x:4"), conversation=ConversationId("x:4"), network="x", post_id="4", at=BEGIN
        )
    )
    assert all(b"till 4" not in entry for entry in lane.state.values())
