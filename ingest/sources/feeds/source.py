"""Feeds as a source: each is read at its own pace, and pushed where it names a hub and we can be reached.

One feed that is away keeps no other from being read. What a feed in trouble may have said is stated as a gap: open while it
is in trouble, and closed with the first reading after it, because a feed shows only its newest entries. If all are closed the
source is refused, and if all are away it is away.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from ingest.brands import BrandBook
from ingest.normalize import clean
from ingest.sources.base import (
    Away,
    Cursor,
    Heard,
    Missed,
    Probe,
    Received,
    Refused,
    Reply,
    SourceContext,
)
from ingest.sources.feeds import websub
from ingest.sources.feeds.fetching import FeedAnswer, Fetched, Validators, fetch_feed
from ingest.sources.feeds.identity import FeedPast, Identified, identify, restored, sort_out, written
from ingest.sources.feeds.mapping import Item, author_of, edit_item, entry_item, markup_of
from ingest.sources.feeds.reading import FeedDocument, NoFeed, read_feed
from services.config.connectors.feeds import FeedAddress, FeedSection

ORIGIN: Final = "feeds"
"""Digests are those of the entries alone, whichever feeds are configured: they compare with all of ours."""
TROUBLES_UNTIL_TOLD: Final = 3
"""A feed that fails so often in a row is stated as a gap: once is nothing."""
AT_ONCE: Final = 8
"""Feeds that are fetched at the same time."""
CLOSED_AGAIN: Final = timedelta(hours=6)


@dataclass(slots=True)
class ReadFeed:
    """One feed while this process lives."""

    address: FeedAddress
    validators: Validators
    past: FeedPast = field(default_factory=FeedPast)
    due: datetime | None = None
    pace_seconds: float = 0.0
    troubles: int = 0
    gap_since: datetime | None = None
    trouble: str = ""
    asks_to_wait: float = 0.0
    closed: bool = False
    was_read: bool = False
    subscription: websub.Subscription | None = None
    pushed: bool = False


class FeedSource:
    """See the module. Satisfies `Source` and `Receiver`."""

    def __init__(self, context: SourceContext) -> None:
        options = context.options
        assert isinstance(options, FeedSection)
        self._context = context
        self._options = options
        self._clock = context.clock
        self._book = BrandBook(context.brands)
        self._secret = context.secrets.get("secret", "")
        self.silence_seconds: float | None = 3 * options.at_most_seconds
        self._feeds = [ReadFeed(address, Validators(address.url)) for address in options.feeds]

    async def listen(self, cursor: Cursor | None) -> AsyncIterator[Heard]:
        if self._options.callback is not None and not self._secret:
            raise Refused("a callback needs a secret: see docs/sources/feeds.md")
        self._restore(cursor)
        while True:
            now = self._clock.now()
            first = min((feed.due or now) for feed in self._feeds)
            if first > now:
                await self._clock.sleep((first - now).total_seconds())
                continue
            feeds = [feed for feed in self._feeds if (feed.due or now) <= now][:AT_ONCE]
            answers = await asyncio.gather(*(fetch_feed(self._context.http, feed.validators, now) for feed in feeds))
            # One after the other: a cursor must not know of entries that were not yielded before it.
            for feed, fetched in zip(feeds, answers, strict=True):
                yield await self._take(feed, fetched)
            self._raise_if_all()
            if told := self._gaps():
                yield Heard(missed=told)

    async def probe(self) -> Probe:
        """Fetches the first feed that can be had. Raises `SourceTrouble`."""
        reason = ""
        for feed in self._feeds:
            fetched = await fetch_feed(self._context.http, Validators(feed.validators.url), self._clock.now())
            if fetched.outcome is FeedAnswer.FETCHED:
                return Probe(note=f"{feed.address.url}: {len(fetched.body)} bytes")
            reason = f"{feed.address.url} {fetched.reason}"
        raise Away(reason)

    async def close(self) -> None:
        """The client belongs to the runner. Subscriptions end by themselves."""

    async def receive(self, request: Received) -> Reply:
        """What a hub sends: the question whether we subscribed, or a piece of the feed. Raises `Refused` for what is not
        signed, `ValueError` for what is no feed."""
        urls = tuple(feed.address.url for feed in self._feeds)
        url = websub.feed_of(request.query.get("feed", ""), self._secret, urls) if self._secret else None
        feed = next((one for one in self._feeds if one.address.url == url), None)
        if feed is None:
            return Reply(404)
        if request.method == "GET":
            return self._confirmed(feed, request)
        if not websub.is_signed(
            request.body, request.headers.get("x-hub-signature", ""), websub.secret_of(self._secret, feed.address.url)
        ):
            raise Refused("not signed by the hub")
        document = await asyncio.to_thread(read_feed, request.body, feed.address.url)
        # A replica that does not read this feed knows nothing of it. Entries of the last hours are new to it, and the log knows
        # those that it has.
        past = feed.past if feed.past.read_at is not None else FeedPast(self._clock.now())
        return Reply(202, heard=Heard(self._items(feed, document, unsure=False, past=past)))

    def _confirmed(self, feed: ReadFeed, request: Received) -> Reply:
        """Whether we subscribed. What we never asked for, such as the end of a subscription, is not confirmed."""
        query = request.query
        if query.get("hub.mode") == "denied":
            feed.pushed = False
            return Reply(200)
        topic = feed.subscription.topic if feed.subscription is not None else query.get("hub.topic")
        challenge = query.get("hub.challenge", "")
        if query.get("hub.mode") != "subscribe" or query.get("hub.topic") != topic or not challenge:
            return Reply(404)
        if feed.subscription is not None:
            feed.subscription.ends_at = self._clock.now() + websub.lease_of(query)
            feed.pushed = True
        return Reply(200, challenge[: websub.MOST_CHALLENGE].encode())

    def _restore(self, cursor: Cursor | None) -> None:
        for feed in self._feeds:
            feed.due, feed.validators.asked_whole = None, None
        if cursor is None:
            return
        urls = [feed.address.url for feed in self._feeds]
        try:
            pasts = restored(cursor.position, urls) if cursor.origin == ORIGIN else {}
        except ValueError:
            pasts = {}
        for feed in self._feeds:
            # Not what this process remembers: what it passed on after this cursor may never have been stored.
            feed.past = pasts.get(feed.address.url) or FeedPast()
            if not pasts:
                feed.past.read_at = cursor.at
            feed.was_read = False

    async def _take(self, feed: ReadFeed, fetched: Fetched) -> Heard:
        """What was fetched of a feed, and when to fetch it again."""
        now = self._clock.now()
        items: list[Item] = []
        missed: list[Missed] = []
        if fetched.outcome is FeedAnswer.FETCHED:
            try:
                document = await asyncio.to_thread(read_feed, fetched.body, fetched.url, fetched.charset)
            except NoFeed as error:
                fetched = Fetched(FeedAnswer.AWAY, f"is no feed: {error}")
                feed.validators.asked_whole = None  # or "not modified" would make it a quiet feed
            else:
                items = self._items(feed, document, unsure=not feed.was_read)
                for one in reversed(identify(document.entries)):
                    feed.past.remember(one)
                feed.was_read = True
                await self._subscribe(feed, document, fetched)
        if fetched.outcome in (FeedAnswer.FETCHED, FeedAnswer.UNCHANGED):
            missed = self._well(feed, now)
            feed.past.read_at = feed.past.read_at if fetched.outcome is FeedAnswer.UNCHANGED else now
        else:
            feed.troubles += 1
            feed.asks_to_wait = fetched.wait_seconds
            feed.trouble = fetched.reason
            feed.closed = fetched.outcome is FeedAnswer.CLOSED
        feed.pace_seconds = self._pace(feed, found=bool(items), trouble=feed.troubles > 0)
        wait = max(feed.pace_seconds, fetched.wait_seconds)
        feed.due = now + (CLOSED_AGAIN if feed.closed else timedelta(seconds=wait))
        return Heard(items, self._cursor(), missed)

    def _items(
        self, feed: ReadFeed, document: FeedDocument, *, unsure: bool, past: FeedPast | None = None
    ) -> list[Item]:
        """What is new or changed in the document, as items. Nothing is remembered yet. `past` instead of the feed's own."""
        now = self._clock.now()
        sorted_out = sort_out(past or feed.past, identify(document.entries))
        network, url = self._context.network, feed.address.url
        # Feeds have the newest first, and the log wants them as they were written.
        new = [one for one in reversed(sorted_out.new) if self._concerns(feed, one)]
        items = [entry_item(network, one, document, url, feed.address.about, now, unsure=unsure) for one in new]
        changed = [one for one in sorted_out.changed if markup_of(one) and self._concerns(feed, one)]
        return items + [edit_item(network, one, now) for one in changed]

    def _concerns(self, feed: ReadFeed, one: Identified) -> bool:
        if feed.address.about:
            return True
        author = author_of(one, feed.address.url)["handle"]
        return bool(self._book.find(self._context.network, clean(markup_of(one)), author=author).matches)

    async def _subscribe(self, feed: ReadFeed, document: FeedDocument, fetched: Fetched) -> None:
        """Ask the hub that the feed names, if it is time to."""
        if self._options.callback is None:
            return
        hub, topic = websub.hub_in(fetched.link, fetched.url)
        hub, topic = hub or document.hub, topic or document.topic or feed.address.url
        if not hub:
            feed.subscription, feed.pushed = None, False
            return
        if feed.subscription is None or (feed.subscription.hub, feed.subscription.topic) != (hub, topic):
            feed.subscription, feed.pushed = websub.Subscription(hub, topic), False
        now = self._clock.now()
        if not feed.subscription.is_due(now):
            return
        feed.subscription.asked_at = now
        url = feed.address.url
        callback = websub.callback_of(self._options.callback, self._secret, url)
        trouble = await websub.subscribe(
            self._context.http, feed.subscription, callback, websub.secret_of(self._secret, url)
        )
        if trouble:
            feed.pushed = False

    def _well(self, feed: ReadFeed, now: datetime) -> list[Missed]:
        missed = []
        if feed.gap_since is not None:
            missed.append(Missed(feed.gap_since, now, _words(feed, "could be read again")))
        feed.troubles, feed.gap_since, feed.closed = 0, None, False
        return missed

    def _gaps(self) -> list[Missed]:
        """What feeds in trouble may miss, while others are read: told when they have failed some times, or are closed."""
        told = []
        for feed in self._feeds:
            if feed.gap_since is None and (feed.closed or feed.troubles >= TROUBLES_UNTIL_TOLD):
                feed.gap_since = feed.past.read_at or self._clock.now()
                told.append(Missed(feed.gap_since, None, _words(feed, feed.trouble)))
        return told

    def _pace(self, feed: ReadFeed, *, found: bool, trouble: bool) -> float:
        least, most = self._options.every_seconds, max(self._options.every_seconds, self._options.at_most_seconds)
        return next_pace(feed.pace_seconds or least, least, most, found=found, trouble=trouble, pushed=feed.pushed)

    def _raise_if_all(self) -> None:
        if all(feed.closed for feed in self._feeds):
            raise Refused("; ".join(_words(feed, feed.trouble) for feed in self._feeds)[:1000])
        if all(feed.troubles for feed in self._feeds):
            wait = min(feed.asks_to_wait for feed in self._feeds)
            raise Away(_words(self._feeds[0], self._feeds[0].trouble), wait or None)

    def _cursor(self) -> Cursor:
        return Cursor(ORIGIN, written({feed.address.url: feed.past for feed in self._feeds}), self._clock.now())


def next_pace(pace: float, least: float, most: float, *, found: bool, trouble: bool, pushed: bool) -> float:
    """How long to wait for the next reading: half of the last time after news, half as long again without, twice as long in
    trouble. A feed that is pushed is read as rarely as may be."""
    if pushed:
        return most
    if trouble:
        return min(most, pace * 2)
    return max(least, pace / 2) if found else min(most, pace * 1.5)


def _words(feed: ReadFeed, what: str) -> str:
    """Fits a reason of a gap."""
    return f"{feed.address.url[:100]} {what}"[:200]


def build(context: SourceContext) -> FeedSource:
    return FeedSource(context)
