"""Time is injected: a real clock, a manual one for tests, a scaled one for drills and replay.

A post's place in time and "now" always come from the same clock. The real clock and the scaled one never go back, whatever
is done to the clock of the machine while the process runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import structlog

logger = structlog.get_logger()

SLEW: Final = 0.1
"""How much slower the steady time runs, as a share, while it is ahead of the machine's clock."""
STEP_SECONDS: Final = 1.0
"""A difference between both that is less is how clocks are kept right, and not worth a line in the log."""


def _seconds_since_boot() -> float:
    """Seconds that no one sets, with the time for which the machine was suspended where the system counts it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class SteadyTime:
    """Epoch seconds that never go back. Thread-safe.

    When the machine's clock is set forward, so is this time: what is overdue is done now. When that is set back, this time goes
    on, a tenth slower until both agree again: what was to happen in five minutes happens in five and a half at most, and not in
    an hour and five minutes.
    """

    def __init__(
        self, wall: Callable[[], float] = time.time, elapsed: Callable[[], float] = _seconds_since_boot
    ) -> None:
        self._wall = wall
        self._elapsed = elapsed
        self._lock = threading.Lock()
        self._ahead = 0.0
        self._last, self._looked = wall(), elapsed()

    def __call__(self) -> float:
        with self._lock:
            wall, elapsed = self._wall(), self._elapsed()
            passed = max(0.0, elapsed - self._looked)
            step = wall - (self._last + passed)
            ahead = max(0.0, -step - SLEW * passed)
            if ahead > self._ahead + STEP_SECONDS:
                logger.warning("clock_set_back", seconds=round(ahead - self._ahead, 3), so="timers run on")
            elif self._ahead == 0.0 and step > STEP_SECONDS:
                logger.warning("clock_set_forward", seconds=round(step, 3), so="what is overdue is done now")
            self._ahead, self._looked = ahead, elapsed
            self._last = max(self._last, wall + ahead)
            return self._last

    @property
    def ahead(self) -> float:
        """Seconds by which this time is ahead of the machine's clock."""
        self()
        return self._ahead


steady_time: Final = SteadyTime()
"""The one of this process."""


class Clock(Protocol):
    def now(self) -> datetime:
        """The present time, with a zone (UTC)."""

    def real_seconds(self, seconds: float) -> float:
        """Returns how many seconds of real time to wait until `seconds` of this clock may have passed."""

    async def sleep(self, seconds: float) -> None:
        """Return when `seconds` of this clock have passed."""


class RealClock:
    def now(self) -> datetime:
        return moment(steady_time())

    def real_seconds(self, seconds: float) -> float:
        return max(0.0, seconds)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


class ScaledClock:
    """Starts at `begin` and runs `speed` times as fast as real time. `origin` is the real time of that start, in epoch
    seconds: processes that are given the same three values agree on the time."""

    def __init__(self, begin: datetime, speed: float, origin: float | None = None) -> None:
        if speed <= 0:
            raise ValueError(f"speed must be positive, not {speed}")
        self.begin = begin
        self.speed = speed
        self.origin = steady_time() if origin is None else origin

    def now(self) -> datetime:
        return self.begin + timedelta(seconds=(steady_time() - self.origin) * self.speed)

    def real_seconds(self, seconds: float) -> float:
        return max(0.0, seconds / self.speed)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(self.real_seconds(seconds))


class ManualClock:
    """Stands still until a test calls `advance`."""

    GLANCE_SECONDS = 0.005
    """How long a waiter sleeps before it looks at this clock again: nobody knows when a test will move it."""

    def __init__(self, begin: datetime) -> None:
        self._now = begin
        self._moved = asyncio.Event()

    def now(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError("time does not go backwards")
        self._now += timedelta(seconds=seconds)
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def real_seconds(self, seconds: float) -> float:
        return 0.0 if seconds <= 0 else self.GLANCE_SECONDS

    async def sleep(self, seconds: float) -> None:
        until = self._now + timedelta(seconds=seconds)
        while self._now < until:
            await self._moved.wait()


async def set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for the event, `seconds` of real time at most. Returns True if it is set."""
    if not event.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await event.wait()
    return event.is_set()


async def wait(event: asyncio.Event, clock: Clock, seconds: float) -> bool:
    """Wait for the event, about `seconds` of the clock at most. Returns True if it is set."""
    return await set_within(event, clock.real_seconds(seconds))


def epoch(moment: datetime) -> float:
    """Returns the seconds since 1970 UTC."""
    return moment.timestamp()


def moment(epoch_seconds: float) -> datetime:
    return datetime.fromtimestamp(epoch_seconds, UTC)
