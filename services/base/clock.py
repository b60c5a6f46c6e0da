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
        """How long to wait, in seconds of the wall, until `seconds` of this clock may have passed."""

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
    """Starts at `begin` and runs `speed` times as fast as the wall. Every process given both agrees on the time,
    because the wall time of the start (`origin`, epoch seconds) is part of it."""

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
    """Moves when told to."""

    GLANCE_SECONDS = 0.005
    """Who waits for this clock looks again after so long: it cannot know when it will be moved."""

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
    """Seconds since 1970 UTC."""
    return moment.timestamp()


def moment(epoch_seconds: float) -> datetime:
    return datetime.fromtimestamp(epoch_seconds, UTC)
