"""What Bluesky says, as items of `POST /v1/posts` and `POST /v1/authors`. Pure.

A post is named by its at-uri, an author by the permanent did. When a post was written is what its author's program claims;
what the network vouches for is when the server heard of it, and never a time that lies ahead of our clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from ingest.sources.bluesky.interest import Concern, author_of
from ingest.sources.bluesky.shapes import Operation, PostRecord, PostView, ProfileView, SkyFrame
from services.contracts.post import PostKind

MOST_TEXT: Final = 3000
"""Characters of a text: its limit in the network, which no server has to keep."""
_MOST_CLAIM: Final = 64
_NOT_THEIRS: Final = frozenset({"desynchronized", "throttled"})
"""Why an account may be inactive though neither its owner nor a moderator wants it to be: the servers have trouble."""

Item = dict[str, Any]


def post_item(
    network: str, frame: SkyFrame, post: PostRecord, concern: Concern, author: ProfileView, now: datetime
) -> Item | None:
    """A post that was written or edited; None if its address cannot be stored."""
    if author_of(frame.uri) is None:
        return None
    item: Item = {
        **_about(network, frame.uri, frame.at, now),
        "author": author_item(author),
        "text": post.text[:MOST_TEXT] or None,
        "permalink": permalink(frame.did, frame.key),
        "created_at": _claim(post.createdAt),
        "language": _claim(next(iter(post.langs), None)),
        "brands": list(concern.brands),
        **relations(frame.uri, post),
    }
    if item["kind"] == PostKind.REPLY and concern.answers is not None:
        item["reply_to"] = concern.answers
    if frame.operation == Operation.UPDATE:
        item.update(kind=PostKind.EDIT.value, edited_at=min(frame.at, now).isoformat(), text=post.text[:MOST_TEXT])
    return {name: value for name, value in item.items() if value not in (None, [])}


def relations(uri: str, post: PostRecord) -> Item:
    """The kind of a post, and what it hangs on. An address of nothing, or of itself, is none."""
    found: Item = {"kind": PostKind.ORIGINAL.value}
    quoted = post.embed.quoted if post.embed is not None else None
    if quoted is not None and quoted != uri and author_of(quoted) is not None:
        found = {"kind": PostKind.QUOTE.value, "quote_of": {"post_id": quoted}}
    if post.reply is not None:
        parent, root = post.reply.parent.uri, post.reply.root.uri
        if parent != uri and author_of(parent) is not None:
            found.update(kind=PostKind.REPLY.value, parent_id=parent)
            found["root_id"] = root if root != uri and author_of(root) is not None else parent
    return found


def root_of(uri: str, post: PostRecord) -> str:
    """The post with which the conversation of this one began."""
    found: str = relations(uri, post).get("root_id", uri)
    return found


def repost_item(
    network: str, frame: SkyFrame, subject: str, root: str, author: ProfileView, created: str | None, now: datetime
) -> Item:
    item = {
        **_about(network, frame.uri, frame.at, now),
        "kind": PostKind.REPOST.value,
        "parent_id": subject,
        "root_id": root,
        "author": author_item(author),
        "created_at": _claim(created),
    }
    return {name: value for name, value in item.items() if value is not None}


def deletion_item(network: str, uri: str, at: datetime, now: datetime) -> Item:
    return {**_about(network, uri, at, now), "kind": PostKind.DELETION.value}


def counters_item(network: str, uri: str, root: str, totals: Mapping[str, int | None], at: datetime) -> Item | None:
    """A snapshot of totals, in the conversation of the post; None if there are none."""
    told = {name: total for name, total in totals.items() if total is not None and total >= 0}
    if not told:
        return None
    return {**_about(network, uri, at, at), "kind": PostKind.COUNTERS.value, "root_id": root, "counters": told}


def totals_of(view: PostView) -> dict[str, int | None]:
    return {
        "likes": view.likeCount,
        "reposts": view.repostCount,
        "replies": view.replyCount,
        "quotes": view.quoteCount,
    }


def author_item(author: ProfileView) -> Item:
    item = {
        "id": author.did,
        "handle": author.handle if author.handle != "handle.invalid" else None,
        "followers": author.followersCount,
        "created_at": _claim(author.createdAt),
    }
    return {name: value for name, value in item.items() if value is not None}


def author_change(network: str, did: str, at: datetime, now: datetime, *, back: bool) -> Item:
    return {
        "network": network,
        "author_id": did,
        "state": "reinstated" if back else "erased",
        "at": min(at, now).isoformat(),
    }


def is_gone(frame: SkyFrame) -> bool:
    """Returns True if the account of this frame is to be seen by nobody: taken down, suspended, deleted, or deactivated by its
    owner. A status that is new to us counts as such, because what is hidden must not be shown."""
    return not frame.active and frame.what not in _NOT_THEIRS


def permalink(did: str, key: str) -> str:
    return f"https://bsky.app/profile/{did}/post/{key}"


def _about(network: str, uri: str, at: datetime, now: datetime) -> Item:
    return {"network": network, "post_id": uri, "platform_at": min(at, now).isoformat()}


def _claim(value: str | None) -> str | None:
    """A short string, as it was claimed: whether it can be read is judged by ingest."""
    return value if value and len(value) <= _MOST_CLAIM else None
