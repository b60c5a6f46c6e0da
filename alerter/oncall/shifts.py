"""Unrolls schedules and overrides into shifts: who is on call, who will be, and when nobody is. Pure.

A rotation counts turns, not calendar periods: a period that lies outside the layer's windows is nobody's turn, so that
seven people in a daily rotation on working days all serve. Overrides lie above all layers, the newest on top.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import accumulate
from math import gcd
from typing import Final

from alerter.oncall.wallclock import MARGIN, Span, clipped, instant, wall_of, wall_spans
from services.config.rota import Layer, Schedule, zone_of

WEEK: Final = timedelta(weeks=1)
LOOK_AHEAD: Final = timedelta(days=32)
"""How far ahead the end of the current shift is looked for."""


@dataclass(frozen=True, slots=True)
class Override:
    """Somebody else is on call for a while, or nobody if `responder` is `None`. With `replaces` it only applies while
    that person would be on call."""

    id: str
    schedule: str
    begins: datetime
    ends: datetime
    responder: str | None
    replaces: str | None
    by: str
    comment: str
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Shift:
    """Who is on call from `begins` to before `ends`, or nobody (`None`). `why` names the layer or override."""

    begins: datetime
    ends: datetime
    responder: str | None = None
    why: str | None = None

    @property
    def seconds(self) -> float:
        return (self.ends - self.begins).total_seconds()


@dataclass(frozen=True, slots=True)
class Coverage:
    """How a period is covered: when nobody is on call, and how many hours each responder is."""

    begins: datetime
    ends: datetime
    gaps: tuple[Shift, ...]
    hours: dict[str, float]

    @property
    def gap_seconds(self) -> float:
        return sum(gap.seconds for gap in self.gaps)


def unroll(
    schedule: Schedule, overrides: Iterable[Override], begin: datetime, end: datetime, *, joined: bool = True
) -> list[Shift]:
    """Returns all shifts of a period, gaps included: each ends where the next begins, and together they fill it.

    What follows each other with the same person is one shift; if not `joined`, each turn is one.
    """
    rota = [Shift(begin, end)]
    for layer in schedule.layers:
        rota = _over(rota, list(_layer_shifts(layer, schedule.zone, begin, end)))
    mine = [o for o in overrides if o.schedule == schedule.id]
    for override in sorted(mine, key=lambda o: (o.made_at, o.id)):
        span = next(clipped([Span(override.begins, override.ends)], begin, end), None)
        if span is not None:
            rota = _overridden(rota, override, span)
    return _joined(rota) if joined else rota


def on_call(
    schedule: Schedule, overrides: Iterable[Override], at: datetime, look_ahead: timedelta = LOOK_AHEAD
) -> Shift:
    """Returns the shift at this time. It ends at `look_ahead` at the latest."""
    return unroll(schedule, overrides, at, at + look_ahead)[0]


def coverage(schedule: Schedule, overrides: Iterable[Override], begin: datetime, end: datetime) -> Coverage:
    """Returns when nobody is on call in a period, and how the load is shared."""
    rota = unroll(schedule, overrides, begin, end)
    seconds: defaultdict[str, float] = defaultdict(float)
    gaps: list[Shift] = []
    for shift in rota:
        if shift.responder is not None:
            seconds[shift.responder] += shift.seconds
        elif gaps and gaps[-1].ends == shift.begins:
            gaps[-1] = replace(gaps[-1], ends=shift.ends)
        else:
            gaps.append(shift)
    return Coverage(begin, end, tuple(gaps), {who: round(sum_ / 3600, 2) for who, sum_ in sorted(seconds.items())})


@lru_cache(maxsize=4096)
def _turns(layer: Layer) -> tuple[int, ...]:
    """Returns, for each period of a cycle, how many periods before it were somebody's turn, and at the end their total.

    A cycle has as many periods as make up whole weeks, because windows repeat every week in local time.
    """
    minutes, week = layer.shift // timedelta(minutes=1), WEEK // timedelta(minutes=1)
    cycle = week // gcd(minutes, week)
    begins = (layer.begins + number * layer.shift for number in range(cycle))
    serving = (bool(wall_spans(layer.only, begin, begin + layer.shift)) for begin in begins)
    return (0, *accumulate(map(int, serving)))


def _turn(layer: Layer, period: int) -> int:
    """Returns the number of the turn in this period, counted from 0."""
    if not layer.only:
        return period
    turns = _turns(layer)
    cycles, rest = divmod(period, len(turns) - 1)
    return cycles * turns[-1] + turns[rest]


def _layer_shifts(layer: Layer, zone_name: str, begin: datetime, end: datetime) -> Iterator[Shift]:
    zone = zone_of(zone_name)
    low, high = wall_of(begin, zone) - MARGIN, wall_of(end, zone) + MARGIN
    for period in range(max(0, (low - layer.begins) // layer.shift), (high - layer.begins) // layer.shift + 1):
        starts = layer.begins + period * layer.shift
        stops = starts + layer.shift if layer.ends is None else min(starts + layer.shift, layer.ends)
        if stops <= starts:
            return
        responder = layer.responders[_turn(layer, period) % len(layer.responders)]
        walls = wall_spans(layer.only, starts, stops)
        spans = (Span(instant(wall.begins, zone), instant(wall.ends, zone)) for wall in walls)
        for span in clipped(spans, begin, end):
            yield Shift(span.begins, span.ends, responder, layer.id)


def _over(below: Sequence[Shift], above: Sequence[Shift]) -> list[Shift]:
    """Lay `above` over `below`. Both are in order, without overlaps; `below` has no holes."""
    found: list[Shift] = []
    tops = iter(above)
    top = next(tops, None)
    for shift in below:
        at = shift.begins
        while top is not None and top.begins < shift.ends:
            if at < top.begins:
                found.append(replace(shift, begins=at, ends=top.begins))
            at = max(at, min(top.ends, shift.ends))
            if top.ends > shift.ends:
                break
            found.append(top)
            top = next(tops, None)
        if at < shift.ends:
            found.append(replace(shift, begins=at))
    return found


def _overridden(rota: Sequence[Shift], override: Override, span: Span) -> list[Shift]:
    new = Shift(span.begins, span.ends, override.responder, f"override {override.id}")
    if override.replaces is None:
        return _over(rota, [new])
    pieces = [
        piece
        for shift in rota
        if shift.responder == override.replaces
        for piece in clipped([Span(shift.begins, shift.ends)], span.begins, span.ends)
    ]
    return _over(rota, [replace(new, begins=piece.begins, ends=piece.ends) for piece in pieces])


def _joined(rota: Sequence[Shift]) -> list[Shift]:
    """Join neighbouring shifts of the same person for the same reason."""
    found: list[Shift] = []
    for shift in rota:
        last = found[-1] if found else None
        if last is not None and (last.responder, last.why) == (shift.responder, shift.why):
            found[-1] = replace(last, ends=shift.ends)
        else:
            found.append(shift)
    return found
