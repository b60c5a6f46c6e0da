"""The second stage: reads the signals of the first (`firebreak.signals`, keyed by brand), and says when a brand surges.

Every negative post counts at once, so that a surge is noticed within a minute; posts that could not be read are counted by
themselves, in the same way. Volumes say how large a share of all posts the negative ones are. Hints of danger that several
people drop become sure (`hints`). A time that a source missed is neither learned as silence, nor is the catch-up taken for a
storm. Nothing here does input or output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from scorer.metrics import ScorerMetrics
from scorer.surge_model import BUCKET_SECONDS, HOUR, Deviation, SurgeModel, surprise
from scorer.surge_state import (
    STATE_VERSION,
    WINDOW_SECONDS,
    BrandSurgeState,
    Voice,
    count_one,
    largest,
    own_factor,
    proves_itself,
    worth_forgetting,
)
from scorer.watched import Watching
from services.base.clock import epoch, moment
from services.contracts.base import BrandId, EventId, StoryId, event_id
from services.contracts.changed import PostEdited
from services.contracts.codec import Unreadable, decode, encode
from services.contracts.language_tags import language
from services.contracts.post import AuthorChanged, AuthorState, CoverageState, SourceCoverage
from services.contracts.signal import (
    BrandHistory,
    BrandSurge,
    BrandVolume,
    CopyWave,
    FlaggedBy,
    PostCard,
    PostFlagged,
    PostNegative,
    PostRedacted,
    PostUnread,
    SurgePhase,
)
from services.contracts.topics import SIGNALS
from services.eventlog.base import Message, Record
from services.stream.deadletter import DeadLetters
from services.stream.off_loop import off_loop
from services.stream.processor import StepResult
from services.stream.state import KeyedState

MODEL: Final = "negative-binomial-week-1"
RECHECK_SECONDS: Final = 60.0
"""While a window is unusual or a surge goes on, the brand is looked at so often without a post."""
ANNOUNCE_AGAIN_FACTOR: Final = 2.0
ANNOUNCE_AGAIN_SECONDS: Final = 600.0
"""A surge that goes on is announced again when it has doubled, at most so often."""
WAVE_COPIES: Final = 20
WAVE_TELL_AGAIN_SECONDS: Final = 86_400.0
"""Copies of one text are a wave from so many on, and are told at most once a day."""

_UNREAD: Final = " unread"
"""What follows the brand in the key of its posts that were not read: no brand's id holds a blank."""


class _Look(NamedTuple):
    """One look at a brand's negative or unread posts, at `now`; `cause` names the record or timer that it is taken for."""

    key: str
    known: BrandSurgeState
    now: float
    cause: str

    @property
    def brand(self) -> str:
        return self.key.removesuffix(_UNREAD)

    @property
    def unread(self) -> bool:
        return self.key.endswith(_UNREAD)


