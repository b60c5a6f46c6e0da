"""The second stage: reads the signals of the first (`firebreak.signals`, keyed by brand), and says when a brand surges.

Every negative post counts at once, so that a surge is noticed within a minute. Volumes say how large a share of all posts the
negative ones are. A time that a source missed is neither learned as silence, nor is the catch-up taken for a storm. Nothing
here does input or output.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from scorer.metrics import ScorerMetrics
from scorer.surge_model import HOUR, SENSITIVITIES, Deviation, SurgeModel
from scorer.virality.automation import says_the_same
from services.base.clock import epoch, moment
from services.config.model import Brand
from services.contracts.base import BrandId, StoryId, event_id
from services.contracts.codec import Unreadable, decode, encode
from services.contracts.post import CoverageState, SourceCoverage
from services.contracts.signal import BrandSurge, BrandVolume, PostCard, PostNegative, PostRedacted, SurgePhase
from services.contracts.topics import SIGNALS
from services.eventlog.base import Message, Record
from services.stream.deadletter import DeadLetters
from services.stream.processor import StepResult
from services.stream.state import KeyedState

STATE_VERSION: Final = 1
MODEL: Final = "negative-binomial-week-1"
RECHECK_SECONDS: Final = 60.0
"""While a window is unusual or a surge goes on, the brand is looked at so often without a post."""
ANNOUNCE_AGAIN_FACTOR: Final = 2.0
ANNOUNCE_AGAIN_SECONDS: Final = 600.0
"""A surge that goes on is announced again when it has doubled, at most so often."""
EXEMPLARS: Final = 5
STORIES: Final = 50
TERMS: Final = 8
"""Bounds of what a surge shows: the most negative posts, the stories (also networks and languages) that are counted, and the
words that set its posts apart."""
VOCABULARY: Final = 400
"""Words counted for each brand. When there are more, all counts are halved, and the rarest words are dropped."""
WORD: Final = re.compile(r"[^\W\d_]{4,}")


class WordCounts(msgspec.Struct, array_like=True):
    """In how many posts each word occurred; older posts count for less."""

    posts: float = 0.0
    counts: dict[str, float] = msgspec.field(default_factory=dict)

    def add(self, text: str) -> None:
        """Count the words of one post."""
        self.posts += 1
        for word in sorted(set(WORD.findall(text.lower()))):
            self.counts[word] = self.counts.get(word, 0.0) + 1
        if len(self.counts) > VOCABULARY:
            self.posts /= 2
            self.counts = {word: n / 2 for word, n in self.counts.items() if n >= 2}

    def apart_from(self, usual: WordCounts) -> list[str]:
        """The words that set these posts apart from the usual ones: those with the highest product of their share now and the
        ratio by which it rose. At most `TERMS`, the most telling first."""

        def weight(word: str) -> float:
            now = (self.counts[word] + 0.5) / (self.posts + 1)
            before = (usual.counts.get(word, 0.0) + 0.5) / (usual.posts + 1)
            return now * (now / before)

        often = [word for word, n in self.counts.items() if n >= max(2.0, 0.02 * self.posts)]
        return sorted(often, key=lambda word: (-weight(word), word))[:TERMS]


class BrandSurgeState(msgspec.Struct, array_like=True):
    """All that is known of one brand's negative posts."""

    model: SurgeModel
    usual: WordCounts = msgspec.field(default_factory=WordCounts)
    recent: WordCounts = msgspec.field(default_factory=WordCounts)
    exemplars: list[bytes] = msgspec.field(default_factory=list)
    """The most negative posts as JSON of their cards, the most negative first; their scores are in `scores`."""
    scores: list[float] = msgspec.field(default_factory=list)
    stories: dict[str, int] = msgspec.field(default_factory=dict)
    networks: dict[str, int] = msgspec.field(default_factory=dict)
    languages: dict[str, int] = msgspec.field(default_factory=dict)
    posts: float = 0.0
    negative: float = 0.0
    """`posts` and `negative` are those of about the last hour, from volumes: the share is computed from them."""
    volume_at: float = 0.0
    announced_at: float = 0.0
    announced: float = 0.0
    """When the surge was last announced, and with how many posts."""

    def forget_window(self) -> None:
        """Start a new window: the words of the one before are usual from now on."""
        for word, n in self.recent.counts.items():
            self.usual.counts[word] = self.usual.counts.get(word, 0.0) + n
        self.usual.posts += self.recent.posts
        if len(self.usual.counts) > VOCABULARY:
            self.usual = WordCounts(self.usual.posts / 2, {w: n / 2 for w, n in self.usual.counts.items() if n >= 2})
        self.recent = WordCounts()
        self.exemplars, self.scores = [], []
        self.stories, self.networks, self.languages = {}, {}, {}

    def keep(self, card: PostCard) -> None:
        """Keep the post as an exemplar if it belongs to the most negative ones, and none of them says the same."""
        score = card.negative or 0.0
        if len(self.scores) == EXEMPLARS and score <= self.scores[-1]:
            return
        shown = (PostCard.model_validate_json(one).text or "" for one in self.exemplars)
        if any(says_the_same(card.text or "", text) for text in shown):
            return
        pairs = [*zip(self.scores, self.exemplars, strict=True), (score, card.model_dump_json().encode())]
        pairs.sort(key=lambda pair: -pair[0])
        self.scores = [one for one, _ in pairs[:EXEMPLARS]]
        self.exemplars = [exemplar for _, exemplar in pairs[:EXEMPLARS]]

    def forget_post(self, network: str, post_id: str) -> None:
        """A post was deleted: forget what it said."""
        cards = [PostCard.model_validate_json(one) for one in self.exemplars]
        kept = [n for n, card in enumerate(cards) if (card.network, card.post_id) != (network, post_id)]
        self.exemplars = [self.exemplars[n] for n in kept]
        self.scores = [self.scores[n] for n in kept]


