"""Lets the alerter's loops wait for a time on the injected clock, a bell that says "look again", or the stop."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import Final

from services.base.clock import Clock, wait

GLANCE_SECONDS: Final = 5.0
"""Real seconds after which a loop asks the database anyway, because another replica may have written something due."""


async def until_due(
    due: datetime | None, bell: asyncio.Event, stop: asyncio.Event, clock: Clock, most_seconds: float = GLANCE_SECONDS
) -> None:
    """Wait until `due`, until the bell rings or the stop is set, or for `most_seconds` of real time."""
    until = time.monotonic() + most_seconds
    while not stop.is_set() and not bell.is_set() and time.monotonic() < until:
        left = most_seconds if due is None else (due - clock.now()).total_seconds()
        if left <= 0:
            return
        # No longer than that in real time, however slow the clock is.
        await wait(bell, clock, min(left, most_seconds))
