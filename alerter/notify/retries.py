"""Calculates when a delivery that failed is retried. Pure.

A page must not wait, so nine attempts fall into the first eight minutes. Then the waits grow to a day, as is usual for
webhooks, and the last attempt comes after three days.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

_MINUTE, _HOUR = 60.0, 3600.0
WAITS_SECONDS: Final = (
    *(2.0, 5.0, 10.0, 20.0, 40.0),
    *(1 * _MINUTE, 2 * _MINUTE, 4 * _MINUTE),
    *(5 * _MINUTE, 30 * _MINUTE),
    *(2 * _HOUR, 5 * _HOUR, 10 * _HOUR, 14 * _HOUR, 20 * _HOUR, 24 * _HOUR),
)
"""The waits after the first attempt, which is made at once. After the last one the delivery is `exhausted`."""
JITTER: Final = 0.1
"""Receivers that went down together must not all be retried at the same moment; more jitter would delay a page."""
ASKED_SECONDS: Final = 60.0
"""A `Retry-After` is honoured up to this, or up to twice the wait that is due if that is longer."""


def wait(tries: int, retry_after: float | None, rng: random.Random) -> float | None:
    """Returns the seconds until the next attempt after `tries` failed, or `None` if there is none."""
    if tries > len(WAITS_SECONDS):
        return None
    base = WAITS_SECONDS[tries - 1]
    if retry_after is not None:
        base = min(max(base, retry_after), max(2 * base, ASKED_SECONDS))
    return base * rng.uniform(1.0, 1.0 + JITTER)


def parse_retry_after(value: str | None, now_wall: float) -> float | None:
    """Returns the seconds in a `Retry-After` header, which is a number or a date, or `None` if it is neither."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.fromtimestamp(now_wall, UTC)).total_seconds())
