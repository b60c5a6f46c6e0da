"""The second stage: reads what the first concluded (`firebreak.signals`, keyed by brand), and says when a brand surges.

Every negative post counts at once, so that a surge is seen within the minute; volumes say how large a share of all posts
that is; what a source missed is neither learned as silence nor taken for a storm. Nothing here does input or output.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from scorer.metrics import ScorerMetrics
from scorer.surge_model import HOUR, SENSITIVITIES, Sight, Watch
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
TELL_AGAIN_FACTOR: Final = 2.0
TELL_AGAIN_SECONDS: Final = 600.0
EXEMPLARS: Final = 5
STORIES: Final = 50
TERMS: Final = 8
VOCABULARY: Final = 400
"""Words counted a brand; when there are more, all counts are halved and the rarest go."""
WORD: Final = re.compile(r"[^\W\d_]{4,}")


class Words(msgspec.Struct, array_like=True):
    """Posts by word, fading."""

    posts: float = 0.0
    counts: dict[str, float] = msgspec.field(default_factory=dict)

    def add(self, text: str) -> None:
        self.posts += 1
        for word in sorted(set(WORD.findall(text.lower()))):
            self.counts[word] = self.counts.get(word, 0.0) + 1
        if len(self.counts) > VOCABULARY:
            self.posts /= 2
            self.counts = {word: n / 2 for word, n in self.counts.items() if n >= 2}

    def apart_from(self, usual: Words) -> list[str]:
        """The words whose share of posts rose most: by the log of the ratio, weighed by how frequent they are now."""

        def worth(word: str) -> float:
            now = (self.counts[word] + 0.5) / (self.posts + 1)
            before = (usual.counts.get(word, 0.0) + 0.5) / (usual.posts + 1)
            return now * (now / before)

        often = [word for word, n in self.counts.items() if n >= max(2.0, 0.02 * self.posts)]
        return sorted(often, key=lambda word: (-worth(word), word))[:TERMS]


class BrandWatch(msgspec.Struct, array_like=True):
    """All that is known of one brand's negative posts."""

    watch: Watch
    usual: Words = msgspec.field(default_factory=Words)
    recent: Words = msgspec.field(default_factory=Words)
    exemplars: list[bytes] = msgspec.field(default_factory=list)
    """JSON of post cards, the most negative first, with the score in front of it."""
    worth: list[float] = msgspec.field(default_factory=list)
    stories: dict[str, int] = msgspec.field(default_factory=dict)
    networks: dict[str, int] = msgspec.field(default_factory=dict)
    languages: dict[str, int] = msgspec.field(default_factory=dict)
    posts: float = 0.0
    negative: float = 0.0
    """Of the last hour or so, from volumes: what the share is computed from."""
    volume_at: float = 0.0
    told_at: float = 0.0
    told: float = 0.0

    def forget_window(self) -> None:
        """What made up the window before is usual now."""
        for word, n in self.recent.counts.items():
            self.usual.counts[word] = self.usual.counts.get(word, 0.0) + n
        self.usual.posts += self.recent.posts
        if len(self.usual.counts) > VOCABULARY:
            self.usual = Words(self.usual.posts / 2, {w: n / 2 for w, n in self.usual.counts.items() if n >= 2})
        self.recent = Words()
        self.exemplars, self.worth = [], []
        self.stories, self.networks, self.languages = {}, {}, {}

    def keep(self, card: PostCard) -> None:
        score = card.negative or 0.0
        if len(self.worth) == EXEMPLARS and score <= self.worth[-1]:
            return
        pairs = [*zip(self.worth, self.exemplars, strict=True), (score, card.model_dump_json().encode())]
        pairs.sort(key=lambda pair: -pair[0])
        self.worth = [one for one, _ in pairs[:EXEMPLARS]]
        self.exemplars = [card_ for _, card_ in pairs[:EXEMPLARS]]

    def forget_post(self, network: str, post_id: str) -> None:
        """A deletion: nothing of what it said stays."""
        cards = [PostCard.model_validate_json(one) for one in self.exemplars]
        kept = [n for n, card in enumerate(cards) if (card.network, card.post_id) != (network, post_id)]
        self.exemplars = [self.exemplars[n] for n in kept]
        self.worth = [self.worth[n] for n in kept]


