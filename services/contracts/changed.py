"""Events of `firebreak.signals` about posts that were told and have changed: one was edited, or is shown again. That one is
gone says `PostRedacted`."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from services.contracts.base import BrandId, ConversationId, Event, Probability, StoryId, Time
from services.contracts.signal import PostCard


class Said(StrEnum):
    """What an edited post is, in its new words. `TOPICS` are said or hinted at."""

    NEGATIVE = "negative"
    QUESTION = "question"
    TOPICS = "topics"
    UNREAD = "unread"


class PostEdited(Event):
    """A post has other words than before: whoever was sent the earlier ones has to correct them.

    `post` has the new words, `says` what they mean for the brand; what calls for it follows as a signal of its own before this
    one. Without any of it the post has taken back what it complained of. `complaint` as in `PostNegative`.
    """

    TYPE: ClassVar[str] = "post.edited"

    brand: BrandId
    story: StoryId
    conversation: ConversationId
    post: PostCard
    says: tuple[Said, ...] = ()
    complaint: Probability | None = None


class PostShown(Event):
    """A post that was hidden is visible again where it was written. If a source sends it again, it may be shown."""

    TYPE: ClassVar[str] = "post.shown"

    brand: BrandId
    story: StoryId
    conversation: ConversationId
    network: str
    post_id: str
    at: Time
