"""When nobody is reached, why, and how that is said: the spans of a dry run and their words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from alerter.oncall.wallclock import Span, merged, wall_of
from services.config.rota import zone_of

MOST_SPANS: Final = 3
MOST_NAMES: Final = 3
"""Most times, and most names or reasons, that one finding lists."""
_DAY: Final = timedelta(days=1)
_WEEK: Final = timedelta(weeks=1)
_DAYS: Final = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")


class Lack(StrEnum):
    """What is missing where nobody is reached. It decides what the alerter does instead."""

    WAY = "way"
    """Nobody is on call, or there is no working endpoint: the fallback is told."""
    PRESENCE = "presence"
    """Nobody is on call because somebody is absent: the fallback is told."""
    HOURS = "hours"
    """Endpoints take nothing at that time: the policy goes on to its next step, and at its end to the fallback."""
    ANSWER = "answer"
    """A person is named by the policy, and paged although they are absent: nothing else happens."""


class Why(NamedTuple):
    """Why nobody is reached, in words. `zone` is the one whose clocks its times are meant by. With `is_weekly` it is the same
    in each week, as gaps and hours are, and absences and turns are not."""

    lack: Lack
    words: str
    zone: str | None = None
    is_weekly: bool = True


class Piece(NamedTuple):
    """A time in which nobody is reached. Its reasons are those of all targets."""

    begins: datetime
    ends: datetime
    whys: tuple[Why, ...] = ()

    @property
    def lacks(self) -> frozenset[Lack]:
        return frozenset(why.lack for why in self.whys)

    @property
    def is_weekly(self) -> bool:
        return all(why.is_weekly for why in self.whys)


Pieces = tuple[Piece, ...]
"""In order, without overlaps."""


def both(one: Sequence[Piece], other: Sequence[Piece]) -> Pieces:
    """Returns when neither of the two reaches anybody."""
    found: list[Piece] = []
    left, right = iter(one), iter(other)
    a, b = next(left, None), next(right, None)
    while a is not None and b is not None:
        begins, ends = max(a.begins, b.begins), min(a.ends, b.ends)
        if begins < ends:
            found.append(Piece(begins, ends, tuple(dict.fromkeys((*a.whys, *b.whys)))))
        if a.ends <= b.ends:
            a = next(left, None)
        else:
            b = next(right, None)
    return tuple(found)


def either(one: Sequence[Piece], other: Sequence[Piece]) -> Pieces:
    """Returns when one of the two says that nobody is reached. Where both do, the reasons of `one` stand."""
    found = list(one)
    for piece in other:
        at = piece.begins
        for above in one:
            if above.ends <= at or above.begins >= piece.ends:
                continue
            if at < above.begins:
                found.append(piece._replace(begins=at, ends=above.begins))
            at = above.ends
        if at < piece.ends:
            found.append(piece._replace(begins=at))
    return tuple(sorted(found))


def outside(open_: Sequence[Span], begin: datetime, end: datetime) -> Iterator[Span]:
    """Yield the parts of a period in which nothing is open."""
    at = begin
    for span in open_:
        if at < span.begins:
            yield Span(at, span.begins)
        at = max(at, span.ends)
    if at < end:
        yield Span(at, end)


def when(pieces: Sequence[Piece], period: Span) -> str:
    """Returns when that is, in words, such as ` on Sundays`; nothing if it is always.

    What is so in each week is said of it, and all else has a date.
    """
    spans = merged(Span(piece.begins, piece.ends) for piece in pieces)
    zone = next((why.zone for piece in pieces for why in piece.whys if why.zone is not None), "UTC")
    if spans == [period]:
        is_absence = any(piece.lacks & {Lack.PRESENCE, Lack.ANSWER} for piece in pieces)
        return " in the whole coming week" if is_absence else ""
    if not all(piece.is_weekly for piece in pieces):
        walls = [Span(wall_of(span.begins, zone_of(zone)), wall_of(span.ends, zone_of(zone))) for span in spans]
        return f" from {listed(f'{_date(wall.begins)} to {_date(wall.ends)}' for wall in walls)} ({zone})"
    walls = _weekly(spans, period, zone_of(zone))
    days = [day for wall in walls for day in _whole_days(wall)]
    if all(_whole_days(wall) for wall in walls):
        return f" on {listed(days, 7)}"
    hours = _same_hours(walls)
    if hours is not None:
        return f" {hours} ({zone})"
    return f" on {listed(f'{wall.begins:%a %H:%M} to {wall.ends:%a %H:%M}' for wall in walls)} ({zone})"


def listed(names: Iterable[str], most: int = MOST_NAMES) -> str:
    """Returns the first of the names, each once, and how many more there are."""
    every = list(dict.fromkeys(names))
    more = len(every) - most
    return ", ".join(every[:most]) + (f" and {more} more" if more > 0 else "")


def _date(wall: datetime) -> str:
    return f"{wall:%a} {wall.day} {wall:%b %H:%M}"


def _weekly(spans: Sequence[Span], period: Span, zone: ZoneInfo) -> list[Span]:
    """Returns the spans as the zone's clocks show them. A week repeats: what it ends with goes on in what it began with."""
    walls = [Span(wall_of(span.begins, zone), wall_of(span.ends, zone)) for span in spans]
    joins = len(spans) > 1 and (spans[0].begins, spans[-1].ends) == period
    if not joins or period.ends - period.begins != _WEEK:
        return walls
    return [*walls[1:-1], Span(walls[-1].begins, walls[0].ends + _WEEK)]


def _whole_days(wall: Span) -> list[str]:
    """Returns the days of the week that a local period covers from midnight to midnight; none if it has other parts."""
    midnight = (wall.begins.hour, wall.begins.minute, wall.ends.hour, wall.ends.minute) == (0, 0, 0, 0)
    count = round((wall.ends - wall.begins) / _DAY) if midnight else 0
    return [_DAYS[(wall.begins.weekday() + number) % 7] for number in range(count)]


def _same_hours(walls: Sequence[Span]) -> str | None:
    """Returns the time of day that all these local periods share, with their days unless it is every day, or `None`."""
    shared = {(wall.begins.time(), wall.ends.time(), wall.ends - wall.begins) for wall in walls}
    if len(shared) > 1 or walls[0].ends - walls[0].begins >= _DAY:
        return None
    days = sorted({wall.begins.weekday() for wall in walls})
    hours = f"between {walls[0].begins:%H:%M} and {walls[0].ends:%H:%M}"
    return hours if len(days) == 7 else f"{hours} on {listed((_DAYS[day] for day in days), 7)}"
