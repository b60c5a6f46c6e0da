"""A brand's days as bars: the negative share of what was said, against its usual day. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from statistics import median
from typing import Final

from alerter.store.volume import Hour

USUAL_FROM_DAYS: Final = 3
"""Before, nothing can be called usual."""


@dataclass(frozen=True, slots=True)
class Day:
    day: date
    posts: int
    scored: int
    negative: int

    @property
    def share(self) -> float | None:
        """Of the posts that could be scored; `None` when there was none."""
        return self.negative / self.scored if self.scored else None


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    day: Day
    above: bool
    """More than half again as much as usual."""


@dataclass(frozen=True, slots=True)
class Month:
    """`usual` is the median of the days' shares, once there are a few; coordinates in a box, y downwards."""

    days: tuple[Day, ...]
    bars: tuple[Bar, ...]
    usual: float | None
    usual_at: float | None
    top: float
    posts: int
    negative: int
    share: float | None
    worst: Day | None


def month(hours: Iterable[Hour], now: datetime, count: int, width: float, height: float) -> Month:
    """The last `count` days (UTC) up to and with today."""
    first = (now - timedelta(days=count - 1)).date()
    posts: Counter[date] = Counter()
    scored: Counter[date] = Counter()
    negative: Counter[date] = Counter()
    for one in hours:
        day = one.hour.date()
        posts[day] += one.posts
        scored[day] += one.scored
        negative[day] += one.negative
    listed = [first + timedelta(days=n) for n in range(count)]
    days = tuple(Day(day, posts[day], scored[day], negative[day]) for day in listed)
    told = [day for day in days if day.share is not None]
    usual = median(day.share for day in told if day.share is not None) if len(told) >= USUAL_FROM_DAYS else None
    top = max((day.share for day in told if day.share is not None), default=0.0) or 1.0
    step = width / count
    bars = tuple(_bar(day, n * step, step, top, height, usual) for n, day in enumerate(days) if day.share is not None)
    total = sum(day.scored for day in days)
    return Month(
        days=days,
        bars=bars,
        usual=usual,
        usual_at=None if usual is None else round(height * (1 - usual / top), 1),
        top=top,
        posts=sum(day.posts for day in days),
        negative=sum(day.negative for day in days),
        share=sum(day.negative for day in days) / total if total else None,
        worst=max(told, key=lambda day: day.share or 0.0, default=None),
    )


def _bar(day: Day, x: float, step: float, top: float, height: float, usual: float | None) -> Bar:
    tall = height * (day.share or 0.0) / top
    above = usual is not None and (day.share or 0.0) > 1.5 * usual
    return Bar(round(x + step * 0.1, 1), round(height - tall, 1), round(step * 0.8, 1), round(tall, 1), day, above)
