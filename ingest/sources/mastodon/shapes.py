"""What servers with Mastodon's API send, as far as it is read. Servers of other makes leave fields out, send null for what
they do not know, and numbers for ids: whatever is not needed to hear a post has a default, and nothing here refuses more than
it must.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

ServerId = str | int


class MastodonAccount(msgspec.Struct):
    id: ServerId
    acct: str
    """With its host, unless it is an account of the server that speaks."""
    url: str | None = None
    followers_count: int | None = None
    created_at: str | None = None


class MastodonMention(msgspec.Struct):
    acct: str
    id: ServerId = ""


class MastodonStatus(msgspec.Struct):
    id: ServerId
    uri: str
    """The same on all servers, unlike the id."""
    account: MastodonAccount
    created_at: str | None = None
    edited_at: str | None = None
    content: str | None = ""
    spoiler_text: str | None = ""
    visibility: str = "public"
    language: str | None = None
    url: str | None = None
    in_reply_to_id: ServerId | None = None
    in_reply_to_account_id: ServerId | None = None
    mentions: list[MastodonMention] = []
    replies_count: int | None = None
    reblogs_count: int | None = None
    favourites_count: int | None = None
    quotes_count: int | None = None
    reblog: MastodonStatus | None = None
    quote: Any = None
    """Mastodon sends `{state, quoted_status}`, others the quoted status itself: read by `quoted_in`."""

    @property
    def local_id(self) -> str:
        return str(self.id)


class MastodonNotification(msgspec.Struct):
    id: ServerId
    type: str
    account: MastodonAccount
    created_at: str | None = None
    status: MastodonStatus | None = None


class MastodonContext(msgspec.Struct):
    ancestors: list[MastodonStatus] = []
    descendants: list[MastodonStatus] = []


class MastodonInstance(msgspec.Struct):
    """`domain` in version 2 of the answer, `uri` in version 1: what stands behind the @ of the accounts of this server."""

    domain: str | None = None
    uri: str | None = None


class StreamFrame(msgspec.Struct):
    event: str
    payload: str | int | None = None


class FoundStatuses(msgspec.Struct):
    statuses: list[MastodonStatus] = []


T = TypeVar("T")

Unreadable: Final = msgspec.DecodeError


def decode(content: bytes | str, kind: type[T]) -> T:
    """Raises `Unreadable`."""
    return msgspec.json.decode(content, type=kind, strict=False)


def decode_each(content: bytes, kind: type[T]) -> tuple[list[T], int]:
    """The elements of an array, and how many of them could not be read: one bad element costs no other. Raises `Unreadable`
    if the whole is no array."""
    found, bad = [], 0
    for raw in msgspec.json.decode(content, type=list[msgspec.Raw]):
        try:
            found.append(msgspec.json.decode(raw, type=kind, strict=False))
        except Unreadable:
            bad += 1
    return found, bad


def quoted_in(status: MastodonStatus) -> MastodonStatus | None:
    """The status that this one quotes, where its author lets it be quoted and the server shows it."""
    quote = status.quote
    if not isinstance(quote, dict) or quote.get("state", "accepted") != "accepted":
        return None
    try:
        return msgspec.convert(quote.get("quoted_status", quote), MastodonStatus, strict=False)
    except msgspec.ValidationError:
        return None
