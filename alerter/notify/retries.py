"""When a delivery that failed is tried again. Pure: the time, the answer and the dice come in.

A page must not wait: nine attempts fall into the first eight minutes, then the common tail of webhooks follows until a day
and more has passed.
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
"""After the first try, which is at once. When they are used up the delivery is `exhausted`."""
JITTER: Final = 0.1
"""Receivers that fell over together must not be called together; more would delay a page."""
ASKED_SECONDS: Final = 60.0
"""A receiver may always ask for this much patience, however early it is; beyond, for twice the wait that is due."""


def wait(tries: int, retry_after: float | None, rng: random.Random) -> float | None:
    """Seconds until the next try after `tries` of them failed; `None` when there is none."""
    if tries > len(WAITS_SECONDS):
        return None
    base = WAITS_SECONDS[tries - 1]
    if retry_after is not None:
        base = min(max(base, retry_after), max(2 * base, ASKED_SECONDS))
    return base * rng.uniform(1.0, 1.0 + JITTER)


def parse_retry_after(value: str | None, now_wall: float) -> float | None:
    """Seconds from a `Retry-After` header, which is a number or a date; `None` when it is neither."""
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
