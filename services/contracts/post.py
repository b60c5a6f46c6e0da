"""Events of `firebreak.posts`: what was published, changed and taken back, what a connector covered, and which stories belong
together."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from services.contracts.base import (
    AccountId,
    BrandId,
    ConversationId,
    Count,
    Event,
    EventId,
    Part,
    StoryId,
    Time,
    event_id,
)


class PostKind(StrEnum):
    """What happened. `COUNTERS` is a snapshot of totals, for networks that do not report single engagements. `EDIT` is another
    text of a post that is there already, and `VISIBILITY` says that it was hidden or shown again: both count as nothing."""

    ORIGINAL = "original"
    REPLY = "reply"
    QUOTE = "quote"
    REPOST = "repost"
    COUNTERS = "counters"
    DELETION = "deletion"
    EDIT = "edit"
    VISIBILITY = "visibility"


class SourcePolicy(StrEnum):
    """What the source's terms let leave the house."""

    TEXT_ALLOWED = "text_allowed"
    IDS_ONLY = "ids_only"
    INTERNAL = "internal"


class Author(Part):
    id: str
    handle: str | None = None
    followers: Count | None = None
    verified: bool | None = None
    created_at: Time | None = None


class Counters(Part):
    """Totals at the time of the observation; `None` where the network does not say."""

    likes: Count | None = None
    reposts: Count | None = None
    replies: Count | None = None
    quotes: Count | None = None
    views: Count | None = None


class PostRef(Part):
    post_id: str
    conversation: ConversationId


class MentionKind(StrEnum):
    """How a text names a brand: by its account (`@acme`), by a hashtag (`#acme`), or as a word."""

    HANDLE = "handle"
    HASHTAG = "hashtag"
    NAME = "name"


class Mention(Part):
    """One place where a text names a brand: characters `start` to `end`, counted in Unicode code points. The sign of a
    handle or hashtag belongs to it. `services.contracts.names` says what counts as a name."""

    brand: BrandId
    kind: MentionKind
    start: Count
    end: Count


class PostObserved(Event):
    """One observation of one post, in one conversation.

    A quote is observed twice: in its own conversation (`home == conversation`) and, as an engagement that brings the
    quoter's reach and text, in the conversation it quotes (`home` then names where the quote itself lives).
    `created_at` is what the author's client claims, `platform_at` what the network vouches for, `observed_at` ours.
    `brands` are all that the post is about; `mentions` say where its `text` names them (at most `names.MOST_MENTIONS`, from
    left to right), without those places where the name means something else. They are `None` in records of version 1, for
    which nobody wrote them down. `forwarded` is how many times the scorer passed it on to the conversation that holds its
    parent, because whoever sent it named no root. `edited_at` is when its text was last changed, by the network; `None` where
    it does not say, or nobody changed it. `visible` is stated by `VISIBILITY` alone.
    """

    TYPE: ClassVar[str] = "post.observed"
    VERSION: ClassVar[int] = 4

    network: str
    post_id: str
    kind: PostKind
    conversation: ConversationId
    home: ConversationId
    parent_id: str | None = None
    quotes: PostRef | None = None
    author: Author | None = None
    text: str | None = None
    language: str | None = None
    permalink: str | None = None
    reply_link: str | None = None
    brands: tuple[BrandId, ...] = ()
    mentions: tuple[Mention, ...] | None = ()
    account: AccountId | None = None
    author_brand: BrandId | None = None
    counters: Counters | None = None
    created_at: Time | None = None
    platform_at: Time | None = None
    edited_at: Time | None = None
    observed_at: Time
    visible: bool | None = None
    backfill: bool = False
    policy: SourcePolicy = SourcePolicy.TEXT_ALLOWED
    forwarded: Count = 0

    @property
    def at(self) -> datetime:
        """Its place in time: the network's clock or ours, never the one the author claims."""
        return self.platform_at or self.observed_at

    @property
    def is_root(self) -> bool:
        """True if this is the post with which its conversation began."""
        conversation = self.conversation
        # Asked of each of a million reposts: the first test rules them out at a fraction of the whole comparison's cost.
        return (
            conversation.endswith(self.post_id)
            and self.home == conversation
            and conversation == f"{self.network}:{self.post_id}"
        )


def observation_id(post: PostObserved) -> EventId:
    """The id of an observation: the same whenever it is sent again, and wherever it is passed on to.

    That of a snapshot depends on its totals and its time too, that of an edit on its text and its time: the next one is another
    event.
    """
    extra = ""
    if post.kind is PostKind.COUNTERS and post.counters is not None:
        c = post.counters
        extra = f"{c.likes},{c.reposts},{c.replies},{c.quotes},{c.views},{post.platform_at}"
    elif post.kind is PostKind.EDIT:
        extra = f"{post.edited_at},{post.text}"
    elif post.kind is PostKind.VISIBILITY:
        extra = f"{post.visible},{post.platform_at}"
    return event_id(post.network, post.post_id, post.kind.value, post.conversation, extra)


class PostPlaced(Event):
    """Where a reply or quote stands, told to the partition that its own id leads to: who hears only the id (of a deletion, or
    of the parent of a repost) looks there. `home` is the conversation in which it speaks, `quoted` the one that it quotes."""

    TYPE: ClassVar[str] = "post.placed"

    network: str
    post_id: str
    home: ConversationId
    quoted: ConversationId | None = None
    at: Time


class PostDeleted(Event):
    """A post was deleted where it was written. Every partition gets a copy, because any of them may hold its words, or get them
    later: whoever deletes it need not know its conversation."""

    TYPE: ClassVar[str] = "post.deleted"

    network: str
    post_id: str
    at: Time


class PostVisibility(Event):
    """A post was hidden where it was written, or is shown there again. Every partition gets a copy, as of a deletion. What is
    hidden is forgotten like a deleted post; once it is visible, a source that reads it again brings it back."""

    TYPE: ClassVar[str] = "post.visibility"

    network: str
    post_id: str
    visible: bool
    at: Time


class AuthorState(StrEnum):
    ERASED = "erased"
    REINSTATED = "reinstated"


class AuthorChanged(Event):
    """An author is gone from a network with all that they wrote, or is back. Every partition gets a copy, because any of them
    may hold their words; the first of them passes it on to `firebreak.signals`, once a brand.

    Of two changes the one with the later `at` counts. Nothing that was forgotten comes back: posts from before a reinstatement
    stay forgotten.
    """

    TYPE: ClassVar[str] = "author.changed"

    network: str
    author_id: str
    state: AuthorState
    at: Time


class CoverageState(StrEnum):
    HEALTHY = "healthy"
    GAP = "gap"


class SourceCoverage(Event):
    """A connector's heartbeat, or a gap it knows of. Also copied to `firebreak.signals`, once a brand.

    A gap without `ends` is still open; it ends with another one that begins at the same time. With `every_seconds` a
    heartbeat promises that the next one follows within so long.
    """

    TYPE: ClassVar[str] = "source.coverage"
    VERSION: ClassVar[int] = 2

    network: str
    connector: str
    state: CoverageState
    begins: Time
    ends: Time | None = None
    every_seconds: float | None = None
    brands: tuple[BrandId, ...] = ()
    missed: Count | None = None
    reason: str | None = None
    observed_at: Time


class StoryLinked(Event):
    """The conversation under a quote belongs to the quoted story: same brands, same incident. Written by the scorer."""

    TYPE: ClassVar[str] = "story.linked"

    conversation: ConversationId
    post_id: str
    story: StoryId
    brands: tuple[BrandId, ...]
    account: AccountId | None = None
    at: Time
