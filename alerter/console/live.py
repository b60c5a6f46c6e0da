"""Tells open pages that something changed, within a moment of the commit: server-sent events, one stream a page.

What is sent is only that there is something new, never what: the page asks for itself again, with its own session, so there
is one place where things are shown. A change is found by a fingerprint of what the caller may see; our own process rings a
bell after each commit, those of other replicas are found by looking every second.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from enum import StrEnum
from functools import partial
from typing import Final

import structlog
from sqlalchemy import Connection, func, or_, select

from alerter.answers.answer_clocks import WAITING
from alerter.api import views
from alerter.api.auth import Caller, seen_by
from alerter.api.incident_filter import StateSet
from alerter.states import DeliveryState
from alerter.store.database import Database, DatabaseAway
from alerter.store.tables import answer_clocks, attempts, audit, deliveries, incidents

logger = structlog.get_logger()

MAX_PAGES: Final = 500
"""Open streams a process."""
PAGES_OF_A_SESSION: Final = 10
"""A person looks at one page; a browser keeps those in its other tabs open, too."""
PAGES_OF_A_KEY: Final = 100
"""A key may be a whole team's. Five teams have a place each, whatever one of them does."""
GLANCE_SECONDS: Final = 1.0
PAUSE_SECONDS: Final = 0.2
"""At most five times a second, whatever a storm commits."""
BEAT_SECONDS: Final = 15.0
"""Proxies close what is silent; and a session that ended is noticed."""

OPEN: Final = sorted(StateSet.OPEN.states)
Brands = frozenset[str] | None


class About(StrEnum):
    """What a page shows; a storm of complaints need not redraw every board."""

    INCIDENTS = "incidents"
    ANSWERS = "answers"


def fingerprint(connection: Connection, caller: Caller, about: About = About.INCIDENTS) -> str:
    """Different whenever something that the caller may see has changed."""
    if about is About.ANSWERS:
        waiting = select(
            func.count(),
            func.max(answer_clocks.c.noted_at),
            func.max(answer_clocks.c.told_at),
            func.max(answer_clocks.c.snoozed_until),
            func.count(answer_clocks.c.assigned_to),
            func.sum(answer_clocks.c.copies),
        )
        running = answer_clocks.c.state.in_(WAITING)
        clocks = connection.execute(waiting.where(running, seen_by(caller, answer_clocks.c.brand))).one()
        return _short([about, *clocks])
    own = seen_by(caller, incidents.c.brand)
    opened = select(func.count(), func.max(incidents.c.changed_at), func.sum(incidents.c.sequence))
    parts = [*connection.execute(opened.where(incidents.c.state.in_(OPEN), own)).one()]
    parts += _elsewhere(connection) if caller.brands is None else _elsewhere_of(connection, caller)
    return _short(parts)


def _elsewhere(connection: Connection) -> list[object]:
    """Says that something happened besides, of whatever brand: the page finds out by asking again."""
    pending = select(func.count()).select_from(deliveries).where(deliveries.c.state == DeliveryState.PENDING)
    newest = (select(func.max(attempts.c.id)), select(func.max(audit.c.id)))
    return [connection.scalar(query) for query in (pending, *newest)]


def _elsewhere_of(connection: Connection, caller: Caller) -> list[object]:
    """The same of the caller's brands alone: when something happens to others is theirs."""
    own = select(incidents.c.id).where(incidents.c.state.in_(OPEN), seen_by(caller, incidents.c.brand))
    sent = select(func.sum(deliveries.c.attempts), func.max(deliveries.c.finished_at))
    pending = select(func.count()).select_from(deliveries).where(deliveries.c.state == DeliveryState.PENDING)
    changes = select(func.max(audit.c.id)).where(or_(seen_by(caller, audit.c.brand), audit.c.actor == caller.name))
    return [
        *connection.execute(sent.where(deliveries.c.incident.in_(own))).one(),
        connection.scalar(pending.where(views.deliveries_seen(connection, caller))),
        connection.scalar(changes),
    ]


