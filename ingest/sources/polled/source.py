"""A source that reads lists of its network in rounds. The one place that knows intervals, jitter, cursors and closed lists.

Each list goes on by itself: one that is closed to us, or in trouble, keeps no other from being read. A closed list states each
hour what it missed; if all are closed, the source is refused. A round ends with a cursor even where nothing was new, as
a heartbeat.
"""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Final

import structlog

from ingest.sources.base import Away, Cursor, Heard, Missed, Probe, Refused, SourceContext, SourceTrouble
from ingest.sources.polled.calls import Caller, Closed
from ingest.sources.polled.lists import Listed, ListPlace, NewestFirst, beginning, hear, walk
from ingest.sources.polled.position import read, written
from ingest.sources.polled.quota import DailyUnits

logger = structlog.get_logger()

ENTRIES_AT_ONCE: Final = 100
CLOSED_AGAIN: Final = timedelta(hours=1)
"""A closed list is asked again after so long."""
MOST_OPENED: Final = 30
OPENED_FOR: Final = timedelta(days=7)
AWAY_IN_A_ROW: Final = 2
"""After so many lists in trouble the network is, and the others are not waited for."""
JITTER: Final = 0.1
SMALLEST_SHARE: Final = 0.02
SILENT_ROUNDS: Final = 3
SLOW_ROUND_SECONDS: Final = 600.0
"""So long a round may take: many pages, each within the time limits of its call."""


