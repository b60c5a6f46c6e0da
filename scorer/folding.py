"""The fold stage: every event into its conversation, in order, and what that says to the brands that it concerns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from scorer.flags import speaks_here
from scorer.folded import FoldedPost
from scorer.forwarding import Forwarding
from scorer.lane_state import LaneState
from scorer.lateness import TimePlace
from scorer.mentions import relevances
from scorer.metrics import ScorerMetrics
from scorer.seen import id_digest
from scorer.sentiment.model import Reading
from scorer.sentiment.relevance import BrandRelevance
from scorer.step import SPEAKING, Arrival, Step
from scorer.unread import is_wordless, language_of
from scorer.virality.cards import Card
from scorer.virality.cascade import YOUNG_ACCOUNT_SECONDS, Cascade
from services.base.clock import epoch
from services.config.model import Brand
from services.contracts.base import BrandId
from services.contracts.post import PostDeleted, PostKind, PostObserved, PostPlaced, SourceCoverage, StoryLinked
from services.contracts.questions import asks
from services.contracts.signal import FlaggedBy
from services.eventlog.base import Record

_ENGAGEMENTS: Final = frozenset({PostKind.REPLY, PostKind.QUOTE, PostKind.REPOST})
_CARD_CHARS: Final = 500
"""Of a text, in a lane's state: enough to recognise the post by."""


