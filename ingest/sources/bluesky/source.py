"""The Bluesky source: one stream at a time, from the first server that answers, resumed where it was.

What is lost by a restart: posts that hang on others are recognised by what is remembered, and memory does not survive. A reply
names the root of its thread and whatever names a brand is found again by search, so what is lost are reposts, quotes and
deletions of *replies* that were passed on before, until somebody looks at them (`look`), and takedowns of their authors.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Final, cast

import structlog

from ingest.sources.base import Away, Cursor, Heard, Looked, Missed, Probe, Refused, SourceContext, SourceTrouble
from ingest.sources.bluesky.appview import AT_ONCE, AppView
from ingest.sources.bluesky.following import look
from ingest.sources.bluesky.hearing import Hearing, shown_at
from ingest.sources.bluesky.interest import Interest
from ingest.sources.bluesky.jetstream import CursorTooOld, JetstreamLine, host_of, open_line
from ingest.sources.bluesky.mapping import Item, author_item
from ingest.sources.bluesky.memory import StoryMemory
from ingest.sources.bluesky.resuming import (
    Begun,
    Dialect,
    StreamPlace,
    Trail,
    heard_before,
    judge,
    opening,
    read_place,
)
from ingest.sources.bluesky.shapes import FrameKind, SkyFrame
from services.config.connectors.bluesky import BlueskySection

logger = structlog.get_logger()

BEAT: Final = timedelta(seconds=5)
"""By the time of the stream, the cursor moves at least so often though nothing was heard."""
PROBE_SECONDS: Final = 3
"""A public server has something to say many times in each."""
WARM_SECONDS: Final = 30
"""The search for what was passed on before a restart delays the stream by no more."""
ROUNDS: Final = 3
"""So often a server is asked again by other means before it counts as away."""
OUTDATED: Final = "OutdatedCursor"
FUTURE: Final = "FutureCursor"


def build(context: SourceContext) -> BlueskySource:
    return BlueskySource(context)


class _Renumbered(Exception):
    """The sequence means something else at this server than it did."""


class BlueskySource:
    """Listens to Jetstream; asks the AppView, if there is one, for what no stream tells."""

    posts_per_look = AT_ONCE
    dollars_per_post = 0.0

    def __init__(self, context: SourceContext) -> None:
        self._options = cast("BlueskySection", context.options)
        self.silence_seconds: float | None = self._options.silence_seconds
        self._network = context.network
        self._clock = context.clock
        self._interest = Interest(context.network, context.brands)
        self._interest.learn(self._options.dids)
        self._memory = StoryMemory(self._options.remember_posts)
        url = self._options.appview
        self._appview = None if url is None else AppView(context.http, url, context.clock)
        self._hearing = Hearing(context.network, self._interest, self._memory, self._renamed)
        self._rewind = timedelta(seconds=self._options.rewind_seconds)
        self._servers = list(self._options.instances)
        self._preferred = False
        self._warm = False
        self._latest: Cursor | None = None
        self._lookup: asyncio.Task[list[Item]] | None = None

    async def listen(self, cursor: Cursor | None) -> AsyncIterator[Heard]:
        await self._prepare(cursor)
        self._latest = cursor
        by_time = ended = False
        for _ in range(ROUNDS):
            line, by_time = await self._connect(cursor, by_time)
            instance = self._servers[0]
            progress = False
            try:
                if cursor is None:
                    self._latest = opening(line.origin, self._clock.now())
                yield Heard(cursor=self._latest)  # the server lets us in
                async with contextlib.aclosing(self._follow(line, cursor)) as stream:
                    async for heard in stream:
                        progress = progress or heard.cursor is not None
                        self._latest = heard.cursor or self._latest
                        yield heard
            except _Renumbered:
                by_time = True
            except Away:
                # Servers end streams without a reason and tell it whoever connects again: to wait, or that we are refused.
                if ended:
                    raise
                ended, cursor, by_time = True, self._latest, by_time and not progress
            finally:
                if not progress and not by_time:
                    self._pass_over(instance)
                await line.close()
        raise Away(f"{host_of(self._servers[0])} does not go on where it was asked to")

    async def probe(self) -> Probe:
        """Ask the server whose turn is next for what came since; the present one is passed over, because it is silent."""
        self._pass_over(self._servers[0])
        latest = self._latest
        line, _ = await self._connect(latest, by_time=False)
        newest: datetime | None = None
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                async for frames in line.batches():
                    times = [frame.at for frame in frames if frame.kind is not FrameKind.INFO]
                    newest = max([*times, newest] if newest is not None else times, default=None)
                    if newest is not None and (latest is None or newest > latest.at):
                        return Probe(newest=newest, note=f"{line.origin} speaks")
        except TimeoutError:
            return Probe(newest=newest, note=f"{line.origin} is there and says nothing new")
        finally:
            await line.close()
        raise Away(f"{line.origin} ended the stream")

    async def look(self, posts: Sequence[str]) -> Looked:
        if self._appview is None:
            return Looked(unanswered=posts)
        return await look(self._appview, self._hearing, self._memory, self._network, posts, self._clock.now())

    async def close(self) -> None:
        if self._lookup is not None:
            self._lookup.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._lookup
            self._lookup = None

    async def _follow(self, line: JetstreamLine, cursor: Cursor | None) -> AsyncGenerator[Heard, None]:
        """What one connection brings. Raises `_Renumbered` before any of it is passed on."""
        trail = Trail(None if cursor is None or cursor.origin != line.origin else _begin(line, read_place(cursor)))
        was_heard = heard_before(cursor, line.origin, line.asked, self._clock.now())
        begun = outdated = False
        told: datetime | None = None
        async for batch in line.batches():
            frames = []
            for frame in batch:
                if frame.kind is FrameKind.INFO:
                    # A time in its future is no place, and it goes on from now: one of the two clocks is wrong.
                    if frame.what == FUTURE and line.asked.sequence:
                        raise _Renumbered
                    outdated = outdated or frame.what == OUTDATED
                else:
                    frames.append(frame)
            if not frames:
                continue
            missed: list[Missed] = []
            if not begun:
                begun = True
                if gap := self._gap(line, cursor, frames[0], outdated=outdated):
                    missed.append(gap)
            for frame in frames:
                trail.passed(frame)
            # What was stored comes again for the sake of what waits for its post.
            self._hearing.take([frame for frame in frames if was_heard(frame)], self._clock.now())
            heard = self._hearing.take([frame for frame in frames if not was_heard(frame)], self._clock.now())
            late = self._looked_up()
            if late:
                yield Heard(late)
            quiet = told is not None and trail.latest is not None and trail.latest - told < BEAT
            if not heard.items and not heard.authors and not missed and quiet:
                continue
            await self._introduce(heard.items)
            told = trail.latest
            yield Heard(heard.items, trail.cursor(line.origin, tuple(self._memory.gone)), missed, heard.authors)

    def _gap(self, line: JetstreamLine, cursor: Cursor | None, first: SkyFrame, *, outdated: bool) -> Missed | None:
        """What is missing before the first event. Raises `_Renumbered` if it stands at another place than was asked for."""
        if cursor is None:
            return None
        begun = judge(line.asked, first)
        if begun is Begun.RENUMBERED:
            logger.warning("bluesky_renumbered", server=line.origin, so="asked again by time")
            raise _Renumbered
        if begun is Begun.IN_PLACE and not (outdated and first.at > cursor.at):
            return None
        if self._appview is not None and self._lookup is None:
            self._lookup = asyncio.create_task(self._search(cursor.at, cursor.at, first.at), name="bluesky search")
        return Missed(cursor.at, first.at, f"{line.origin} keeps nothing from before {first.at:%Y-%m-%d %H:%M:%S} UTC")

    async def _connect(self, cursor: Cursor | None, by_time: bool) -> tuple[JetstreamLine, bool]:
        """The first server that opens a stream, and whether it was asked by time. It stands first in `_servers` then."""
        troubles: list[SourceTrouble] = []
        for instance in tuple(self._servers):
            for again in (by_time, True):
                try:
                    line = await open_line(
                        instance, cursor, self._rewind, likes=self._options.count_likes, by_time=again
                    )
                except CursorTooOld as old:
                    troubles.append(old)
                    continue  # by time it gives what it has
                except SourceTrouble as trouble:
                    troubles.append(trouble)
                    self._pass_over(instance)
                    break
                return line, again
        told = "; ".join(dict.fromkeys(str(trouble) for trouble in troubles))[:500]
        if all(isinstance(trouble, Refused) for trouble in troubles):
            raise Refused(told)
        waits = [one.retry_after_seconds for one in troubles if isinstance(one, Away) and one.retry_after_seconds]
        raise Away(told, min(waits, default=None))

    def _pass_over(self, instance: str) -> None:
        """Another server has its turn first."""
        if instance in self._servers:
            self._servers.remove(instance)
            self._servers.append(instance)

    async def _prepare(self, cursor: Cursor | None) -> None:
        """What is to be known before the stream: the brands' own accounts and, after a restart, what was passed on before."""
        if cursor is not None and not self._preferred:
            self._servers.sort(key=lambda instance: host_of(instance) != cursor.origin)
            for did in read_place(cursor).gone:
                self._memory.gone[did] = None
        self._preferred = True
        if self._appview is None:
            return
        try:
            async with asyncio.timeout(WARM_SECONDS):
                if unknown := self._interest.unknown_handles:
                    profiles = await self._appview.profiles(unknown)
                    self._interest.learn({one.handle: did for did, one in profiles.items() if one.handle is not None})
                if cursor is not None and not self._warm and self._options.remember_hours:
                    self._warm = True
                    since = cursor.at - timedelta(hours=self._options.remember_hours)
                    await self._search(since, cursor.at, cursor.at)
        except (SourceTrouble, TimeoutError) as trouble:
            logger.info("bluesky_goes_on_without_the_appview", why=str(trouble) or "it is too slow")
        self._warm = True

    async def _search(self, since: datetime, until: datetime, ends: datetime) -> list[Item]:
        """Posts that name a brand. Those from before `until` are only remembered, those up to `ends` are returned."""
        found: list[Item] = []
        assert self._appview is not None
        now = self._clock.now()
        for words in self._interest.names:
            async for view in self._appview.search(words, since, max(until, ends)):
                at = shown_at(view, now)
                if (item := self._hearing.found(view, now)) is not None and until <= at <= ends:
                    found.append(item)
        return found

    def _looked_up(self) -> list[Item]:
        """What a search for the posts of a gap has found, once."""
        if self._lookup is None or not self._lookup.done():
            return []
        task, self._lookup = self._lookup, None
        if task.cancelled():
            return []
        if (trouble := task.exception()) is not None:
            logger.warning("bluesky_gap_not_searched", why=str(trouble))
            return []
        return task.result()

    async def _introduce(self, items: Sequence[Item]) -> None:
        """Add what is known of the authors: a handle, and how many follow them."""
        if self._appview is None:
            return
        authors = [item["author"]["id"] for item in items if "author" in item]
        await self._appview.introduce(authors)
        for item in items:
            if "author" in item and (profile := self._appview.known(item["author"]["id"])) is not None:
                item["author"] = {**item["author"], **author_item(profile)}

    def _renamed(self, did: str, handle: str) -> None:
        if self._appview is not None:
            self._appview.renamed(did, handle)


def _begin(line: JetstreamLine, place: StreamPlace) -> StreamPlace | None:
    """Where the way begins: at the place of the cursor if its sequence holds here."""
    holds = line.dialect is Dialect.OLD or line.asked.sequence
    return place if holds and not place.opened else None
