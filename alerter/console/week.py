"""A week of on-call as a grid: people as rows, days as columns, and a row that says when nobody is on call. Pure.

A day is one of the zone that the page is in, with 23 or 25 hours where its clocks change; a block says where in its day
it lies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from alerter.oncall.roster import Roster
from alerter.oncall.shifts import Absence
from alerter.oncall.wallclock import Span, instant
from services.config.rota import Schedule

DAYS: Final = 7
_A_DAY: Final = timedelta(days=1)


class BlockMark(StrEnum):
    """What a block stands for."""

    SHIFT = "shift"
    ABSENT = "absent"
    GAP = "gap"


@dataclass(frozen=True, slots=True)
class DayBlock:
    """A part of one day. `left` and `width` are shares of the day, 0 to 1. `about` is a schedule, or the kind of an absence."""

    mark: BlockMark
    about: str
    begins: datetime
    ends: datetime
    left: float
    width: float


@dataclass(frozen=True, slots=True)
class WeekDay:
    """One day: from its first moment to that of the next one."""

    date: date
    begins: datetime
    ends: datetime


@dataclass(frozen=True, slots=True)
class WeekRow:
    """A person's week, or with `responder` of `None` when nobody is on call. One tuple of blocks for each day."""

    responder: str | None
    days: tuple[tuple[DayBlock, ...], ...]

    @property
    def is_empty(self) -> bool:
        return not any(self.days)


def days_of(first: date, zone: ZoneInfo) -> tuple[WeekDay, ...]:
    """Returns the seven days from `first` on, as the clocks of the zone have them."""
    starts = [instant(datetime.combine(first + number * _A_DAY, time()), zone) for number in range(DAYS + 1)]
    return tuple(WeekDay(first + n * _A_DAY, starts[n], starts[n + 1]) for n in range(DAYS))


def grid(
    days: Sequence[WeekDay],
    schedules: Iterable[Schedule],
    roster: Roster,
    absences: Iterable[Absence],
    people: Iterable[str],
) -> list[WeekRow]:
    """Returns the row of what nobody covers, if there is any, then one for each of `people` and for whoever else serves, in the
    order of their ids."""
    begin, end = days[0].begins, days[-1].ends
    found: dict[str | None, list[tuple[BlockMark, str, Span]]] = {name: [] for name in sorted(people)}
    for schedule in schedules:
        for shift in roster.unroll(schedule, begin, end):
            mark = BlockMark.SHIFT if shift.responder is not None else BlockMark.GAP
            found.setdefault(shift.responder, []).append((mark, schedule.id, Span(shift.begins, shift.ends)))
    for absence in absences:
        if absence.responder in found and absence.begins < end and absence.ends > begin:
            found[absence.responder].append((BlockMark.ABSENT, absence.kind, Span(absence.begins, absence.ends)))
    ordered = sorted(found, key=lambda name: (name is not None, name or ""))
    return [WeekRow(name, tuple(_blocks(day, found[name]) for day in days)) for name in ordered]


def _blocks(day: WeekDay, spans: Iterable[tuple[BlockMark, str, Span]]) -> tuple[DayBlock, ...]:
    length = (day.ends - day.begins) / timedelta(seconds=1)
    blocks = []
    for mark, about, span in spans:
        begins, ends = max(span.begins, day.begins), min(span.ends, day.ends)
        if begins < ends:
            left = (begins - day.begins) / timedelta(seconds=1) / length
            blocks.append(DayBlock(mark, about, begins, ends, left, (ends - begins) / timedelta(seconds=1) / length))
    return tuple(sorted(blocks, key=lambda block: (block.begins, block.mark, block.about)))


def monday_of(day: date) -> date:
    return day - day.weekday() * _A_DAY
