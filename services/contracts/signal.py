"""Events of `firebreak.signals` and `firebreak.watch`: what the scorer concluded, for one brand each."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Final

from pydantic import Field

from services.contracts.base import AccountId, BrandId, ConversationId, Count, Event, Part, Probability, StoryId, Time
from services.contracts.post import PostKind, SourcePolicy


class PostCard(Part):
    """What a person needs to see of a post, and to answer it where it was written."""

    network: str
    post_id: str
    kind: PostKind
    author: str | None = None
    author_id: str | None = None
    """The network's id of the author, by which an erasure finds the post. It never leaves the house."""
    followers: Count | None = None
    verified: bool | None = None
    """Whether the network vouches for the author; `None` where it does not say."""
    text: str | None = None
    language: str | None = None
    permalink: str | None = None
    reply_link: str | None = None
    account: AccountId | None = None
    at: Time
    edited_at: Time | None = None
    """When its text was last changed; `None` as far as is known nobody did."""
    negative: Probability | None = None
    positive: Probability | None = None
    author_brand: BrandId | None = None
    """The brand that published it, where it is a brand's own post."""
    policy: SourcePolicy = SourcePolicy.TEXT_ALLOWED


class Sentiment(Part):
    negative: Probability
    neutral: Probability
    positive: Probability


class Relevance(Part):
    """How sure we are that the post is about this brand, and why."""

    score: Probability
    reason: str


class PostNegative(Event):
    """A post that is negative about a brand.

    `backfill` says that it was heard late. If its source did not say so, and it was recognised by what many posts claim, `late`
    is True too. The time of the post is then what it claims itself, as far as others claim as much.
    """

    TYPE: ClassVar[str] = "post.negative"
    VERSION: ClassVar[int] = 3

    brand: BrandId
    story: StoryId
    conversation: ConversationId
    post: PostCard
    sentiment: Sentiment
    complaint: Probability | None = None
    severity: (
        Annotated[
            int, Field(ge=0, le=4, description="of the complaint: 0 none, 1 mild, 2 moderate, 3 severe, 4 extreme")
        ]
        | None
    ) = None
    relevance: Relevance
    backfill: bool = False
    late: bool = False
    edited: bool = False
    """It says so since it was edited. It was counted when it came, so it counts nowhere."""
    voice: str | None = None
    """The same for all copies of a text, which are one voice; `None` for words of one's own."""
    model: str


class PostAsked(Event):
    """A question to a brand, or about it, that is not negative: it waits for an answer as a complaint does."""

    TYPE: ClassVar[str] = "post.asked"
    VERSION: ClassVar[int] = 3

    brand: BrandId
    story: StoryId
    conversation: ConversationId
    post: PostCard
    backfill: bool = False
    edited: bool = False
    voice: str | None = None


class FlaggedBy(StrEnum):
    """What found the topics of a post: the words of the configuration, several people with the same hint, or a model that reads
    for danger."""

    WORDS = "words"
    MANY = "many"
    MODEL = "model"


class PostFlagged(Event):
    """A post about a brand that speaks of topics, whatever its mood and its language, and whether or not it could be read.

    `topics` says for each of them which words were found, as the configuration writes them, and never as the post does.
    `hints` says the same of topics that it only may speak of: they need an answer, but no rule fires on them.
    `complaint` and `severity` are those of its reading, where there is one. Where a model found the topic (`by`), it is named,
    and in place of words stands the kind of danger that it read.
    """

    TYPE: ClassVar[str] = "post.flagged"
    VERSION: ClassVar[int] = 2

    brand: BrandId
    story: StoryId
    conversation: ConversationId
    post: PostCard
    topics: dict[str, tuple[str, ...]]
    hints: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    by: FlaggedBy = FlaggedBy.WORDS
    model: str | None = None
    complaint: Probability | None = None
    severity: Annotated[int, Field(ge=0, le=4)] | None = None
    backfill: bool = False
    edited: bool = False
    voice: str | None = None
    """The same for all copies of one text; `None` for words of one's own."""


class PostUnread(Event):
    """A post about a brand that the model would not read, and why. Whether it complains, only a person can tell.

    `language` is its language as far as it is known, in the spelling of `language_tags`. `addressed` is True if it names the
    brand or answers it; `wordless` if there is nothing in it but pictures, links, handles and signs.
    """

    TYPE: ClassVar[str] = "post.unread"
    VERSION: ClassVar[int] = 2

    brand: BrandId
    story: StoryId
    conversation: ConversationId
    post: PostCard
    language: str | None = None
    reason: str
    addressed: bool = False
    wordless: bool = False
    backfill: bool = False
    edited: bool = False
    voice: str | None = None
    """The same for all copies of one text; `None` for words of one's own."""


class PostAnswered(Event):
    """The brand replied. `seconds` is from the answered post to the answer, where both were seen."""

    TYPE: ClassVar[str] = "post.answered"

    brand: BrandId
    story: StoryId
    conversation: ConversationId
    post_id: str
    answer_id: str
    account: AccountId | None = None
    at: Time
    seconds: Annotated[float, Field(ge=0.0)] | None = None


class PostRedacted(Event):
    """A post was deleted where it was written: everybody who was sent it must forget it. One that was only `hidden` may come
    back (`PostShown`)."""

    TYPE: ClassVar[str] = "post.redacted"
    VERSION: ClassVar[int] = 2

    brand: BrandId
    story: StoryId
    conversation: ConversationId
    network: str
    post_id: str
    at: Time
    hidden: bool = False


