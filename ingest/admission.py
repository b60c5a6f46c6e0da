"""Decides which requests get in. What is too much is refused here, with a reason and when to come back, and nowhere later.

There is a token bucket for each key, a bound on requests and on bytes in flight, and a bound on the scorer's lag: posts that
cannot be scored in time only delay others. All times are the machine's own, because it is the machine that is protected.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from ingest.metrics import IngestMetrics, ShedReason
from services.base.clock import set_within
from services.base.errors import Backpressure, Transient
from services.base.settings import Settings
from services.contracts.topics import POSTS
from services.eventlog.base import Closed, EventLog

logger = structlog.get_logger()

SCORER_GROUP: Final = "firebreak-scorer"
POLL_SECONDS: Final = 1.0
STALE_SECONDS: Final = 10.0
"""A lag that is older than this is not acted on, and the log counts as away."""
BUSY_SECONDS: Final = 1.0
LAG_SECONDS: Final = 10.0
STOPPING_SECONDS: Final = 5.0
"""After how many seconds a client should try again: when requests have ended, when the scorer has caught up a little, when
another replica or a new process is there."""


class Shed(Backpressure):
    """A request is refused for now: 429 if its key is over its own rate, 503 otherwise."""

    def __init__(self, reason: ShedReason, why: str, retry_after: float) -> None:
        super().__init__(why, retry_after)
        self.reason = reason


class TokenBucket:
    """Lets `rate` posts a second through, and up to `burst` at once after a pause."""

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at = now

    def take(self, tokens: float, now: float) -> float:
        """Take tokens. Returns 0 if they were taken, else in how many seconds to try again.

        More tokens than the bucket holds are taken when it is full, and owed: otherwise a batch larger than the burst would be
        refused for ever.
        """
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = now
        needed = min(tokens, self._burst)
        if self._tokens < needed:  # also where no tokens are asked for, as long as some are owed
            return (needed - self._tokens) / self._rate
        self._tokens -= tokens
        return 0.0


class LagWatch:
    """Asks the log for the scorer's lag again and again, and so knows if the log answers at all."""

    def __init__(self, log: EventLog, metrics: IngestMetrics, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._metrics = metrics
        self._monotonic = monotonic
        self._lag = 0
        self._answered: float | None = None
        self._failing: str | None = "the event log has not answered yet"
        self._asking: asyncio.Task[int] | None = None

    @property
    def lag(self) -> int | None:
        """The scorer's lag in records; `None` if it is not known, or too old to act on."""
        fresh = self._answered is not None and self._monotonic() - self._answered <= STALE_SECONDS
        return self._lag if fresh else None

    @property
    def trouble(self) -> str | None:
        """Why the log counts as away; `None` while it answers."""
        return self._failing or (None if self.lag is not None else f"no answer for {STALE_SECONDS:g} s")

    async def poll(self) -> None:
        """Ask once. A question that has no answer yet is waited for again; it is neither asked twice nor cancelled."""
        asked = self._asking or asyncio.create_task(self._ask(), name="ingest-lag-question")
        self._asking = asked
        await asyncio.wait({asked}, timeout=POLL_SECONDS)
        if not asked.done() or self._asking is not asked:
            return
        self._asking = None
        try:
            self._lag = asked.result()
        except Closed:
            self._failing = "the event log is closed"
        except Exception as error:  # noqa: BLE001 - the root of a tick: the next one may succeed
            self._metrics.lag_failures.inc()
            if self._failing is None:
                known = isinstance(error, Transient)
                logger.warning("scorer_lag_unknown", why=str(error) if known else repr(error))
            self._failing = "the event log cannot be reached"
        else:
            self._answered, self._failing = self._monotonic(), None
            self._metrics.scorer_lag.set(self._lag)

    async def _ask(self) -> int:
        return await self._log.lag(SCORER_GROUP, POSTS.name)

    async def run(self, stop: asyncio.Event) -> None:
        """Poll until told to stop."""
        while not stop.is_set():
            await self.poll()
            await set_within(stop, POLL_SECONDS)
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking}, timeout=POLL_SECONDS)


class Visit:
    """A request that was let in."""

    def __init__(self, door: Admission, key: str) -> None:
        self._door = door
        self._key = key
        self.held_bytes = 0

    def hold(self, size: int) -> None:
        """Count `size` more bytes of its body. Raises `Shed` if all requests together hold too many."""
        self._door.hold(size)
        self.held_bytes += size

    def charge(self, posts: int) -> None:
        """Take a token of its key for each of its posts. Raises `Shed` if the key is over its rate."""
        self._door.charge(self._key, posts)


class Admission:
    """Lets requests in, and counts what they hold and take."""

    def __init__(
        self,
        settings: Settings,
        watch: LagWatch,
        metrics: IngestMetrics,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._watch = watch
        self._metrics = metrics
        self._monotonic = monotonic
        self._buckets: dict[str, TokenBucket] = {}
        self._requests = 0
        self._bytes = 0
        self._closed = False
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def is_empty(self) -> bool:
        """True if no request is inside."""
        return self._requests == 0

    def close(self) -> None:
        """Refuse all further requests."""
        self._closed = True

    async def drain(self) -> None:
        """Wait until the last visit has ended."""
        await self._empty.wait()

    @contextmanager
    def visit(self, key: str) -> Iterator[Visit]:
        """Let a request of `key` in for as long as the context lasts. Raises `Shed` if it has to come back later."""
        self._check()
        visit = Visit(self, key)
        self._requests += 1
        self._empty.clear()
        self._metrics.requests_in_flight.set(self._requests)
        try:
            visit.charge(0)  # a key that owes tokens is refused before its body is read
            yield visit
        finally:
            self._requests -= 1
            self._bytes -= visit.held_bytes
            self._metrics.requests_in_flight.set(self._requests)
            self._metrics.bytes_in_flight.set(self._bytes)
            if self._requests == 0:
                self._empty.set()

    def _check(self) -> None:
        if self._closed:
            raise Shed(ShedReason.STOPPING, "this process is stopping", STOPPING_SECONDS)
        lag, limit = self._watch.lag, self._settings.shed_above_lag
        if lag is not None and lag > limit:
            why = f"the scorer is {lag} records behind, more than {limit}"
            raise Shed(ShedReason.SCORER_LAG, why, LAG_SECONDS)
        if self._requests >= self._settings.max_requests_in_flight:
            raise Shed(ShedReason.REQUESTS_IN_FLIGHT, f"{self._requests} requests are in flight", BUSY_SECONDS)

    def hold(self, size: int) -> None:
        """Count `size` more bytes in flight. Raises `Shed` if there are too many."""
        if self._bytes + size > self._settings.max_bytes_in_flight:
            raise Shed(ShedReason.BYTES_IN_FLIGHT, f"{self._bytes} bytes are in flight", BUSY_SECONDS)
        self._bytes += size
        self._metrics.bytes_in_flight.set(self._bytes)

    def charge(self, key: str, posts: int) -> None:
        """Take tokens of `key`. Raises `Shed` if it is over its rate."""
        now = self._monotonic()
        bucket = self._buckets.get(key)
        if bucket is None:
            settings = self._settings
            bucket = TokenBucket(settings.key_posts_per_second, settings.key_posts_burst, now)
            self._buckets[key] = bucket
        wait = bucket.take(posts, now)
        if wait > 0:
            limit = self._settings.key_posts_per_second
            raise Shed(ShedReason.RATE, f"the key {key!r} is over its limit of {limit:g} posts a second", wait)