class Folding:
    """Folds the events of one lane, whose number is `lane`; `model` is the name of what read the texts."""

    def __init__(
        self,
        lane: int,
        state: LaneState,
        metrics: ScorerMetrics,
        forwarding: Forwarding,
        *,
        model: str,
    ) -> None:
        self._lane = lane
        self._state = state
        self._metrics = metrics
        self._forwarding = forwarding
        self._model = model

    def fold(self, step: Step) -> None:
        """Fold all arrivals, in order. The conversations that they move are left in `step.moved`."""
        places = self._state.lateness.places([arrival.event for arrival in step.arrivals])
        for arrival, place in zip(step.arrivals, places, strict=True):
            event = arrival.event
            if type(event) is PostObserved:
                self._fold_post(event, arrival, step, place)
            elif type(event) is PostPlaced:
                self._forwarding.place(event, step)
            elif type(event) is PostDeleted:
                self._forwarding.delete(event, step)
            elif type(event) is StoryLinked:
                self._fold_link(event, arrival, step)
            elif type(event) is SourceCoverage:
                self._pass_on(event, arrival.record, step)

    def _admit(self, conversation: str, known: Cascade | None, arrival: Arrival, step: Step) -> Cascade | None:
        """The cascade that this event belongs to (`known`, if there is one), which remembers the event from now on.

        Returns `None` if it knew the event already: a repetition changes nothing.
        """
        cascade = known or self._state.begin(conversation)
        forgotten = self._state.seen.remember(conversation, cascade, id_digest(arrival.id))
        if forgotten is None:
            self._metrics.duplicates.inc()
            return None
        step.taken += 1
        step.forgotten += forgotten
        step.moved[conversation] = None
        self._state.cascades.put(conversation, cascade, None)
        return cascade

    # -- coverage and links --------------------------------------------------------------------------------------------

    def _pass_on(self, event: SourceCoverage, record: Record, step: Step) -> None:
        """What a connector covered or missed, to each brand that it watches for; to all where it names none."""
        self._metrics.coverage.labels(event.network, event.state).inc()
        for brand in event.brands or map(BrandId, step.watched.brands):
            step.signals.coverage(event, brand, record)

    def _fold_link(self, link: StoryLinked, arrival: Arrival, step: Step) -> None:
        """From now on the conversation under a quote belongs to the quoted story, and concerns the same brands."""
        cascade = self._admit(link.conversation, self._state.cascades.get(link.conversation), arrival, step)
        if cascade is None:
            return
        cascade.story = link.story
        cascade.account = cascade.account or link.account
        cascade.brands += [brand for brand in link.brands if brand not in cascade.brands]
        self._link_quotes(cascade, link, step)

    def _link_quotes(self, cascade: Cascade, cause: PostObserved | StoryLinked, step: Step) -> None:
        """Say of each quote that waited which story it belongs to, as soon as the brand of the story is known."""
        if cascade.brands:
            for home in cascade.links:
                step.signals.linked(cascade, home, cause.at)
            cascade.links = []

    # -- posts ---------------------------------------------------------------------------------------------------------

    def _fold_post(self, post: PostObserved, arrival: Arrival, step: Step, place: TimePlace | None) -> None:
        """Fold a post into its conversation. `place` is where it belongs in time by the claims of the many (`lateness`)."""
        if post.kind is PostKind.DELETION:
            self._fold_deletion(post, arrival, step)
            return
        known = self._state.cascades.get(post.conversation)
        # Asked of each of a million reposts: most conversations have their root, and nothing stands elsewhere.
        if (known is None or known.root is None) and self._forwarding.forward(post, step):
            return
        cascade = self._admit(post.conversation, known, arrival, step)
        if cascade is None:
            return
        # A clock that runs ahead must not make a story look young.
        at = min(epoch(post.at) if place is None else place.at, step.now)
        if place is not None and place.late:
            self._metrics.late.inc()
        self._learn_brands(cascade, post, step)
        # It may have been read only because a later post of its batch names a brand: what counts must not depend on batches.
        reading = arrival.reading if cascade.brands else None
        if post.kind is PostKind.COUNTERS:
            _add_counters(cascade, post, at)
            return
        gone = post.kind in SPEAKING and self._is_deleted(post)
        if gone:  # it counts as all deleted posts do, and says nothing
            reading = None
        if post.is_root:
            cascade.add_root(at, _followers(post), velocity=place is not None or _has_velocity(post))
            cascade.root = None if gone else _card(post, at, reading)
        elif post.kind in _ENGAGEMENTS and post.author_brand is None:
            self._engage(cascade, post, at, reading, place)
        if post.kind is PostKind.REPOST and not cascade.links:
            return  # by far the most frequent event, and all there is to it
        if post.kind is PostKind.QUOTE and post.home != post.conversation:
            cascade.remember_link(post.home)
        self._link_quotes(cascade, post, step)
        if post.kind in SPEAKING and not gone:  # a brand that reposts a complaint has not answered it
            folded = FoldedPost(post, at, arrival.record, reading, place)
            self._follow_answers(cascade, folded, step)
            self._conclude(cascade, folded, step)

    def _fold_deletion(self, post: PostObserved, arrival: Arrival, step: Step) -> None:
        """A post was deleted: it is forgotten here, and never shown if it comes later or again."""
        conversation = post.conversation
        self._forwarding.note_deletion(post.network, post.post_id, step)
        known = self._state.cascades.get(conversation)
        if (known is None or known.root is None) and self._forwarding.forward(post, step):
            return
        cascade = None if known is None else self._admit(conversation, known, arrival, step)
        if cascade is not None:
            self._learn_brands(cascade, post, step)
            self._forwarding.redact(conversation, cascade, post.network, post.post_id, post.at, step)
        elif known is None:
            self._forwarding.redact_past(conversation, post.network, post.post_id, post.at, step)

    def _is_deleted(self, post: PostObserved) -> bool:
        return self._state.whereabouts.is_deleted(post.network, post.post_id)

    def _engage(
        self, cascade: Cascade, post: PostObserved, at: float, reading: Reading | None, place: TimePlace | None
    ) -> None:
        """One more engagement by somebody who is not the brand."""
        followers = _followers(post)
        cascade.add_engagement(
            post.kind.value,
            at,
            followers,
            human=not _note_automation(cascade, post, at),
            velocity=place is not None or _has_velocity(post),
            placed=place is not None,
        )
        cascade.late += place is not None and place.late
        if reading is not None and reading.abstain is None:
            cascade.read_reply(_is_negative(reading))
        if cascade.voices or cascade.exemplars:
            cascade.credit(post.parent_id)
        speaks = post.kind is PostKind.REPLY and post.text is not None and bool(cascade.brands)
        shows = reading is not None or cascade.is_loud(followers or 0)
        if (speaks or shows) and not self._is_deleted(post):
            card = _card(post, at, reading)
            if speaks:
                cascade.listen(card)
            if shows:
                cascade.show(card)

    def _learn_brands(self, cascade: Cascade, post: PostObserved, step: Step) -> None:
        """What the root or a reply names is what the conversation is about; a brand's own post is about the brand."""
        named = post.brands if post.author_brand is None else (*post.brands, post.author_brand)
        if cascade.account is None:
            cascade.account = post.account
        for brand in named:
            if brand in step.watched.brands and brand not in cascade.brands:
                cascade.brands.append(brand)

    def _follow_answers(self, cascade: Cascade, folded: FoldedPost, step: Step) -> None:
        """Remember what people asked and when; say when their brand answers."""
        post = folded.post
        if post.author_brand is None:
            cascade.remember_question(post.post_id, folded.at)
        elif not post.is_root:
            cascade.be_answered()
            answered = post.parent_id or (cascade.root.post_id if cascade.root is not None else None)
            if answered is not None:
                asked_at = cascade.asked.pop(answered, None)
                seconds = None if asked_at is None else max(0.0, folded.at - asked_at)
                step.signals.answered(cascade, folded, answered, seconds)

    def _conclude(self, cascade: Cascade, folded: FoldedPost, step: Step) -> None:
        """Say to each brand of the conversation what the post means for it, and count the post in the brand's minute."""
        post, reading = folded.post, folded.reading
        about = _complained_about(cascade, folded, step.watched.brands)
        # A question is one to whom it names; in a thread about a brand people ask each other.
        asked = post.brands if post.author_brand is None and post.home == post.conversation and asks(post.text) else ()
        abstains = reading is not None and reading.abstain is not None
        voices: dict[str, str | None] = {}
        for brand in cascade.brands:
            over = self._state.volumes.count(
                brand,
                epoch(post.at),
                folded.record.offset,
                scored=reading is not None,
                negative=brand in about,
                abstained=abstains,
            )
            if over is not None:
                step.signals.volume(brand, self._lane, over)
            # The copy of a quote in the quoted conversation is an engagement; the quote speaks in its own.
            if brand in about and post.home == post.conversation:
                voices[brand] = self._state.copies.voice(brand, post.text)
                step.signals.negative(cascade, folded, brand, about[brand], model=self._model, voice=voices[brand])
            elif brand in asked:
                voices[brand] = self._state.copies.voice(brand, post.text)
                step.signals.asked(cascade, folded, brand, voices[brand])
        if abstains:
            self._metrics.abstained.inc()
            self._say_unread(cascade, folded, voices, step)
        self._flag(cascade, folded, voices, step)

    def _say_unread(self, cascade: Cascade, folded: FoldedPost, voices: dict[str, str | None], step: Step) -> None:
        """Say to each brand that a post about it was not read. Smileys and pictures among people are no message to it."""
        post, reading = folded.post, folded.reading
        assert reading is not None
        language = language_of(reading, post)
        for brand in cascade.brands:
            addressed = brand in post.brands
            if brand in step.watched.brands and speaks_here(post, brand) and (addressed or not is_wordless(reading)):
                if brand not in voices:
                    voices[brand] = self._state.copies.voice(brand, post.text)
                step.signals.unread(cascade, folded, brand, language, addressed=addressed, voice=voices[brand])
                self._metrics.count_unread(brand, language)

    def _flag(self, cascade: Cascade, folded: FoldedPost, voices: Mapping[str, str | None], step: Step) -> None:
        """Say to each brand which topics the post speaks of: after what else it means, so that the first signal about a
        post is the one that says most. What a brand writes itself is no news to it."""
        post = folded.post
        concerned = [
            b for b in cascade.brands if b in step.watched.brands and b != post.author_brand and speaks_here(post, b)
        ]
        found = step.watched.flags.find(post, concerned) if concerned else {}
        read = step.watched.flags.read(folded.reading, concerned, found) if concerned else {}
        if not found and not read:
            return
        about = relevances(post, cascade.brands, step.watched.brands)
        for brand in concerned:
            if (brand in found or brand in read) and about[brand].counts:
                heard = voices[brand] if brand in voices else self._state.copies.voice(brand, post.text)
                if brand in found:
                    step.signals.flagged(cascade, folded, brand, found[brand], heard)
                if brand in read:
                    step.signals.flagged(cascade, folded, brand, read[brand], heard, FlaggedBy.MODEL)


