"""What a client may send about a post, and what it is answered: strict about types, unknown fields and bounds.

A claim that does not fit is dropped, and the post is taken (`claims`); whatever else does not fit rejects it. Only single
fields are checked here. `normalize` checks how they fit together, and to the configuration and the clock;
`parsing` turns bytes into items.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, FailFast, Field, StringConstraints
from pydantic_core import PydanticCustomError

from services.base.rfc3339 import Rfc3339
from services.contracts.post import AuthorState, CoverageState, PostKind

MAX_COUNT: Final = 2**53
"""Many JSON libraries silently round higher numbers."""
MAX_ID_CHARS: Final = 200
MAX_LINK_CHARS: Final = 2000
MAX_BRANDS: Final = 100
FIRST_YEAR: Final = 1990
LAST_YEAR: Final = 2100
"""A date outside comes from a broken encoder (epoch zero, the year 9999), and overflows as soon as something is added to it."""

PRINTABLE: Final = r"^[^\x00-\x1f\x7f-\x9f]*$"
WEB_LINK: Final = r"^[hH][tT][tT][pP][sS]?://[^\s\x00-\x20\x7f\"<>\\@/?#`]+([/?#][^\s\x00-\x20\x7f\"<>\\`]*)?$"
"""Only http and https, no `user@` before the host (`https://bank.com@evil.example`), no character that could end markup."""
LANGUAGE: Final = r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8}){0,6}$"
SLUG: Final = r"^[a-z0-9][a-z0-9_-]{0,63}$"

SAYS: Final = {
    PRINTABLE: "contains a control character",
    WEB_LINK: "must be an http or https URL without user name and spaces",
    LANGUAGE: "must be a language tag such as en or pt-BR",
    SLUG: "must be 1 to 64 lower-case letters, digits, _ or -, beginning with a letter or digit",
}
"""The message for a field that does not match a pattern."""


class Reason(StrEnum):
    """Why an item was rejected: the codes of errors, and labels of metrics."""

    NOT_JSON = "not_json"
    NESTED_TOO_DEEPLY = "nested_too_deeply"
    BAD_ENCODING = "bad_encoding"
    MISSING = "missing"
    UNKNOWN_FIELD = "unknown_field"
    WRONG_TYPE = "wrong_type"
    BAD_VALUE = "bad_value"
    TOO_LONG = "too_long"
    OUT_OF_RANGE = "out_of_range"
    BAD_TIME = "bad_time"
    CONTRADICTION = "contradiction"
    UNKNOWN_BRAND = "unknown_brand"
    TOO_LARGE = "too_large"


class ItemError(NamedTuple):
    """What is wrong with one item, and in which field. Never states the value, which may be private."""

    code: Reason
    field: str | None
    message: str


def _sane_year(value: datetime) -> datetime:
    if not FIRST_YEAR <= value.year <= LAST_YEAR:
        raise PydanticCustomError(
            "moment_year",
            "the year {year} is not between {first} and {last}",
            {"year": value.year, "first": FIRST_YEAR, "last": LAST_YEAR},
        )
    return value


Moment = Annotated[Rfc3339, AfterValidator(_sane_year)]
Number = Annotated[int, Field(ge=0, le=MAX_COUNT)]


def _without_nul(value: Any) -> Any:
    """Some systems pad texts with NUL characters, which no store can hold."""
    return value.replace("\0", "") if isinstance(value, str) else value


def _none_if_empty(value: Any) -> Any:
    """Many clients write an empty string where they have nothing to say."""
    return None if value == "" else value


PostRefId = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID_CHARS, pattern=PRINTABLE)]
MaybeId = Annotated[PostRefId | None, BeforeValidator(_none_if_empty)]
Link = Annotated[str, StringConstraints(max_length=MAX_LINK_CHARS, pattern=WEB_LINK)]
SlugIn = Annotated[str, StringConstraints(pattern=SLUG)]


class InputPart(BaseModel):
    """A part of what clients send: strict, and without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class AuthorIn(InputPart):
    id: PostRefId = Field(description="the network's id of the account", examples=["4711"])
    handle: PostRefId | None = Field(None, description="with or without a leading @", examples=["@jane"])
    followers: Number | None = Field(None, examples=[52300])
    verified: bool | None = None
    created_at: Moment | None = Field(None, description="when the account was opened")


