"""Keeps who is on call when a schedule is edited: what it said before holds until the next hand-over. Pure.

A rota's turns are counted from its first hand-off, so another list of people would put somebody else on call at once, and
in the past as well. Hence each schedule has a history of versions. A new one begins where the old one left off: whoever has
the turn of a layer keeps it, and the turns go on with whoever stands after them in the new list. It takes effect at the
earliest moment at which that puts nobody else on call than the old version does, and at the old version's next hand-over at
the latest; at once if nobody is on call, or if whoever is was taken out of the schedule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from alerter.oncall.shifts import LOOK_AHEAD, Absence, Shift, layered, turn_of
from alerter.oncall.wallclock import instant, wall_of
from services.config.rota import Layer, Schedule, zone_of

EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""From when the first version holds: of what a schedule said before, nothing is known."""
LONGEST: Final = timedelta(days=400)
"""Longer than any shift can be."""
_TICK: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Version:
    """What a schedule said from `holds_from` on. `text` is the schedule as the file had it, and `first` says of each layer
    which of its responders, counted from 0, has the layer's first turn."""

    holds_from: datetime
    text: str
    first: tuple[int, ...]

    @property
    def written(self) -> Schedule:
        return _read(self.text)

    @property
    def schedule(self) -> Schedule:
        """The schedule with the responders of each layer in the order of the turns that they really have."""
        return _anchored(self.text, self.first)

    @classmethod
    def of(cls, schedule: Schedule, holds_from: datetime = EVER, first: tuple[int, ...] | None = None) -> Version:
        text = schedule.model_copy(update={"description": ""}).model_dump_json(exclude_defaults=True)
        return cls(holds_from, text, first or (0,) * len(schedule.layers))


@lru_cache(maxsize=4096)
def _read(text: str) -> Schedule:
    return Schedule.model_validate_json(text)


@lru_cache(maxsize=4096)
def _anchored(text: str, first: tuple[int, ...]) -> Schedule:
    schedule = _read(text)
    layers = tuple(
        layer.model_copy(update={"responders": layer.responders[number:] + layer.responders[:number]})
        for layer, number in zip(schedule.layers, first, strict=True)
    )
    return schedule.model_copy(update={"layers": layers})


def edited(
    history: Sequence[Version], written: Schedule, now: datetime, absences: Sequence[Absence] = ()
) -> list[Version]:
    """Returns the history of a schedule that now says what is `written`.

    It is the same history if it says so already. What was to hold from later than `now` on is dropped: it never held.
    """
    if not history:
        return [Version.of(written)]
    if _says(history[-1], written):
        return list(history)
    held = [one for one in history if one.holds_from <= now] or [history[0]]
    return held if _says(held[-1], written) else [*held, _following(held[-1], written, now, absences)]


def _says(version: Version, written: Schedule) -> bool:
    said = version.written
    return (said.zone, said.layers) == (written.zone, written.layers)


def _following(last: Version, written: Schedule, now: datetime, absences: Sequence[Absence]) -> Version:
    at_once = Version.of(written, now, _first_turns(last, written, now, now))
    shift = _running(last.schedule, now, absences)
    if shift.responder is None or all(shift.responder not in layer.responders for layer in written.layers):
        return at_once
    ahead = layered(at_once.schedule, now, shift.ends + _TICK, absences)
    agreed = next((one for one in ahead if one.responder == shift.responder), None)
    if agreed is not None and agreed.ends <= shift.ends:
        return replace(at_once, holds_from=agreed.begins)
    return Version.of(written, shift.ends, _first_turns(last, written, shift.ends - _TICK, shift.ends))


def _running(schedule: Schedule, at: datetime, absences: Sequence[Absence]) -> Shift:
    """Returns the shift that runs at this moment, up to its hand-over."""
    for ahead in (LOOK_AHEAD, LONGEST):
        shift = layered(schedule, at, at + ahead, absences)[0]
        if shift.ends < at + ahead:
            break
    return shift


def _first_turns(last: Version, written: Schedule, seen: datetime, at: datetime) -> tuple[int, ...]:
    """Returns who has the first turn of each layer, so that its turns at `at` follow from the last version's at `seen`."""
    said = last.written
    before = {
        layer.id: (_Clocked(layer, layer.zone or said.zone), first)
        for layer, first in zip(said.layers, last.first, strict=True)
    }
    found = []
    for layer in written.layers:
        new = _Clocked(layer, layer.zone or written.zone)
        old, first = before.get(layer.id, (None, 0))
        found.append(first if old is None or old == new else _first_turn(old, first, new, seen, at))
    return tuple(found)


def _first_turn(old: _Clocked, first: int, new: _Clocked, seen: datetime, at: datetime) -> int:
    period, begun = old.period(seen), new.period(at)
    served = turn_of(old.layer, period) if period >= 0 else -1
    runs = period >= 0 and old.serves(period) and old.begins(period + 1) > at
    if not (period >= 0 and old.serves(period)):
        served -= 1
    if served < 0 or begun < 0:
        return 0
    place = (first + served) % len(old.layer.responders)
    next_up = _place(old.layer.responders, place, new.layer.responders, stays=runs and new.serves(begun))
    return (next_up - turn_of(new.layer, begun)) % len(new.layer.responders)


def _place(old: Sequence[str], place: int, new: Sequence[str], *, stays: bool) -> int:
    """Returns the place in the new list of the person at this place of the old one, or else of whoever comes after them."""
    for step in range(len(old)):
        number = (place + step) % len(old)
        who = old[number]
        places = [at for at, one in enumerate(new) if one == who]
        if places:
            # Somebody may stand in a list more than once: the same time of them in both.
            same = places[min(old[:number].count(who), len(places) - 1)]
            return same if step or stays else (same + 1) % len(new)
    return 0


@dataclass(frozen=True, slots=True)
class _Clocked:
    """A layer and the zone in which its times are meant."""

    layer: Layer
    zone: str

    def begins(self, period: int) -> datetime:
        return instant(self.layer.begins + period * self.layer.shift, zone_of(self.zone))

    def period(self, at: datetime) -> int:
        """Returns the number of the period that runs at this moment; below 0 before the first one."""
        wall = wall_of(at, zone_of(self.zone))
        number = (wall - self.layer.begins) // self.layer.shift + 1
        # A local time that is there twice belongs to the period that began at the first of the two.
        while self.begins(number) > at:
            number -= 1
        return number

    def serves(self, period: int) -> bool:
        """Returns True if the period is somebody's turn."""
        return turn_of(self.layer, period + 1) > turn_of(self.layer, period)