def _complained_about(
    cascade: Cascade, folded: FoldedPost, brands: Mapping[str, Brand]
) -> Mapping[str, BrandRelevance]:
    """The brands of the conversation that the post is negative about: those that it is meant for, and that ask for no
    surer reading.

    A text that is negative about one brand is not negative about each that it names. A brand that is no longer
    configured may still stand in the state of its conversations; nothing is said about it.
    """
    post, reading = folded.post, folded.reading
    if reading is None or not _is_negative(reading):
        return {}
    found = relevances(post, cascade.brands, brands)
    watched = ((name, brands.get(name), found.get(name)) for name in cascade.brands)
    return {
        name: relevance
        for name, brand, relevance in watched
        if brand is not None and relevance is not None and relevance.counts and reading.negative >= brand.negative_from
    }


def _add_counters(cascade: Cascade, post: PostObserved, at: float) -> None:
    counters = post.counters
    if counters is not None:
        cascade.add_counters(at, (counters.reposts or 0) + (counters.quotes or 0) + (counters.replies or 0))


def _followers(post: PostObserved) -> int | None:
    return post.author.followers if post.author is not None else None


def _has_velocity(post: PostObserved) -> bool:
    """Returns True if the post says something about when: a catch-up after a gap does only by the network's own time."""
    return not post.backfill or post.platform_at is not None


