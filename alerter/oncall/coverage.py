"""Measures how well the coming week is covered, for the gauges. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, NamedTuple

from alerter.oncall.roster import Roster
from services.config.model import Config

AHEAD: Final = timedelta(days=7)


class Covered(NamedTuple):
    gap_seconds: float
    """How long nobody is on call in the coming week."""
    now: bool
    """Whether somebody is on call now."""


def measure(config: Config, roster: Roster, now: datetime) -> dict[str, Covered]:
    """Returns the coverage of each schedule."""
    found = {}
    for schedule in config.schedules:
        seen = roster.coverage(schedule, now, now + AHEAD)
        found[schedule.id] = Covered(seen.gap_seconds, not (seen.gaps and seen.gaps[0].begins == now))
    return found
