"""Time is injected: a real clock, a manual one for tests, a scaled one for drills and replay.

A post's place in time and "now" always come from the same clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The present time, with a zone (UTC)."""

    def real_seconds(self, seconds: float) -> float:
        """Returns how many seconds of real time to wait until `seconds` of this clock may have passed."""

    async def sleep(self, seconds: float) -> None:
        """Return when `seconds` of this clock have passed."""


class RealClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

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
        self.origin = time.time() if origin is None else origin

    def now(self) -> datetime:
        return self.begin + timedelta(seconds=(time.time() - self.origin) * self.speed)

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
