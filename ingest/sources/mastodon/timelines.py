"""Reads the timelines of a server from where they were left. Pages go forward by `min_id`, oldest first: `since_id` returns the
newest page, and what lies between is skipped without a word.

A timeline that was never read begins at its newest entry. After a change of server the ids say nothing: then pages are read
backwards until a little before the time that was heard last. Both ways are bounded, and what is left out is stated.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from ingest.sources.base import Missed
from ingest.sources.mastodon.mapping import parsed
from ingest.sources.mastodon.memory import Places, is_later
from ingest.sources.mastodon.server import MastodonServer, NotThere
from ingest.sources.mastodon.shapes import MastodonNotification, MastodonStatus

PER_PAGE: Final = 40
MOST_PAGES: Final = 200
"""8,000 statuses of a timeline in one catch-up: some ten minutes of a server with everything that is public, at 300 questions
in five minutes."""
MOST_BACK: Final = 25
REWIND: Final = timedelta(minutes=10)
Told = MastodonStatus | MastodonNotification


@dataclass(frozen=True, slots=True)
class Timeline:
    """`name` is that of its place in the cursor."""

    name: str
    path: str
    local: bool = False

    @property
    def kind(self) -> type[MastodonStatus] | type[MastodonNotification]:
        return MastodonNotification if self.name == "notifications" else MastodonStatus


@dataclass(frozen=True, slots=True)
class TimelinePage:
    """Oldest first."""

    told: Sequence[Told]
    missed: Sequence[Missed] = ()


def timelines_of(hears: str, hashtags: Sequence[str]) -> list[Timeline]:
    """What is most surely about the brand comes first, because a catch-up may be cut."""
    found = [Timeline("notifications", "/api/v1/notifications")]
    found += [Timeline(f"tag:{tag}", f"/api/v1/timelines/tag/{tag}") for tag in hashtags]
    if hears != "nothing":
        found.append(Timeline("public", "/api/v1/timelines/public", local=hears == "local"))
    return found


async def newer(
    server: MastodonServer, timeline: Timeline, places: Places, now: datetime
) -> AsyncIterator[TimelinePage]:
    """What came since; `places` has moved when a page is yielded. Raises `SourceTrouble`."""
    place = places.newest.get(timeline.name)
    if place is None:
        newest, _ = await _page(server, timeline, {"limit": 1})
        places.newest[timeline.name] = _id(newest[-1]) if newest else "0"
        return
    last = now
    for _ in range(MOST_PAGES):
        await server.spare()
        told, bad = await _page(server, timeline, {"min_id": place, "limit": PER_PAGE})
        told = [one for one in told if is_later(_id(one), place)]
        if not told:
            if bad:
                yield TimelinePage((), _unreadable(bad, now))
            return
        place = _id(told[-1])
        places.advance(timeline.name, place)
        last = _at(told[-1], now)
        yield TimelinePage(told, _unreadable(bad, now) if bad else ())
    newest, _ = await _page(server, timeline, {"limit": 1})
    if newest:
        places.advance(timeline.name, _id(newest[-1]))
    yield TimelinePage((), (Missed(last, max(last, now), f"{timeline.name}: more than could be caught up"),))


async def back_to(
    server: MastodonServer, timeline: Timeline, places: Places, since: datetime, now: datetime
) -> AsyncIterator[TimelinePage]:
    """What came since a time. Raises `SourceTrouble`."""
    pages: list[Sequence[Told]] = []
    before: dict[str, str | int] = {"limit": PER_PAGE}
    reached = False
    bad_in_all = 0
    while not reached and len(pages) < MOST_BACK:
        await server.spare()
        told, bad = await _page(server, timeline, before)
        bad_in_all += bad
        if not told or before.get("max_id") == _id(told[0]):
            reached = True
            break
        before["max_id"] = _id(told[0])
        reached = _at(told[0], now) < since
        pages.append([one for one in told if _at(one, now) >= since])
    if not pages:
        places.newest.setdefault(timeline.name, "0")
    missed = (
        [] if reached else [Missed(since, _at(pages[-1][0], now), f"{timeline.name}: more than could be caught up")]
    )
    missed += _unreadable(bad_in_all, now) if bad_in_all else ()
    for page in reversed(pages):
        for one in page:
            places.advance(timeline.name, _id(one))
        yield TimelinePage(page, missed)
        missed = []


async def newest_of(server: MastodonServer, timeline: Timeline, now: datetime) -> datetime | None:
    """When the newest entry was written; None of an empty timeline. Raises `SourceTrouble`."""
    told, _ = await _page(server, timeline, {"limit": 1})
    return _at(told[-1], now) if told else None


async def _page(server: MastodonServer, timeline: Timeline, parameters: dict[str, str | int]) -> tuple[list[Told], int]:
    """A page, oldest first, and how many entries could not be read. Nothing where the server has no such timeline."""
    asked = {**parameters, "local": "true"} if timeline.local else parameters
    try:
        told, bad = await server.many(timeline.path, timeline.kind, asked)
    except NotThere:
        return [], 0
    return sorted(told, key=lambda one: (len(_id(one)), _id(one))), bad


def _unreadable(count: int, now: datetime) -> tuple[Missed, ...]:
    return (Missed(now, now, "entries that could not be read", count),)


def _id(told: Told) -> str:
    return str(told.id)


def _at(told: Told, now: datetime) -> datetime:
    """When it was written, never after now: a wrong clock must not end a walk."""
    return min(parsed(told.created_at) or now, now)