def _short(parts: list[object]) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


class LivePage:
    """One open stream. `makes_room` is set when it has to end in favour of a newer one."""

    def __init__(self, caller: Caller, known: str, about: About, session: str) -> None:
        self.caller = caller
        self.known = known
        self.about = about
        self.session = session
        self.news = asyncio.Event()
        self.makes_room = False


class LiveUpdates:
    """Looks for what changed, once for all pages with the same brands, and only while a page is open."""

    def __init__(self, database: Database, changed: Callable[[], None] = lambda: None) -> None:
        """`changed` is called before pages hear that something is new."""
        self.bell = asyncio.Event()
        self._database = database
        self._changed = changed
        self._pages: dict[LivePage, None] = {}  # in the order in which they were opened
        self._closed = False

    async def run(self) -> None:
        """Until `close`."""
        while not self._closed:
            try:
                async with asyncio.timeout(GLANCE_SECONDS if self._pages else None):
                    await self.bell.wait()
            except TimeoutError:
                pass
            self.bell.clear()
            if self._pages and not self._closed:
                try:
                    await self._look()
                except DatabaseAway as error:
                    logger.warning("console_not_told", why=str(error))
                await asyncio.sleep(PAUSE_SECONDS)

    async def _look(self) -> None:
        found: dict[tuple[Brands, str | None, About], str] = {}
        for page in list(self._pages):
            # What a limited key changes itself is its own to see, whatever its brand.
            name = None if page.caller.brands is None else page.caller.name
            key = page.caller.brands, name, page.about
            if key not in found:
                found[key] = await self._database.read(partial(fingerprint, caller=page.caller, about=page.about))
            if found[key] != page.known:
                self._changed()
                page.known = found[key]
                page.news.set()

    def close(self) -> None:
        """Every stream ends, so that the server can stop."""
        self._closed = True
        self.bell.set()
        for page in self._pages:
            page.news.set()

    def _open(self, page: LivePage) -> None:
        """Take a place: of the page's session, of its key, and of the process. Where one is full, the oldest page ends."""
        pages = [one for one in self._pages if not one.makes_room]
        key = [one for one in pages if one.caller.name == page.caller.name]
        session = [one for one in key if one.session == page.session]
        if len(session) >= PAGES_OF_A_SESSION:
            self._end(session[0])
        elif len(key) >= PAGES_OF_A_KEY:
            self._end(key[0])
        elif len(pages) >= MAX_PAGES:
            most, _ = Counter(one.caller.name for one in pages).most_common(1)[0]
            self._end(next(one for one in pages if one.caller.name == most))
        self._pages[page] = None

    def _end(self, page: LivePage) -> None:
        page.makes_room = True
        page.news.set()

    async def stream(
        self,
        caller: Caller,
        known: str,
        still: Callable[[], Awaitable[bool]],
        about: About = About.INCIDENTS,
        session: str = "",
    ) -> AsyncIterator[bytes]:
        """Events for one page that shows the state `known`. `still()` is awaited now and then: false ends the stream. So does
        a newer page that needs its place; the page then asks by itself now and then."""
        page = LivePage(caller, known, about, session)
        self._open(page)
        self.bell.set()
        try:
            yield b"retry: 2000\n\n"
            beat = time.monotonic() + BEAT_SECONDS
            while not self._closed:
                try:
                    async with asyncio.timeout(max(0.0, beat - time.monotonic())):
                        await page.news.wait()
                except TimeoutError:
                    beat = time.monotonic() + BEAT_SECONDS
                    if not await still():
                        yield b"event: over\ndata: signed out\n\n"
                        return
                    yield b": beat\n\n"
                    continue
                page.news.clear()
                if page.makes_room:
                    yield b"event: crowded\ndata: opened elsewhere\n\n"
                    return
                if not self._closed:
                    yield f"id: {page.known}\nevent: changed\ndata: {page.known}\n\n".encode()
        finally:
            self._pages.pop(page, None)
