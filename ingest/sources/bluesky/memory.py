"""What a Bluesky source remembers: the posts that it passed on lately, their authors, and for a moment those that came early.

A repost, like or deletion names a post and nothing else, so whoever does not remember the post cannot tell whether it matters.
Events of two authors come in any order: a reply may arrive before the post that it answers. What refers to a post that is not
remembered is held for a while, and let go again when the post comes. Bounded: the oldest are forgotten first. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar

from ingest.sources.bluesky.shapes import SkyFrame

HELD: Final = timedelta(seconds=10)
"""How long an engagement waits for its post, by the time of the stream. The cursor stays behind by as much."""
MOST_HELD: Final = 50_000
Kept = TypeVar("Kept")
LIKES_EVERY: Final = timedelta(seconds=30)
"""How often the likes of one post are reported."""


@dataclass(slots=True)
class RememberedPost:
    """A post that was passed on. `likes` since it was written; None if it was not heard being written."""

    root: str
    likes: int | None = None
    likes_told: datetime | None = None
    replies: int = 0
    """As many as a server told us of."""
    shown: bool = False
    """A server has answered for it: if it does no more, the post is gone."""


class StoryMemory:
    """Posts by their at-uri, authors by their did, and engagements by the posts that they wait for."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._posts: dict[str, RememberedPost] = {}
        self._authors: dict[str, None] = {}
        self._held: dict[str, list[SkyFrame]] = {}
        self._order: dict[int, tuple[datetime, tuple[str, ...], SkyFrame]] = {}
        self._count = 0
        self._liked: dict[str, None] = {}
        self.gone: dict[str, None] = {}
        """Authors that were erased and not reinstated, the latest last."""

    def __len__(self) -> int:
        return len(self._posts)

    def get(self, uri: str | None) -> RememberedPost | None:
        return None if uri is None else self._posts.get(uri)

    def knows(self, did: str) -> bool:
        """Returns True if something by this author was passed on lately."""
        return did in self._authors

    def remember(self, uri: str, did: str, root: str, *, born: bool) -> RememberedPost:
        """`born` if it was heard being written: then all its likes will be."""
        found = self._posts.pop(uri, None) or RememberedPost(root, 0 if born else None)
        self._posts[uri] = found
        _trim(self._posts, self._most)
        self._authors.pop(did, None)
        self._authors[did] = None
        _trim(self._authors, self._most)
        return found

    def forget_author(self, did: str, most: int) -> None:
        """The author was erased. The posts stay remembered: replies to them are still heard."""
        self.gone.pop(did, None)
        self.gone[did] = None
        _trim(self.gone, most)

    def like(self, uri: str) -> None:
        post = self._posts.get(uri)
        if post is not None and post.likes is not None:
            post.likes += 1
            self._liked[uri] = None

    def likes_due(self, now: datetime) -> Iterator[tuple[str, RememberedPost, int]]:
        """Posts whose likes have changed and are to be reported, by the time of the stream."""
        for uri in list(self._liked):
            post = self._posts.get(uri)
            if post is None or post.likes is None:
                del self._liked[uri]
            elif post.likes_told is None or now - post.likes_told >= LIKES_EVERY:
                del self._liked[uri]
                post.likes_told = now
                yield uri, post, post.likes

    def hold(self, frame: SkyFrame, posts: tuple[str, ...]) -> None:
        """Keep an engagement with `posts` until one of them comes, or until it is too old."""
        self._count += 1
        self._order[self._count] = (frame.at, posts, frame)
        for uri in posts:
            self._held.setdefault(uri, []).append(frame)
        while self._order:
            first = next(iter(self._order))
            at, waited_for, oldest = self._order[first]
            if frame.at - at <= HELD and len(self._order) <= MOST_HELD:
                break
            del self._order[first]
            for uri in waited_for:
                self._let_go(uri, oldest)

    def came(self, uri: str) -> list[SkyFrame]:
        """What waited for this post."""
        return self._held.pop(uri, [])

    def _let_go(self, uri: str, frame: SkyFrame) -> None:
        waiting = self._held.get(uri)
        if waiting is None:
            return
        waiting[:] = [one for one in waiting if one is not frame]
        if not waiting:
            del self._held[uri]


def _trim(kept: dict[str, Kept], most: int) -> None:
    while len(kept) > most:
        del kept[next(iter(kept))]
