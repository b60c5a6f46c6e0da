"""Passes on what came by an id alone: engagements to the conversation that holds their parent, deletions to those that hold the
post. Both come to the lane that the id leads to, which knows where the post stands (`whereabouts`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from scorer.lane_state import LaneState
from scorer.metrics import ScorerMetrics
from scorer.seen import id_digest
from scorer.signals import redaction_id
from scorer.step import Step
from scorer.virality.cascade import Cascade
from services.base.clock import epoch, moment
from services.contracts.base import ConversationId
from services.contracts.post import PostDeleted, PostKind, PostObserved, PostPlaced, PostVisibility

MOST_FORWARDS: Final = 8
"""A reply to a reply to a reply: each may name only its parent. Two posts that claim to answer each other go
round no longer."""
_FORWARDED: Final = frozenset(
    {PostKind.REPLY, PostKind.QUOTE, PostKind.REPOST, PostKind.DELETION, PostKind.EDIT, PostKind.VISIBILITY}
)


class Forwarding:
    """Finds conversations for one lane."""

    def __init__(self, state: LaneState, metrics: ScorerMetrics) -> None:
        self._state = state
        self._metrics = metrics

    def place(self, event: PostPlaced, step: Step) -> None:
        """Note where a post stands. If it was deleted before it came, those who hold it now are told."""
        known = self._state.whereabouts
        forgotten = known.place(event.network, event.post_id, event.home, event.quoted, step.now)
        self._metrics.whereabouts_forgotten.labels("place").inc(forgotten)
        if known.is_deleted(event.network, event.post_id):
            self._say_there(
                PostDeleted(network=event.network, post_id=event.post_id, at=event.at), PostKind.DELETION, step
            )
            return
        if known.is_hidden(event.network, event.post_id):
            hidden = PostVisibility(network=event.network, post_id=event.post_id, visible=False, at=event.at)
            self.pass_on_visibility(hidden, step)
            return
        own = self._state.cascades.get(f"{event.network}:{event.post_id}")
        if own is not None and own.early:
            # An edit that came first, when nobody knew where its post stands.
            early = PostObserved.model_validate_json(own.early)
            own.early = b""
            self._state.cascades.put(early.conversation, own, None)
            step.moved[early.conversation] = None
            self.forward_edit(early, None, step)

    def delete(self, event: PostDeleted, step: Step) -> None:
        """Note that a post was deleted, and tell the conversations that hold it."""
        self.note_deletion(event.network, event.post_id, step)
        self._say_there(event, PostKind.DELETION, step)

    def note_deletion(self, network: str, post_id: str, step: Step) -> None:
        """From now on this lane shows no post of this id."""
        forgotten = self._state.whereabouts.delete(network, post_id, step.now)
        self._metrics.whereabouts_forgotten.labels("deletion").inc(forgotten)

    def note_hidden(self, network: str, post_id: str, step: Step) -> None:
        """From now on this lane shows no post of this id, until it is visible again."""
        forgotten = self._state.whereabouts.hide(network, post_id, step.now)
        self._metrics.whereabouts_forgotten.labels("hidden").inc(forgotten)

    def note_author(self, network: str, author_id: str, at: float, before: float, step: Step) -> bool:
        """From now on this lane keeps nothing that the author wrote `before` then. Returns False if a later change is known."""
        forgotten = self._state.whereabouts.note_author(network, author_id, at, before, step.now)
        self._metrics.whereabouts_forgotten.labels("author").inc(forgotten or 0)
        return forgotten is not None

    def is_gone(self, post: PostObserved) -> bool:
        """Returns True if the post is not to be kept: it was deleted or hidden, or its author was erased."""
        known = self._state.whereabouts
        if known.is_deleted(post.network, post.post_id) or known.is_hidden(post.network, post.post_id):
            return True
        if post.author is None:
            return False
        written = epoch(post.at if post.created_at is None else min(post.at, post.created_at))
        return known.is_erased(post.network, post.author.id, written)

    def pass_on_visibility(self, event: PostVisibility, step: Step) -> None:
        """Tell the conversations that hold the post."""
        self._say_there(event, PostKind.VISIBILITY, step, visible=event.visible)

    def forward_edit(self, post: PostObserved, known: Cascade | None, step: Step) -> bool:
        """Pass an edit on to where its post stands; `known` is the conversation in which it came, if there is one here. That of
        a quote by its id alone goes on to the quoted conversation as well. Returns False if it belongs here."""
        own = post.conversation == f"{post.network}:{post.post_id}"
        if not own:
            return (known is None or known.root is None) and self.forward(post, step)
        away = False
        for conversation in self._state.whereabouts.conversations_of(post.network, post.post_id):
            place = ConversationId(conversation)
            if place == post.conversation:
                continue
            home = self._state.whereabouts.home_of(post.network, post.post_id)
            there = {"conversation": place, "home": ConversationId(home or place), "forwarded": 1, "quotes": None}
            step.signals.forwarded(post.model_copy(update=there))
            away = away or place == home
        return away

    def _say_there(
        self, event: PostDeleted | PostVisibility, kind: PostKind, step: Step, visible: bool | None = None
    ) -> None:
        """Tell each conversation that holds the post what became of it."""
        for conversation in self._state.whereabouts.conversations_of(event.network, event.post_id):
            place = ConversationId(conversation)
            step.signals.forwarded(
                PostObserved(
                    network=event.network,
                    post_id=event.post_id,
                    kind=kind,
                    conversation=place,
                    home=place,
                    observed_at=event.at,
                    visible=visible,
                    forwarded=1,
                )
            )

    def forward(self, post: PostObserved, step: Step) -> bool:
        """Pass an engagement (or its deletion) on to the conversation of the post that it engages with. Asked where that post
        is not known as the root of a conversation here.

        Returns False if it belongs here.
        """
        conversation = post.conversation
        own = conversation == f"{post.network}:{post.post_id}"
        if post.kind not in _FORWARDED or own or post.forwarded >= MOST_FORWARDS:
            return False
        home = self._state.whereabouts.home_of(*conversation.split(":", 1))
        if home is None or home == conversation:
            return False
        place = ConversationId(home)
        there = {"conversation": place, "forwarded": post.forwarded + 1}
        step.signals.forwarded(post.model_copy(update=there if post.home != conversation else {**there, "home": place}))
        return True

    def end(self, conversation: str, cascade: Cascade, step: Step) -> None:
        """A conversation is over. What it was about stays known, in case its root resurfaces."""
        forgotten = self._state.end(conversation, cascade, step.now)
        self._metrics.whereabouts_forgotten.labels("conversation").inc(forgotten)

    def redact(self, conversation: str, cascade: Cascade, network: str, post_id: str, at: datetime, step: Step) -> None:
        """The post was deleted: the conversation forgets it, and each of its brands is told so, once."""
        cascade.forget_post(post_id)
        for brand in cascade.brands:
            id_ = redaction_id(network, post_id, brand, conversation)
            forgotten = self._state.seen.remember(conversation, cascade, id_digest(id_))
            if forgotten is not None:
                step.forgotten += forgotten
                step.signals.redacted(cascade, brand, conversation, network, post_id, at)

    def redact_past(self, conversation: str, network: str, post_id: str, at: datetime, step: Step) -> None:
        """The post was deleted when its conversation was over. Incidents and answer clocks keep it for longer, so the brands
        that the conversation was about are told; if it is told again, under the same id."""
        over = self._state.begin(conversation)
        for brand in over.brands:
            step.signals.redacted(over, brand, conversation, network, post_id, at)

    def forget_deleted(self, conversation: str, step: Step) -> None:
        """Forget what the conversation shows of posts whose deletion this lane has heard of, but not yet this conversation."""
        cascade = self._state.cascades.get(conversation)
        if cascade is None:
            return
        for network, post_id in dict.fromkeys((card.network, card.post_id) for card in cascade.shown):
            known = self._state.whereabouts
            if known.is_deleted(network, post_id):
                self.redact(conversation, cascade, network, post_id, moment(step.now), step)
            elif known.is_hidden(network, post_id):
                cascade.forget_post(post_id)  # its brands are told where its place is known
