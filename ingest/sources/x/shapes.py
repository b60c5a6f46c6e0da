"""What X sends, as far as it is read. X is renaming its tweets to posts (`referenced_tweets` or `referenced_posts`): both names
are read. Whatever is not needed to hear a post has a default, and what is null or of another type costs no more than itself.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

MAX_ID_DIGITS: Final = 19


class XReference(msgspec.Struct):
    type: str
    """`replied_to`, `quoted` or `retweeted`."""
    id: str


class XPost(msgspec.Struct):
    id: str
    text: str = ""
    author_id: str | None = None
    conversation_id: str | None = None
    created_at: str | None = None
    lang: str | None = None
    in_reply_to_user_id: str | None = None
    referenced_tweets: list[XReference] | None = None
    referenced_posts: list[XReference] | None = None
    edit_history_tweet_ids: list[str] | None = None
    edit_history_post_ids: list[str] | None = None
    note_tweet: Any = None
    note_post: Any = None
    public_metrics: Any = None
    entities: Any = None

    @property
    def references(self) -> list[XReference]:
        return self.referenced_tweets or self.referenced_posts or []

    @property
    def history(self) -> list[str]:
        """The ids of all versions, the first one first; at least this one."""
        return self.edit_history_tweet_ids or self.edit_history_post_ids or [self.id]


class XUser(msgspec.Struct):
    id: str
    username: str | None = None
    verified: bool | None = None
    created_at: str | None = None
    public_metrics: Any = None


class XIncludes(msgspec.Struct):
    """Each read on its own: one that cannot be read costs no other."""

    users: list[Any] | None = None
    tweets: list[Any] | None = None
    posts: list[Any] | None = None


class XProblem(msgspec.Struct):
    title: str = ""
    detail: str = ""
    type: str = ""
    value: str | None = None
    resource_id: str | None = None
    resource_type: str | None = None
    details: list[str] | None = None

    @property
    def kind(self) -> str:
        """The last part of its type: the hosts before it changed with the name of the network."""
        return self.type.rsplit("/", 1)[-1]

    @property
    def words(self) -> str:
        """What X says is wrong, for people."""
        return (" ".join(self.details or []) or self.detail or self.title or self.kind or "without a reason")[:300]


class XLine(msgspec.Struct):
    """A line of the stream. One with errors and without a post ends it."""

    data: XPost | None = None
    includes: XIncludes | None = None
    errors: list[Any] | None = None


class XMeta(msgspec.Struct):
    next_token: str | None = None


class XPage(msgspec.Struct):
    """An answer with posts."""

    data: list[Any] | None = None
    includes: XIncludes | None = None
    errors: list[Any] | None = None
    meta: XMeta | None = None


class XRule(msgspec.Struct, frozen=True):
    id: str
    value: str
    tag: str = ""


class XRules(msgspec.Struct):
    data: list[XRule] | None = None
    errors: list[XProblem] | None = None
    meta: XMeta | None = None


class XActivity(msgspec.Struct):
    """What a webhook brings: `{"data": {...}}`."""

    event_type: str
    payload: Any = None
    includes: XIncludes | None = None


class XCall(msgspec.Struct):
    data: XActivity


T = TypeVar("T")
Unreadable: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What `decode` raises."""


def decode(content: bytes, kind: type[T]) -> T:
    """Raises one of `Unreadable`."""
    return msgspec.json.decode(content, type=kind, strict=False)


def each(elements: list[Any] | None, kind: type[T]) -> list[T]:
    """Those that can be read. Some events wrap a user into `data`."""
    found: list[T] = []
    for element in elements or []:
        inner = element.get("data", element) if isinstance(element, dict) else element
        try:
            found.append(msgspec.convert(inner, kind, strict=False))
        except msgspec.ValidationError:
            continue
    return found