class SurgeProcessor:
    """One lane over `firebreak.signals` (protocol `services.stream.processor.Processor`)."""

    def __init__(
        self, partition: int, letters: DeadLetters, metrics: ScorerMetrics, brands: Mapping[str, Brand]
    ) -> None:
        self._partition = partition
        self._letters = letters
        self._metrics = metrics
        self._rules = {name: SENSITIVITIES[brand.surges] for name, brand in brands.items()}
        self._brands = KeyedState("s:", BrandWatch, STATE_VERSION)

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
                known.watch.lose_sight(epoch(event.begins), epoch(event.ends))
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
            self._judge(brand, known, at, f"timer:{at:.0f}", out)
            self._put(brand, known, at)
        return self._finish(out)

    def _finish(self, out: StepResult) -> StepResult:
        out.changes |= self._brands.changes()
        return out

    def _get(self, brand: str, now: float) -> BrandWatch:
        known = self._brands.get(brand)
        if known is None:
            known = BrandWatch(Watch.new())
        known.watch.advance(now)
        return known

    def _put(self, brand: str, known: BrandWatch, now: float) -> None:
        """A surge must be able to end in silence, and an unusual window to persist: only then a timer is needed."""
        alarm = known.watch.alarm
        self._brands.put(brand, known, now + RECHECK_SECONDS if alarm.begins or alarm.since else None)

    def _count(self, event: PostNegative, record: Record, now: float, out: StepResult) -> None:
        if event.backfill:
            return  # a catch-up after a gap is no storm
        known = self._get(event.brand, now)
        alarm = known.watch.alarm
        if alarm.begins is None and alarm.since is None and known.recent.posts >= _worth_forgetting(known):
            known.forget_window()
        at = min(epoch(event.post.at), now)
        past = known.watch.add(at)
        if event.post.text is not None:
            known.recent.add(event.post.text)
        known.keep(event.post)
        _more(known.stories, event.story)
        _more(known.networks, event.post.network)
        _more(known.languages, event.post.language or "und")
        self._judge(event.brand, known, now, f"{record.partition}:{record.offset}", out, past)
        self._put(event.brand, known, now)

    def _measure(self, event: BrandVolume, now: float) -> None:
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
        known = self._brands.get(event.brand)
        if known is not None:
            known.forget_post(event.network, event.post_id)
            self._put(event.brand, known, now)

    def _judge(
        self, brand: str, known: BrandWatch, now: float, cause: str, out: StepResult, past: Sight | None = None
    ) -> None:
        """By the window that ends now, or by one of the past that a source told late."""
        watch = known.watch
        sight = watch.look(now) if past is None else past
        before = watch.alarm.begins
        what = watch.alarm.step(self._rules.get(brand, SENSITIVITIES["balanced"]), now, sight)
        if what == "start":
            self._tell(brand, known, SurgePhase.START, watch.alarm.begins or now, sight, now, cause, out)
        elif what == "end":
            self._tell(brand, known, SurgePhase.END, before or now, sight, now, cause, out)
            known.forget_window()
        elif before is not None and (
            sight.observed >= TELL_AGAIN_FACTOR * known.told and now - known.told_at >= TELL_AGAIN_SECONDS
        ):
            self._tell(brand, known, SurgePhase.GROWING, before, sight, now, cause, out)

    def _tell(
        self,
        brand: str,
        known: BrandWatch,
        phase: SurgePhase,
        begins: float,
        sight: Sight,
        now: float,
        cause: str,
        out: StepResult,
    ) -> None:
        known.told_at, known.told = now, sight.observed
        terms = known.recent.apart_from(known.usual)
        minutes = (sight.ends - sight.begins) / 60
        words = f"{sight.observed:,.0f} negative posts in {minutes:.0f} min where {sight.expected:,.1f} are usual"
        if sight.lasted is not None:
            words += f", {(now - sight.ends) / 60:.0f} min ago: their source told them late"
        if phase is SurgePhase.END:
            words = f"{words}: the surge is over"
        elif terms:
            words += f"; what sets them apart: {', '.join(terms[:5])}"
        event = BrandSurge(
            brand=BrandId(brand),
            phase=phase,
            begins=moment(begins),
            at=moment(now),
            window_seconds=round(sight.ends - sight.begins, 1),
            observed=int(sight.observed),
            expected=round(sight.expected, 3),
            factor=round(sight.factor, 3),
            surprise=round(sight.surprise, 3),
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


def _worth_forgetting(known: BrandWatch) -> float:
    """Posts of a quiet window after which it is folded into what is usual."""
    return max(20.0, 2 * sum(expected for _, _, expected in known.watch.recent))


def _more(counts: dict[str, int], key: str) -> None:
    if key in counts or len(counts) < STORIES:
        counts[key] = counts.get(key, 0) + 1


def _largest(counts: Mapping[str, int]) -> list[str]:
    return sorted(counts, key=lambda key: -counts[key])[:STORIES]
