"""Reads a list that a network shows newest first, from the newest to what was heard before. No I/O of its own but the pages.

No anchor is ever used ("what is newer than this post?"). Once the anchor is deleted, such a question is answered with nothing
for ever, which looks like calm. The place is a *time*, and a walk goes a stretch beyond it (`overlap`), because networks show
posts late and out of order. What is met again on that stretch is known by a digest. The digests only save work: whatever is
yielded a second time has the same ids, and is stored once.

A walk that does not reach its place states what it did not see: the network shows only so many, gives one page for ever, or
there is more than may be fetched in one go.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from ingest.sources.base import Missed

Item = Mapping[str, Any]

KNOWN_POSTS: Final = 2_000
"""How many posts of a list are known again in this process."""
LATE: Final = timedelta(minutes=15)
"""A post that we could have fetched so much earlier, had we asked, is history."""
AT_THE_END: Final = 3
"""A walk ends where so many posts in a row are older than its place: one alone may be pinned, or shown late."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One post of a list. `at` is what the list is ordered by; `version` is another one once the post has changed."""

    id: str
    version: str
    at: datetime
    heard: tuple[Item, ...]
    """What it becomes when it is met for the first time."""
    changed: tuple[Item, ...] = ()
    """What it becomes when it was met before with another version."""
    opens: str | None = None
    """The name of a list that is read from now on, such as the comments of a video that a search found."""


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a list. `unreadable` counts posts that were there and could not be read."""

    entries: Sequence[Listed]
    next: str | None = None
    unreadable: int = 0


class NewestFirst(Protocol):
    """A list of a network. `shows_at_most` is how many posts it shows in all, `reaches_back` for how long it shows one; `None`
    where there is no such bound. It is asked every round, or only after `every`."""

    name: str
    every: timedelta | None
    overlap: timedelta
    most_pages: int
    shows_at_most: int | None
    reaches_back: timedelta | None

    async def page(self, token: str | None) -> Page | None:
        """The first page, or the one that `token` names; `None` if the first is as it was. Raises `SourceTrouble`."""


@dataclass(slots=True)
class ListPlace:
    """Up to where a list was read. `begun` is when it was first: what is older was there before us."""

    begun: datetime
    at: datetime
    asked: datetime
    known: dict[str, str] = field(default_factory=dict)

    def learn(self, entry: Listed) -> None:
        key = mark(entry.id)
        self.known.pop(key, None)
        self.known[key] = mark(entry.version)
        if len(self.known) > KNOWN_POSTS:
            del self.known[next(iter(self.known))]


@dataclass(frozen=True, slots=True)
class Walk:
    """What one walk found: entries oldest first, and what it missed."""

    entries: Sequence[Listed] = ()
    missed: tuple[Missed, ...] = ()


async def walk(feed: NewestFirst, place: ListPlace | None, now: datetime) -> Walk:
    """Read the list down to its place. Without one it is read as far as it overlaps, to know what was there before."""
    floor = (now if place is None else place.at) - feed.overlap
    entries: dict[str, Listed] = {}
    unreadable = 0
    seen: set[str] = set()
    following: str | None = None
    why: str | None = None
    for _ in range(feed.most_pages):
        page = await feed.page(following)
        if page is None:
            return Walk()
        unreadable += page.unreadable
        for entry in page.entries:
            entries.setdefault(entry.id, entry)  # posts move to the next page while new ones come
        following = page.next or None
        if _reached(page.entries, floor) or following is None:
            break
        if following in seen:
            why = "the network gave the same page twice"
            break
        seen.add(following)
    else:
        why = "there was more than is fetched in one go"
    if why is None and following is None and feed.shows_at_most is not None and len(entries) >= feed.shows_at_most:
        why = None if _reached(list(entries.values()), floor) else f"the network shows only {feed.shows_at_most} posts"
    in_order = sorted(entries.values(), key=lambda entry: entry.at)
    missed = [] if place is None else _missed(feed, place, now, in_order, why, unreadable)
    return Walk(in_order, tuple(missed))


def beginning(feed: NewestFirst, entries: Sequence[Listed], now: datetime) -> ListPlace:
    """The place of a list that is read for the first time: what it shows now was there before us. By the network's clock, or
    with ours some minutes ahead the first posts would count as old."""
    at = min(entries[-1].at, now) if entries else now - feed.overlap
    place = ListPlace(begun=at, at=at, asked=now)
    for entry in entries:
        place.learn(entry)
    return place


def hear(place: ListPlace, entries: Iterable[Listed], now: datetime) -> list[Item]:
    """What of these entries is new since they were met last, as items; the place moves on behind them. What we could have
    fetched earlier is marked as history."""
    items: list[Item] = []
    could_have = now - LATE if now - place.asked > LATE else None
    for entry in entries:
        known = place.known.get(mark(entry.id))
        if known is None and entry.at >= place.begun:
            late = could_have is not None and entry.at < could_have
            items += ({**item, "backfill": True} for item in entry.heard) if late else entry.heard
        elif known is not None and known != mark(entry.version):
            items += entry.changed
        place.learn(entry)
        place.at = max(place.at, min(entry.at, now))  # a post from the future must not hide those before it
    return items


def mark(text: str) -> str:
    """Short enough to keep many: 36 bits, so that among some thousands no two are alike."""
    return base64.urlsafe_b64encode(hashlib.blake2b(text.encode(), digest_size=6).digest()).decode()[:6]


def _reached(entries: Sequence[Listed], floor: datetime) -> bool:
    last = entries[-AT_THE_END:]
    return bool(last) and all(entry.at < floor for entry in last)


def _missed(
    feed: NewestFirst, place: ListPlace, now: datetime, entries: Sequence[Listed], why: str | None, unreadable: int
) -> list[Missed]:
    found: list[Missed] = []
    shown_from = None if feed.reaches_back is None else now - feed.reaches_back
    if shown_from is not None and place.asked < shown_from:
        days = feed.reaches_back.days if feed.reaches_back is not None else 0
        found.append(Missed(place.asked, shown_from, f"{feed.name}: the network shows the last {days} days"))
    if why is not None:
        ends = entries[0].at if entries else now
        if ends > place.at:
            found.append(Missed(place.at, ends, f"{feed.name}: {why}"))
    if unreadable:
        found.append(Missed(place.asked, now, f"{feed.name}: {unreadable} posts cannot be read", unreadable))
    return found
