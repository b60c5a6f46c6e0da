"""How the alerter's loops wait: for a time on the injected clock, for a bell that says "look again", or for the stop."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import Final

from services.base.clock import Clock, wait

GLANCE_SECONDS: Final = 5.0
"""Real seconds after which the database is asked anyway: another replica may have written what is due."""


async def until_due(
    due: datetime | None, bell: asyncio.Event, stop: asyncio.Event, clock: Clock, most_seconds: float = GLANCE_SECONDS
) -> None:
    """Return when `due` has come, the bell rings, the stop is set, or a while of real time has passed."""
    until = time.monotonic() + most_seconds
    while not stop.is_set() and not bell.is_set() and time.monotonic() < until:
        left = most_seconds if due is None else (due - clock.now()).total_seconds()
        if left <= 0:
            return
        # Not longer than the glance in real time, however slow the clock is.
        await wait(bell, clock, min(left, most_seconds))