class QuoteOf(InputPart):
    """The post that is quoted, and the root of its conversation if that is known and another post."""

    post_id: PostRefId = Field(examples=["99"])
    root_id: PostRefId | None = None


class CountersIn(InputPart):
    """Totals at the time of observation. Leave out those that the network does not tell."""

    likes: Number | None = None
    reposts: Number | None = None
    replies: Number | None = None
    quotes: Number | None = None
    views: Number | None = None


EXAMPLES: Final[list[Any]] = [
    {
        "network": "x",
        "post_id": "123",
        "kind": "original",
        "author": {"id": "4711", "handle": "jane", "followers": 52300},
        "text": "@acmeair left my mother stranded in Oslo. Nobody answers. #acmefail",
        "language": "en",
        "permalink": "https://x.com/jane/status/123",
        "platform_at": "2026-05-01T12:00:00Z",
    },
    {"network": "x", "post_id": "124", "kind": "reply", "parent_id": "123", "root_id": "123", "text": "Same here!"},
    {"network": "x", "post_id": "125", "kind": "quote", "quote_of": {"post_id": "123"}, "text": "Unbelievable."},
    {"network": "x", "post_id": "123", "kind": "counters", "counters": {"reposts": 410, "views": 91000}},
    {
        "network": "x",
        "post_id": "124",
        "kind": "edit",
        "text": "Same here! Update: they called me.",
        "edited_at": "2026-05-01T12:30:00Z",
    },
    {"network": "x", "post_id": "125", "kind": "visibility", "visible": False},
]


class PostIn(InputPart):
    """One observation of a post."""

    model_config = ConfigDict(json_schema_extra={"examples": EXAMPLES})

    network: SlugIn = Field(description="where it was published", examples=["x"])
    post_id: PostRefId = Field(description="the network's id of the post", examples=["123"])
    kind: PostKind = Field(
        description="`reply` and `repost` need parent_id or root_id, `quote` quote_of, `counters` counters, `edit` text, "
        "`visibility` visible"
    )
    author: AuthorIn | None = None
    text: Annotated[str, BeforeValidator(_without_nul)] | None = None
    language: Annotated[str, StringConstraints(pattern=LANGUAGE)] | None = Field(None, examples=["en"])
    permalink: Link | None = Field(None, description="where people read it", examples=["https://x.com/jane/status/123"])
    reply_link: Link | None = Field(None, description="where people answer it")
    root_id: MaybeId = Field(None, description="the root of the conversation it hangs on")
    parent_id: MaybeId = Field(None, description="what it replies to or reposts")
    reply_to: MaybeId = Field(None, description="the handle of the account that it answers")
    quote_of: QuoteOf | None = None
    counters: CountersIn | None = Field(
        None, description="checked in a snapshot; beside any other post, what cannot be read is ignored"
    )
    created_at: Moment | None = Field(
        None, description="what the author's client claims; dropped when it lies ahead of our clock"
    )
    platform_at: Moment | None = Field(
        None, description="what the network vouches for; at most an hour ahead of our clock"
    )
    edited_at: Moment | None = Field(
        None,
        description="when its text was last changed, by the network; of an `edit`, platform_at says so too. Of two texts the "
        "one that was edited later counts",
    )
    visible: bool | None = Field(
        None, description="of `visibility`, required: False while nobody can read the post where it was written"
    )
    backfill: bool = Field(False, description="fetched late: history, not news")
    brands: Annotated[tuple[SlugIn, ...], FailFast(), Field(max_length=MAX_BRANDS)] = Field(
        (), description="ids of configured brands it is about, besides those that its text names"
    )


