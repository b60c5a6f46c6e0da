"""Unrolls schedules and overrides into shifts: who is on call, who will be, and when nobody is. Pure.

A rotation counts turns, not calendar periods: a period that lies outside the layer's windows is nobody's turn, so that
seven people in a daily rotation on working days all serve. Overrides lie above all layers, the newest on top. Where somebody
is absent, the layer below shows through; the turn is not passed on, so an absence moves nobody else's turn.

What people changed at run time, and what a schedule said before it was edited, comes with a `Roster`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import accumulate
from math import gcd
from typing import Final, NamedTuple

from alerter.oncall.wallclock import MARGIN, Span, clipped, instant, merged, wall_of, wall_spans
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
class Absence:
    """A person who cannot be on call from `begins` to before `ends`. `zone` is the one that it was meant in."""

    id: str
    responder: str
    begins: datetime
    ends: datetime
    kind: str
    zone: str
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


class Rotas(NamedTuple):
    """The shifts of a period twice: as they are, and as they would be if nobody were absent."""

    actual: list[Shift]
    meant: list[Shift]


def unroll(schedule: Schedule, overrides: Iterable[Override], begin: datetime, end: datetime) -> list[Shift]:
    """Returns all shifts of a period, gaps included: each ends where the next begins, and together they fill it."""
    rota = layered(schedule, begin, end)
    return joined(with_overrides(Rotas(rota, rota), schedule.id, overrides).actual)


def on_call(
    schedule: Schedule, overrides: Iterable[Override], at: datetime, look_ahead: timedelta = LOOK_AHEAD
) -> Shift:
    """Returns the shift at this time. It ends at `look_ahead` at the latest."""
    return unroll(schedule, overrides, at, at + look_ahead)[0]


def coverage(schedule: Schedule, overrides: Iterable[Override], begin: datetime, end: datetime) -> Coverage:
    """Returns when nobody is on call in a period, and how the load is shared."""
    return covered(unroll(schedule, overrides, begin, end))


def covered(rota: Sequence[Shift]) -> Coverage:
    """Returns when nobody is on call in the period that these shifts fill, and how the load is shared."""
    seconds: defaultdict[str, float] = defaultdict(float)
    gaps: list[Shift] = []
    for shift in rota:
        if shift.responder is not None:
            seconds[shift.responder] += shift.seconds
        elif gaps and gaps[-1].ends == shift.begins:
            gaps[-1] = replace(gaps[-1], ends=shift.ends)
        else:
            gaps.append(shift)
    hours = {who: round(sum_ / 3600, 2) for who, sum_ in sorted(seconds.items())}
    return Coverage(rota[0].begins, rota[-1].ends, tuple(gaps), hours)


def layered(schedule: Schedule, begin: datetime, end: datetime, absences: Sequence[Absence] = ()) -> list[Shift]:
    """Returns what the layers alone say of a period, with an end at every hand-over, even to the same person."""
    rota = [Shift(begin, end)]
    for layer in schedule.layers:
        shifts = _layer_shifts(layer, layer.zone or schedule.zone, begin, end)
        rota = _over(rota, list(present(shifts, absences)))
    return rota


def present(shifts: Iterable[Shift], absences: Sequence[Absence]) -> Iterator[Shift]:
    """Yield the parts of the shifts in which the person is not absent."""
    for shift in shifts:
        away = [Span(one.begins, one.ends) for one in absences if one.responder == shift.responder]
        at = shift.begins
        for span in merged(clipped(away, shift.begins, shift.ends)):
            if at < span.begins:
                yield replace(shift, begins=at, ends=span.begins)
            at = span.ends
        if at < shift.ends:
            yield replace(shift, begins=at)


def with_overrides(
    rotas: Rotas, schedule: str, overrides: Iterable[Override], absences: Sequence[Absence] = ()
) -> Rotas:
    """Lay the overrides of this schedule over what its layers say, the newest on top.

    An override does not count while its person is absent, unless it was made after the absence: the newer word holds. Whoever
    stands in for an absent person is on call, although that person would not be.
    """
    actual, meant = rotas
    mine = [one for one in overrides if one.schedule == schedule]
    for override in sorted(mine, key=lambda o: (o.made_at, o.id)):
        spans = clipped([Span(override.begins, override.ends)], actual[0].begins, actual[-1].ends)
        if override.replaces is not None:
            spans = iter(_served_by(override.replaces, (actual, meant), spans))
        new = [Shift(span.begins, span.ends, override.responder, f"override {override.id}") for span in spans]
        newer = [one for one in absences if one.made_at > override.made_at]
        actual, meant = _over(actual, list(present(new, newer))), _over(meant, new)
    return Rotas(actual, meant)


def _served_by(who: str, rotas: Iterable[Sequence[Shift]], spans: Iterable[Span]) -> list[Span]:
    """Returns when, within the spans, this person is on call by any of the rotas."""
    served = [Span(shift.begins, shift.ends) for rota in rotas for shift in rota if shift.responder == who]
    return [piece for span in spans for piece in clipped(merged(served), span.begins, span.ends)]


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


def turn_of(layer: Layer, period: int) -> int:
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
        responder = layer.responders[turn_of(layer, period) % len(layer.responders)]
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


def joined(rota: Sequence[Shift]) -> list[Shift]:
    """Join neighbouring shifts of the same person for the same reason."""
    found: list[Shift] = []
    for shift in rota:
        last = found[-1] if found else None
        if last is not None and (last.responder, last.why) == (shift.responder, shift.why):
            found[-1] = replace(last, ends=shift.ends)
        else:
            found.append(shift)
    return found
