"""Writes what the scorer concludes as messages: the one place where conclusions become events with their topic, key and id.

An id is a hash of what the signal is about and of the record it rests on. So a step that is done again after a crash says the
same under the same id.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from scorer.folded import FoldedPost, card_of, kept_card
from scorer.metrics import ScorerMetrics
from scorer.sentiment.relevance import BrandRelevance
from scorer.unread import is_wordless
from scorer.virality.cards import Card
from scorer.virality.cascade import Cascade, LastAnnounced
from scorer.virality.forecast import Crossing, Prediction, reason_in_words
from scorer.volume import Minute
from services.base.clock import moment
from services.config.model import Brand
from services.contracts.base import AccountId, BrandId, ConversationId, Event, EventId, StoryId, event_id
from services.contracts.changed import PostEdited, PostShown, Said
from services.contracts.codec import encode
from services.contracts.phrases import Spoken
from services.contracts.post import (
    AuthorChanged,
    PostKind,
    PostObserved,
    PostPlaced,
    SourceCoverage,
    StoryLinked,
    observation_id,
)
from services.contracts.signal import (
    BrandVolume,
    CascadeForecast,
    CrossingTime,
    Evidence,
    FlaggedBy,
    Interval,
    Level,
    Mood,
    PostAnswered,
    PostAsked,
    PostFlagged,
    PostNegative,
    PostRedacted,
    PostUnread,
    Relevance,
    Sentiment,
    WatchRequested,
)
from services.contracts.topics import POSTS, SIGNALS, WATCH, Topic
from services.eventlog.base import Message, Record
from services.stream.processor import StepResult

WATCH_EVERY_SECONDS: Final = 60.0
WATCH_FOR_SECONDS: Final = 86_400.0
"""Connectors are asked to poll the counters of a story so often, for a day."""


class Announcement(NamedTuple):
    """A forecast that goes out to one brand, with all that it states."""

    conversation: str
    brand: Brand
    last: LastAnnounced
    """What the cascade remembers of it: its number, level and time, and when the line was crossed."""
    prediction: Prediction
    crossing: Crossing
    horizon_seconds: float
    usual_mood: float
    """The negative share that is usual for the brand's account."""
    model: str


