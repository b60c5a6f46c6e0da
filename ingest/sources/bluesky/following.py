"""How followed posts do: their counters, replies that the stream did not bring, and whether they are still there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from ingest.sources.base import Looked
from ingest.sources.bluesky.appview import AppView
from ingest.sources.bluesky.hearing import Hearing
from ingest.sources.bluesky.interest import author_of
from ingest.sources.bluesky.mapping import Item, counters_item, deletion_item, root_of, totals_of
from ingest.sources.bluesky.memory import StoryMemory
from ingest.sources.bluesky.shapes import PostRecord, PostView, from_microseconds, read

MOST_THREADS: Final = 5
"""For so many posts of one look the replies are fetched as well: those that gained most."""
SURELY_INDEXED: Final = timedelta(days=1)
"""A post that was written so long ago and is not shown was deleted. A younger one may not have arrived."""
_LETTERS: Final = "234567abcdefghijklmnopqrstuvwxyz"
_KEY_CHARS: Final = 13


async def look(
    appview: AppView, hearing: Hearing, memory: StoryMemory, network: str, posts: Sequence[str], now: datetime
) -> Looked:
    """What became of these posts. Raises `SourceTrouble` if the server does not answer."""
    asked = [uri for uri in posts if author_of(uri) is not None]
    views = await appview.posts(asked) if asked else []
    items: list[Item] = []
    gained: list[tuple[int, str]] = []
    for view in views:
        post = memory.get(view.uri)
        root = post.root if post is not None else _root(view)
        if counters := counters_item(network, view.uri, root, totals_of(view), now):
            items.append(counters)
        replies = view.replyCount or 0
        if post is None:
            post = memory.remember(view.uri, view.author.did, root, born=False)
        if replies > post.replies:
            gained.append((replies - post.replies, view.uri))
        post.replies, post.shown = replies, True
        if post.likes is not None:
            post.likes = max(post.likes, view.likeCount or 0)
    for _, uri in sorted(gained, reverse=True)[:MOST_THREADS]:
        found = (hearing.found(reply, now) for reply in await appview.replies(uri))
        items += [item for item in found if item is not None]
    missing = [uri for uri in asked if uri not in {view.uri for view in views}]
    gone = [uri for uri in missing if _was_there(uri, memory, now)]
    items += [deletion_item(network, uri, now, now) for uri in gone]
    return Looked(items, [uri for uri in missing if uri not in gone])


def _was_there(uri: str, memory: StoryMemory, now: datetime) -> bool:
    """Returns True if the server had this post, so that it is gone if it is not shown any more."""
    post = memory.get(uri)
    if post is not None and post.shown:
        return True
    written = written_at(uri)
    return written is not None and now - written > SURELY_INDEXED


def written_at(uri: str) -> datetime | None:
    """When the key of a post was made, by its author's program: keys count microseconds."""
    key = uri.rpartition("/")[2]
    if len(key) != _KEY_CHARS or any(letter not in _LETTERS for letter in key):
        return None
    number = 0
    for letter in key:
        number = number * 32 + _LETTERS.index(letter)
    return from_microseconds((number & (2**63 - 1)) >> 10)


def _root(view: PostView) -> str:
    post = read(view.record, PostRecord)
    return view.uri if post is None else root_of(view.uri, post)