class SurgeProcessor:
    """One lane over `firebreak.signals` (protocol `services.stream.processor.Processor`)."""

    def __init__(self, partition: int, letters: DeadLetters, metrics: ScorerMetrics, watching: Watching) -> None:
        self._partition = partition
        self._letters = letters
        self._metrics = metrics
        self._watching = watching
        self._watched = watching()
        self._brands = KeyedState("s:", BrandSurgeState, STATE_VERSION)

    def restore(self, entries: Mapping[str, bytes]) -> None:
        self._brands.restore(entries)

    async def process(self, records: Sequence[Record], now: datetime) -> StepResult:
        self._watched = self._watching()
        return await off_loop(lambda: self._process(records, now))

    def _process(self, records: Sequence[Record], now: datetime) -> StepResult:
        out = StepResult()
        at = epoch(now)
        for record in records:
            try:
                event = decode(record.value).event
            except Unreadable:
                continue  # the alerter reads the same topic and sets it aside, once
            if isinstance(event, (PostNegative, PostUnread)) and event.edited:
                continue  # it was counted when it came
            if isinstance(event, PostNegative):
                self._count(event.brand, event, record, at, out)
            elif isinstance(event, PostUnread) and not event.wordless:
                self._count(event.brand + _UNREAD, event, record, at, out)
            elif isinstance(event, PostFlagged) and event.hints:
                self._hear_hints(event, record, at, out)
            elif isinstance(event, BrandVolume):
                self._measure(event, at)
            elif isinstance(event, BrandHistory):
                known = self._get(event.brand, at)
                known.learn_history(epoch(event.begins), event.every_seconds, event.negative)
                self._put(event.brand, known, at)
            elif isinstance(event, SourceCoverage) and event.state is CoverageState.GAP:
                # Copied once a brand, under the brand's key.
                self._lose_sight(record.key, event, at)
                if self._brands.get(record.key + _UNREAD) is not None:
                    self._lose_sight(record.key + _UNREAD, event, at)
            elif isinstance(event, (PostRedacted, PostEdited)):
                self._redact(event, at)
            elif isinstance(event, AuthorChanged) and event.state is AuthorState.ERASED:
                # Copied once a brand, under the brand's key.
                self._forget_author(record.key, event, at)
        return self._finish(out)

    def due(self) -> datetime | None:
        due = self._brands.next_due()
        return None if due is None else moment(due)

    async def fire(self, now: datetime) -> StepResult:
        self._watched = self._watching()
        return await off_loop(lambda: self._fire(now))

    def _fire(self, now: datetime) -> StepResult:
        out = StepResult()
        at = epoch(now)
        for key in list(self._brands.pop_due(at)):
            known = self._get(key, at)
            self._judge(_Look(key, known, at, f"timer:{at:.0f}"), out)
            self._put(key, known, at)
        return self._finish(out)

    def _finish(self, out: StepResult) -> StepResult:
        """The outcome, with the state that changed."""
        out.changes |= self._brands.changes()
        return out

    def _get(self, brand: str, now: float) -> BrandSurgeState:
        """What is known of the brand, brought up to `now`."""
        known = self._brands.get(brand)
        if known is None:
            known = BrandSurgeState(SurgeModel.new(), since=now)
        known.model.advance(now)
        return known

    def _put(self, brand: str, known: BrandSurgeState, now: float) -> None:
        """Keep what is known of the brand. While its window is unusual or a surge goes on, a timer looks at it again, because
        silence ends both."""
        alarm = known.model.alarm
        restless = alarm.begins or alarm.since or any(voice.is_told for voice in known.voices.values())
        self._brands.put(brand, known, now + RECHECK_SECONDS if restless else None)

    def _count(self, key: str, event: PostNegative | PostUnread, record: Record, now: float, out: StepResult) -> None:
        """Count a post that is negative or was not read, and look at its brand."""
        late = isinstance(event, PostNegative) and event.late
        if event.backfill and not late:
            return  # a catch-up after a gap is no storm
        known = self._get(key, now)
        if late and not known.model.baseline_known:
            # Against a prior any catch-up is a storm. What was usual is learned from it all the same.
            known.model.learn_past(epoch(event.post.at))
            self._put(key, known, now)
            return
        at = min(epoch(event.post.at), now)
        look = _Look(key, known, now, f"{record.partition}:{record.offset}")
        if isinstance(event, PostNegative) and event.voice is not None:
            voice, speaks = known.speak(event.voice, event.post, event.complaint, at)
            if not speaks:
                self._hear_wave(look, voice, out)
                self._put(key, known, now)
                return
        known.late += late
        alarm = known.model.alarm
        if alarm.begins is None and alarm.since is None and known.recent.posts >= worth_forgetting(known):
            known.forget_window()
        past = known.model.add(at)
        if event.post.text is not None:
            known.recent.add(event.post.text)
        known.keep(event.post)
        count_one(known.stories, event.story)
        count_one(known.networks, event.post.network)
        tag = event.language if isinstance(event, PostUnread) else language(event.post.language)
        count_one(known.languages, tag or "und")
        self._judge(look, out, past)
        self._put(key, known, now)

    def _hear_hints(self, event: PostFlagged, record: Record, now: float, out: StepResult) -> None:
        """Say that a post speaks of a topic which it only hints at, where several people drop the same hint."""
        if event.backfill:
            return  # what was said over days arrives at once
        known = self._get(event.brand, now)
        voice = event.voice or event.post.author or event.post.post_id
        at = min(epoch(event.post.at), now)
        many = {
            topic: tuple(word for word in words if known.hints.hear(topic, word, voice, at))
            for topic, words in event.hints.items()
        }
        self._put(event.brand, known, now)
        topics = {topic: words for topic, words in many.items() if words}
        if topics:
            said = event.model_copy(update={"topics": topics, "hints": {}, "by": FlaggedBy.MANY})
            id_ = event_id(event.TYPE, event.brand, "many", f"{record.partition}:{record.offset}")
            out.appends.append(Message(SIGNALS.name, event.brand, encode(said, id_)))

    def _lose_sight(self, key: str, gap: SourceCoverage, now: float) -> None:
        """The source missed a while: it is not learned as silence."""
        known = self._get(key, now)
        known.model.lose_sight(epoch(gap.begins), epoch(gap.ends or gap.observed_at))
        self._put(key, known, now)

    def _measure(self, event: BrandVolume, now: float) -> None:
        """Add a minute to the volumes from which the share of negative posts is computed. From the first minute on that a
        brand is spoken of its baseline is learned: that nobody complains is usual too."""
        known = self._get(event.brand, now)
        at = epoch(event.minute)
        keep = 0.5 ** (max(0.0, at - known.volume_at) / HOUR)
        known.posts = known.posts * keep + event.scored
        known.negative = known.negative * keep + event.negative
        known.volume_at = max(at, known.volume_at)
        self._put(event.brand, known, now)

    def _redact(self, event: PostRedacted | PostEdited, now: float) -> None:
        """Forget a post that was deleted, or what it said before it was edited."""
        network, post_id = (
            (event.post.network, event.post.post_id)
            if isinstance(event, PostEdited)
            else (event.network, event.post_id)
        )
        self._forget(event.brand, lambda card: (card.network, card.post_id) == (network, post_id), now)

    def _forget_author(self, brand: str, event: AuthorChanged, now: float) -> None:
        """Forget what an erased author said."""
        self._forget(brand, lambda card: (card.network, card.author_id) == (event.network, event.author_id), now)

    def _forget(self, brand: str, gone: Callable[[PostCard], bool], now: float) -> None:
        for key in (brand, brand + _UNREAD):
            known = self._brands.get(key)
            if known is not None:
                known.forget(gone)
                self._put(key, known, now)

    def _judge(self, look: _Look, out: StepResult, past: Deviation | None = None) -> None:
        """Announce the start, the growth or the end of a surge, by the window that ends now, or by one of the past whose posts
        came late."""
        known, now, alarm = look.known, look.now, look.known.model.alarm
        deviation = known.model.measure(now) if past is None else past
        before = alarm.begins
        change = alarm.step(self._watched.sensitivity(look.brand), now, deviation)
        if change == "start":
            self._announce(look, SurgePhase.START, alarm.begins or now, deviation, out)
        elif change == "end":
            self._announce(look, SurgePhase.END, before or now, deviation, out)
            known.forget_window()
        elif before is not None and (
            _has_grown(known, deviation, now) or (past is None and not known.proven and proves_itself(known.model))
        ):
            self._announce(look, SurgePhase.GROWING, before, deviation, out)
        for voice in [one for one in known.voices.values() if one.is_told and now - one.last >= WINDOW_SECONDS]:
            self._tell_wave(look, voice, SurgePhase.END, out)

    def _hear_wave(self, look: _Look, voice: Voice, out: StepResult) -> None:
        """A voice spoke again: tell of its wave, once, if the copies alone would be a surge and there is no other, and say
        again how many there are when they have doubled."""
        known, now, alarm = look.known, look.now, look.known.model.alarm
        if voice.is_told:
            grown = voice.copies >= ANNOUNCE_AGAIN_FACTOR * voice.announced
            if grown and now - voice.told_at >= ANNOUNCE_AGAIN_SECONDS:
                self._tell_wave(look, voice, SurgePhase.GROWING, out)
            return
        if alarm.begins is not None or voice.copies < WAVE_COPIES or now - voice.told_at < WAVE_TELL_AGAIN_SECONDS:
            return
        rule = self._watched.sensitivity(look.brand)
        deviation = known.model.measure(now)
        alike = surprise(voice.copies, deviation.expected, known.model.baseline.dispersion)
        if alike >= rule.start_cold and voice.copies >= rule.least_factor * deviation.expected:
            self._tell_wave(look, voice, SurgePhase.START, out)

    def _tell_wave(self, look: _Look, voice: Voice, phase: SurgePhase, out: StepResult) -> None:
        """Say that the copies of one text are many, or that no more of them come."""
        brand, known, now, cause = look
        voice.is_told = phase is not SurgePhase.END
        voice.announced = voice.copies
        if voice.is_told:
            voice.told_at = now
        deviation = known.model.measure(now)
        card = PostCard.model_validate_json(voice.card)
        words = f"{voice.copies:,} copies of one text in {max(1.0, (voice.last - voice.begins) / 60):.0f} min"
        event = BrandSurge(
            brand=BrandId(brand),
            phase=phase,
            # A surge begins with a bucket. A wave never does, so that each has a story of its own.
            begins=moment(int(voice.begins) + (int(voice.begins) % int(BUCKET_SECONDS) == 0)),
            at=moment(now),
            window_seconds=round(max(1.0, voice.last - voice.begins), 1),
            observed=voice.copies,
            expected=round(deviation.expected, 3),
            factor=round(voice.copies / deviation.expected, 3),
            surprise=round(surprise(voice.copies, deviation.expected, known.model.baseline.dispersion), 3),
            exemplars=() if card.text is None else (card,),
            networks={card.network: voice.copies},
            languages={card.language or "und": voice.copies},
            copies=max(0, voice.copies - 1),
            wave=CopyWave(
                copies=voice.copies, reach=voice.reach, complaint=round(min(1.0, voice.complaint / voice.copies), 4)
            ),
            baseline_known=known.model.baseline_known,
            reason=words if voice.is_told else f"{words}: no more of them come",
            model=MODEL,
        )
        self._say(event, event_id(event.TYPE, brand, "wave", phase.value, cause), out)

    def _announce(self, look: _Look, phase: SurgePhase, begins: float, deviation: Deviation, out: StepResult) -> None:
        """Say that the surge which began at `begins` is in this phase."""
        known, now = look.known, look.now
        known.announced_at, known.announced = now, deviation.observed
        known.proven = phase is not SurgePhase.END and (known.proven or proves_itself(known.model))
        terms = known.recent.apart_from(known.usual)
        minutes = (deviation.ends - deviation.begins) / 60
        words = (
            f"{deviation.observed:,.0f} {'posts that nobody could read' if look.unread else 'negative posts'} in "
            f"{minutes:.0f} min where {deviation.expected:,.1f} are usual"
        )
        if deviation.lasted is not None:
            words += f", {(now - deviation.ends) / 60:.0f} min ago: delivered late by their source"
        copies = known.copies(now)
        if copies:
            words += f", and {copies:,} copies of what was said already"
        if known.late:
            words += f", {known.late:,} of them heard late"
        if phase is SurgePhase.END:
            words = f"{words}: the surge is over"
        elif terms:
            words += f"; what sets them apart: {', '.join(terms[:5])}"
        if not known.model.baseline_known:
            words += (
                f". What is usual is not known yet: {known.model.seen_seconds / HOUR:.0f} h of the first week were seen"
            )
        event = BrandSurge(
            brand=BrandId(look.brand),
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
            stories=tuple(StoryId(story) for story in largest(known.stories)),
            networks=known.networks,
            languages=known.languages,
            copies=copies,
            baseline_known=known.model.baseline_known,
            own_factor=own_factor(known, past=deviation.lasted is not None),
            unread=look.unread,
            reason=words,
            model=MODEL,
        )
        self._say(event, event_id(event.TYPE, look.key, phase.value, look.cause), out)

    def _say(self, event: BrandSurge, id_: EventId, out: StepResult) -> None:
        out.appends.append(Message(SIGNALS.name, event.brand, encode(event, id_)))
        self._metrics.signals.labels(event.TYPE).inc()


def _has_grown(known: BrandSurgeState, deviation: Deviation, now: float) -> bool:
    """Returns True if the surge is so much larger than it was announced that it is announced again."""
    return (
        deviation.observed >= ANNOUNCE_AGAIN_FACTOR * known.announced
        and now - known.announced_at >= ANNOUNCE_AGAIN_SECONDS
    )