class Signals:
    """Collects the messages of one step, and counts them."""

    def __init__(self, out: StepResult, metrics: ScorerMetrics) -> None:
        self._out = out
        self._metrics = metrics

    def _say(self, topic: Topic, key: str, event: Event, id_: EventId) -> None:
        self._out.appends.append(Message(topic.name, key, encode(event, id_)))
        self._metrics.signals.labels(event.TYPE).inc()

    def negative(
        self,
        cascade: Cascade,
        folded: FoldedPost,
        brand: str,
        relevance: BrandRelevance,
        *,
        model: str,
        voice: str | None,
    ) -> None:
        """The post, which was read by `model`, is negative about the brand. `voice` is the same for all copies of a text."""
        post, record, reading = folded.post, folded.record, folded.reading
        assert reading is not None
        event = PostNegative(
            brand=BrandId(brand),
            story=StoryId(cascade.story),
            conversation=post.conversation,
            post=card_of(folded, _unit(reading.negative)),
            sentiment=Sentiment(
                negative=_unit(reading.negative), neutral=_unit(reading.neutral), positive=_unit(reading.positive)
            ),
            complaint=None if reading.complaint is None else _unit(reading.complaint),
            severity=reading.severity,
            relevance=Relevance(score=relevance.score, reason=relevance.reason),
            backfill=post.backfill or folded.late,
            late=folded.late and not post.backfill,
            edited=folded.edited,
            voice=voice,
            model=reading.model or model,
        )
        self._say(SIGNALS, brand, event, event_id(post.network, post.post_id, brand, event.TYPE, *_place(record)))

    def asked(self, cascade: Cascade, folded: FoldedPost, brand: str, voice: str | None) -> None:
        """The post asks the brand something."""
        post = folded.post
        event = PostAsked(
            brand=BrandId(brand),
            story=StoryId(cascade.story),
            conversation=post.conversation,
            post=card_of(folded, None),
            backfill=post.backfill or folded.late,
            edited=folded.edited,
            voice=voice,
        )
        key = event_id(post.network, post.post_id, brand, event.TYPE, *_place(folded.record))
        self._say(SIGNALS, brand, event, key)

    def flagged(
        self,
        cascade: Cascade,
        folded: FoldedPost,
        brand: str,
        spoken: Spoken,
        voice: str | None,
        by: FlaggedBy = FlaggedBy.WORDS,
    ) -> None:
        """The post speaks, or may speak, of these topics of the brand, as `by` found. `voice` as in `negative`."""
        post, record, reading = folded.post, folded.record, folded.reading
        read = None if reading is None or reading.abstain is not None else reading
        event = PostFlagged(
            brand=BrandId(brand),
            story=StoryId(cascade.story),
            conversation=post.conversation,
            post=card_of(folded, None if read is None else _unit(read.negative)),
            topics=dict(spoken.topics),
            hints=dict(spoken.hints),
            by=by,
            complaint=None if read is None or read.complaint is None else _unit(read.complaint),
            severity=None if read is None else read.severity,
            model=None if by is FlaggedBy.WORDS or reading is None else reading.model,
            backfill=post.backfill or folded.late,
            edited=folded.edited,
            voice=voice,
        )
        # What the words say and what a model reads are two signals about one post.
        kind = event.TYPE if by is FlaggedBy.WORDS else f"{event.TYPE} {by}"
        self._say(SIGNALS, brand, event, event_id(post.network, post.post_id, brand, kind, *_place(record)))

    def unread(
        self,
        cascade: Cascade,
        folded: FoldedPost,
        brand: str,
        language: str | None,
        *,
        addressed: bool,
        voice: str | None,
    ) -> None:
        """The post about the brand was not read. `voice` as in `negative`."""
        post, record, reading = folded.post, folded.record, folded.reading
        assert reading is not None
        assert reading.abstain is not None
        event = PostUnread(
            brand=BrandId(brand),
            story=StoryId(cascade.story),
            conversation=post.conversation,
            post=card_of(folded, None),
            language=language,
            reason=reading.abstain,
            addressed=addressed,
            wordless=is_wordless(reading),
            backfill=post.backfill or folded.late,
            edited=folded.edited,
            voice=voice,
        )
        self._say(SIGNALS, brand, event, event_id(post.network, post.post_id, brand, event.TYPE, *_place(record)))

    def answered(self, cascade: Cascade, folded: FoldedPost, answered: str, seconds: float | None) -> None:
        """The post, by the brand itself, answers the post `answered`, which was seen so many seconds before."""
        post = folded.post
        assert post.author_brand is not None
        event = PostAnswered(
            brand=post.author_brand,
            story=StoryId(cascade.story),
            conversation=post.conversation,
            post_id=answered,
            answer_id=post.post_id,
            account=post.account,
            at=post.at,
            seconds=seconds,
        )
        key = event_id(post.network, post.post_id, post.author_brand, event.TYPE, *_place(folded.record))
        self._say(SIGNALS, post.author_brand, event, key)

    def edited(self, cascade: Cascade, folded: FoldedPost, brand: str, says: Sequence[Said]) -> None:
        """The post has other words, which say this about the brand."""
        post, record, reading = folded.post, folded.record, folded.reading
        read = None if reading is None or reading.abstain is not None else reading
        event = PostEdited(
            brand=BrandId(brand),
            story=StoryId(cascade.story),
            conversation=post.conversation,
            post=card_of(folded, None if read is None else _unit(read.negative)),
            says=tuple(says),
            complaint=None if read is None or read.complaint is None else _unit(read.complaint),
        )
        self._say(SIGNALS, brand, event, event_id(post.network, post.post_id, brand, event.TYPE, *_place(record)))

    def seen_or_hidden(self, cascade: Cascade, brand: str, post: PostObserved) -> None:
        """The post, which this conversation holds, was hidden, or is visible again."""
        about: dict[str, Any] = {name: getattr(post, name) for name in ("conversation", "network", "post_id", "at")}
        about |= {"brand": BrandId(brand), "story": StoryId(cascade.story)}
        event = PostShown(**about) if post.visible else PostRedacted(**about, hidden=True)
        key = event_id(post.network, post.post_id, brand, "visibility", post.conversation, post.visible, post.at)
        self._say(SIGNALS, brand, event, key)

    def author(self, event: AuthorChanged, brand: BrandId) -> None:
        """An author was erased or is back, passed on to one brand."""
        key = event_id(event.network, event.author_id, brand, event.TYPE, event.state, event.at)
        self._say(SIGNALS, brand, event, key)

    def redacted(
        self, cascade: Cascade, brand: str, conversation: str, network: str, post_id: str, at: datetime
    ) -> None:
        """The post, which this conversation held, was deleted: said to one of the conversation's brands."""
        event = PostRedacted(
            brand=BrandId(brand),
            story=StoryId(cascade.story),
            conversation=ConversationId(conversation),
            network=network,
            post_id=post_id,
            at=at,
        )
        self._say(SIGNALS, brand, event, redaction_id(network, post_id, brand, conversation))

    def forwarded(self, post: PostObserved) -> None:
        """The post, passed on to its conversation under the id that it has if it is sent with its root."""
        self._say(POSTS, post.conversation, post, observation_id(post))

    def placed(self, card: Card, conversation: str, now: float) -> None:
        """A repost is about to be shown: where it stands is told to the lane that its id leads to, for the case that it is
        deleted. Of replies and quotes ingest says so."""
        home = ConversationId(conversation)
        event = PostPlaced(network=card.network, post_id=card.post_id, home=home, at=moment(now))
        key = f"{card.network}:{card.post_id}"
        self._say(POSTS, key, event, event_id(event.TYPE, card.network, card.post_id, home, ""))

    def coverage(self, event: SourceCoverage, brand: BrandId, record: Record) -> None:
        """What a connector saw or missed, passed on to one brand."""
        self._say(SIGNALS, brand, event, event_id(event.network, event.connector, brand, event.TYPE, *_place(record)))

    def linked(self, cascade: Cascade, home: str, at: datetime) -> None:
        """The conversation `home` hangs on a quote of this story."""
        event = StoryLinked(
            conversation=ConversationId(home),
            post_id=home.partition(":")[2],
            story=StoryId(cascade.story),
            brands=tuple(BrandId(brand) for brand in cascade.brands),
            account=None if cascade.account is None else AccountId(cascade.account),
            at=at,
        )
        self._say(POSTS, home, event, event_id(event.TYPE, home, cascade.story, *event.brands))

    def forecast(self, cascade: Cascade, announcement: Announcement) -> None:
        """How far the story will go, said to one brand."""
        conversation, brand, last, prediction, crossing, horizon, usual_mood, model = announcement
        now, level, driver = last.at, Level(last.level), cascade.driver
        event = CascadeForecast(
            brand=brand.key,
            story=StoryId(cascade.story),
            conversation=ConversationId(conversation),
            number=last.number,
            level=level,
            line=brand.line,
            horizon_seconds=horizon,
            final_size=Interval(
                low=round(prediction.low, 1), median=round(prediction.median, 1), high=round(prediction.high, 1)
            ),
            probability=_unit(prediction.probability),
            probability_without_automation=_unit(prediction.without_automation),
            crossing=_crossing(crossing, now) if last.crossed_at is None else None,
            crossed_at=None if last.crossed_at is None else moment(last.crossed_at),
            mood=_mood(cascade, usual_mood),
            root=None if cascade.root is None else kept_card(cascade.root),
            driver=None if driver is None else kept_card(driver.card),
            loudest=tuple(map(kept_card, cascade.loudest)),
            exemplars=tuple(map(kept_card, cascade.exemplars)),
            evidence=_evidence(cascade, now),
            reason=reason_in_words(cascade, brand.line, level, prediction, crossing, now),
            at=moment(now),
            model=model,
        )
        self._metrics.forecasts.labels(level.value).inc()
        self._say(SIGNALS, brand.id, event, event_id(conversation, brand.id, event.TYPE, last.number))
        for card in cascade.loudest:
            if card.kind == PostKind.REPOST:
                self.placed(card, conversation, now)

    def watch(self, cascade: Cascade, conversation: str, brand: Brand, now: float) -> None:
        """Connectors are to follow the root of a story that may cross the brand's line."""
        network, _, post_id = conversation.partition(":")
        event = WatchRequested(
            network=network,
            post_id=post_id,
            conversation=ConversationId(conversation),
            brands=tuple(BrandId(b) for b in cascade.brands),
            every_seconds=WATCH_EVERY_SECONDS,
            until=moment(now + WATCH_FOR_SECONDS),
            reason="a story that may cross its brand's line",
        )
        self._say(WATCH, conversation, event, event_id(event.TYPE, conversation, brand.id))

    def volume(self, brand: str, lane: int, minute: Minute) -> None:
        """How many posts of one minute were about the brand, as this lane saw them."""
        self._metrics.count_brand(brand, minute.posts, minute.negative)
        event = BrandVolume(
            brand=BrandId(brand),
            minute=moment(minute.minute),
            lane=lane,
            posts=minute.posts,
            scored=minute.scored,
            negative=minute.negative,
            abstained=minute.abstained,
        )
        self._say(SIGNALS, brand, event, event_id(event.TYPE, brand, lane, minute.minute, minute.opened))