class Level(StrEnum):
    """How near a story is to its brand's line, in rising order. `EASING` comes last, when nothing follows any more."""

    WATCH = "watch"
    LIKELY = "likely"
    IMMINENT = "imminent"
    CROSSED = "crossed"
    EASING = "easing"


class Line(Part):
    """What a brand calls viral: so many engagements, or so large an audience (followers reached), whichever is first."""

    engagements: Annotated[int, Field(ge=1)] | None = None
    audience: Annotated[int, Field(ge=1)] | None = None


class Interval(Part):
    """An 80 % interval with its median."""

    low: float
    median: float
    high: float


class CrossingTime(Part):
    """When the line is expected to be crossed: an 80 % interval with its median."""

    earliest: Time
    expected: Time
    latest: Time | None = None


class Mood(Part):
    """The audience's mood: the negative share of replies and quotes, against that account's usual share."""

    negative_share: Probability
    usual_share: Probability
    scored: Count


class Evidence(Part):
    """What the forecast rests on. Rates are engagements an hour over the last 10 and 60 minutes."""

    engagements: Count
    reposts: Count
    quotes: Count
    replies: Count
    reach: Count
    reach_known_share: Probability
    rate_10m: float
    rate_60m: float
    age_seconds: float
    automated_share: Probability | None = None
    curve: tuple[tuple[float, int], ...] = ()
    """(seconds since the root, engagements so far), at most 64 points."""


class CascadeForecast(Event):
    """How far a story will go, how sure we are, and when it crosses the line."""

    TYPE: ClassVar[str] = "cascade.forecast"
    VERSION: ClassVar[int] = 3

    brand: BrandId
    story: StoryId
    conversation: ConversationId
    number: Annotated[int, Field(ge=1)]
    """Grows by one with every forecast of this conversation for this brand."""
    level: Level
    line: Line
    horizon_seconds: float
    final_size: Interval
    probability: Probability
    probability_without_automation: Probability | None = None
    crossing: CrossingTime | None = None
    crossed_at: Time | None = None
    mood: Mood | None = None
    root: PostCard | None = None
    driver: PostCard | None = None
    """The reply that drives the story, where that is not the root: many engaged with it, and it is angry."""
    loudest: tuple[PostCard, ...] = ()
    exemplars: tuple[PostCard, ...] = ()
    evidence: Evidence
    reason: str
    at: Time
    model: str


OVERWHELMING_FACTOR: Final = 10.0
"""From this `BrandSurge.own_factor` on a surge is severe although its baseline is not known."""


class SurgePhase(StrEnum):
    START = "start"
    GROWING = "growing"
    END = "end"


class CopyWave(Part):
    """Copies of one text that alone are as many as a surge."""

    copies: Count
    reach: Count
    """The followers of all who published it."""
    complaint: Probability | None = None
    """The probability that the text is a complaint; `None` where the model does not say."""


class BrandSurge(Event):
    """More negative posts about a brand than its own baseline explains; with `unread`, more that could not be read.

    Copies of one text count once: `observed` are voices, and `copies` the posts that repeat what was counted already. With a
    `wave` it is the copies alone that are many, and `observed` counts them all.
    """

    TYPE: ClassVar[str] = "brand.surge"
    VERSION: ClassVar[int] = 3

    brand: BrandId
    phase: SurgePhase
    begins: Time
    at: Time
    window_seconds: float
    observed: Count
    expected: float
    factor: float
    surprise: float
    """-log10 of the probability of so many under the baseline."""
    share: Probability | None = None
    terms: tuple[str, ...] = ()
    exemplars: tuple[PostCard, ...] = ()
    stories: tuple[StoryId, ...] = ()
    networks: dict[str, int] = Field(default_factory=dict)
    languages: dict[str, int] = Field(default_factory=dict)
    copies: Count = 0
    wave: CopyWave | None = None
    baseline_known: bool = True
    """False as long as the baseline rests on too little of the brand's own time to say how severe the surge is."""
    own_factor: Annotated[float, Field(ge=0.0)] | None = None
    """Where the baseline is not known: how many times the busiest ten minutes of the brand so far the last ones are."""
    unread: bool = False
    reason: str
    model: str


class BrandVolume(Event):
    """All posts about a brand in one minute, as one lane saw them: sum over lanes before use."""

    TYPE: ClassVar[str] = "brand.volume"

    brand: BrandId
    minute: Time
    lane: Count
    posts: Count
    scored: Count
    negative: Count
    abstained: Count


class BrandHistory(Event):
    """How many negative posts a brand had before it was watched, at most a day of it: what surges learn the usual from."""

    TYPE: ClassVar[str] = "brand.history"

    brand: BrandId
    begins: Time
    every_seconds: Annotated[int, Field(ge=60, le=3_600)]
    negative: Annotated[tuple[Count, ...], Field(max_length=1_440)]
    """One count for each `every_seconds`, from `begins` on."""


class WatchRequested(Event):
    """A post that connectors should follow: let its engagements through and poll its counters."""

    TYPE: ClassVar[str] = "watch.requested"

    network: str
    post_id: str
    conversation: ConversationId
    brands: tuple[BrandId, ...]
    every_seconds: float
    until: Time
    reason: str
