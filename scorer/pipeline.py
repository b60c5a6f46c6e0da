"""The heart: follows each conversation of one lane, post by post, and says what it means for the brand it is about.

A batch goes through five stages, in this order (`CascadeProcessor.process`):
  read      bytes to events; what cannot be read goes to the dead letter
  score     the texts that say something about a brand, all at once, on the inference thread
  fold      every event into its conversation, in order; each may give signals (negative, answered, redacted, linked)
  forecast  once for every conversation that moved
  account   how many posts each brand had in which minute
Nothing here does input or output: the outcome is committed by the lane, with the offsets it stands for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple, Protocol

from scorer.mentions import Mentions
from scorer.metrics import ScorerMetrics
from scorer.mood import Moods
from scorer.questions import asks
from scorer.recalibration_state import Recalibrations
from scorer.sentiment.model import Reading
from scorer.signals import Signals
from scorer.virality.cascade import YOUNG_ACCOUNT_SECONDS, Card, Cascade, LastAnnounced
from scorer.virality.forecast import (
    RECHECK_SECONDS,
    Forecaster,
    has_crossed,
    has_evidence,
    level_of,
    moved_enough,
    worth_a_forecast,
    worth_telling,
)
from scorer.volume import Volumes
from services.base.clock import epoch, moment
from services.config.model import Brand
from services.contracts.base import BrandId, Event
from services.contracts.codec import Unreadable, decode
from services.contracts.post import PostKind, PostObserved, SourceCoverage, StoryLinked
from services.contracts.signal import Level
from services.eventlog.base import Record
from services.stream.deadletter import DeadLetters
from services.stream.processor import StepResult
from services.stream.state import KeyedState

STATE_VERSION: Final = 3
_ENGAGEMENTS: Final = frozenset({PostKind.REPLY, PostKind.QUOTE, PostKind.REPOST})
_SPEAKING: Final = frozenset({PostKind.ORIGINAL, PostKind.REPLY, PostKind.QUOTE})


# Compared by type, not by isinstance: models answer that with a method of their own, which costs more than folding a counter.
_KNOWN: Final = frozenset({PostObserved, StoryLinked, SourceCoverage})


class Score(Protocol):
    """One reading a text, in order; the work is done off the event loop."""

    def __call__(self, texts: Sequence[str], languages: Sequence[str | None]) -> Awaitable[list[Reading]]: ...


class Arrival(NamedTuple):
    record: Record
    id: str
    event: Event


class CascadeProcessor:
    """One lane over `firebreak.posts` (protocol `services.stream.processor.Processor`)."""

    def __init__(
        self,
        partition: int,
        letters: DeadLetters,
        *,
        score: Score,
        model: str,
        forecaster: Forecaster,
        brands: Mapping[str, Brand],
        horizon_seconds: float,
        expire_seconds: float,
        metrics: ScorerMetrics,
    ) -> None:
        self._partition = partition
        self._letters = letters
        self._score = score
        self._model = model
        self._forecaster = forecaster
        self._brands = brands
        self._mentions = Mentions(brands.values())
        self._horizon = horizon_seconds
        self._expire = expire_seconds
        self._metrics = metrics
        self._cascades = KeyedState("c:", Cascade, STATE_VERSION)
        self._volumes = Volumes(partition)
        self._moods = Moods()
        self._recalibrations = Recalibrations()
        self._taken = self._forgotten = 0

    def restore(self, entries: Mapping[str, bytes]) -> None:
        self._cascades.restore(entries)
        self._volumes.restore(entries)
        self._moods.restore(entries)
        self._recalibrations.restore(entries)

    async def process(self, records: Sequence[Record], now: datetime) -> StepResult:
        out = StepResult()
        signals = Signals(out, self._metrics)
        arrivals = list(self._read(records, out))
        readings = await self._readings(arrivals)
        moved: dict[str, None] = {}
        seconds = epoch(now)
        for arrival in arrivals:
            self._fold(arrival, readings.get(arrival.record.offset), seconds, signals, moved)
        kinds = Counter([arrival.event.kind for arrival in arrivals if type(arrival.event) is PostObserved])
        for kind, count in kinds.items():
            self._metrics.posts.labels(kind).inc(count)
        self._forecast(moved, seconds, signals)
        return self._finish(out)

    def due(self) -> datetime | None:
        times = [t for t in (self._cascades.next_due(), self._volumes.next_due()) if t is not None]
        return moment(min(times)) if times else None

    async def fire(self, now: datetime) -> StepResult:
        out = StepResult()
        signals = Signals(out, self._metrics)
        stale: list[str] = []
        for conversation in self._cascades.pop_due(epoch(now)):
            cascade = self._cascades.get(conversation)
            if cascade is not None and epoch(now) - cascade.newest >= self._expire:
                self._moods.learn(cascade)
                self._recalibrations.end(cascade, self._brands, self._horizon)
                self._cascades.delete(conversation)
            else:
                stale.append(conversation)
        self._forecast(stale, epoch(now), signals)
        self._volumes.fire(epoch(now), signals)
        return self._finish(out)

    def _finish(self, out: StepResult) -> StepResult:
        out.changes |= self._cascades.changes()
        out.changes |= self._volumes.changes()
        out.changes |= self._moods.changes()
        out.changes |= self._recalibrations.changes()
        self._metrics.dedup_misses.inc(self._taken)
        self._metrics.dedup_forgotten.inc(self._forgotten)
        self._taken = self._forgotten = 0
        self._metrics.cascades.labels(str(self._partition)).set(len(self._cascades))
        return out

    # -- read ----------------------------------------------------------------------------------------------------------

    def _read(self, records: Sequence[Record], out: StepResult) -> Iterable[Arrival]:
        for record in records:
            try:
                envelope = decode(record.value)
            except Unreadable as error:
                out.appends.append(self._letters.letter(record, error.reason, error.detail))
                continue
            if type(envelope.event) in _KNOWN:
                yield Arrival(record, envelope.id, envelope.event)
            else:
                out.appends.append(self._letters.letter(record, "misplaced", envelope.event.TYPE))

    # -- score ---------------------------------------------------------------------------------------------------------

    async def _readings(self, arrivals: Sequence[Arrival]) -> dict[int, Reading]:
        """Offset -> reading, for posts of people that concern a brand by their own words or by what they answer."""
        branded: set[str] = set()
        speaking: list[tuple[int, PostObserved]] = []
        for arrival in arrivals:
            event = arrival.event
            if type(event) is PostObserved:
                if event.brands or event.author_brand is not None:
                    branded.add(event.conversation)
                if event.text is not None and event.kind in _SPEAKING and event.author_brand is None:
                    speaking.append((arrival.record.offset, event))
            elif type(event) is StoryLinked and event.brands:
                branded.add(event.conversation)
        wanted = [
            (offset, post.text or "", post.language)
            for offset, post in speaking
            if post.conversation in branded or self._concerns_a_brand(post.conversation)
        ]
        if not wanted:
            return {}
        readings = await self._score([text for _, text, _ in wanted], [language for _, _, language in wanted])
        return {offset: reading for (offset, _, _), reading in zip(wanted, readings, strict=True)}

    def _concerns_a_brand(self, conversation: str) -> bool:
        cascade = self._cascades.get(conversation)
        return cascade is not None and bool(cascade.brands)

    # -- fold ----------------------------------------------------------------------------------------------------------

    def _fold(
        self, arrival: Arrival, reading: Reading | None, now: float, signals: Signals, moved: dict[str, None]
    ) -> None:
        event = arrival.event
        if type(event) is SourceCoverage:
            self._metrics.coverage.labels(event.network, event.state).inc()
            for brand in event.brands or map(BrandId, self._brands):
                signals.coverage(event, brand, arrival.record)
            return
        if type(event) is not PostObserved and type(event) is not StoryLinked:
            return
        cascade = self._cascades.get(event.conversation)
        if cascade is None:
            network = event.conversation.partition(":")[0]
            cascade = Cascade(story=event.conversation, network=network, newest=0.0)
        full = cascade.is_full
        if cascade.seen(bytes.fromhex(arrival.id[:16])):
            self._metrics.duplicates.inc()
            return
        self._taken += 1
        self._forgotten += full
        if type(event) is PostObserved:
            self._fold_post(cascade, event, reading, arrival, now, signals)
        elif type(event) is StoryLinked:
            self._link(cascade, event)
            self._link_quotes(cascade, event, signals)
        self._cascades.put(event.conversation, cascade, None)
        moved[event.conversation] = None

    def _link(self, cascade: Cascade, event: StoryLinked) -> None:
        cascade.story = event.story
        cascade.account = cascade.account or event.account
        cascade.brands += [brand for brand in event.brands if brand not in cascade.brands]

    def _fold_post(
        self,
        cascade: Cascade,
        post: PostObserved,
        reading: Reading | None,
        arrival: Arrival,
        now: float,
        signals: Signals,
    ) -> None:
        at = min(epoch(post.at), now)  # a clock that runs ahead must not make a story look young
        self._learn_brands(cascade, post)
        # It may have been read only because a later post of its batch names a brand: what counts must not depend on batches.
        reading = reading if cascade.brands else None
        if post.kind is PostKind.DELETION:
            cascade.forget_post(post.post_id)
            signals.redacted(cascade, post, arrival.record)
            return
        if post.kind is PostKind.COUNTERS:
            counters = post.counters
            if counters is not None:
                cascade.add_counters(at, (counters.reposts or 0) + (counters.quotes or 0) + (counters.replies or 0))
            return
        followers = post.author.followers if post.author is not None else None
        if post.is_root:
            cascade.add_root(at, followers, velocity=_has_velocity(post))
            cascade.root = _card(post, at, reading)
        elif post.kind in _ENGAGEMENTS and post.author_brand is None:
            cascade.add_engagement(
                post.kind.value,
                at,
                followers,
                human=not _looks_automated(cascade, post, at),
                velocity=_has_velocity(post),
            )
            if reading is not None:
                cascade.read_reply(_is_negative(reading))
            if reading is not None or cascade.is_loud(followers or 0):
                cascade.show(_card(post, at, reading))
        if post.kind is PostKind.REPOST and not cascade.links:
            return  # by far the most frequent event, and all there is to it
        if post.kind is PostKind.QUOTE and post.home != post.conversation:
            cascade.remember_link(post.home)
        self._link_quotes(cascade, post, signals)
        self._answer(cascade, post, at, arrival, signals)
        self._judge(cascade, post, reading, arrival, signals)

    def _learn_brands(self, cascade: Cascade, post: PostObserved) -> None:
        """What the root or a reply names is what the conversation is about; a brand's own post is about the brand."""
        named = post.brands if post.author_brand is None else (*post.brands, post.author_brand)
        if cascade.account is None:
            cascade.account = post.account
        for brand in named:
            if brand in self._brands and brand not in cascade.brands:
                cascade.brands.append(brand)

    def _link_quotes(self, cascade: Cascade, cause: PostObserved | StoryLinked, signals: Signals) -> None:
        if cascade.brands:
            for home in cascade.links:
                signals.linked(cascade, home, cause.at)
            cascade.links = []

    def _answer(self, cascade: Cascade, post: PostObserved, at: float, arrival: Arrival, signals: Signals) -> None:
        if post.kind not in _SPEAKING:
            return  # a brand that reposts a complaint has not answered it
        if post.author_brand is None:
            cascade.remember_question(post.post_id, at)
        elif not post.is_root:
            cascade.be_answered()
            answered = post.parent_id or (cascade.root.post_id if cascade.root is not None else None)
            if answered is not None:
                asked = cascade.asked.pop(answered, None)
                signals.answered(
                    cascade, post, answered, None if asked is None else max(0.0, at - asked), arrival.record
                )

    def _judge(
        self, cascade: Cascade, post: PostObserved, reading: Reading | None, arrival: Arrival, signals: Signals
    ) -> None:
        if post.kind not in _SPEAKING:
            return
        negative = reading is not None and _is_negative(reading)
        # A text that is negative about one brand is not negative about each that it names.
        verdicts = (
            self._mentions.judge(post.text or "", post.brands, cascade.brands, post.author_brand) if negative else {}
        )
        # A question is one to whom it names; in a thread about a brand people ask each other.
        asked = post.brands if post.author_brand is None and post.home == post.conversation and asks(post.text) else ()
        for brand in cascade.brands:
            relevance = verdicts.get(brand)
            about_it = (
                relevance is not None
                and relevance.counts
                and reading is not None
                and reading.negative >= self._brands[brand].negative_from
            )
            self._volumes.count(
                brand,
                epoch(post.at),
                arrival.record.offset,
                scored=reading is not None,
                negative=about_it,
                abstained=_abstains(reading),
                signals=signals,
            )
            # The copy of a quote in the quoted conversation is an engagement; the quote speaks in its own.
            if reading is not None and relevance is not None and about_it and post.home == post.conversation:
                signals.negative(cascade, post, brand, reading, relevance, self._model, arrival.record)
            elif brand in asked:
                signals.asked(cascade, post, brand, arrival.record)
        if _abstains(reading):
            self._metrics.abstained.inc()

    # -- forecast ------------------------------------------------------------------------------------------------------

    def _forecast(self, conversations: Iterable[str], now: float, signals: Signals) -> None:
        for conversation in conversations:
            cascade = self._cascades.get(conversation)
            if cascade is None:
                continue
            if cascade.claims and now - cascade.begins > self._horizon:
                self._recalibrations.end(cascade, self._brands, self._horizon)
            if cascade.brands and has_evidence(cascade) and moved_enough(cascade, now):
                highest = 0.0
                for name in cascade.brands:
                    brand = self._brands.get(name)
                    if brand is not None:
                        highest = max(highest, self._forecast_for(cascade, conversation, brand, now, signals))
                cascade.looked = (cascade.engagements, cascade.everyone.reach, now, highest)
            open_ = any(told.level != Level.EASING for told in cascade.told.values())
            self._cascades.put(
                conversation, cascade, now + RECHECK_SECONDS if open_ else max(now, cascade.newest) + self._expire
            )

    def _forecast_for(self, cascade: Cascade, conversation: str, brand: Brand, now: float, signals: Signals) -> float:
        """The probability; whatever is worth telling is told."""
        told = cascade.told.get(brand.id)
        said = self._forecaster.probability(cascade, brand.line, now, self._horizon)
        if now - cascade.begins <= self._horizon:
            self._recalibrations.follow(cascade, brand.id, brand.line, said)
        probability = self._recalibrations.probability(cascade, brand.line, said)
        if not worth_a_forecast(probability, told):
            return probability
        prediction = self._recalibrations.prediction(
            cascade, brand.line, self._forecaster.predict(cascade, brand.line, now, self._horizon)
        )
        level = level_of(cascade, brand.line, prediction, told, now)
        if level is None or not worth_telling(level, prediction, told, now):
            return probability
        crossed_at = told.crossed_at if told is not None else None
        if crossed_at is None and has_crossed(cascade, brand.line):
            crossed_at = now
        number = told.number + 1 if told is not None else 1
        cascade.told[brand.id] = LastAnnounced(
            number, level.value, prediction.probability, prediction.median, now, crossed_at
        )
        crossing = self._forecaster.crossing(cascade, brand.line, now, self._horizon)
        signals.forecast(
            cascade,
            conversation,
            brand,
            level,
            number,
            prediction,
            crossing,
            crossed_at,
            now,
            self._horizon,
            self._forecaster.name,
            self._moods.share(brand, cascade),
        )
        if told is None:
            signals.watch(cascade, conversation, brand, now)
        return probability


