"""A post that was folded into its conversation, and how posts are shown to people: as cards. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

from scorer.lateness import TimePlace
from scorer.sentiment.model import Reading
from scorer.virality.cards import Card
from services.base.clock import epoch, moment
from services.contracts.base import AccountId, BrandId
from services.contracts.post import PostKind, PostObserved, SourcePolicy
from services.contracts.signal import PostCard
from services.eventlog.base import Record

CARD_CHARS: Final = 500
"""Of a text, in a lane's state: enough to recognise the post by."""


class FoldedPost(NamedTuple):
    """A post of a conversation: its place in time and in the log, and how its text reads where it was read."""

    post: PostObserved
    at: float
    record: Record
    reading: Reading | None
    place: TimePlace | None = None
    """Where it belongs in time by the claims of the many, which `at` then follows, if it was heard late."""
    edited: bool = False
    """It was counted before, with other words."""

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
        author_id=None if post.author is None else post.author.id,
        followers=None if post.author is None else post.author.followers,
        verified=None if post.author is None else post.author.verified,
        text=post.text,
        language=post.language,
        permalink=post.permalink,
        reply_link=post.reply_link,
        account=post.account,
        at=post.at if folded.place is None and not folded.edited else moment(folded.at),
        edited_at=post.edited_at,
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
        author_id=card.author_id,
        followers=card.followers,
        verified=card.verified,
        text=card.text,
        language=card.language,
        permalink=card.permalink,
        reply_link=card.reply_link,
        account=None if card.account is None else AccountId(card.account),
        at=moment(card.at),
        edited_at=None if card.edited_at is None else moment(card.edited_at),
        negative=card.negative,
        positive=card.positive,
        author_brand=None if card.author_brand is None else BrandId(card.author_brand),
        policy=SourcePolicy(card.policy),
    )


def card_to_keep(post: PostObserved, at: float, reading: Reading | None) -> Card:
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
        text=None if post.text is None else post.text[:CARD_CHARS],
        language=post.language,
        permalink=post.permalink,
        reply_link=post.reply_link,
        account=post.account,
        negative=None if reading is None or reading.abstain else round(reading.negative, 3),
        positive=None if reading is None or reading.abstain else round(reading.positive, 3),
        author_brand=post.author_brand,
        policy=post.policy.value,
        own=post.author_brand is not None,
        author_id=None if author is None else author.id,
        edited_at=None if post.edited_at is None else epoch(post.edited_at),
    )
