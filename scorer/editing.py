"""Edits, and posts and authors that are gone or back: what is said of a post that was counted already, and counts as nothing.

An edit comes as such, or as the same post again with other words. It may come before its post, twice, in the wrong order, or
after a deletion: of two texts the one that was edited later stands (`versions`), and what is gone stays gone.
"""

from __future__ import annotations

from typing import Final

from scorer.concluding import Concluding, is_negative
from scorer.folded import FoldedPost, card_to_keep
from scorer.forwarding import Forwarding
from scorer.lane_state import LaneState
from scorer.sentiment.model import Reading
from scorer.step import Arrival, Step
from scorer.virality.cards import Card
from scorer.virality.cascade import Cascade
from scorer.virality.versions import Version, remember, text_hash
from services.base.clock import epoch
from services.contracts.base import BrandId
from services.contracts.post import (
    Author,
    AuthorChanged,
    AuthorState,
    PostKind,
    PostObserved,
    PostVisibility,
)

_FOREVER: Final = float("inf")


class Editing:
    """Edits in one lane, whose number is `lane`."""

    def __init__(self, lane: int, state: LaneState, forwarding: Forwarding, concluding: Concluding) -> None:
        self._lane = lane
        self._state = state
        self._forwarding = forwarding
        self._concluding = concluding

    # -- edits ---------------------------------------------------------------------------------------------------------

    def note(self, cascade: Cascade, post: PostObserved, reading: Reading | None, *, counts: bool) -> PostObserved:
        """A post that is new was folded: remember its text. `counts` says that its reading counts in the audience's mood.

        Returns the post as it is to be shown: an edit may have come before it.
        """
        negative = None
        if counts and reading is not None and reading.abstain is None:
            negative = is_negative(reading)
        known = cascade.versions.get(post.post_id)
        text, at, own = text_hash(post.text), _edited_at(post), post.author_brand or ""
        if known is None or known.kind:
            remember(cascade.versions, post.post_id, Version(text, at, post.kind.value, negative, own=own))
            return post
        known.kind, known.negative, known.earlier, known.own = post.kind.value, negative, [text], own
        early = _early(cascade)
        cascade.early = b""
        if early is None:
            return post.model_copy(update={"text": None})
        words = ("text", "language", "brands", "mentions", "edited_at")
        return post.model_copy(update={name: getattr(early, name) for name in words})

    def was_edited_before(self, cascade: Cascade, post: PostObserved) -> bool:
        """Returns True if an edit of the post was heard of before the post."""
        known = cascade.versions.get(post.post_id)
        return known is not None and not known.kind

    def has_other_words(self, cascade: Cascade, post: PostObserved) -> bool:
        """Returns True if a post that was counted, and came again, was edited meanwhile."""
        known = cascade.versions.get(post.post_id)
        if known is None or self._forwarding.is_gone(post):
            return False
        return known.is_news(text_hash(post.text), _edited_at(post), edit=False)

    def edit(self, cascade: Cascade, post: PostObserved, arrival: Arrival, step: Step) -> None:
        """Apply an edit to its conversation, or a post that was read again with other words."""
        known = cascade.versions.get(post.post_id)
        if known is None:
            known = Version(0)
            if post.is_root and not cascade.knows_root:
                cascade.early = post.model_dump_json(exclude_defaults=True).encode()
        elif not known.is_news(text_hash(post.text), _edited_at(post), edit=post.kind is PostKind.EDIT):
            known.confirm(text_hash(post.text), _edited_at(post))
            return
        elif cascade.early:
            cascade.early = post.model_dump_json(exclude_defaults=True).encode()
        self._replace(cascade, known, post, arrival, step)

    def _replace(self, cascade: Cascade, known: Version, post: PostObserved, arrival: Arrival, step: Step) -> None:
        """The post has other words than were known: show them, and say what they mean."""
        reading = arrival.reading if cascade.brands and not known.own else None
        negative = known.negative
        if negative is not None:
            now_negative = reading is not None and is_negative(reading)
            cascade.negative += now_negative - negative
            negative = now_negative
        remember(cascade.versions, post.post_id, known.after(text_hash(post.text), _edited_at(post), negative))
        shown = cascade.card_of(post.post_id)
        whole = _completed(post, known, shown)
        at = min(epoch(whole.at), step.now) if shown is None else shown.at
        if shown is not None or (negative is not None and reading is not None):
            cascade.edit(card_to_keep(whole, at, reading))
        elif whole.is_root and cascade.rooted:
            cascade.root = card_to_keep(whole, at, reading)  # its words were taken back, and are there again
        folded = FoldedPost(whole, at, arrival.record, reading, edited=True)
        said = self._concluding.conclude(cascade, folded, step)
        if whole.home != whole.conversation:
            return  # said where the quote lives
        for brand, says in said.items():
            if brand in step.watched.brands:
                step.signals.edited(cascade, folded, brand, says)

    # -- hidden and visible again --------------------------------------------------------------------------------------

    def note_visibility(self, event: PostVisibility, step: Step) -> None:
        """A post was hidden, or is visible again: this lane shows it no more, or may. Those who hold it are told."""
        known = self._state.whereabouts
        if event.visible:
            known.unhide(event.network, event.post_id)
        else:
            self._forwarding.note_hidden(event.network, event.post_id, step)
        self._forwarding.pass_on_visibility(event, step)

    def change_visibility(self, post: PostObserved, step: Step) -> None:
        """The conversation that holds a post forgets what is hidden, and each of its brands is told; also that it is back."""
        conversation = post.conversation
        visible = bool(post.visible)
        if visible:
            self._state.whereabouts.unhide(post.network, post.post_id)
        else:
            self._forwarding.note_hidden(post.network, post.post_id, step)
        known = self._state.cascades.get(conversation)
        if (known is None or known.root is None) and self._forwarding.forward(post, step):
            return
        cascade = known or self._state.begin(conversation)
        if not visible and known is not None:
            cascade.forget_post(post.post_id)
            step.moved[conversation] = None
            self._state.cascades.put(conversation, cascade, None)
        if visible and self._state.whereabouts.is_deleted(post.network, post.post_id):
            return
        for brand in cascade.brands:
            step.signals.seen_or_hidden(cascade, brand, post)

    # -- authors -------------------------------------------------------------------------------------------------------

    def change_author(self, event: AuthorChanged, step: Step) -> None:
        """An author was erased: forget all that this lane holds of them, and keep nothing that comes. Or one is back: what they
        write from then on is kept again. The first lane tells the brands."""
        at = epoch(event.at)
        erased = event.state is AuthorState.ERASED
        before = _FOREVER if erased else at
        if not self._forwarding.note_author(event.network, event.author_id, at, before, step):
            return
        if erased:
            self._sweep(event, step)
        if self._lane == 0:
            for brand in step.watched.brands:
                step.signals.author(event, BrandId(brand))

    def _sweep(self, event: AuthorChanged, step: Step) -> None:
        cascades = self._state.cascades
        for conversation in cascades.holding(event.author_id.encode()):
            cascade = cascades.get(conversation)
            if cascade is None or cascade.network != event.network:
                continue
            early = _early(cascade)
            theirs = early is not None and early.author is not None and early.author.id == event.author_id
            if theirs:
                cascade.early = b""
            if cascade.forget_author(event.author_id) or theirs:
                step.moved[conversation] = None
                cascades.put(conversation, cascade, None)


def _edited_at(post: PostObserved) -> float:
    return 0.0 if post.edited_at is None else epoch(post.edited_at)


def _early(cascade: Cascade) -> PostObserved | None:
    """The edit that came before the root of the conversation, if there is one."""
    return PostObserved.model_validate_json(cascade.early) if cascade.early else None


def _completed(post: PostObserved, known: Version, shown: Card | None) -> PostObserved:
    """An edit with all that is known of its post: often it says nothing but the new words."""
    kind = known.kind or (PostKind.ORIGINAL if post.is_root else PostKind.REPLY)
    again = post.kind is not PostKind.EDIT and not known.text  # its words were taken back, and are there again
    edited_at = post.edited_at or (None if again else post.observed_at)
    more: dict[str, object] = {"kind": PostKind(kind), "edited_at": edited_at}
    if shown is not None:
        if post.author is None and shown.author_id is not None:
            more["author"] = Author(
                id=shown.author_id, handle=shown.author, followers=shown.followers, verified=shown.verified
            )
        for name in ("permalink", "reply_link", "language"):
            if getattr(post, name) is None:
                more[name] = getattr(shown, name)
    if known.own:
        more["author_brand"] = BrandId(known.own)
    return post.model_copy(update=more)