def _has_velocity(post: PostObserved) -> bool:
    """A catch-up after a gap is no storm: without the network's own time it says nothing about when."""
    return not post.backfill or post.platform_at is not None


def _looks_automated(cascade: Cascade, post: PostObserved, at: float) -> bool:
    """A young account, words that others said before, or one of many at once by the network's own clock."""
    in_step = post.platform_at is not None and cascade.in_step(at)
    copied = post.text is not None and bool(cascade.brands) and cascade.is_copied(post.text)
    return in_step or copied or _is_young(post, at)


def _is_young(post: PostObserved, at: float) -> bool:
    author = post.author
    return (
        author is not None and author.created_at is not None and at - epoch(author.created_at) < YOUNG_ACCOUNT_SECONDS
    )


def _is_negative(reading: Reading) -> bool:
    return reading.abstain is None and reading.negative > max(reading.neutral, reading.positive)


def _abstains(reading: Reading | None) -> bool:
    return reading is not None and reading.abstain is not None


def _card(post: PostObserved, at: float, reading: Reading | None) -> Card:
    author = post.author
    return Card(
        network=post.network,
        post_id=post.post_id,
        kind=post.kind.value,
        at=at,
        author=None if author is None else author.handle or author.id,
        followers=None if author is None else author.followers,
        text=None if post.text is None else post.text[:500],
        language=post.language,
        permalink=post.permalink,
        reply_link=post.reply_link,
        account=post.account,
        negative=None if reading is None or reading.abstain else round(reading.negative, 3),
        policy=post.policy.value,
    )
