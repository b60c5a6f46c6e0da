"""The fold stage: every event into its conversation, in order, and what that says to the brands that it concerns."""

from __future__ import annotations

from typing import Final

from scorer.concluding import Concluding, is_negative
from scorer.editing import Editing
from scorer.folded import FoldedPost, card_to_keep
from scorer.forwarding import Forwarding
from scorer.lane_state import LaneState
from scorer.lateness import TimePlace
from scorer.metrics import ScorerMetrics
from scorer.seen import id_digest
from scorer.sentiment.model import Reading
from scorer.step import SPEAKING, Arrival, Step
from scorer.virality.cascade import YOUNG_ACCOUNT_SECONDS, Cascade
from services.base.clock import epoch
from services.contracts.base import BrandId
from services.contracts.post import (
    AuthorChanged,
    PostDeleted,
    PostKind,
    PostObserved,
    PostPlaced,
    PostVisibility,
    SourceCoverage,
    StoryLinked,
)
from services.eventlog.base import Record

_ENGAGEMENTS: Final = frozenset({PostKind.REPLY, PostKind.QUOTE, PostKind.REPOST})
_CHANGES: Final = frozenset({PostKind.DELETION, PostKind.EDIT, PostKind.VISIBILITY})
"""What became of a post that is there already."""


class Folding:
    """Folds the events of one lane."""

    def __init__(
        self,
        state: LaneState,
        metrics: ScorerMetrics,
        forwarding: Forwarding,
        concluding: Concluding,
        editing: Editing,
    ) -> None:
        self._state = state
        self._metrics = metrics
        self._forwarding = forwarding
        self._concluding = concluding
        self._editing = editing

    def fold(self, step: Step) -> None:
        """Fold all arrivals, in order. The conversations that they move are left in `step.moved`."""
        places = self._state.lateness.places([arrival.event for arrival in step.arrivals])
        for arrival, place in zip(step.arrivals, places, strict=True):
            event = arrival.event
            if type(event) is PostObserved:
                if event.kind in _CHANGES:
                    self._fold_change(event, arrival, step)
                else:
                    self._fold_post(event, arrival, step, place)
            elif type(event) is PostPlaced:
                self._forwarding.place(event, step)
            elif type(event) is PostDeleted:
                self._forwarding.delete(event, step)
            elif type(event) is PostVisibility:
                self._editing.note_visibility(event, step)
            elif type(event) is AuthorChanged:
                self._editing.change_author(event, step)
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
        known = self._state.cascades.get(post.conversation)
        # Asked of each of a million reposts: most conversations have their root, and nothing stands elsewhere.
        if (known is None or known.root is None) and self._forwarding.forward(post, step):
            return
        cascade = self._admit(post.conversation, known, arrival, step)
        if cascade is None:
            if known is not None and post.kind in SPEAKING:
                self._fold_again(known, post, arrival, step)
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
        speaks = post.kind in SPEAKING
        gone = speaks and self._forwarding.is_gone(post)
        edited_before = speaks and self._editing.was_edited_before(cascade, post)
        if gone or edited_before:  # it counts as all deleted posts do, and says nothing, or has said it by then
            reading = None
        engages = post.kind in _ENGAGEMENTS and not post.is_root and post.author_brand is None
        shown = self._editing.note(cascade, post, reading, counts=engages) if speaks and not gone else post
        if post.is_root:
            cascade.add_root(at, _followers(post), velocity=place is not None or _has_velocity(post))
            cascade.root = None if gone else card_to_keep(shown, at, reading)
        elif engages:
            self._engage(cascade, shown, at, reading, place)
        if post.kind is PostKind.REPOST and not cascade.links:
            return  # by far the most frequent event, and all there is to it
        if post.kind is PostKind.QUOTE and post.home != post.conversation:
            cascade.remember_link(post.home)
        self._link_quotes(cascade, post, step)
        if speaks and not gone:  # a brand that reposts a complaint has not answered it
            folded = FoldedPost(post, at, arrival.record, reading, place)
            self._follow_answers(cascade, folded, step)
            if not edited_before:
                self._concluding.conclude(cascade, folded, step)

    def _fold_again(self, cascade: Cascade, post: PostObserved, arrival: Arrival, step: Step) -> None:
        """A post that was counted was read again: it may have other words now."""
        if self._editing.has_other_words(cascade, post):
            self._learn_brands(cascade, post, step)
            self._editing.edit(cascade, post, arrival, step)
            step.moved[post.conversation] = None
            self._state.cascades.put(post.conversation, cascade, None)

    def _fold_change(self, post: PostObserved, arrival: Arrival, step: Step) -> None:
        if post.kind is PostKind.DELETION:
            self._fold_deletion(post, arrival, step)
        elif post.kind is PostKind.VISIBILITY:
            self._editing.change_visibility(post, step)
        elif not self._forwarding.is_gone(post):
            self._fold_edit(post, arrival, step)

    def _fold_edit(self, post: PostObserved, arrival: Arrival, step: Step) -> None:
        """A post has other words. It may be known by its id alone, and stand elsewhere."""
        known = self._state.cascades.get(post.conversation)
        if self._forwarding.forward_edit(post, known, step):
            return
        cascade = self._admit(post.conversation, known, arrival, step)
        if cascade is None:
            return
        self._learn_brands(cascade, post, step)
        self._link_quotes(cascade, post, step)
        self._editing.edit(cascade, post, arrival, step)

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
            cascade.read_reply(is_negative(reading))
        if cascade.voices or cascade.exemplars:
            cascade.credit(post.parent_id)
        speaks = post.kind is PostKind.REPLY and post.text is not None and bool(cascade.brands)
        shows = reading is not None or cascade.is_loud(followers or 0)
        if (speaks or shows) and not self._forwarding.is_gone(post):
            card = card_to_keep(post, at, reading)
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
