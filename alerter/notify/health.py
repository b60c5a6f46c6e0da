"""How an endpoint fares, and what follows from it: paused when it only fails, its owner told, disabled in the end. Pure.

After `TRIP_FAILURES` failures in a row nothing goes there but one probe at a time, at growing distances: what waits is kept,
and sent as soon as a probe gets through. So a receiver that is down costs one attempt a minute, not one a delivery.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

TRIP_FAILURES: Final = 5
PAUSES_SECONDS: Final = (2.0, 5.0, 10.0, 20.0, 40.0)
"""Before each probe; then `LONGEST_PAUSE_SECONDS`. A page of severity 1 may be waiting: never longer."""
LONGEST_PAUSE_SECONDS: Final = 60.0
CAUTION_FAILURES: Final = 2
"""From here on fewer places are given to it: many endpoints that stall together must not take them all."""
CAUTIOUS_PLACES: Final = 2
DISABLE_AFTER: Final = timedelta(hours=120)
DISABLE_FAILURES: Final = 10
"""Nothing but failures for so long, and so many: two in a quiet week say little."""


class Turn(StrEnum):
    """What its owner is told."""

    FAILING = "failing"
    RECOVERED = "recovered"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Health:
    failures: int = 0
    """In a row."""
    failing_since: datetime | None = None
    told: bool = False
    """Whether its owner knows that it fails."""
    paused_until: datetime | None = None

    @property
    def tripped(self) -> bool:
        return self.failures >= TRIP_FAILURES

    def places(self, usual: int) -> int:
        """How many attempts may be in flight at once."""
        if self.tripped:
            return 1
        return min(usual, CAUTIOUS_PLACES) if self.failures >= CAUTION_FAILURES else usual

    def worked(self) -> tuple[Health, Turn | None]:
        return Health(), Turn.RECOVERED if self.told else None

    def failed(self, now: datetime, asked_seconds: float | None) -> tuple[Health, Turn | None]:
        """After one more failure. `asked_seconds`: the receiver asked for this much patience, for all that it gets."""
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
    """How many may be sent now under a rate (the generic cell rate algorithm, with a second's worth of burst)."""
    return max(0, int((wall - _from(next_wall, wall, per_second)).total_seconds() * per_second + 1e-6))


def after_sending(count: int, next_wall: datetime | None, wall: datetime, per_second: float) -> datetime:
    """The endpoint's new mark after `count` were sent."""
    return _from(next_wall, wall, per_second) + timedelta(seconds=count / per_second)


def _from(next_wall: datetime | None, wall: datetime, per_second: float) -> datetime:
    burst = timedelta(seconds=max(1.0, 1.0 / per_second))
    return max(next_wall or wall - burst, wall - burst)
