"""Decides what the health of an endpoint leads to: a pause while it only fails, a word to its owner, its end. Pure.

After `TRIP_FAILURES` failures in a row the endpoint is only probed: one attempt at a time, at growing intervals.
Messages wait until a probe gets through. So a receiver that is down costs one attempt a minute, not one a delivery.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

TRIP_FAILURES: Final = 5
PAUSES_SECONDS: Final = (2.0, 5.0, 10.0, 20.0, 40.0)
"""Before the first probes. Later ones wait `LONGEST_PAUSE_SECONDS`, never longer: a severity 1 page may be waiting."""
LONGEST_PAUSE_SECONDS: Final = 60.0
CAUTION_FAILURES: Final = 2
"""From this many failures on it gets fewer places: many endpoints that stall together must not take them all."""
CAUTIOUS_PLACES: Final = 2
DISABLE_AFTER: Final = timedelta(hours=120)
DISABLE_FAILURES: Final = 10
"""An endpoint is disabled after nothing but failures for `DISABLE_AFTER`, if there were this many: two say little."""


class Turn(StrEnum):
    """A change in an endpoint's health that its owner is told of."""

    FAILING = "failing"
    RECOVERED = "recovered"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Health:
    failures: int = 0
    """How many attempts in a row failed."""
    failing_since: datetime | None = None
    told: bool = False
    """Whether its owner was told that it fails."""
    paused_until: datetime | None = None

    @property
    def tripped(self) -> bool:
        return self.failures >= TRIP_FAILURES

    def places(self, usual: int) -> int:
        """Returns how many attempts may be in flight at once."""
        if self.tripped:
            return 1
        return min(usual, CAUTIOUS_PLACES) if self.failures >= CAUTION_FAILURES else usual

    def worked(self) -> tuple[Health, Turn | None]:
        return Health(), Turn.RECOVERED if self.told else None

    def failed(self, now: datetime, asked_seconds: float | None) -> tuple[Health, Turn | None]:
        """Returns the health after one more failure. `asked_seconds` is what the receiver gave as `Retry-After`."""
        failures, since = self.failures + 1, self.failing_since or now
        after = replace(self, failures=failures, failing_since=since)
        pause = 0.0
        if after.tripped:
            place = failures - TRIP_FAILURES
            pause = PAUSES_SECONDS[place] if place < len(PAUSES_SECONDS) else LONGEST_PAUSE_SECONDS
        if asked_seconds is not None:
            pause = max(pause, min(asked_seconds, LONGEST_PAUSE_SECONDS))
        if pause:
            until = now + timedelta(seconds=pause)
            after = replace(after, paused_until=max(until, self.paused_until or until))
        if now - since >= DISABLE_AFTER and failures >= DISABLE_FAILURES:
            return after, Turn.DISABLED
        if after.tripped and not self.told:
            return replace(after, told=True), Turn.FAILING
        return after, None


def sends_allowed(next_wall: datetime | None, wall: datetime, per_second: float) -> int:
    """Returns how many messages a rate allows now (generic cell rate algorithm, with a burst of one second's worth)."""
    return max(0, int((wall - _from(next_wall, wall, per_second)).total_seconds() * per_second + 1e-6))


def after_sending(count: int, next_wall: datetime | None, wall: datetime, per_second: float) -> datetime:
    """Returns the endpoint's `next_send_wall` after `count` messages were sent."""
    return _from(next_wall, wall, per_second) + timedelta(seconds=count / per_second)


def _from(next_wall: datetime | None, wall: datetime, per_second: float) -> datetime:
    burst = timedelta(seconds=max(1.0, 1.0 / per_second))
    return max(next_wall or wall - burst, wall - burst)
