"""Reads `firebreak.watch` for one source that can be asked about single posts, and keeps what it follows.

Each holder of such a source reads the whole topic: it is compacted, so it holds one request for each story at most, and what
is over or of another network is passed by. Nothing is committed: whoever takes the source over reads it from the start.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import structlog

from ingest.sources.base import Heard, Looked, SourceTrouble, Spend
from ingest.sources.building import Wanted
from ingest.sources.following import Following
from ingest.sources.metrics import SourceMetrics
from services.base.clock import Clock, epoch
from services.contracts.codec import Unreadable, decode
from services.contracts.post import PostKind
from services.contracts.signal import WatchRequested
from services.contracts.topics import WATCH
from services.eventlog.base import EventLog, LogError, Record

logger = structlog.get_logger()

READ_SECONDS: Final = 5.0
"""So often it is asked whether there are new requests."""
RECORDS: Final = 500
LOOK_SECONDS: Final = 30.0
"""Real time that a look may take."""


class Watching:
    """What one source follows. It outlives a source that is opened anew."""

    def __init__(self, wanted: Wanted, log: EventLog, clock: Clock, metrics: SourceMetrics) -> None:
        self._wanted = wanted
        self._brands = {brand.id for brand in wanted.brands}
        self._log = log
        self._clock = clock
        self._metrics = metrics
        self._following: Following | None = None
        self._next: dict[int, int] = {}
        self._read_at: datetime | None = None

    def follows(self, source: Any) -> bool:
        """Returns True if its network can be asked about single posts, and the operator allows it."""
        return hasattr(source, "look") and self._wanted.section.looks_a_minute > 0

    async def along(self, stream: AsyncIterator[Heard], source: Any, spend: Spend) -> AsyncIterator[Heard]:
        """Yields what the source hears, and between that what looks found. Raises what the source raises; a look that fails is
        no trouble of the stream."""
        if self._following is None:
            rate = self._wanted.section.looks_a_minute
            self._following = Following(source.posts_per_look, rate, source.dollars_per_post)
        coming = asyncio.create_task(_next_of(stream))
        looking = asyncio.create_task(self._next_found(self._following, source, spend))
        try:
            while True:
                await asyncio.wait([coming, looking], return_when=asyncio.FIRST_COMPLETED)
                if looking.done():
                    found = looking.result()
                    looking = asyncio.create_task(self._next_found(self._following, source, spend))
                    yield found
                if coming.done():
                    heard = coming.result()
                    if heard is None:
                        return
                    coming = asyncio.create_task(_next_of(stream))
                    yield heard
        finally:
            for task in (coming, looking):
                task.cancel()
            await asyncio.wait([coming, looking])
            for task in (coming, looking):
                if not task.cancelled():
                    task.exception()  # it is told where it is waited for
            close = getattr(stream, "aclose", None)
            if close is not None:
                await close()

    async def _next_found(self, following: Following, source: Any, spend: Spend) -> Heard:
        """What the next look that finds something finds."""
        while True:
            await self._clock.sleep(min(READ_SECONDS, following.tick_seconds))
            await self._read_along(following)
            asked = following.next_look(epoch(self._clock.now()), spend)
            if not asked:
                continue
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    found: Looked = await source.look(asked)
            except Exception as error:  # one look's trouble is not the stream's
                known = isinstance(error, SourceTrouble | TimeoutError)
                logger.warning("look_failed", source=self._wanted.name, why=repr(error), exc_info=not known)
                # They wait like all others, so that one bad post cannot hold up the rest.
                following.looked(asked, {}, (), epoch(self._clock.now()))
                self._count("failed", len(asked))
                continue
            totals, gone = told(found.items)
            following.looked(asked, totals, gone, epoch(self._clock.now()))
            unanswered = len(set(found.unanswered).intersection(asked))
            self._count("unanswered", unanswered)
            self._count("answered", len(asked) - unanswered)
            if found.items:
                return Heard(found.items, looked_up=True)

    def _count(self, result: str, posts: int) -> None:
        self._metrics.looks.labels(self._wanted.name, result).inc(posts)

    async def _read_along(self, following: Following) -> None:
        now = self._clock.now()
        if self._read_at is not None and (now - self._read_at).total_seconds() < READ_SECONDS:
            return
        self._read_at = now
        try:
            await self._read(following, epoch(now))
        except LogError as error:  # whoever stores will meet it too; what is known is followed on
            logger.warning("watch_unread", source=self._wanted.name, why=str(error))

    async def _read(self, following: Following, now: float) -> None:
        for partition, (start, end) in (await self._log.bounds(WATCH.name)).items():
            at = self._next.get(partition, start)
            if at > end:  # the log was made anew
                at = start
            at = max(at, start)
            while at < end:
                batch = await self._log.read(WATCH.name, partition, at, RECORDS)
                for record in batch.records:
                    self._take(following, record, now)
                if batch.next <= at:
                    break
                at = batch.next
            self._next[partition] = at

    def _take(self, following: Following, record: Record, now: float) -> None:
        if record.value is None:
            return
        try:
            event = decode(record.value).event
        except Unreadable as error:
            logger.warning("watch_unreadable", source=self._wanted.name, why=str(error))
            return
        if not isinstance(event, WatchRequested) or event.network != self._wanted.network:
            return
        if self._brands.isdisjoint(event.brands):
            return
        asked_at = min(now, record.appended_ms / 1000)
        following.follow(event.post_id, asked_at, epoch(event.until), event.every_seconds, now)


def told(items: Sequence[Mapping[str, Any]]) -> tuple[dict[str, int], Collection[str]]:
    """How many engagements these items say that posts have, and which posts are gone. Likes count: they come first, and a post
    that is liked a lot is worth the next look. Views do not: they come with everything."""
    totals: dict[str, int] = {}
    gone: set[str] = set()
    for item in items:
        post = str(item.get("post_id"))
        if item.get("kind") == PostKind.DELETION.value:
            gone.add(post)
        elif item.get("kind") == PostKind.COUNTERS.value:
            counters = item.get("counters") or {}
            totals[post] = sum(counters.get(name) or 0 for name in ("likes", "reposts", "replies", "quotes"))
    return totals, gone


async def _next_of(stream: AsyncIterator[Heard]) -> Heard | None:
    """None at its end, which a task cannot raise."""
    return await anext(stream, None)