def _note_automation(cascade: Cascade, post: PostObserved, at: float) -> bool:
    """Note what the post shares with those before it, so that the next ones can be compared.

    Returns True if it looks automated: by a young account, in words that others used before, or one of many at once by
    the network's own clock.
    """
    in_step = post.platform_at is not None and cascade.note_step(at)
    copied = post.text is not None and bool(cascade.brands) and cascade.remember_text(post.text)
    return in_step or copied or _is_young(post, at)


def _is_young(post: PostObserved, at: float) -> bool:
    author = post.author
    return (
        author is not None and author.created_at is not None and at - epoch(author.created_at) < YOUNG_ACCOUNT_SECONDS
    )


def _is_negative(reading: Reading) -> bool:
    """Returns True if negative is the likeliest sentiment. What the model would rather not judge is not negative."""
    return reading.abstain is None and reading.negative > max(reading.neutral, reading.positive)


def _card(post: PostObserved, at: float, reading: Reading | None) -> Card:
    """What the lane's state keeps of a post that a person should see."""
    author = post.author
    return Card(
        network=post.network,
        post_id=post.post_id,
        kind=post.kind.value,
        at=at,
        author=None if author is None else author.handle or author.id,
        followers=None if author is None else author.followers,
        verified=None if author is None else author.verified,
        text=None if post.text is None else post.text[:_CARD_CHARS],
        language=post.language,
        permalink=post.permalink,
        reply_link=post.reply_link,
        account=post.account,
        negative=None if reading is None or reading.abstain else round(reading.negative, 3),
        positive=None if reading is None or reading.abstain else round(reading.positive, 3),
        author_brand=post.author_brand,
        policy=post.policy.value,
        own=post.author_brand is not None,
    )
