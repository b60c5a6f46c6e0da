"""Converts local time to UTC, also in the two nights of the year in which the clocks change. Pure.

A local time that occurs twice means the first of the two. One that is skipped means the moment of the skip. So order is
kept: of two local times the later never comes first, and shifts that meet in local time meet in UTC, without gap or
overlap. (PEP 495 reads a skipped time as up to an hour after times that are later on the clock.)

"Wall" here means what the clocks on the wall of a zone show.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from services.config.rota import DAYS, Window

MARGIN: Final = timedelta(days=2)
"""No local time is further from UTC than this. Samoa skipped a whole day when it changed sides of the date line."""
_DAY: Final = timedelta(days=1)


class Span(NamedTuple):
    """From `begins` to before `ends`."""

    begins: datetime
    ends: datetime


@lru_cache(maxsize=16_384)
def instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """Returns the first moment, in UTC, at which the zone's clocks show `wall` or, if they skip it, anything later."""
    local = wall.replace(tzinfo=zone, fold=0)
    moment = local.astimezone(UTC)
    if wall_of(moment, zone) == wall:
        return moment
    before, after = local.utcoffset(), local.replace(fold=1).utcoffset()
    assert before is not None
    assert after is not None
    aware = wall.replace(tzinfo=UTC)
    early, late = aware - max(before, after), aware - min(before, after)
    while late - early > timedelta(microseconds=1):
        middle = early + (late - early) / 2
        if wall_of(middle, zone) < wall:
            early = middle
        else:
            late = middle
    return late


def wall_of(moment: datetime, zone: ZoneInfo) -> datetime:
    """Returns what the zone's clocks show at this moment."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def wall_spans(windows: Sequence[Window], begin: datetime, end: datetime) -> list[Span]:
    """Returns when any window is open between two local times, merged. Without windows that is always."""
    if not windows:
        return [Span(begin, end)]
    found = []
    day = datetime.combine(begin.date(), datetime.min.time()) - _DAY
    while day < end:
        name = DAYS[day.weekday()]
        for window in windows:
            if name in window.days:
                opens = day + timedelta(minutes=window.begins)
                found.append(Span(opens, opens + timedelta(minutes=window.minutes)))
        day += _DAY
    return list(clipped(merged(found), begin, end))


def open_spans(windows: Sequence[Window], zone: ZoneInfo, begin: datetime, end: datetime) -> list[Span]:
    """Returns when any window is open between two moments. Without windows that is always."""
    if not windows:
        return [Span(begin, end)]
    walls = wall_spans(windows, wall_of(begin, zone) - MARGIN, wall_of(end, zone) + MARGIN)
    return list(clipped((Span(instant(w.begins, zone), instant(w.ends, zone)) for w in walls), begin, end))


def merged(spans: Iterable[Span]) -> list[Span]:
    """Returns the spans in order, with overlapping and touching ones joined."""
    found: list[Span] = []
    for span in sorted(spans):
        if found and span.begins <= found[-1].ends:
            found[-1] = Span(found[-1].begins, max(found[-1].ends, span.ends))
        else:
            found.append(span)
    return found


def clipped(spans: Iterable[Span], begin: datetime, end: datetime) -> Iterator[Span]:
    """Yield the parts of the spans between `begin` and `end`, without empty ones."""
    for span in spans:
        begins, ends = max(span.begins, begin), min(span.ends, end)
        if begins < ends:
            yield Span(begins, ends)