class _Look(NamedTuple):
    """One look at a brand, at `now`; `cause` names the record or the timer that it is taken for."""

    brand: str
    known: BrandSurgeState
    now: float
    cause: str


class SurgeProcessor:
    """One lane over `firebreak.signals` (protocol `services.stream.processor.Processor`)."""

    def __init__(
        self, partition: int, letters: DeadLetters, metrics: ScorerMetrics, brands: Mapping[str, Brand]
    ) -> None:
        self._partition = partition
        self._letters = letters
        self._metrics = metrics
        self._rules = {name: SENSITIVITIES[brand.surges] for name, brand in brands.items()}
        self._brands = KeyedState("s:", BrandSurgeState, STATE_VERSION)

    def restore(self, entries: Mapping[str, bytes]) -> None:
        self._brands.restore(entries)

    async def process(self, records: Sequence[Record], now: datetime) -> StepResult:
        out = StepResult()
        at = epoch(now)
        for record in records:
            try:
                event = decode(record.value).event
            except Unreadable:
                continue  # the alerter reads the same topic and sets it aside, once
            if isinstance(event, PostNegative):
                self._count(event, record, at, out)
            elif isinstance(event, BrandVolume):
                self._measure(event, at)
            elif isinstance(event, SourceCoverage) and event.state is CoverageState.GAP:
                # Copied once a brand, under the brand's key.
                known = self._get(record.key, at)
                known.model.lose_sight(epoch(event.begins), epoch(event.ends))
                self._put(record.key, known, at)
            elif isinstance(event, PostRedacted):
                self._redact(event, at)
        return self._finish(out)

    def due(self) -> datetime | None:
        due = self._brands.next_due()
        return None if due is None else moment(due)

    async def fire(self, now: datetime) -> StepResult:
        out = StepResult()
        at = epoch(now)
        for brand in list(self._brands.pop_due(at)):
            known = self._get(brand, at)
            self._judge(_Look(brand, known, at, f"timer:{at:.0f}"), out)
            self._put(brand, known, at)
        return self._finish(out)

    def _finish(self, out: StepResult) -> StepResult:
        """The outcome, with the state that changed."""
        out.changes |= self._brands.changes()
        return out

    def _get(self, brand: str, now: float) -> BrandSurgeState:
        """What is known of the brand, brought up to `now`."""
        known = self._brands.get(brand)
        if known is None:
            known = BrandSurgeState(SurgeModel.new())
        known.model.advance(now)
        return known

    def _put(self, brand: str, known: BrandSurgeState, now: float) -> None:
        """Keep what is known of the brand. While its window is unusual or a surge goes on, a timer looks at it again, because
        silence ends both."""
        alarm = known.model.alarm
        self._brands.put(brand, known, now + RECHECK_SECONDS if alarm.begins or alarm.since else None)

    def _count(self, event: PostNegative, record: Record, now: float, out: StepResult) -> None:
        """Count a negative post, and look at its brand."""
        if event.backfill:
            return  # a catch-up after a gap is no storm
        known = self._get(event.brand, now)
        alarm = known.model.alarm
        if alarm.begins is None and alarm.since is None and known.recent.posts >= _worth_forgetting(known):
            known.forget_window()
        at = min(epoch(event.post.at), now)
        past = known.model.add(at)
        if event.post.text is not None:
            known.recent.add(event.post.text)
        known.keep(event.post)
        _more(known.stories, event.story)
        _more(known.networks, event.post.network)
        _more(known.languages, event.post.language or "und")
        self._judge(_Look(event.brand, known, now, f"{record.partition}:{record.offset}"), out, past)
        self._put(event.brand, known, now)

    def _measure(self, event: BrandVolume, now: float) -> None:
        """Add a minute to the volumes from which the share of negative posts is computed."""
        known = self._brands.get(event.brand)
        if known is None:
            return
        at = epoch(event.minute)
        keep = 0.5 ** (max(0.0, at - known.volume_at) / HOUR)
        known.posts = known.posts * keep + event.scored
        known.negative = known.negative * keep + event.negative
        known.volume_at = max(at, known.volume_at)
        self._put(event.brand, known, now)

    def _redact(self, event: PostRedacted, now: float) -> None:
        """Forget a post that was deleted."""
        known = self._brands.get(event.brand)
        if known is not None:
            known.forget_post(event.network, event.post_id)
            self._put(event.brand, known, now)

    def _judge(self, look: _Look, out: StepResult, past: Deviation | None = None) -> None:
        """Announce the start, the growth or the end of a surge, by the window that ends now, or by one of the past whose posts
        came late."""
        known, now, alarm = look.known, look.now, look.known.model.alarm
        deviation = known.model.measure(now) if past is None else past
        before = alarm.begins
        change = alarm.step(self._rules.get(look.brand, SENSITIVITIES["balanced"]), now, deviation)
        if change == "start":
            self._announce(look, SurgePhase.START, alarm.begins or now, deviation, out)
        elif change == "end":
            self._announce(look, SurgePhase.END, before or now, deviation, out)
            known.forget_window()
        elif before is not None and (
            deviation.observed >= ANNOUNCE_AGAIN_FACTOR * known.announced
            and now - known.announced_at >= ANNOUNCE_AGAIN_SECONDS
        ):
            self._announce(look, SurgePhase.GROWING, before, deviation, out)

    def _announce(self, look: _Look, phase: SurgePhase, begins: float, deviation: Deviation, out: StepResult) -> None:
        """Say that the surge which began at `begins` is in this phase."""
        brand, known, now, cause = look
        known.announced_at, known.announced = now, deviation.observed
        terms = known.recent.apart_from(known.usual)
        minutes = (deviation.ends - deviation.begins) / 60
        words = (
            f"{deviation.observed:,.0f} negative posts in {minutes:.0f} min where {deviation.expected:,.1f} are usual"
        )
        if deviation.lasted is not None:
            words += f", {(now - deviation.ends) / 60:.0f} min ago: delivered late by their source"
        if phase is SurgePhase.END:
            words = f"{words}: the surge is over"
        elif terms:
            words += f"; what sets them apart: {', '.join(terms[:5])}"
        event = BrandSurge(
            brand=BrandId(brand),
            phase=phase,
            begins=moment(begins),
            at=moment(now),
            window_seconds=round(deviation.ends - deviation.begins, 1),
            observed=int(deviation.observed),
            expected=round(deviation.expected, 3),
            factor=round(deviation.factor, 3),
            surprise=round(deviation.surprise, 3),
            share=round(min(1.0, known.negative / known.posts), 4) if known.posts else None,
            terms=tuple(terms),
            exemplars=tuple(PostCard.model_validate_json(one) for one in known.exemplars),
            stories=tuple(StoryId(story) for story in _largest(known.stories)),
            networks=known.networks,
            languages=known.languages,
            reason=words,
            model=MODEL,
        )
        id_ = event_id(event.TYPE, brand, phase.value, cause)
        out.appends.append(Message(SIGNALS.name, brand, encode(event, id_)))
        self._metrics.signals.labels(event.TYPE).inc()


def _worth_forgetting(known: BrandSurgeState) -> float:
    """The number of posts from which on the words of a quiet window are counted as usual, and a new window starts."""
    return max(20.0, 2 * sum(expected for _, _, expected in known.model.recent))


def _more(counts: dict[str, int], key: str) -> None:
    """Count one more of `key`. At most `STORIES` keys are counted."""
    if key in counts or len(counts) < STORIES:
        counts[key] = counts.get(key, 0) + 1


def _largest(counts: Mapping[str, int]) -> list[str]:
    """The keys with the highest counts, the highest first."""
    return sorted(counts, key=lambda key: -counts[key])[:STORIES]
