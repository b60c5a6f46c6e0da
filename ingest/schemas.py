"""What a client may say about a post, and what it is told about each one: strict about types, unknown fields and bounds.

Only the shape is judged here. What several fields say together, and what the configuration or the clock has to say about
them, is `normalize`'s business; how bytes become items is `parsing`'s.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from services.base.rfc3339 import Rfc3339
from services.contracts.post import PostKind

MAX_COUNT: Final = 2**53
"""JSON numbers beyond are silently rounded by half of the clients in the world."""
MAX_ID_CHARS: Final = 200
MAX_LINK_CHARS: Final = 2000
MAX_BRANDS: Final = 100
FIRST_YEAR: Final = 1990
LAST_YEAR: Final = 2100
"""A date outside is a broken encoder (zero epochs, year 9999), and overflows as soon as anybody adds to it."""

PRINTABLE: Final = r"^[^\x00-\x1f\x7f-\x9f]*$"
NO_NUL: Final = r"^[^\x00]*$"
WEB_LINK: Final = r"^[hH][tT][tT][pP][sS]?://[^\s\x00-\x20\x7f\"<>\\@/?#`]+([/?#][^\s\x00-\x20\x7f\"<>\\`]*)?$"
"""No scheme but http(s), no `user@` before the host (`https://bank.com@evil.example`), nothing that breaks out of markup."""
LANGUAGE: Final = r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,6}$"
SLUG: Final = r"^[a-z0-9][a-z0-9_-]{0,63}$"

SAYS: Final = {
    PRINTABLE: "contains a control character",
    NO_NUL: "contains a NUL character",
    WEB_LINK: "must be an http or https URL, without user name or blanks",
    LANGUAGE: "must be a language tag such as en or pt-BR",
    SLUG: "must be lower-case letters, digits, _ and -, at most 64, beginning with a letter or digit",
}
"""What a mismatch of each pattern means, in words."""


class Reason(StrEnum):
    """Why an item was rejected: the closed set of codes, and of metric labels."""

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
    """What is wrong with one item, and where. Never the value: it may be private."""

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
PostRefId = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID_CHARS, pattern=PRINTABLE)]
Link = Annotated[str, StringConstraints(max_length=MAX_LINK_CHARS, pattern=WEB_LINK)]
SlugIn = Annotated[str, StringConstraints(pattern=SLUG)]


class Piece(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class AuthorIn(Piece):
    id: PostRefId = Field(description="the network's id of the account", examples=["4711"])
    handle: PostRefId | None = Field(None, description="with or without a leading @", examples=["@jane"])
    followers: Number | None = Field(None, examples=[52300])
    verified: bool | None = None
    created_at: Moment | None = Field(None, description="when the account was opened")


class QuoteOf(Piece):
    """The post that is quoted, and the root of its conversation where it is known and another one."""

    post_id: PostRefId = Field(examples=["99"])
    root_id: PostRefId | None = None


class CountersIn(Piece):
    """Totals at the moment of observation. Leave out what the network does not tell."""

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
]


class PostIn(Piece):
    """One observation of one post."""

    model_config = ConfigDict(json_schema_extra={"examples": EXAMPLES})

    network: SlugIn = Field(description="where it was published", examples=["x"])
    post_id: PostRefId = Field(description="the network's id of the post", examples=["123"])
    kind: PostKind = Field(
        description="`reply` and `repost` need parent_id or root_id, `quote` quote_of, `counters` counters"
    )
    author: AuthorIn | None = None
    text: Annotated[str, StringConstraints(pattern=NO_NUL)] | None = None
    language: Annotated[str, StringConstraints(pattern=LANGUAGE)] | None = Field(None, examples=["en"])
    permalink: Link | None = Field(None, description="where people read it", examples=["https://x.com/jane/status/123"])
    reply_link: Link | None = Field(None, description="where people answer it")
    root_id: PostRefId | None = Field(None, description="the root of the conversation it hangs on")
    parent_id: PostRefId | None = Field(None, description="what it replies to or reposts")
    reply_to: PostRefId | None = Field(None, description="the handle of the account that it answers")
    quote_of: QuoteOf | None = None
    counters: CountersIn | None = None
    created_at: Moment | None = Field(
        None, description="what the author's client claims; dropped when it lies ahead of our clock"
    )
    platform_at: Moment | None = Field(
        None, description="what the network vouches for; at most an hour ahead of our clock"
    )
    backfill: bool = Field(False, description="fetched late: history, not news")
    brands: Annotated[tuple[SlugIn, ...], Field(max_length=MAX_BRANDS)] = Field(
        (), description="ids of configured brands it is about, besides those that its text names"
    )


class ErrorOut(BaseModel):
    code: Reason
    field: str | None = Field(description="path of the field, `null` where it is about the item as a whole")
    message: str


class Accepted(BaseModel):
    """The log has it. A repeated post gets the same event ids again."""

    index: int
    status: Literal["accepted"]
    post: str = Field(examples=["x:123"])
    event_ids: list[str]


class Rejected(BaseModel):
    index: int
    status: Literal["rejected"]
    error: ErrorOut


class Results(BaseModel):
    """One result an item, in the order of the request."""

    results: list[Accepted | Rejected]


class Problem(BaseModel):
    """RFC 9457. `results` is there when every item was read and rejected."""

    type: str
    title: str
    status: int
    detail: str
    results: list[Rejected] | None = None
