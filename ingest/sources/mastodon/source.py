"""A server with Mastodon's API as a source: the live streams for what is said now, and the timelines for what was said
meanwhile.

Streams have no cursor, and fall silent without a word: on Mastodon when its Redis was away, on GoToSocial for hashtags. So
the place is kept in the timelines. They are read after every connection, once the streams are open, and those of the brand
itself (notifications, hashtags) every minute as well. What comes twice has the same id. Where a server has no stream at all,
everything is read so.

A first start begins with now. Another server, or another account of it, goes on by the time that was heard last.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from ingest.brands import BrandBook
from ingest.sources.base import Away, Cursor, Heard, Looked, Missed, Probe, Refused, SourceContext, SourceTrouble
from ingest.sources.mastodon import memory as notes
from ingest.sources.mastodon.hearing import MastodonHearing
from ingest.sources.mastodon.mapping import Item, Server, counters_item, deletion_item, handle_of, parsed, post_id
from ingest.sources.mastodon.memory import Places, StatusMemory
from ingest.sources.mastodon.server import MastodonServer, NotThere
from ingest.sources.mastodon.shapes import (
    FoundStatuses,
    MastodonAccount,
    MastodonContext,
    MastodonInstance,
    MastodonNotification,
    MastodonStatus,
    StreamFrame,
    Unreadable,
    decode,
)
from ingest.sources.mastodon.stream import OpenStreams, StreamName, streams_of
from ingest.sources.mastodon.timelines import REWIND, Timeline, back_to, newer, newest_of, timelines_of
from services.config.connectors.mastodon import MastodonConnector

EDITED: Final = frozenset({"status.update", "status_update"})
"""The second is what a well-known test server says."""
BEAT_SECONDS: Final = 5.0
"""How often posts that concern nobody move the cursor, and show that the stream lives."""


class MastodonSource:
    """See the module. Satisfies `Source` and `Follower`."""

    posts_per_look = 10
    dollars_per_post = 0.0

    def __init__(self, context: SourceContext) -> None:
        options = context.options
        assert isinstance(options, MastodonConnector)
        self.silence_seconds: float | None = options.silence_seconds
        self._context = context
        self._options = options
        self._clock = context.clock
        self._book = BrandBook(context.brands)
        self._server = MastodonServer(context.http, options.server, context.secrets.get("token", ""), context.clock)
        tags = [tag.removeprefix("#").lower() for brand in context.brands for tag in brand.hashtags]
        self._tags = list(dict.fromkeys([*(tag.lower() for tag in options.hashtags), *tags]))
        self._timelines = timelines_of(options.hears, self._tags)
        self._memory = StatusMemory()
        self._places = Places()
        self._at = context.clock.now()
        self._hearing: MastodonHearing | None = None

    async def listen(self, cursor: Cursor | None) -> AsyncIterator[Heard]:
        hearing = await self._introduced()
        since = self._restore(cursor)
        streams = OpenStreams(self._server, streams_of(self._options.hears, self._tags))
        try:
            streaming = await streams.open()
            async for heard in self._catch_up(hearing, self._timelines, since):
                yield heard
            yield self._heard([])
            polled = [one for one in self._timelines if not (streaming and one.name == "public")]
            due, beat = self._after(self._options.poll_seconds), self._after(BEAT_SECONDS)
            while True:
                wait = (due - self._clock.now()).total_seconds()
                frames = await streams.next(self._clock.real_seconds(max(wait, 0.0))) if wait > 0 else []
                items, missed = await self._framed(hearing, frames)
                if items or missed or (frames and self._clock.now() >= beat):
                    beat = self._after(BEAT_SECONDS)
                    yield self._heard(items, missed)
                if self._clock.now() >= due:
                    async for heard in self._catch_up(hearing, polled, None):
                        if heard.items or heard.missed:
                            yield heard
                    due = self._after(self._options.poll_seconds)
        finally:
            await streams.close()

    async def probe(self) -> Probe:
        await self._server.one("/api/v1/accounts/verify_credentials", MastodonAccount)
        timeline = self._timelines[-1] if self._options.hears != "nothing" else self._timelines[0]
        return Probe(await newest_of(self._server, timeline, self._clock.now()), timeline.name)

    async def close(self) -> None:
        """The client belongs to the runner, and the streams to `listen`."""

    async def look(self, posts: Sequence[str]) -> Looked:
        hearing = await self._introduced()
        items: list[Item] = []
        unanswered: list[str] = []
        for number, post in enumerate(posts):
            try:
                local_id = await self._local_id(post)
                found = None if local_id is None else await self._looked_at(hearing, post, local_id)
            except (Away, Refused):
                if number == 0:
                    raise
                return Looked(items, (*unanswered, *posts[number:]))
            if found is None:
                unanswered.append(post)
            else:
                items += found
        return Looked(items, tuple(unanswered))

    async def answer(self, text: str, to: str, key: str) -> str:
        """Write an answer to a post as the account of the token, for all to read; returns the id of the answer. The same `key`
        within an hour writes it once. Raises `SourceTrouble`."""
        local_id = await self._local_id(to)
        if local_id is None:
            raise NotThere(f"{self._server.base} does not know the post that is to be answered")
        form = {"status": text, "in_reply_to_id": local_id, "visibility": "public"}
        status = await self._server.post("/api/v1/statuses", MastodonStatus, form, key)
        return post_id(status.uri)

    async def _introduced(self) -> MastodonHearing:
        """Who the server is and who we are there, asked once. A server that does not say what its accounts end with is called
        by its address."""
        if self._hearing is not None:
            return self._hearing
        if not self._context.secrets.get("token"):
            raise Refused("there is no token: see docs/sources/mastodon.md")
        me = await self._server.one("/api/v1/accounts/verify_credentials", MastodonAccount)
        said = None
        for path in ("/api/v2/instance", "/api/v1/instance"):
            try:
                instance = await self._server.one(path, MastodonInstance)
            except NotThere:
                continue
            said = instance.domain or instance.uri
            break
        domain = (said or self._server.base).split("://")[-1].strip("/").lower()
        server = Server(self._context.network, self._server.base, domain)
        ours = self._book.find(server.network, None, answers=handle_of(me, server)).brands
        if not ours and len(self._context.brands) == 1:
            ours = (self._context.brands[0].key,)
        self._hearing = MastodonHearing(
            server,
            self._book,
            self._memory,
            self._ancestors,
            own_brands=tuple(ours),
            private=self._options.private_messages,
        )
        return self._hearing

    def _restore(self, cursor: Cursor | None) -> datetime | None:
        """Go on from there; returns since when to read where only the time is of use."""
        self._places = Places()
        if cursor is None:
            return None
        self._at = cursor.at
        if cursor.origin == self._server.base:
            try:
                self._places, known = notes.read(cursor.position)
            except ValueError:
                return cursor.at - REWIND
            self._memory.restore(known)
            return None
        return cursor.at - REWIND

    async def _catch_up(
        self, hearing: MastodonHearing, timelines: Sequence[Timeline], since: datetime | None
    ) -> AsyncIterator[Heard]:
        for timeline in timelines:
            now = self._clock.now()
            pages = (
                newer(self._server, timeline, self._places, now)
                if since is None
                else back_to(self._server, timeline, self._places, since, now)
            )
            async for page in pages:
                items: list[Item] = []
                for told in page.told:
                    items += await self._told(hearing, told, asked=True)
                yield self._heard(items, page.missed)

    async def _framed(
        self, hearing: MastodonHearing, frames: Sequence[tuple[StreamName, StreamFrame]]
    ) -> tuple[list[Item], list[Missed]]:
        items: list[Item] = []
        bad = 0
        for name, frame in frames:
            try:
                items += await self._from_frame(hearing, name, frame)
            except Unreadable:
                bad += 1
        now = self._clock.now()
        return items, [Missed(now, now, "frames that could not be read", bad)] if bad else []

    async def _from_frame(self, hearing: MastodonHearing, name: StreamName, frame: StreamFrame) -> list[Item]:
        """Raises `Unreadable`."""
        payload = str(frame.payload or "")
        if frame.event == "delete":
            return hearing.deleted(payload.strip())
        if frame.event == "notification":
            told = decode(payload, MastodonNotification)
            self._places.advance("notifications", str(told.id))
            return await self._told(hearing, told, asked=False)
        if frame.event == "update" or frame.event in EDITED:
            status = decode(payload, MastodonStatus)
            if frame.event == "update" and name.timeline != "notifications":
                self._places.advance(name.timeline, status.local_id)
            return await self._told(hearing, status, asked=False)
        return []

    async def _told(
        self, hearing: MastodonHearing, told: MastodonStatus | MastodonNotification, *, asked: bool
    ) -> list[Item]:
        now = self._clock.now()
        self._at = max(self._at, min(parsed(told.created_at) or now, now))
        if isinstance(told, MastodonNotification):
            return await hearing.notification(told, now, asked=asked)
        return await hearing.status(told, now, asked=asked)

    async def _ancestors(self, local_id: str) -> list[MastodonStatus]:
        """A reply is heard also where its conversation cannot be had: a complaint is worth more than its place."""
        try:
            await self._server.spare()
            return (await self._server.one(f"/api/v1/statuses/{local_id}/context", MastodonContext)).ancestors
        except SourceTrouble:
            return []

    async def _local_id(self, post: str) -> str | None:
        """The server's id of a post: remembered, or asked for by its address; None if it knows none."""
        if (known := self._memory.local_id(post)) is not None:
            return known
        if post.startswith(f"{self._server.base}/"):
            return post.rstrip("/").rsplit("/", 1)[-1]
        if not post.startswith(("http://", "https://")):
            return None
        asked: dict[str, str | int] = {"q": post, "type": "statuses", "resolve": "true", "limit": 1}
        found = await self._server.one("/api/v2/search", FoundStatuses, asked)
        return next((status.local_id for status in found.statuses if post_id(status.uri) == post), None)

    async def _looked_at(self, hearing: MastodonHearing, post: str, local_id: str) -> list[Item] | None:
        """What became of a post, and what was said to it: a deletion where the server has it no more. None if what has this id
        is another post."""
        now = self._clock.now()
        try:
            status = await self._server.one(f"/api/v1/statuses/{local_id}", MastodonStatus)
        except NotThere:
            self._memory.forget(local_id)
            return [deletion_item(hearing.server, post)]
        if post_id(status.uri) != post:
            return None
        items = await hearing.status(status, now, asked=True, surely=True)
        counted = counters_item(hearing.server, status, now)
        items += [counted] if counted is not None else []
        try:
            context = await self._server.one(f"/api/v1/statuses/{local_id}/context", MastodonContext)
        except NotThere:
            return items
        for reply in context.descendants:
            items += await hearing.status(reply, now, asked=True, surely=True)
        return items

    def _heard(self, items: Sequence[Item], missed: Sequence[Missed] = ()) -> Heard:
        position = notes.written(self._places, self._memory)
        return Heard(items, Cursor(self._server.base, position, self._at), missed)

    def _after(self, seconds: float) -> datetime:
        return self._clock.now() + timedelta(seconds=seconds)


def build(context: SourceContext) -> MastodonSource:
    return MastodonSource(context)
