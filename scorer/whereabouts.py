"""Where posts stand of which only the id is known, which posts were deleted or hidden, which authors were erased, and what
conversations that are over were about: what one lane knows of each.

A lane knows the places of the posts whose own ids lead to it, and the deletions of all posts, because it may hold the words of
any of them, or get them later. Posts are known by a hash of eight bytes, a bucket of them under each key: a key for each post
would cost ten times the memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Final

import msgspec

from services.stream.state import KeyedState

STATE_VERSION: Final = 2
READABLE: Final = frozenset({1})
"""Buckets without hidden posts and erased authors."""
HOUR: Final = 3_600.0
PLACE_HOURS: Final = 7 * 24
"""A post that is reposted or deleted by its id alone finds its conversation for so long."""
DELETED_HOURS: Final = 30 * 24
"""A source that reads a deleted post again later than this brings it back. Networks keep none for so long."""
PAST_HOURS: Final = 365 * 24
"""A post that resurfaces later than this concerns the brands that its new replies name."""
AUTHOR_HOURS: Final = 365 * 24
"""What comes of an erased author is not kept for so long."""
BUCKETS: Final = 4_096
MOST_IN_BUCKET: Final = 128
"""Places, deletions, hidden posts, erased authors and conversations that are over, in one bucket: half a million of each in a
lane, in at most 70 MB for the first and the last, and 20 MB for the others. The oldest make room."""


class Place(msgspec.Struct, array_like=True):
    """The conversation in which a post speaks, and the one that it quotes; noted in this hour since 1970."""

    hour: int
    home: str
    quoted: str | None = None


class Past(msgspec.Struct, array_like=True):
    """What a conversation that is over was about: its root may resurface. Noted in this hour since 1970."""

    hour: int
    brands: list[str]
    account: str | None = None
    written: float = 0.0
    """When its root was written, if that is known."""


class AuthorMark(msgspec.Struct, array_like=True):
    """What is known of an author who was erased: nothing of theirs that is from `before` then is kept. Noted in this hour since
    1970, by a change that was made `at`."""

    hour: int
    at: float
    before: float


class Bucket(msgspec.Struct, array_like=True):
    """By hash of a post: its place, the hour in which its deletion was heard of, what its conversation was about. The newest
    come last."""

    places: dict[int, Place] = msgspec.field(default_factory=dict)
    deleted: dict[int, int] = msgspec.field(default_factory=dict)
    past: dict[int, Past] = msgspec.field(default_factory=dict)
    hidden: dict[int, int] = msgspec.field(default_factory=dict)
    authors: dict[int, AuthorMark] = msgspec.field(default_factory=dict)


class Whereabouts:
    """What one lane knows of posts by their ids."""

    def __init__(self) -> None:
        self._buckets = KeyedState("p:", Bucket, STATE_VERSION, READABLE)
        self._empty = True

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """Take over the committed state."""
        self._buckets.restore(entries)
        self._empty = not len(self._buckets)

    def changes(self) -> dict[str, bytes | None]:
        """What was put since the last call, as it is to be committed."""
        return self._buckets.changes()

    def place(self, network: str, post_id: str, home: str, quoted: str | None, now: float) -> int:
        """Note where a post stands. Returns how many places had to be forgotten before their time."""
        number = _hash(network, post_id)
        key, bucket = self._bucket(number)
        hour = int(now // HOUR)
        bucket.places.pop(number, None)
        bucket.places[number] = Place(hour, home, quoted)
        while next(iter(bucket.places.values())).hour < hour - PLACE_HOURS:
            del bucket.places[next(iter(bucket.places))]
        forgotten = _bound(bucket.places)
        self._put(key, bucket)
        return forgotten

    def delete(self, network: str, post_id: str, now: float) -> int:
        """Note that a post was deleted. Returns how many deletions had to be forgotten before their time."""
        number = _hash(network, post_id)
        key, bucket = self._bucket(number)
        forgotten = _bury(bucket.deleted, number, now)
        self._put(key, bucket)
        return forgotten

    def hide(self, network: str, post_id: str, now: float) -> int:
        """Note that a post was hidden. Returns how many hidden ones had to be forgotten before their time."""
        number = _hash(network, post_id)
        key, bucket = self._bucket(number)
        forgotten = _bury(bucket.hidden, number, now)
        self._put(key, bucket)
        return forgotten

    def unhide(self, network: str, post_id: str) -> None:
        """Note that a post is visible again, if it was hidden."""
        number = _hash(network, post_id)
        key, bucket = self._bucket(number)
        if bucket.hidden.pop(number, None) is not None:
            self._put(key, bucket)

    def note_author(self, network: str, author_id: str, at: float, before: float, now: float) -> int | None:
        """Note that nothing of an author from `before` then is kept, as a change says that was made `at`.

        Returns how many authors had to be forgotten before their time; `None` if a later change is known.
        """
        number = _hash(network, author_id)
        key, bucket = self._bucket(number)
        known = bucket.authors.pop(number, None)
        if known is not None and known.at > at:
            bucket.authors[number] = known
            return None
        hour = int(now // HOUR)
        bucket.authors[number] = AuthorMark(hour, at, before)
        while next(iter(bucket.authors.values())).hour < hour - AUTHOR_HOURS:
            del bucket.authors[next(iter(bucket.authors))]
        forgotten = _bound(bucket.authors)
        self._put(key, bucket)
        return forgotten

    def is_erased(self, network: str, author_id: str, at: float) -> bool:
        """Returns True if nothing that the author wrote at `at` is kept."""
        if self._empty:
            return False
        number = _hash(network, author_id)
        mark = self._bucket(number)[1].authors.get(number)
        return mark is not None and at < mark.before

    def end(self, conversation: str, past: Past) -> int:
        """A conversation is over: note what it was about. Returns how many others had to be forgotten before their time."""
        number = _hash(*conversation.split(":", 1))
        key, bucket = self._bucket(number)
        bucket.past.pop(number, None)
        bucket.past[number] = past
        while next(iter(bucket.past.values())).hour < past.hour - PAST_HOURS:
            del bucket.past[next(iter(bucket.past))]
        forgotten = _bound(bucket.past)
        self._put(key, bucket)
        return forgotten

    def past_of(self, conversation: str) -> Past | None:
        """What a conversation that is over was about, if that is known."""
        if self._empty:
            return None
        number = _hash(*conversation.split(":", 1))
        return self._bucket(number)[1].past.get(number)

    def is_deleted(self, network: str, post_id: str) -> bool:
        """Returns True if the post is known to be deleted."""
        if self._empty:
            return False  # asked of every post that speaks: most installations hear of no deletion for long
        number = _hash(network, post_id)
        return number in self._bucket(number)[1].deleted

    def is_hidden(self, network: str, post_id: str) -> bool:
        """Returns True if the post is known to be hidden, and may come back."""
        if self._empty:
            return False
        number = _hash(network, post_id)
        bucket = self._bucket(number)[1]
        return number in bucket.hidden and number not in bucket.deleted

    def home_of(self, network: str, post_id: str) -> str | None:
        """The conversation in which the post speaks, if it is known."""
        number = _hash(network, post_id)
        place = self._bucket(number)[1].places.get(number)
        return None if place is None else place.home

    def conversations_of(self, network: str, post_id: str) -> Iterator[str]:
        """The conversations that hold the post, as far as they are known."""
        number = _hash(network, post_id)
        place = self._bucket(number)[1].places.get(number)
        if place is not None:
            yield place.home
            if place.quoted is not None:
                yield place.quoted

    def _put(self, key: str, bucket: Bucket) -> None:
        self._buckets.put(key, bucket, None)
        self._empty = False

    def _bucket(self, number: int) -> tuple[str, Bucket]:
        key = f"{number % BUCKETS:x}"
        return key, self._buckets.get(key) or Bucket()


def _bury(known: dict[int, int], number: int, now: float) -> int:
    """Note a post that is gone, and forget those that are gone for long. Returns how many were forgotten before their time."""
    hour = int(now // HOUR)
    known.pop(number, None)
    known[number] = hour
    while next(iter(known.values())) < hour - DELETED_HOURS:
        del known[next(iter(known))]
    return _bound(known)


def _bound(known: dict[int, Place] | dict[int, int] | dict[int, Past] | dict[int, AuthorMark]) -> int:
    """Forget the oldest ones beyond the bound. Returns how many these were."""
    beyond = max(0, len(known) - MOST_IN_BUCKET)
    for _oldest in range(beyond):
        del known[next(iter(known))]
    return beyond


def _hash(network: str, post_id: str) -> int:
    return int.from_bytes(blake2b(f"{network}:{post_id}".encode("utf-8", "replace"), digest_size=8).digest())
