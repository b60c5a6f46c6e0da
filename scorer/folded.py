"""A post that was folded into its conversation, and how posts are shown to people: as cards. Pure."""

from __future__ import annotations

from typing import NamedTuple

from scorer.lateness import TimePlace
from scorer.sentiment.model import Reading
from scorer.virality.cards import Card
from services.base.clock import moment
from services.contracts.base import AccountId, BrandId
from services.contracts.post import PostKind, PostObserved, SourcePolicy
from services.contracts.signal import PostCard
from services.eventlog.base import Record


class FoldedPost(NamedTuple):
    """A post of a conversation: its place in time and in the log, and how its text reads where it was read."""

    post: PostObserved
    at: float
    record: Record
    reading: Reading | None
    place: TimePlace | None = None
    """Where it belongs in time by the claims of the many, which `at` then follows, if it was heard late."""

    @property
    def late(self) -> bool:
        """True if the claims of the many say that it was heard late."""
        return self.place is not None and self.place.late


def card_of(folded: FoldedPost, negative: float | None) -> PostCard:
    """The card of a post that has just arrived."""
    post = folded.post
    return PostCard(
        network=post.network,
        post_id=post.post_id,
        kind=post.kind,
        author=None if post.author is None else post.author.handle or post.author.id,
        followers=None if post.author is None else post.author.followers,
        verified=None if post.author is None else post.author.verified,
        text=post.text,
        language=post.language,
        permalink=post.permalink,
        reply_link=post.reply_link,
        account=post.account,
        at=post.at if folded.place is None else moment(folded.at),
        negative=negative,
        author_brand=post.author_brand,
        policy=post.policy,
    )


def kept_card(card: Card) -> PostCard:
    """The card of a post that the cascade remembers."""
    return PostCard(
        network=card.network,
        post_id=card.post_id,
        kind=PostKind(card.kind),
        author=card.author,
        followers=card.followers,
        verified=card.verified,
        text=card.text,
        language=card.language,
        permalink=card.permalink,
        reply_link=card.reply_link,
        account=None if card.account is None else AccountId(card.account),
        at=moment(card.at),
        negative=card.negative,
        positive=card.positive,
        author_brand=None if card.author_brand is None else BrandId(card.author_brand),
        policy=SourcePolicy(card.policy),
    )