COVERAGE_EXAMPLES: Final[list[Any]] = [
    {"network": "x", "connector": "firehose", "state": "healthy", "every_seconds": 60},
    {"network": "x", "connector": "firehose", "state": "gap", "begins": "2026-05-01T20:00:00Z", "reason": "HTTP 503"},
    {
        "network": "x",
        "connector": "firehose",
        "state": "gap",
        "begins": "2026-05-01T20:00:00Z",
        "ends": "2026-05-01T21:10:00Z",
        "missed": 1200,
    },
]


class CoverageIn(InputPart):
    """What a connector covers of a network: that it works, or a gap in what it saw."""

    model_config = ConfigDict(json_schema_extra={"examples": COVERAGE_EXAMPLES})

    network: SlugIn = Field(examples=["x"])
    connector: SlugIn = Field(description="which program reports; each has gaps of its own", examples=["firehose"])
    state: CoverageState = Field(description="`healthy` is a heartbeat, `gap` a time in which posts were missed")
    begins: Moment | None = Field(
        None, description="of a gap, required; a gap keeps it from its first report to its last"
    )
    ends: Moment | None = Field(None, description="of a gap; without it the gap goes on")
    every_seconds: Annotated[float, Field(ge=1, le=86_400)] | None = Field(
        None,
        description="of a heartbeat: the next one follows within so long; otherwise the network counts as not heard. A last "
        "heartbeat without it takes the promise back",
    )
    brands: Annotated[tuple[SlugIn, ...], FailFast(), Field(max_length=MAX_BRANDS)] = Field(
        (), description="ids of the configured brands that the connector watches for; all of them without it"
    )
    missed: Number | None = Field(None, description="how many posts were missed, where that is known")
    reason: Annotated[str, StringConstraints(max_length=200, pattern=PRINTABLE)] | None = None


AUTHOR_EXAMPLES: Final[list[Any]] = [
    {"network": "x", "author_id": "4711", "state": "erased", "at": "2026-05-01T12:00:00Z"},
    {"network": "x", "author_id": "4711", "state": "reinstated", "at": "2026-05-03T09:00:00Z"},
]


class AuthorChangeIn(InputPart):
    """An author who is gone from the network with all posts, or is back."""

    model_config = ConfigDict(json_schema_extra={"examples": AUTHOR_EXAMPLES})

    network: SlugIn = Field(examples=["x"])
    author_id: PostRefId = Field(
        description="the network's id of the account: `author.id` of its posts", examples=["4711"]
    )
    state: AuthorState = Field(
        description="`erased`: all of its posts are forgotten. `reinstated`: what it posts from now on counts again"
    )
    at: Moment | None = Field(None, description="when, by the network; of two changes the later one counts")


class ReportAccepted(BaseModel):
    """The report is stored. If it is sent again, it gets the same event id."""

    index: int
    status: Literal["accepted"]
    event_ids: list[str]


class ErrorOut(BaseModel):
    code: Reason
    field: str | None = Field(description="path of the field; `null` if the error is about the item as a whole")
    message: str


class IgnoredOut(BaseModel):
    field: str = Field(description="path of the field", examples=["created_at"])
    why: str = Field(examples=["more than an hour ahead of our clock"])


class Accepted(BaseModel):
    """The post is stored. If it is sent again, it gets the same event ids."""

    index: int
    status: Literal["accepted"]
    post: str = Field(examples=["x:123"])
    event_ids: list[str]
    ignored: list[IgnoredOut] = Field(
        [],
        description="claims that were dropped, because they cannot be read or believed; left out where there are none",
    )


class Rejected(BaseModel):
    index: int
    status: Literal["rejected"]
    error: ErrorOut


class Results(BaseModel):
    """One result for each item, in the order of the request."""

    results: list[Accepted | Rejected]


class ReportResults(BaseModel):
    """One result for each report, in the order of the request."""

    results: list[ReportAccepted | Rejected]


class Problem(BaseModel):
    """A problem as in RFC 9457. `results` is given if every item was rejected."""

    type: str
    title: str
    status: int
    detail: str
    results: list[Rejected] | None = None
