"""By when a brand's promise has an answer due: so many minutes of its opening hours. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from alerter.oncall.wallclock import open_spans
from services.config.rota import Promise, zone_of

AT_A_TIME: Final = timedelta(days=8)
"""A week and a night: opening hours repeat weekly."""
MOST: Final = timedelta(days=400)
"""Opening hours of a minute a week would never be through with a promise."""


def due(promise: Promise, at: datetime) -> datetime:
    """When an answer to what came `at` is due. Whoever writes in the night waits from the morning on."""
    left = timedelta(minutes=promise.minutes)
    if not promise.hours:
        return at + left
    zone = zone_of(promise.zone)
    begin = at
    while begin < at + MOST:
        for span in open_spans(promise.hours, zone, begin, begin + AT_A_TIME):
            if span.ends - span.begins >= left:
                return span.begins + left
            left -= span.ends - span.begins
        begin += AT_A_TIME
    return at + MOST
