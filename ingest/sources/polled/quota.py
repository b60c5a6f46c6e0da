"""A quota in units of the network's own, by its own day. Near its end the network is asked more rarely, not no more. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from ingest.sources.base import Away

RESERVE: Final = 0.1
"""The share that rounds leave for probes and looks."""


class DailyUnits:
    """`per_day` units, anew at midnight in `zone`."""

    def __init__(self, name: str, per_day: float, zone: str, now: Callable[[], datetime]) -> None:
        self._name = name
        self._per_day = per_day
        self._zone = ZoneInfo(zone)
        self._now = now
        self.day = ""
        self.units = 0.0

    def restore(self, day: str, units: float) -> None:
        self.day, self.units = day, units

    def take(self, units: float) -> None:
        """Count `units` for the call that follows. Raises `Away` until the quota is new."""
        self._turn()
        if self.units + units > self._per_day:
            raise Away(f"the quota of {self._name} for this day is used up", self.seconds_left())
        self.units += units

    def seconds_between(self, units_per_round: float) -> float:
        """How far apart rounds have to be for what is left to last."""
        self._turn()
        left = self._per_day * (1 - RESERVE) - self.units
        if units_per_round <= 0:
            return 0.0
        if left < units_per_round:
            return self.seconds_left()
        return self.seconds_left() * units_per_round / left

    def seconds_left(self) -> float:
        now = self._now().astimezone(self._zone)
        tomorrow = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), self._zone)
        return max(1.0, tomorrow.timestamp() - now.timestamp())

    def _turn(self) -> None:
        today = self._now().astimezone(self._zone).date().isoformat()
        if today != self.day:
            self.day, self.units = today, 0.0
