"""The shapes of Meta's webhooks: what is needed is typed, decoration is `Any` and read with care, and what differs from change
to change stays raw, so that one change that cannot be read does not take the others with it.

Instagram names its account in `entry`, as pages do; Threads has an envelope of its own, whose `values` is an object in the
documentation and a list in what is really sent.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

_NOTHING: Final = msgspec.Raw(b"null")


class Envelope(msgspec.Struct):
    """The whole body: of a page or an Instagram account in `object` and `entry`, of Threads in the other fields."""

    object: str = ""
    entry: list[msgspec.Raw] = []
    topic: str = ""
    target_id: Any = None
    time: Any = None
    values: msgspec.Raw = _NOTHING


class Entry(msgspec.Struct):
    """What happened on one account. `messaging` and `standby` are private messages."""

    id: Any = None
    time: Any = None
    changes: list[msgspec.Raw] = []
    messaging: list[msgspec.Raw] = []
    standby: list[msgspec.Raw] = []


class Change(msgspec.Struct):
    field: str
    value: msgspec.Raw = _NOTHING


class PageValue(msgspec.Struct):
    """A change on a page: of its feed, its ratings, or a place where the page was mentioned."""

    item: str = ""
    verb: str = ""
    post_id: str | int | None = None
    comment_id: str | int | None = None
    parent_id: str | int | None = None
    open_graph_story_id: str | int | None = None
    message: str | None = None
    review_text: str | None = None
    by: Any = msgspec.field(default=None, name="from")
    sender_id: Any = None
    reviewer_id: Any = None
    created_time: Any = None
    permalink_url: Any = None
    published: Any = None
    is_hidden: Any = None


class Named(msgspec.Struct):
    """A thing that another one points to."""

    id: str | int | None = None
    owner_id: Any = None
    username: Any = None


class InstagramValue(msgspec.Struct):
    """A comment on a medium of the account, or a place where the account was mentioned."""

    id: str | int | None = None
    text: str | None = None
    parent_id: str | int | None = None
    media: Named | None = None
    media_id: str | int | None = None
    comment_id: str | int | None = None
    by: Any = msgspec.field(default=None, name="from")
    username: Any = None
    timestamp: Any = None
    hidden: Any = None


class ThreadsValue(msgspec.Struct):
    """A post of Threads as the API describes it, or the id of one that was deleted."""

    id: str | int | None = None
    text: str | None = None
    replied_to: Named | None = None
    root_post: Named | None = None
    quoted_post: Named | None = None
    username: Any = None
    permalink: Any = None
    timestamp: Any = None
    hide_status: Any = None


def sender(by: Any) -> tuple[Any, Any]:
    """The id and the name in a `from`, or nothing if it is something else."""
    return (by.get("id"), by.get("username")) if isinstance(by, dict) else (None, None)
