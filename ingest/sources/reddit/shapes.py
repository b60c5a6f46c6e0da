"""What Reddit's API sends, as far as it is read. Unknown fields are ignored, and everything but the id may be missing."""

from __future__ import annotations

import msgspec


class Thing(msgspec.Struct):
    """`kind` is `t1` for a comment, `t3` for a submission."""

    kind: str
    data: msgspec.Raw


class ListingData(msgspec.Struct):
    children: list[msgspec.Raw] = []
    after: str | None = None


class Listing(msgspec.Struct):
    data: ListingData
    kind: str = ""


class Post(msgspec.Struct):
    """A comment or a submission: `body` is of a comment, `title` and `selftext` of a submission."""

    name: str
    created_utc: float
    author: str | None = None
    author_fullname: str | None = None
    edited: bool | float | None = False
    permalink: str | None = None
    subreddit: str | None = None
    score: int | None = None
    score_hidden: bool | None = False
    hide_score: bool | None = False
    # of a comment
    body: str | None = None
    link_id: str | None = None
    link_title: str | None = None
    parent_id: str | None = None
    replies: msgspec.Raw = msgspec.Raw(b'""')
    """A list of comments, or an empty text where there are none."""
    # of a submission
    title: str | None = None
    selftext: str | None = None
    is_self: bool | None = None
    url: str | None = None
    num_comments: int | None = None
    crosspost_parent: str | None = None
    removed_by_category: str | None = None
