"""Calculates when an answer is due by a brand's promise: a number of minutes, counted in its opening hours. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from alerter.oncall.wallclock import open_spans
from services.config.rota import Promise, zone_of

AT_A_TIME: Final = timedelta(days=8)
"""How far ahead opening hours are unrolled in one go: they repeat weekly, and a night may run into the next week."""
MOST: Final = timedelta(days=400)
"""The latest that an answer is due, so that opening hours of a minute a week come to an end."""


def due(promise: Promise, at: datetime) -> datetime:
    """Returns when an answer to a post of time `at` is due. For a post in the night the time starts in the morning."""
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
