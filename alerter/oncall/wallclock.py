"""From what the clocks on the wall show to moments, right on the two nights in which they change. Pure.

A time that a zone shows twice means the first of the two. One that it skips means the moment of the skip, so that order is
kept: of two wall times the later never comes first, hence shifts that meet on the wall meet in time, with no gap and no
overlap. (PEP 495's own reading of a skipped time lies up to an hour after times that are later on the wall.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from services.config.rota import DAYS, Window

MARGIN: Final = timedelta(days=2)
"""No wall is further from UTC than this; a whole day was skipped when Samoa changed sides of the date line."""
_DAY: Final = timedelta(days=1)


class Span(NamedTuple):
    """From `begins` up to, and without, `ends`."""

    begins: datetime
    ends: datetime


@lru_cache(maxsize=16_384)
def instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first moment (UTC) at which the zone's clocks show `wall` or, where they skip it, anything later."""
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
    """What the zone's clocks show."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def wall_spans(windows: Sequence[Window], begin: datetime, end: datetime) -> list[Span]:
    """When any of the windows is open on the wall between two wall times, merged; without windows always."""
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
    """When any of the windows is open between two moments."""
    if not windows:
        return [Span(begin, end)]
    walls = wall_spans(windows, wall_of(begin, zone) - MARGIN, wall_of(end, zone) + MARGIN)
    return list(clipped((Span(instant(w.begins, zone), instant(w.ends, zone)) for w in walls), begin, end))


def merged(spans: Iterable[Span]) -> list[Span]:
    """In order, without overlaps; those that touch become one."""
    found: list[Span] = []
    for span in sorted(spans):
        if found and span.begins <= found[-1].ends:
            found[-1] = Span(found[-1].begins, max(found[-1].ends, span.ends))
        else:
            found.append(span)
    return found


def clipped(spans: Iterable[Span], begin: datetime, end: datetime) -> Iterator[Span]:
    """What of them lies between; nothing empty."""
    for span in spans:
        begins, ends = max(span.begins, begin), min(span.ends, end)
        if begins < ends:
            yield Span(begins, ends)