class PolledSource:
    """Reads `lists` in rounds. `make` gives the list that an entry `opens` by its name; `None` if there is none."""

    def __init__(
        self,
        context: SourceContext,
        caller: Caller,
        lists: Sequence[NewestFirst],
        every_seconds: float,
        make: Callable[[str], NewestFirst | None] = lambda _: None,
        quota: DailyUnits | None = None,
    ) -> None:
        self._context = context
        self._clock = context.clock
        self._caller = caller
        self._fixed = {feed.name: feed for feed in lists}
        self._opened: dict[str, NewestFirst] = {}
        self._make = make
        self._every = every_seconds
        self._quota = quota
        self._places: dict[str, ListPlace] = {}
        self._closed: dict[str, datetime] = {}
        self._turn = 0
        self._units_of_round = 0.0
        self._random = random.Random()  # noqa: S311 - jitter, no secret
        self.silence_seconds: float | None = SILENT_ROUNDS * every_seconds + SLOW_ROUND_SECONDS

    async def listen(self, cursor: Cursor | None) -> AsyncIterator[Heard]:
        self._caller.forget_tags()
        self._restore(cursor)
        while True:
            async with aclosing(self._round()) as found:
                async for heard in found:
                    yield heard
            wait = self._wait()
            self.silence_seconds = SILENT_ROUNDS * wait + SLOW_ROUND_SECONDS
            await self._clock.sleep(wait * self._random.uniform(1 - JITTER, 1 + JITTER))

    async def probe(self) -> Probe:
        feed = next(iter(self._fixed.values()))
        self._caller.forget_tags()
        try:
            page = await feed.page(None)
        except Closed as error:
            raise Refused(f"{feed.name}: {error}") from None
        ours = [entry.at for entry in page.entries if entry.heard] if page is not None else []
        return Probe(newest=max(ours, default=None), note=feed.name)

    async def close(self) -> None:
        """Nothing is held: connections belong to the runner."""

    async def _round(self) -> AsyncGenerator[Heard, None]:
        before = 0.0 if self._quota is None else self._quota.units
        feeds = list(self._due())
        trouble: list[SourceTrouble] = []
        in_a_row = 0
        for number, feed in enumerate(feeds):
            try:
                async with aclosing(self._hear(feed)) as found:
                    async for heard in found:
                        yield heard
                in_a_row = 0
            except Closed as error:
                trouble.append(error)
                if feed.name in self._opened:
                    self._forget(feed.name)  # a video that is gone is nothing that people could mend
                    continue
                yield Heard(missed=self._is_closed(feed, error), cursor=self._cursor())
            except Away as error:
                trouble.append(error)
                in_a_row += 1
                if in_a_row >= AWAY_IN_A_ROW:
                    self._turn += number + 1
                    break
        if self._fixed and self._closed.keys() >= self._fixed.keys():
            raise Refused(f"every list is closed to us: {trouble[0] if trouble else 'as before'}")
        away = next((error for error in trouble if isinstance(error, Away)), None)
        if away is not None:
            raise away
        if self._quota is not None:
            self._units_of_round = max(0.0, self._quota.units - before)
        yield Heard(cursor=self._cursor())

    async def _hear(self, feed: NewestFirst) -> AsyncGenerator[Heard, None]:
        now = self._clock.now()
        place = self._places.get(feed.name)
        found = await walk(feed, place, now)
        self._closed.pop(feed.name, None)
        if place is None:
            self._places[feed.name] = beginning(feed, found.entries, now)
            yield Heard(cursor=self._cursor())
            return
        for some in _pieces(found.entries):
            items = hear(place, some, now)
            self._open(some, now)
            if items:
                yield Heard(items, self._cursor())
        place.asked = now
        if found.missed:
            yield Heard(cursor=self._cursor(), missed=found.missed)

    def _due(self) -> Iterator[NewestFirst]:
        """The lists to ask in this round, beginning with another one after a round that was broken off."""
        now = self._clock.now()
        for name in [name for name in self._opened if now - self._places[name].begun > OPENED_FOR]:
            self._forget(name)
        feeds = [*self._fixed.values(), *self._opened.values()]
        first = self._turn % max(1, len(feeds))
        for feed in (*feeds[first:], *feeds[:first]):
            place = self._places.get(feed.name)
            closed = self._closed.get(feed.name)
            if closed is not None and now - closed < CLOSED_AGAIN:
                continue
            if feed.every is None or place is None or now - place.asked >= feed.every:
                yield feed

    def _is_closed(self, feed: NewestFirst, error: Closed) -> tuple[Missed, ...]:
        now = self._clock.now()
        self._closed[feed.name] = now
        logger.warning("list_closed", source=self._context.options.name, list=feed.name, why=str(error))
        place = self._places.setdefault(feed.name, ListPlace(begun=now, at=now, asked=now))
        begins, place.asked = place.asked, now
        return (Missed(begins, now, f"{feed.name}: {error}"),) if begins < now else ()

    def _open(self, entries: Sequence[Listed], now: datetime) -> None:
        for entry in entries:
            place = self._places.get(entry.opens or "")
            if entry.opens is None or place is not None or now - entry.at > OPENED_FOR:
                continue
            feed = self._make(entry.opens)
            if feed is None:
                continue
            while len(self._opened) >= MOST_OPENED:
                self._forget(next(iter(self._opened)))
            self._opened[feed.name] = feed
            self._places[feed.name] = ListPlace(begun=entry.at, at=entry.at, asked=now)

    def _forget(self, name: str) -> None:
        self._opened.pop(name, None)
        self._places.pop(name, None)

    def _wait(self) -> float:
        wait = self._every
        if self._quota is not None:
            wait = max(wait, self._quota.seconds_between(self._units_of_round))
        if self._caller.dollars:
            wait /= max(SMALLEST_SHARE, min(1.0, self._context.spend.share()))
        return wait

    def _cursor(self) -> Cursor:
        day, units = ("", 0.0) if self._quota is None else (self._quota.day, self._quota.units)
        at = max((place.at for place in self._places.values()), default=self._clock.now())
        return Cursor(self._origin, written(self._places, day, units), at)

    @property
    def _origin(self) -> str:
        """Times of one network can be compared; those of a test's server cannot be with them."""
        return f"{self._context.network}@{self._caller.address}"

    def _restore(self, cursor: Cursor | None) -> None:
        self._places, self._opened, self._closed = {}, {}, {}
        if cursor is None:
            return
        saved = read(cursor.position) if cursor.origin == self._origin else None
        if saved is None:
            now = min(cursor.at, self._clock.now())
            self._places = {
                name: ListPlace(begun=now - feed.overlap, at=now, asked=now) for name, feed in self._fixed.items()
            }
            return
        for name, place in saved.places().items():
            if name in self._fixed:
                self._places[name] = place
            elif (feed := self._make(name)) is not None:
                self._opened[name], self._places[name] = feed, place
        if self._quota is not None:
            self._quota.restore(saved.day, max(saved.units, self._quota.units if saved.day == self._quota.day else 0))


def _pieces(entries: Sequence[Listed]) -> Iterator[Sequence[Listed]]:
    for begin in range(0, len(entries), ENTRIES_AT_ONCE):
        yield entries[begin : begin + ENTRIES_AT_ONCE]
