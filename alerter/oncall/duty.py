"""Warns of hours that are too long and of rest that is too short. Pure; nothing is refused, because a person decides.

Only what an override makes worse is warned of: a rota of whole weeks is long by itself, and its people know.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Final

from alerter.oncall.roster import OpenShift, Roster
from alerter.oncall.shifts import Override
from alerter.oncall.wallclock import Span, clipped, merged
from services.config.model import Config
from services.config.rota import Schedule, zone_of

MOST_ON_DUTY: Final = timedelta(hours=48)
LEAST_REST: Final = timedelta(hours=11)
"""Between two times on duty: the daily rest of the European working time directive."""
AROUND: Final = timedelta(days=14)
"""How far before and after an override other shifts are looked at."""
LOOKED_AT: Final = timedelta(days=62)
"""How much of a long override is looked at."""


def around(override: Override) -> Span:
    """Returns the period for which the roster has to be read to warn of this override."""
    return Span(override.begins - AROUND, min(override.ends, override.begins + LOOKED_AT) + AROUND)


def warnings(config: Config, seen: Iterable[Schedule], roster: Roster, override: Override) -> tuple[str, ...]:
    """Returns what the override, which is part of the roster, makes worse for the person who stands in, in words. Their
    hours are those of the schedules that are `seen`."""
    person = None if override.responder is None else config.responder(override.responder)
    if person is None:
        return ()
    name = person.zone or "UTC"
    zone = zone_of(name)

    def words(span: Span) -> str:
        begins, ends = (moment.astimezone(zone) for moment in span)
        return f"from {begins:%d %b %H:%M} to {ends:%d %b %H:%M} ({name})"

    period = around(override)
    schedules = [one for one in seen if _may_serve(one, person.id, roster)]
    before = _on_duty(schedules, roster.without(override.id), person.id, period)
    after = _on_duty(schedules, roster, person.id, period)
    found = [
        f"{person.called} would be on duty for {_hours(span)} without a break, {words(span)}"
        for span in after
        if span.ends - span.begins > MOST_ON_DUTY and span not in before
    ]
    found += [
        f"{person.called} would have {_hours(rest)} of rest, {words(rest)}"
        for rest in _rests(after)
        if rest.ends - rest.begins < LEAST_REST and rest not in list(_rests(before))
    ]
    found += [
        f"{person.called} is absent {words(Span(one.begins, one.ends))}"
        for one in roster.absences
        if one.responder == person.id and one.begins < override.ends and one.ends > override.begins
    ]
    return tuple(found)


def _may_serve(schedule: Schedule, person: str, roster: Roster) -> bool:
    standing_in = any(one.schedule == schedule.id and one.responder == person for one in roster.overrides)
    return (
        standing_in
        or any(person in layer.responders for layer in schedule.layers)
        or any(
            person in layer.responders for one in roster.histories.get(schedule.id, ()) for layer in one.written.layers
        )
    )


def _on_duty(schedules: Iterable[Schedule], roster: Roster, person: str, period: Span) -> list[Span]:
    """Returns when the person is on call for any of the schedules, merged."""
    return merged(
        Span(shift.begins, shift.ends)
        for schedule in schedules
        for shift in roster.unroll(schedule, period.begins, period.ends)
        if shift.responder == person
    )


def _rests(spans: Iterable[Span]) -> Iterator[Span]:
    for earlier, later in pairwise(spans):
        yield Span(earlier.ends, later.begins)


def _hours(span: Span) -> str:
    hours = (span.ends - span.begins) / timedelta(hours=1)
    return f"{hours:.0f} h" if hours == int(hours) else f"{hours:.1f} h"


def offers(
    roster: Roster, seen: Iterable[Schedule], open_shifts: Mapping[str, Sequence[OpenShift]]
) -> dict[str, list[tuple[OpenShift, tuple[str, ...]]]]:
    """Returns for the open shifts of schedules, by their ids, who of the schedule could take each: they are neither absent nor
    on call for anything that is `seen`. Those with the fewest hours around it come first."""
    every = [one for shifts in open_shifts.values() for one in shifts]
    if not every:
        return {schedule: [] for schedule in open_shifts}
    schedules = {one.id: one for one in seen}
    period = Span(min(one.begins for one in every) - AROUND, max(one.ends for one in every) + AROUND)
    served: defaultdict[str, list[Span]] = defaultdict(list)
    for schedule in schedules.values():
        for shift in roster.unroll(schedule, *period):
            if shift.responder is not None:
                served[shift.responder].append(Span(shift.begins, shift.ends))
    duty = {who: merged(spans) for who, spans in served.items()}
    return {
        id_: [(one, _free(schedules[id_], duty, roster, Span(one.begins, one.ends))) for one in shifts]
        for id_, shifts in open_shifts.items()
    }


def _free(schedule: Schedule, duty: Mapping[str, Sequence[Span]], roster: Roster, span: Span) -> tuple[str, ...]:
    away = {one.responder for one in roster.absences if one.begins < span.ends and one.ends > span.begins}
    around_it = Span(span.begins - AROUND, span.ends + AROUND)
    found = []
    for who in {who for layer in schedule.layers for who in layer.responders} - away:
        spans = duty.get(who, ())
        if not any(clipped(spans, *span)):
            hours = sum((one.ends - one.begins for one in clipped(spans, *around_it)), timedelta())
            found.append((hours, who))
    return tuple(who for _, who in sorted(found))
