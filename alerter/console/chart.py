"""A story's growth as lines in a box: what was observed, where the forecast fans out to, and the brand's line. Pure.

The forecast states a final size and a crossing time, each as an 80 % interval with its median. Each edge of the fan is the
saturating curve n(t) = n0 + (final - n0)(1 - exp(-t / tau)) that goes through both: it starts at what was observed, is at
the line when the forecast crosses it, and ends at its final size. Without a crossing time tau comes from the present rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from alerter.incidents.record import Facet

FAN_POINTS: Final = 24
MIN_AHEAD_SECONDS: Final = 30 * 60.0
MAX_AHEAD_SECONDS: Final = 24 * 3600.0
MARK_WIDTH: Final = 70.0
"""How much room the word of a mark takes."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    words: str
    when: datetime | None = None


class Mark(NamedTuple):
    """A moment that the chart names."""

    word: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Placed:
    """A mark in the box: where, and on which of the rows of words above it, so that near ones do not lie on each other."""

    x: float
    word: str
    at: datetime
    row: int


@dataclass(frozen=True, slots=True)
class Chart:
    """Coordinates in a box of `width` by `height`, y downwards; lines as the `points` of an SVG polyline."""

    width: float
    height: float
    observed: str
    last: Point
    median: str
    fan: str
    line: float | None
    line_size: int | None
    crossing: float | None
    crossing_at: datetime | None
    now: float
    sizes: tuple[Tick, ...]
    moments: tuple[Tick, ...]
    marks: tuple[Placed, ...] = ()
    as_of: datetime | None = None
    """When it was last measured."""

    @property
    def mark_rows(self) -> int:
        """How many rows of words the marks take above the box."""
        return max((mark.row + 1 for mark in self.marks), default=0)


def draw(facet: Facet, now: datetime, width: float, height: float, marks: Iterable[Mark] = ()) -> Chart | None:
    """The newest forecast of a conversation; `None` when nothing has been observed yet."""
    outlook, begins = facet.outlook, facet.begins
    if begins is None:
        return None
    measured = (facet.at - begins).total_seconds()
    seen = observed_points(facet, measured)
    count = seen[-1][1]
    passed = max((now - begins).total_seconds(), measured)
    line = outlook.line.engagements
    crossing = None if outlook.crossed_at is not None or outlook.crossing is None else outlook.crossing
    ahead = _ahead(measured, crossing.expected if crossing else None, begins)
    end = max(passed, measured + ahead)
    edges: list[Callable[[float], float]] = []
    size = outlook.final_size
    # The soonest crossing belongs to the largest size, the latest to the smallest.
    for final, at in (
        (size.low, crossing.latest if crossing else None),
        (size.median, crossing.expected if crossing else None),
        (size.high, crossing.earliest if crossing else None),
    ):
        until = (at - facet.at).total_seconds() if at is not None else None
        edges.append(growth(count, final, line, until, facet.rate_60m))
    steps = [(end - measured) * n / (FAN_POINTS - 1) for n in range(FAN_POINTS)]
    low, middle, high = ([(measured + t, edge(t)) for t in steps] for edge in edges)
    low, high = _apart(low, middle, high)
    tallest = max(count, middle[-1][1], 1.12 * line if line else 0, min(high[-1][1], 2.5 * (line or middle[-1][1])), 4)
    top = nice_top(tallest)

    def place(point: Point) -> Point:
        return round(width * point[0] / end, 1), round(height * (1 - min(point[1], top) / top), 1)

    def path(points: Sequence[Point]) -> str:
        return " ".join(f"{x:g},{y:g}" for x, y in map(place, points))

    expected = (crossing.expected - begins).total_seconds() if crossing else None
    return Chart(
        width=width,
        height=height,
        observed=path(seen),
        last=place(seen[-1]),
        median=path(middle),
        fan=path([*high, *reversed(low)]),
        line=place((0, line))[1] if line else None,
        line_size=line,
        crossing=place((expected, 0))[0] if expected is not None and measured <= expected <= end else None,
        crossing_at=crossing.expected if crossing else None,
        now=place((min(passed, end), 0))[0],
        sizes=tuple(Tick(place((0, s))[1], f"{s:,.0f}") for s in _marks(top)),
        moments=tuple(Tick(place((t, 0))[0], "", begins + timedelta(seconds=t)) for t in _marks_of_time(end)),
        marks=_placed(marks, begins, end, width),
        as_of=facet.at,
    )


def _placed(marks: Iterable[Mark], begins: datetime, end: float, width: float) -> tuple[Placed, ...]:
    """The marks within the box, in their order; what was before its begin stands at its edge."""
    found: list[Placed] = []
    for mark in sorted(marks, key=lambda mark: mark.at):
        seconds = max(0.0, (mark.at - begins).total_seconds())
        if seconds > end:
            continue
        x = round(width * seconds / end, 1)
        taken = {one.row for one in found if abs(one.x - x) < MARK_WIDTH}
        found.append(Placed(x, mark.word, mark.at, next(row for row in range(len(found) + 1) if row not in taken)))
    return tuple(found)


def observed_points(facet: Facet, measured: float) -> list[Point]:
    """From nothing at the root to what is known now, never falling."""
    points: list[Point] = [(0.0, 0.0)]
    for seconds, size in facet.curve:
        if points[-1][0] <= seconds < measured:
            points.append((seconds, max(points[-1][1], float(size))))
    return [*points, (max(measured, points[-1][0], 1.0), max(points[-1][1], float(facet.outlook.observed)))]


def growth(
    start: float, final: float, line: float | None, until: float | None, rate: float
) -> Callable[[float], float]:
    """The curve from `start` to `final`: at `line` after `until` seconds where it gets there, else with `rate` an hour now."""
    room = max(0.0, final - start)
    speed = rate / 3600 / room if room else 0.0
    if until is not None and line is not None and until > 0 and start < line < final:
        speed = -math.log1p(-(line - start) / room) / until
    return lambda seconds: start - room * math.expm1(-speed * seconds)


def _apart(low: list[Point], middle: list[Point], high: list[Point]) -> tuple[list[Point], list[Point]]:
    """The edges, nowhere on the wrong side of the median: their speeds differ, so early on they could be."""
    below = [(t, min(n, m)) for (t, n), (_, m) in zip(low, middle, strict=True)]
    above = [(t, max(n, m)) for (t, n), (_, m) in zip(high, middle, strict=True)]
    return below, above


def _ahead(measured: float, expected: datetime | None, begins: datetime) -> float:
    """How far to draw: beyond the crossing where one is expected, and never so far that the past is squeezed away."""
    wanted = measured
    if expected is not None:
        wanted = 1.8 * ((expected - begins).total_seconds() - measured)
    return min(max(wanted, MIN_AHEAD_SECONDS), MAX_AHEAD_SECONDS, max(6 * measured, 2 * MIN_AHEAD_SECONDS))


def nice_top(most: float) -> float:
    """The next round number above `most`."""
    unit: float = 10 ** math.floor(math.log10(most))
    return next(m * unit for m in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if m * unit >= most)


def _marks(top: float) -> list[float]:
    return [top / 2, top]


def _marks_of_time(end: float) -> list[float]:
    """Three to six round times."""
    steps = (300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800)
    step = next((s for s in steps if end / s <= 5), steps[-1])
    count = int(end // step)
    every = max(1, math.ceil(count / 5))
    return [float(step * n) for n in range(every, count + 1, every)]
