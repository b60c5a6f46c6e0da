"""The heart: what a lane concludes from posts, batch by batch, and that a batch done again says the same."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from prometheus_client import CollectorRegistry

from scorer.metrics import ScorerMetrics
from scorer.pipeline import CascadeProcessor
from scorer.seen import MOST_IDS
from scorer.sentiment.lexicon import Lexicon
from scorer.sentiment.model import Reading
from scorer.virality.forecast import ClosedForm
from scorer.watched import Watched
from services.base.clock import ManualClock
from services.base.metrics import FloorMetrics
from services.config.model import Brand
from services.contracts.base import BrandId, ConversationId, Event, event_id
from services.contracts.codec import decode, encode
from services.contracts.names import NameFinder, mentions_of
from services.contracts.post import (
    Author,
    Counters,
    CoverageState,
    PostKind,
    PostObserved,
    PostRef,
    SourceCoverage,
    StoryLinked,
)
from services.contracts.signal import (
    BrandVolume,
    CascadeForecast,
    Level,
    Line,
    PostAnswered,
    PostAsked,
    PostNegative,
    PostRedacted,
    WatchRequested,
)
from services.contracts.topics import DEADLETTER, POSTS, SIGNALS
from services.eventlog.base import Record
from services.stream.deadletter import DeadLetters
from services.stream.processor import StepResult

BEGIN = datetime(2026, 3, 2, 18, 0, tzinfo=UTC)
ACME = BrandId("acme")
FINDER = NameFinder([Brand(id=name, name=name) for name in ("acme", "blue")])
E = TypeVar("E", bound=Event)


class Lane:
    """A processor with its committed state; `restart` builds a new one from it, as after a crash."""

    def __init__(self, line: int = 50) -> None:
        self.clock = ManualClock(BEGIN)
        self.registry = CollectorRegistry()
        self.floor = FloorMetrics(self.registry)
        self.metrics = ScorerMetrics(self.registry)
        self.brands = {name: Brand(id=name, name=name, line=Line(engagements=line)) for name in ("acme", "blue")}
        self.committed: dict[str, bytes] = {}
        self.offset = 0
        self.texts: list[str] = []
        self.restart()

    def restart(self) -> None:
        letters = DeadLetters("cascades", 100, self.clock, self.floor.dead_letters)
        self.processor = CascadeProcessor(
            0, letters, score=self.score, model="lexicon-1", forecaster=ClosedForm(),
            watching=lambda: Watched(self.brands),
            horizon_seconds=72 * 3600, expire_seconds=96 * 3600, metrics=self.metrics,
        )  # fmt: skip
        self.processor.restore(self.committed)

    async def score(self, texts: Sequence[str], languages: Sequence[str | None]) -> list[Reading]:
        self.texts += texts
        return Lexicon().read(texts, languages)

    def record(self, event: Event, id_: str | None = None) -> Record:
        key = getattr(event, "conversation", "k")
        id_ = id_ or event_id(
            *(getattr(event, name, "") for name in ("network", "post_id", "kind", "conversation", "story"))
        )
        self.offset += 1
        return Record(POSTS.name, 0, self.offset, key, encode(event, event_id(id_)), 0)

    async def take(self, *events: Event | Record) -> list[Event]:
        records = [event if isinstance(event, Record) else self.record(event) for event in events]
        return self.commit(await self.processor.process(records, self.clock.now()))

    async def fire(self) -> list[Event]:
        return self.commit(await self.processor.fire(self.clock.now()))

    def commit(self, outcome: StepResult) -> list[Event]:
        for key, value in outcome.changes.items():
            if value is None:
                self.committed.pop(key, None)
            else:
                self.committed[key] = value
        self.letters = [message for message in outcome.appends if message.topic == DEADLETTER.name]
        self.keys = [(message.topic, message.key) for message in outcome.appends]
        return [decode(message.value).event for message in outcome.appends if message.topic != DEADLETTER.name]


def post(post_id: str, kind: PostKind = PostKind.ORIGINAL, root: str | None = None, **more: Any) -> PostObserved:
    conversation = ConversationId(f"x:{root or post_id}")
    fields: dict[str, Any] = {
        "network": "x",
        "post_id": post_id,
        "kind": kind,
        "conversation": conversation,
        "home": conversation,
        "author": Author(id=f"a-{post_id}", handle=f"h-{post_id}", followers=100),
        "platform_at": BEGIN,
        "observed_at": BEGIN,
        "mentions": mentions_of(FINDER.find("x", more.get("text") or "")),
    }
    return PostObserved(**{**fields, **more})


def complaint(post_id: str = "1", **more: Any) -> PostObserved:
    return post(post_id, text="Acme lost my bag and nobody answers, terrible", brands=(ACME,), **more)


def reposts(count: int, root: str = "1", start: int = 0, **more: Any) -> list[PostObserved]:
    return [post(f"r{root}-{n}", PostKind.REPOST, root, parent_id=root, **more) for n in range(start, start + count)]


def only(events: Sequence[Event], kind: type[E]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]


async def test_a_complaint_becomes_a_negative_signal_with_everything_to_answer_it() -> None:
    lane = Lane()
    said = await lane.take(complaint(permalink="https://x.com/1", reply_link="https://x.com/1/reply", language="en"))
    (negative,) = only(said, PostNegative)
    assert (negative.brand, negative.story, negative.model) == ("acme", "x:1", "lexicon-1")
    assert (negative.post.permalink, negative.post.reply_link) == ("https://x.com/1", "https://x.com/1/reply")
    assert negative.relevance.score == 1.0
    assert lane.keys[0] == (SIGNALS.name, "acme")


async def test_a_post_about_two_brands_makes_two_signals() -> None:
    said = await Lane().take(post("1", text="Acme and Blue are both terrible", brands=("acme", "blue")))
    assert [negative.brand for negative in only(said, PostNegative)] == ["acme", "blue"]


async def test_a_post_is_negative_about_the_brand_it_means() -> None:
    lane = Lane()
    said = await lane.take(post("1", text="Acme is terrible, so I fly with Blue instead", brands=("acme", "blue")))
    assert [negative.brand for negative in only(said, PostNegative)] == ["acme"]


async def test_a_brand_may_ask_for_surer_negatives() -> None:
    lane = Lane()
    lane.brands["acme"] = lane.brands["acme"].model_copy(update={"negative_from": 0.99})
    lane.restart()
    assert only(await lane.take(complaint()), PostNegative) == []


async def test_a_brand_that_is_no_longer_configured_hears_nothing_and_stops_nobody() -> None:
    lane = Lane()
    await lane.take(post("1", text="Acme and Blue say hello", brands=("acme", "blue")))
    del lane.brands["blue"]
    lane.restart()
    said = await lane.take(post("2", PostKind.REPLY, "1", text="shameful, awful", parent_id="1"))
    assert [negative.brand for negative in only(said, PostNegative)] == ["acme"]


async def test_replies_inherit_the_brand_and_make_the_mood() -> None:
    lane = Lane()
    await lane.take(post("1", text="Acme says hello", brands=(ACME,)))
    said = await lane.take(
        post("2", PostKind.REPLY, "1", text="shameful, awful", parent_id="1"),
        post("3", PostKind.REPLY, "1", text="lovely, thanks", parent_id="1"),
    )
    (negative,) = only(said, PostNegative)
    assert negative.relevance.reason == "in the brand's conversation"
    cascade = lane.processor._state.cascades.get("x:1")
    assert cascade is not None
    assert (cascade.scored, cascade.negative) == (2, 1)


async def test_texts_that_concern_no_brand_are_not_read() -> None:
    lane = Lane()
    assert await lane.take(post("1", text="terrible weather"), post("2", PostKind.REPLY, "1", text="awful")) == []
    assert lane.texts == []


async def test_a_quote_counts_in_the_quoted_story_and_carries_it_on() -> None:
    lane = Lane()
    await lane.take(complaint())
    home = ConversationId("x:9")
    copy = post("9", PostKind.QUOTE, "1", home=home, parent_id="1", text="look at this, shameful")
    own = post(
        "9",
        PostKind.QUOTE,
        home=home,
        text="look at this, shameful",
        quotes=PostRef(post_id="1", conversation=ConversationId("x:1")),
    )
    (linked,) = only(await lane.take(copy), StoryLinked)
    assert (linked.conversation, linked.story, linked.brands) == ("x:9", "x:1", ("acme",))
    assert (POSTS.name, "x:9") in lane.keys
    await lane.take(own, linked)
    (negative,) = only(
        await lane.take(post("10", PostKind.REPLY, "9", text="this is awful", parent_id="9")), PostNegative
    )
    assert (negative.brand, negative.story, negative.conversation) == ("acme", "x:1", "x:9")


async def test_a_quote_that_came_before_its_root_is_linked_when_the_brand_is_known() -> None:
    lane = Lane()
    assert await lane.take(post("9", PostKind.QUOTE, "1", home=ConversationId("x:9"), parent_id="1")) == []
    (linked,) = only(await lane.take(complaint()), StoryLinked)
    assert linked.conversation == "x:9"
    assert only(await lane.take(*reposts(1)), StoryLinked) == [], "once is enough"


async def test_a_question_to_a_brand_is_said_and_one_among_people_is_not() -> None:
    lane = Lane()
    said = await lane.take(post("1", text="When does the Acme desk open?", brands=(ACME,), permalink="https://x.com/1"))
    (asked,) = only(said, PostAsked)
    assert (asked.brand, asked.story, asked.post.permalink) == ("acme", "x:1", "https://x.com/1")
    assert asked.post.followers == 100
    among = post("2", PostKind.REPLY, "1", parent_id="1", text="Do you know?")
    own = post("3", PostKind.REPLY, "1", parent_id="1", text="Which desk, Acme fan?", brands=(ACME,), author_brand=ACME)
    assert only(await lane.take(among, own), PostAsked) == []
    angry = post("4", text="Acme, why is everything terrible?", brands=(ACME,))
    heard = await lane.take(angry)
    assert len(only(heard, PostNegative)) == 1
    assert only(heard, PostAsked) == [], "a complaint waits for its answer already"


async def test_the_brands_own_answer_is_no_engagement_and_stops_the_clock() -> None:
    lane = Lane()
    await lane.take(complaint())
    answer = post(
        "5",
        PostKind.REPLY,
        "1",
        parent_id="1",
        author_brand=ACME,
        text="So sorry, terrible",
        platform_at=BEGIN + timedelta(minutes=7),
    )
    lane.clock.advance(600)
    said = await lane.take(answer)
    (answered,) = only(said, PostAnswered)
    assert (answered.post_id, answered.answer_id, answered.seconds) == ("1", "5", 420.0)
    assert only(said, PostNegative) == [], "a brand does not complain about itself"
    cascade = lane.processor._state.cascades.get("x:1")
    assert cascade is not None
    assert cascade.engagements == 0


async def test_a_pile_on_under_the_brands_own_post_is_forecast() -> None:
    lane = Lane()
    await lane.take(post("1", text="Happy Friday!", author_brand=ACME))
    lane.clock.advance(60)
    replies = [post(f"p{n}", PostKind.REPLY, "1", text="shameful", parent_id="1") for n in range(60)]
    forecasts = only(await lane.take(*replies), CascadeForecast)
    assert forecasts[-1].level is Level.CROSSED
    assert forecasts[-1].mood is not None
    assert forecasts[-1].mood.negative_share == 1.0
    assert forecasts[-1].root is not None
    assert forecasts[-1].root.author_brand == ACME, "known as the brand's own"


async def test_a_story_is_told_as_it_grows_numbered_without_a_gap() -> None:
    lane = Lane(line=100)
    await lane.take(complaint())
    levels, numbers = [], []
    for step in range(12):
        lane.clock.advance(60)
        said = await lane.take(*reposts(12, start=12 * step, platform_at=lane.clock.now()))
        if step == 5:
            lane.restart()
        for forecast in only(said, CascadeForecast):
            levels.append(forecast.level)
            numbers.append(forecast.number)
    assert numbers == list(range(1, len(numbers) + 1))
    assert levels[-1] is Level.CROSSED
    assert levels.index(Level.CROSSED) > 0, "it was told before it crossed"


async def test_the_first_forecast_asks_connectors_to_watch() -> None:
    lane = Lane()
    said = await lane.take(complaint(), *reposts(60))
    (watch,) = only(said, WatchRequested)
    assert (watch.post_id, watch.brands) == ("1", ("acme",))


async def test_silence_eases_a_story_by_timer() -> None:
    lane = Lane()
    await lane.take(complaint(), *reposts(60))
    said: list[Event] = []
    while (due := lane.processor.due()) is not None:
        lane.clock.advance((due - lane.clock.now()).total_seconds())
        lane.restart()
        said += await lane.fire()
    assert [forecast.level for forecast in only(said, CascadeForecast)] == [Level.EASING]


async def test_a_silent_conversation_is_forgotten() -> None:
    lane = Lane()
    await lane.take(complaint())
    assert any(key.startswith("c:") for key in lane.committed)
    lane.clock.advance(97 * 3600)
    await lane.fire()
    assert not any(key.startswith("c:") for key in lane.committed)


async def test_a_duplicate_is_dropped_and_counted() -> None:
    lane = Lane()
    await lane.take(complaint(), *reposts(3), *reposts(3))
    lane.restart()
    assert await lane.take(*reposts(3)) == []
    cascade = lane.processor._state.cascades.get("x:1")
    assert cascade is not None
    assert cascade.engagements == 3
    assert lane.registry.get_sample_value("firebreak_scorer_duplicates_total") == 6


async def test_the_dedup_window_says_how_large_it_is_and_what_it_forgot() -> None:
    lane = Lane()
    await lane.take(complaint(), *reposts(80), *reposts(3, start=64))
    figure = lane.registry.get_sample_value
    assert figure("firebreak_scorer_dedup_window_ids") == MOST_IDS
    assert figure("firebreak_scorer_duplicates_total") == 3
    assert figure("firebreak_scorer_dedup_misses_total") == 81
    assert figure("firebreak_scorer_dedup_forgotten_total") == 0


@pytest.mark.parametrize("size", [199, 1_000, 10_000])
async def test_a_page_that_is_read_again_changes_nothing(size: int) -> None:
    lane = Lane(line=100_000)
    await lane.take(complaint(), *reposts(size))
    before = {key: value for key, value in lane.committed.items() if key[:2] in {"c:", "d:"}}
    for _read in range(2):
        lane.restart()
        assert only(await lane.take(complaint(), *reposts(size)), PostNegative) == []
        after = {key: value for key, value in lane.committed.items() if key[:2] in {"c:", "d:"}}
        assert after == before
    cascade = lane.processor._state.cascades.get("x:1")
    assert cascade is not None
    assert cascade.engagements == size


async def test_the_same_words_from_many_mouths_look_automated() -> None:
    script = "Do not buy from acme they steal your money and never answer, see http://x.example/{}"
    honest = [
        "my parcel from them arrived three weeks late and half of it was broken",
        "same here, the hotline put me on hold for an hour and then hung up",
        "works fine for me to be honest, never had any trouble with their app",
    ]
    lane = Lane(line=1_000)
    texts = [*honest, *(script.format(number) for number in range(12))]
    replies = [
        post(
            f"q{number}",
            PostKind.REPLY,
            "1",
            parent_id="1",
            text=text,
            platform_at=BEGIN + timedelta(seconds=40 * number),
        )
        for number, text in enumerate(texts)
    ]
    lane.clock.advance(3600)
    await lane.take(complaint(), *replies)
    cascade = lane.processor._state.cascades.get("x:1")
    assert cascade is not None
    assert cascade.automated == 11
    assert cascade.humans.events == 4


async def test_what_is_usual_under_an_account_is_learned_from_what_is_over() -> None:
    lane = Lane(line=12)
    kind, angry = (
        "thanks a lot, this helped me, great service",
        "acme is terrible, the worst, I hate this awful service",
    )

    async def conversation(name: str, texts: Sequence[str]) -> list[Event]:
        at = lane.clock.now()
        own = post(name, text="Our new opening hours", author_brand=ACME, account="acme-main", platform_at=at)
        replies = [
            post(
                f"{name}-{number}", PostKind.REPLY, name, parent_id=name, text=text, platform_at=at, account="acme-main"
            )
            for number, text in enumerate(texts)
        ]
        return await lane.take(own, *replies)

    for number in range(40):
        await conversation(f"k{number}", [kind] * 3 + [angry if number % 4 == 0 else kind])
    lane.clock.advance(97 * 3600)
    await lane.fire()
    lane.restart()
    told = only(await conversation("storm", [angry] * 40), CascadeForecast)[-1]
    assert told.mood is not None
    assert told.mood.negative_share == 1.0
    assert told.mood.usual_share == pytest.approx((10 + 20 * 0.3) / (160 + 20), abs=1e-6)
    lane.clock.advance(200 * 3600)
    await lane.fire()
    again = only(await conversation("next", [angry] * 40), CascadeForecast)[-1]
    assert again.mood is not None
    assert again.mood.usual_share == told.mood.usual_share, "a pile-on does not make itself the usual"


async def test_a_catch_up_after_a_gap_is_no_storm() -> None:
    lane = Lane(line=500)
    late = reposts(60, backfill=True, platform_at=None)
    said = await lane.take(complaint(), *late)
    assert only(said, CascadeForecast) == []
    live = Lane(line=500)
    assert only(await live.take(complaint(), *reposts(200)), CascadeForecast)


async def test_a_claimed_time_moves_nothing() -> None:
    lane = Lane()
    claimed = datetime(2001, 1, 1, tzinfo=UTC)
    await lane.take(complaint(platform_at=None, created_at=claimed))
    cascade = lane.processor._state.cascades.get("x:1")
    assert cascade is not None
    assert cascade.begins == BEGIN.timestamp()


async def test_counters_count_where_no_single_engagement_is_told() -> None:
    lane = Lane()
    snapshot = post("1", PostKind.COUNTERS, counters=Counters(reposts=40, quotes=5, replies=15, likes=9000))
    said = await lane.take(complaint(), snapshot)
    assert only(said, CascadeForecast)[-1].evidence.engagements == 60


async def test_a_deletion_is_passed_on_and_forgotten() -> None:
    lane = Lane()
    await lane.take(complaint())
    (redacted,) = only(await lane.take(post("1", PostKind.DELETION)), PostRedacted)
    assert (redacted.post_id, redacted.brand) == ("1", "acme")
    assert not any(b"lost my bag" in value for value in lane.committed.values())


async def test_volume_is_told_by_minute_and_adds_up() -> None:
    lane = Lane()
    await lane.take(complaint("1"), post("2", text="Acme is great, love it", brands=(ACME,)), *reposts(4))
    lane.clock.advance(71)
    (volume,) = only(await lane.fire(), BrandVolume)
    assert (volume.posts, volume.scored, volume.negative, volume.abstained) == (2, 2, 1, 0)
    assert volume.minute == BEGIN


async def test_coverage_reaches_every_brand() -> None:
    gap = SourceCoverage(
        network="x", connector="stream", state=CoverageState.GAP, begins=BEGIN, ends=BEGIN, observed_at=BEGIN
    )
    said = await Lane().take(gap)
    assert said == [gap, gap]


@pytest.mark.parametrize(
    ("value", "reason"),
    [(b"\xff\x00", "garbage"), (None, "empty"), (b'{"type":"a","version":1,"id":"b","data":{}}', "unknown_type")],
)
async def test_what_cannot_be_read_is_set_aside_and_its_neighbours_live(value: bytes | None, reason: str) -> None:
    lane = Lane()
    poison = Record(POSTS.name, 0, 99, "k", value, 0)
    said = await lane.take(complaint(), poison, *reposts(60))
    assert len(lane.letters) == 1
    assert f'"reason": "{reason}"'.encode() in (lane.letters[0].value or b"")
    assert only(said, CascadeForecast)


async def test_a_step_done_again_says_the_same_under_the_same_ids() -> None:
    lane = Lane()
    records = [lane.record(event) for event in (complaint(), *reposts(60))]
    first = await lane.processor.process(records, lane.clock.now())
    lane.restart()
    again = await lane.processor.process(records, lane.clock.now())
    assert first == again


async def test_a_story_teaches_its_lane_what_forecasts_are_worth_when_its_time_is_over() -> None:
    lane = Lane(line=50)
    await lane.take(complaint(), *reposts(20))
    await lane.take(*reposts(60, start=20))
    assert "n:x" not in lane.committed, "that it crossed is remembered; what the others come to is not known yet"
    lane.clock.advance(73 * 3600)
    await lane.take(*reposts(10, start=80))
    crossed = lane.committed["n:x"]
    lane.restart()
    now = lane.clock.now()
    await lane.take(complaint("2", platform_at=now), *reposts(20, "2", platform_at=now))
    assert lane.committed["n:x"] == crossed
    lane.clock.advance(97 * 3600)
    await lane.fire()
    assert lane.committed["n:x"] != crossed
    assert "c:x:2" not in lane.committed


async def test_a_story_that_the_brand_answered_teaches_nothing() -> None:
    lane = Lane(line=50)
    await lane.take(complaint(), *reposts(20))
    await lane.take(post("a", PostKind.REPLY, "1", parent_id="1", author_brand=ACME, text="We are on it"))
    await lane.take(*reposts(60, start=20))
    lane.clock.advance(97 * 3600)
    await lane.fire()
    assert "n:x" not in lane.committed
