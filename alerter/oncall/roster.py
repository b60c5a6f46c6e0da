"""Who is on call by all that is known: the file, what schedules said before, overrides and absences. Pure.

Without a database it is empty, and the file alone decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise

from alerter.oncall.shifts import (
    LOOK_AHEAD,
    Absence,
    Coverage,
    Override,
    Rotas,
    Shift,
    covered,
    joined,
    layered,
    with_overrides,
)
from alerter.oncall.versions import EVER, Version, edited
from services.config.rota import Schedule


@dataclass(frozen=True, slots=True)
class OpenShift:
    """A part of a shift in which `responder` is absent. `filled_by` is the person of the layer below, or `None`."""

    begins: datetime
    ends: datetime
    responder: str
    filled_by: str | None


@dataclass(frozen=True, slots=True)
class Roster:
    """What was read for a period at `now`. An edit that no history holds yet counts from then."""

    overrides: Sequence[Override] = ()
    absences: Sequence[Absence] = ()
    histories: Mapping[str, Sequence[Version]] = field(default_factory=dict)
    now: datetime = EVER

    def unroll(self, schedule: Schedule, begin: datetime, end: datetime) -> list[Shift]:
        """Returns all shifts of a period, gaps included: each ends where the next begins, and together they fill it."""
        return joined(self.turns(schedule, begin, end))

    def turns(self, schedule: Schedule, begin: datetime, end: datetime) -> list[Shift]:
        """As `unroll`, with an end at every hand-over, even to the same person."""
        return self._rotas(schedule, begin, end).actual

    def on_call(self, schedule: Schedule, at: datetime, look_ahead: timedelta = LOOK_AHEAD) -> Shift:
        """Returns the shift at this time. It ends at `look_ahead` at the latest."""
        return self.unroll(schedule, at, at + look_ahead)[0]

    def coverage(self, schedule: Schedule, begin: datetime, end: datetime) -> Coverage:
        """Returns when nobody is on call in a period, and how the load is shared."""
        return covered(self.unroll(schedule, begin, end))

    def open_shifts(self, schedule: Schedule, begin: datetime, end: datetime) -> list[OpenShift]:
        """Returns the shifts of absent people that nobody has taken by an override, in order."""
        actual, meant = self._rotas(schedule, begin, end)
        found: list[OpenShift] = []
        at, here, there = begin, 0, 0
        while at < end:
            is_, was = actual[here], meant[there]
            ends = min(is_.ends, was.ends)
            if was.responder is not None and (is_.responder, is_.why) != (was.responder, was.why):
                one, last = OpenShift(at, ends, was.responder, is_.responder), found[-1] if found else None
                if (
                    last is not None
                    and replace(one, begins=last.begins) == replace(last, ends=ends)
                    and last.ends == at
                ):
                    found[-1] = replace(last, ends=ends)
                else:
                    found.append(one)
            here, there, at = here + (is_.ends == ends), there + (was.ends == ends), ends
        return found

    def without(self, override: str) -> Roster:
        """Returns the roster as it would be if the override with this id had not been made."""
        return replace(self, overrides=[one for one in self.overrides if one.id != override])

    def _rotas(self, schedule: Schedule, begin: datetime, end: datetime) -> Rotas:
        absences = [one for one in self.absences if one.begins < end and one.ends > begin]
        meant: list[Shift] = []
        actual: list[Shift] = []
        history = self.histories.get(schedule.id)
        versions = edited(history, schedule, self.now, self.absences) if history else ()
        said = [one.schedule for one in versions] or [schedule]
        edges = [begin, *(min(max(one.holds_from, begin), end) for one in versions[1:]), end]
        for then, (since, until) in zip(said, pairwise(edges), strict=True):
            if since < until:
                meant += layered(then, since, until)
                actual += layered(then, since, until, absences) if absences else []
        return with_overrides(Rotas(actual or meant, meant), schedule.id, self.overrides, absences)
