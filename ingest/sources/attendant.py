"""Attends one source: listens, stores, and knows what to do when nothing comes or something goes wrong.

No exception is not alive: after `silence_seconds` the source is probed, and opened anew if the probe fails or knows of what is
newer. Every trouble opens one gap, which begins when the network was last heard for sure and ends with the first batch that is
no history; so does a process that was away for longer than its last heartbeat promised. What the log raises ends the attendant:
its holder is no longer the holder, or does not know.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from ingest.sources.base import Away, Heard, Lost, Missed, Refused, SourceTrouble
from ingest.sources.building import Wanted
from ingest.sources.covering import BEAT_SECONDS, PROMISE_SECONDS, gap, healthy, merged
from ingest.sources.intake import Intake, Remembered, Taken, pieces
from ingest.sources.ledger import Ledger
from ingest.sources.metrics import SourceMetrics, Trouble
from ingest.sources.purse import Purse
from ingest.sources.state import MAX_POSITION_CHARS, OpenGap, SourceState
from ingest.sources.watching import Watching
from services.base.clock import Clock, epoch
from services.base.errors import Damaged
from services.base.retry import backoff
from services.contracts.source_status import Phase, SourceStatus, encode_status
from services.contracts.topics import SOURCES
from services.eventlog.base import LogError, Message

logger = structlog.get_logger()

FIRST_WAIT_SECONDS: Final = 1.0
MOST_WAIT_SECONDS: Final = 300.0
REFUSED_SECONDS: Final = 900.0
"""How often a refused source tries again by itself; a reload of the configuration tries at once."""
MOST_RETRY_AFTER_SECONDS: Final = 24 * 3600.0
CURSOR_SECONDS: Final = 5.0
"""A cursor that moves without posts is stored so often at most: a busy stream moves it many times a second."""
CALL_SECONDS: Final = 30.0
"""Real time that a probe and a close may take."""
STEADY_SECONDS: Final = 60.0
"""A source that listened for so long begins with short waits again."""


class Attendant:
    """Attends one source, for as long as `run` runs. It is cancelled to end it."""

    def __init__(
        self,
        wanted: Wanted,
        build: Callable[[Purse], Any],
        ledger: Ledger,
        intake: Intake,
        clock: Clock,
        metrics: SourceMetrics,
        holder: str,
        watching: Watching,
    ) -> None:
        self.wanted = wanted
        self.phase = Phase.WAITING
        self._build = build
        self._ledger = ledger
        self._intake = intake
        self._clock = clock
        self._metrics = metrics
        self._holder = holder
        self._watching = watching
        self._state: SourceState = replace(ledger.state(wanted.name), network=wanted.network, gone=False)
        self._purse = Purse(wanted.section.spending, clock, self._state.spent)
        self._remembered = Remembered()
        self._poked = asyncio.Event()
        self._sign_at = clock.now()
        self._beat_at = clock.now()
        self._moved_at = clock.now()
        self._why: str | None = None
        self._next_try: datetime | None = None
        self._said: tuple[Phase, str | None, OpenGap | None] | None = None
        """What the last status said besides its numbers."""
        metrics.begin(wanted.name)

    def poke(self) -> None:
        """Try again now, if it waits: somebody has looked at the configuration."""
        self._poked.set()

    async def run(self) -> None:
        """Attend the source for ever. Raises only what the log raises."""
        source: Any = None
        waits = backoff(FIRST_WAIT_SECONDS, MOST_WAIT_SECONDS)
        await self._say_if_nobody_listened()
        try:
            while True:
                began = self._clock.now()
                try:
                    if source is None:
                        source = self._build(self._purse)
                    if not hasattr(source, "listen"):
                        await self._is_called(source)
                    await self._listen(source)
                except (LogError, Damaged):
                    raise
                except Refused as trouble:
                    source, closing = None, source
                    await self._close(closing)
                    wait = REFUSED_SECONDS
                    await self._fails(Trouble.REFUSED, Phase.REFUSED, str(trouble), wait)
                except Lost as trouble:
                    wait = next(waits)
                    await self._loses(trouble, wait)
                except Away as trouble:
                    wait = max(next(waits), min(MOST_RETRY_AFTER_SECONDS, trouble.retry_after_seconds or 0.0))
                    await self._fails(Trouble.AWAY, Phase.WAITING, str(trouble), wait)
                except SourceTrouble as trouble:
                    wait = next(waits)
                    await self._fails(Trouble.AWAY, Phase.WAITING, str(trouble), wait)
                except Exception as fault:  # a root of work: one connector's fault stops no other
                    logger.exception("source_faulty", source=self.wanted.name)
                    wait = next(waits)
                    await self._fails(
                        Trouble.FAULT, Phase.WAITING, f"a fault of the connector: {type(fault).__name__}", wait
                    )
                if (self._clock.now() - began).total_seconds() > STEADY_SECONDS:
                    waits = backoff(FIRST_WAIT_SECONDS, MOST_WAIT_SECONDS)
                await self._sleep(wait)
        finally:
            await self._close(source)

    async def _is_called(self, source: Any) -> None:
        """Whoever is called by its network needs nobody to listen: its posts come in by any replica. What the operator said
        about silence counts from the first start, so that an address that nobody was ever given is noticed; not from each
        start, because then restarts would keep a silent source calm."""
        self.phase, self._why, self._next_try = Phase.CALLED, None, None
        now, state, messages = self._clock.now(), self._state, []
        if state.gap is not None:
            messages.append(self._gap_message(state.gap, now, ends=now))
            state = replace(state, gap=None)
        promise = source.silence_seconds
        if promise is not None and promise != state.promised:
            section = self.wanted.section
            messages.append(healthy(self.wanted.network, self.wanted.name, section.brands, now, promise))
        state = replace(state, promised=promise)
        await self._commit(state, messages)
        await asyncio.Event().wait()

    async def _listen(self, source: Any) -> None:
        """Store what the source hears. Returns never; raises what it raises."""
        self._sign_at = self._clock.now()
        stream: AsyncIterator[Heard] = source.listen(self._state.cursor)
        if self._watching.follows(source):
            stream = self._watching.along(stream, source, self._purse)
        coming: asyncio.Task[Heard] | None = None
        try:
            while True:
                coming = asyncio.create_task(_next_of(stream))
                heard = await self._wait_for(coming, source)
                coming = None
                await self._store(heard)
        finally:
            if coming is not None:
                coming.cancel()
                await asyncio.wait([coming])
                if not coming.cancelled():
                    coming.exception()
            close = getattr(stream, "aclose", None)
            if close is not None:
                await _within_time(close())

    async def _wait_for(self, coming: asyncio.Task[Heard], source: Any) -> Heard:
        """What comes next. Meanwhile says that the source hears, and probes it when nothing comes."""
        while not coming.done():
            silence = source.silence_seconds
            until_beat = (self._beat_at - self._clock.now()).total_seconds()
            until_probe = float("inf")
            if silence is not None:
                until_probe = silence - (self._clock.now() - self._sign_at).total_seconds()
            if until_probe <= 0:
                await self._probe(source)
            elif until_beat <= 0:
                await self._beat()
            else:
                timer = asyncio.create_task(self._clock.sleep(min(until_beat, until_probe)))
                await asyncio.wait([coming, timer], return_when=asyncio.FIRST_COMPLETED)
                timer.cancel()
        return coming.result()

    async def _probe(self, source: Any) -> None:
        """Ask whether silence is quiet. Raises `SourceTrouble` if it is not."""
        try:
            async with asyncio.timeout(CALL_SECONDS):
                found = await source.probe()
        except TimeoutError:
            raise Away("silent, and asked whether it is there it did not answer") from None
        cursor = self._state.cursor
        if found.newest is not None and cursor is not None and found.newest > cursor.at + timedelta(seconds=1):
            self._metrics.restarts.labels(self.wanted.name, Trouble.SILENT.value).inc()
            raise Away("silent, though there is something newer than what was heard")
        await self._store(Heard())  # it is quiet, and that was heard

    async def _store(self, heard: Heard) -> None:
        """Store what was heard, in pieces that fit a transaction. The cursor moves with the last one."""
        if heard.cursor is not None and len(heard.cursor.position) > MAX_POSITION_CHARS:
            raise ValueError(f"a position of {len(heard.cursor.position)} characters")
        if heard.looked_up:
            for piece in pieces(heard.items, self._intake.piece_items):
                taken = await self._take(piece)
                await self._commit(self._state, taken.messages, taken)
            return
        now = self._clock.now()
        self._sign_at = now
        waiting = self.phase is not Phase.LISTENING
        self.phase, self._why, self._next_try = Phase.LISTENING, None, None
        state = replace(self._state, heard_at=now)
        some = list(pieces(heard.items, self._intake.piece_items))
        for piece in some[:-1]:
            taken = await self._take(piece)
            await self._commit(state, taken.messages, taken)
        taken = await self._take(some[-1] if some else ())
        messages = list(taken.messages)
        if heard.authors:
            messages += (await self._intake.authors(self.wanted.name, self.wanted.network, heard.authors)).messages
        for missed in heard.missed:
            state, more = self._missed(state, missed, now)
            messages += more
        if heard.cursor is not None:
            state = replace(state, cursor=heard.cursor)
        if taken.posts:
            state = replace(state, last_post_at=now)
        state, more = self._covered(state, heard, now)
        messages += more
        moved = (now - self._moved_at).total_seconds() >= CURSOR_SECONDS
        self._state = state
        if messages or waiting or (moved and state.cursor != self._ledger.state(self.wanted.name).cursor):
            await self._commit(state, messages, taken)

    async def _take(self, piece: Sequence[Any]) -> Taken:
        taken = await self._intake.take(self.wanted.name, self.wanted.network, piece, self._remembered)
        self._metrics.rejected.labels(self.wanted.name).inc(len(taken.rejected))
        return taken

    def _covered(self, state: SourceState, heard: Heard, now: datetime) -> tuple[SourceState, list[Message]]:
        """The open gap ends with what is no history, unless there is no money to hear the rest."""
        empty = self._purse.why_empty
        if empty is not None:
            self._why = empty
            if state.gap is None or state.gap.reason != empty:
                return self._gap(state, empty, now)
            return state, []
        if state.gap is None or any(item.get("backfill") for item in heard.items):
            return state, []
        closed = self._gap_message(state.gap, now, ends=now)
        return replace(state, gap=None), [closed, self._healthy(now)]

    def _missed(self, state: SourceState, missed: Missed, now: datetime) -> tuple[SourceState, list[Message]]:
        """A gap with an end is told once; one that goes on, or lies in the gap that is open, is part of that."""
        if missed.ends is None or state.gap is not None:
            open_gap = merged(state.gap, missed)
            return replace(state, gap=open_gap), [self._gap_message(open_gap, now)]
        return state, [self._gap_message(OpenGap(missed.begins, missed.reason, missed.count), now, missed.ends)]

    def _gap(self, state: SourceState, reason: str, now: datetime) -> tuple[SourceState, list[Message]]:
        """Open a gap, or tell the open one's new reason. It keeps its begin."""
        if state.gap is None:
            open_gap = OpenGap(state.heard_at or now, reason)
        elif state.gap.reason == reason:
            return state, []
        else:
            open_gap = replace(state.gap, reason=reason)
        return replace(state, gap=open_gap), [self._gap_message(open_gap, now)]

    async def _say_if_nobody_listened(self) -> None:
        now, state = self._clock.now(), self._state
        last = max(filter(None, (state.heard_at, state.alive_at)), default=None)
        if last is not None and state.gap is None and (now - last).total_seconds() > PROMISE_SECONDS:
            opened = OpenGap(last, "nobody listened: no process that runs ingest was there")
            await self._commit(replace(state, gap=opened), [self._gap_message(opened, now)])

    async def _fails(self, why: Trouble, phase: Phase, reason: str, wait: float) -> None:
        """Tell of a trouble, and when the next try comes."""
        now = self._clock.now()
        logger.warning("source_waits", source=self.wanted.name, trouble=why.value, why=reason, seconds=round(wait, 1))
        self._metrics.restarts.labels(self.wanted.name, why.value).inc()
        self.phase, self._why, self._next_try = phase, reason, now + timedelta(seconds=wait)
        state, messages = self._gap(self._state, self._purse.why_empty or reason, now)
        await self._commit(state, messages)

    async def _loses(self, trouble: Lost, wait: float) -> None:
        now = self._clock.now()
        logger.warning("source_lost_its_place", source=self.wanted.name, why=str(trouble))
        self._metrics.restarts.labels(self.wanted.name, Trouble.LOST.value).inc()
        self.phase, self._why, self._next_try = Phase.WAITING, str(trouble), now + timedelta(seconds=wait)
        state, messages = self._missed(self._state, trouble.missed, now)
        await self._commit(replace(state, cursor=None), messages)

    async def _sleep(self, seconds: float) -> None:
        self._poked.clear()
        timer = asyncio.create_task(self._clock.sleep(seconds))
        poked = asyncio.create_task(self._poked.wait())
        try:
            await asyncio.wait([timer, poked], return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            poked.cancel()

    async def _beat(self) -> None:
        """Say that the source hears, and what it spent. While a gap is open only the latter."""
        now, state = self._clock.now(), self._state
        messages: list[Message] = []
        empty = self._purse.why_empty
        if empty is not None:
            self._why = empty
            state, messages = self._gap(state, empty, now)
        if state.gap is None:
            state = replace(state, alive_at=now)
            messages = [self._healthy(now)]
        await self._commit(state, messages)

    async def _commit(self, state: SourceState, messages: Sequence[Message], taken: Taken | None = None) -> None:
        """Store it with the cursor, and how the source fares."""
        now = self._clock.now()
        state = replace(state, spent=self._purse.spent)
        due = now >= self._beat_at or self._said != (self.phase, self._why, state.gap)
        if due:
            messages = [*messages, self._status(state, now)]
        await self._ledger.commit(self.wanted.name, state, messages)
        if due:
            self._said = (self.phase, self._why, state.gap)
            self._beat_at = now + timedelta(seconds=BEAT_SECONDS)
        self._state, self._moved_at = state, now
        self._count(state, taken)

    def _count(self, state: SourceState, taken: Taken | None) -> None:
        name, metrics = self.wanted.name, self._metrics
        if taken is not None:
            self._remembered.add(taken.names)
            metrics.posts.labels(name).inc(taken.posts)
        if state.last_post_at is not None:
            metrics.last_post.labels(name).set(epoch(state.last_post_at))
        lag = self._lag(state)
        if lag is not None:
            metrics.lag.labels(name).set(lag)
        metrics.gap.labels(name).set(state.gap is not None)
        metrics.refused.labels(name).set(self.phase is Phase.REFUSED)
        metrics.spent.labels(name, "day").set(state.spent.today)
        metrics.spent.labels(name, "month").set(state.spent.this_month)

    def _lag(self, state: SourceState) -> float | None:
        return None if state.cursor is None else max(0.0, (self._clock.now() - state.cursor.at).total_seconds())

    def _status(self, state: SourceState, now: datetime) -> Message:
        status = SourceStatus(
            name=self.wanted.name,
            network=self.wanted.network,
            kind=self.wanted.kind,
            phase=self.phase,
            holder=self._holder,
            at=now,
            heard_at=state.heard_at,
            last_post_at=state.last_post_at,
            lag_seconds=self._lag(state),
            gap_since=None if state.gap is None else state.gap.begins,
            why=self._why or (None if state.gap is None else state.gap.reason),
            next_try_at=self._next_try,
            spent_today=state.spent.today,
            spent_this_month=state.spent.this_month,
            share=self._purse.share(),
        )
        return Message(SOURCES.name, self.wanted.name, encode_status(status))

    def _healthy(self, now: datetime) -> Message:
        share = self._purse.share()
        reason = f"the budget lets it hear {share:.0%} of what there is" if share < 1 else None
        return healthy(self.wanted.network, self.wanted.name, self.wanted.section.brands, now, PROMISE_SECONDS, reason)

    def _gap_message(self, what: OpenGap, now: datetime, ends: datetime | None = None) -> Message:
        return gap(self.wanted.network, self.wanted.name, self.wanted.section.brands, now, what, ends)

    async def _close(self, source: Any) -> None:
        if source is not None:
            await _within_time(source.close())


async def _next_of(stream: AsyncIterator[Heard]) -> Heard:
    try:
        return await anext(stream)
    except StopAsyncIteration:
        raise Away("the stream ended") from None


async def _within_time(work: Any) -> None:
    """Whatever a source does while it ends, it cannot keep us."""
    try:
        async with asyncio.timeout(CALL_SECONDS):
            await work
    except Exception as error:  # noqa: BLE001 - it is over anyway
        logger.warning("source_did_not_close", why=repr(error))