def redaction_id(network: str, post_id: str, brand: str, conversation: str) -> EventId:
    """The id under which a brand is told that a post of a conversation was deleted."""
    return event_id(network, post_id, brand, PostRedacted.TYPE, conversation)


def _place(record: Record) -> tuple[int, int]:
    """What tells one record from all others: the same offset is there once in every partition."""
    return record.partition, record.offset


def _unit(value: float) -> float:
    """A probability as it travels: between 0 and 1, with six decimals."""
    return round(min(1.0, max(0.0, value)), 6)


def _crossing(crossing: Crossing, now: float) -> CrossingTime | None:
    """The crossing in points of time; `None` if it is not expected within the horizon."""
    if crossing.earliest is None:
        return None
    expected = crossing.expected if crossing.expected is not None else crossing.earliest
    return CrossingTime(
        earliest=moment(now + crossing.earliest),
        expected=moment(now + expected),
        latest=None if crossing.latest is None else moment(now + crossing.latest),
    )


def _mood(cascade: Cascade, usual: float) -> Mood | None:
    """The mood of the audience against the usual one; `None` if no reply or quote was scored."""
    if not cascade.scored:
        return None
    return Mood(
        negative_share=_unit(cascade.negative / cascade.scored),
        usual_share=_unit(usual),
        scored=cascade.scored,
    )


def _evidence(cascade: Cascade, now: float) -> Evidence:
    count = cascade.engagements
    curve = cascade.curve
    return Evidence(
        engagements=count,
        reposts=cascade.reposts,
        quotes=cascade.quotes,
        replies=cascade.replies,
        reach=int(cascade.everyone.reach),
        reach_known_share=_unit(cascade.known / count) if count else 0.0,
        rate_10m=round(cascade.rate(0, now) * 3600, 2),
        rate_60m=round(cascade.rate(1, now) * 3600, 2),
        age_seconds=round(max(0.0, now - cascade.begins), 1),
        automated_share=_unit(cascade.automated / count) if count else None,
        curve=tuple((float(curve[i]), curve[i + 1]) for i in range(0, len(curve), 2)),
    )
