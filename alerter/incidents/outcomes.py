"""Measures what alarms were worth: how many were right, and how long before the line people were told.

An alarm is recorded when its incident ends or when somebody marks it; a mark counts for more than what was seen to
happen. An incident that was answered or resolved before it crossed is neither right nor false, because nobody knows how
it would have gone: it is counted apart. So are surges and complaints, which forecast nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from statistics import median, quantiles
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, delete, insert, select

from alerter.incidents.record import IncidentRecord
from alerter.store.tables import outcomes
from services.contracts.incident import IncidentState, OutcomeMark

_DROP: Final = delete(outcomes)
_ADD: Final = insert(outcomes)


class Worth(StrEnum):
    """What one alarm was worth. The first three are people's marks, the next three what was seen to happen; the others
    say nothing about the forecast."""

    USEFUL = "useful"
    TOO_LATE = "too_late"
    FALSE_ALARM = "false_alarm"
    CROSSED = "crossed"
    CROSSED_BEFORE = "crossed_before"
    NEVER_CROSSED = "never_crossed"
    AVERTED = "averted"
    HANDLED = "handled"
    NO_FORECAST = "no_forecast"
    OPEN = "open"


RIGHT: Final = frozenset({Worth.USEFUL, Worth.TOO_LATE, Worth.CROSSED, Worth.CROSSED_BEFORE})
FALSE: Final = frozenset({Worth.FALSE_ALARM, Worth.NEVER_CROSSED})


@dataclass(frozen=True, slots=True)
class Alarm:
    """What is kept of one incident to measure by."""

    incident: str
    brand: str
    rule: str
    state: IncidentState
    forecast: bool
    opened_at: datetime
    told_at: datetime | None
    crossed_at: datetime | None
    answered_at: datetime | None
    mark: OutcomeMark | None

    @property
    def lead(self) -> timedelta | None:
        """The time from the first message to the line: negative if the line came first, `None` if either is missing."""
        return None if self.told_at is None or self.crossed_at is None else self.crossed_at - self.told_at


def alarm_of(record: IncidentRecord) -> Alarm:
    incident = record.incident
    return Alarm(
        incident=incident.id,
        brand=incident.brand,
        rule=incident.rule,
        state=incident.state,
        forecast=bool(record.facets),
        opened_at=incident.opened_at,
        told_at=record.told_at,
        crossed_at=record.crossed_at,
        answered_at=record.answered_at,
        mark=incident.outcome,
    )


def worth(alarm: Alarm) -> Worth:
    """Judge an alarm by its mark if it has one, or else by what was seen to happen."""
    if alarm.mark is not None:
        return Worth(alarm.mark.value)
    if not alarm.forecast:
        return Worth.NO_FORECAST
    if alarm.crossed_at is not None:
        in_time = alarm.lead is not None and alarm.lead > timedelta(0)
        return Worth.CROSSED if in_time else Worth.CROSSED_BEFORE
    if alarm.answered_at is not None or alarm.state is IncidentState.AVERTED:
        return Worth.AVERTED
    if not alarm.state.is_over:
        return Worth.OPEN
    return Worth.NEVER_CROSSED if alarm.state is IncidentState.EXPIRED else Worth.HANDLED


@dataclass(frozen=True, slots=True)
class Lead:
    """Lead times in minutes of the `of` alarms that crossed. In `in_time` of them people were told before the line."""

    of: int
    in_time: int
    median_minutes: float
    low_minutes: float
    high_minutes: float


@dataclass(frozen=True, slots=True)
class Summary:
    """How good the alarms were. `precision` is right / (right + false), or `None` if there is neither; the low and high
    of `lead` hold 80 % of the lead times between them."""

    incidents: int
    counts: Mapping[Worth, int]
    right: int
    false: int
    apart: int
    precision: float | None
    lead: Lead | None


def summarize(alarms: Iterable[Alarm]) -> Summary:
    listed = list(alarms)
    counts = Counter(worth(alarm) for alarm in listed)
    right = sum(counts[kind] for kind in RIGHT)
    false = sum(counts[kind] for kind in FALSE)
    minutes = sorted(lead.total_seconds() / 60 for alarm in listed if (lead := alarm.lead) is not None)
    return Summary(
        incidents=len(listed),
        counts={kind: counts[kind] for kind in Worth},
        right=right,
        false=false,
        apart=counts[Worth.AVERTED] + counts[Worth.HANDLED],
        precision=right / (right + false) if right + false else None,
        lead=_lead(minutes) if minutes else None,
    )


def _lead(minutes: list[float]) -> Lead:
    tenths = quantiles(minutes, n=10, method="inclusive") if len(minutes) > 1 else [minutes[0]] * 9
    return Lead(len(minutes), sum(m > 0 for m in minutes), median(minutes), tenths[0], tenths[-1])


def keep(connection: Connection, record: IncidentRecord) -> None:
    """Record the incident's alarm as it stands now, in place of an earlier record."""
    alarm = alarm_of(record)
    row = {name: getattr(alarm, name) for name in Alarm.__slots__}
    drop(connection, alarm.incident)
    connection.execute(_ADD, row)


def drop(connection: Connection, incident: str) -> None:
    """Forget what was recorded of an incident: it goes on."""
    connection.execute(_DROP.where(outcomes.c.incident == incident))


def kept(connection: Connection, since: datetime, *where: ColumnElement[bool]) -> list[Alarm]:
    """Returns the alarms of incidents that opened since then."""
    rows = connection.execute(select(outcomes).where(outcomes.c.opened_at >= since, *where))
    return [_alarm(row) for row in rows]


def _alarm(row: Any) -> Alarm:
    fields = {name: getattr(row, name) for name in Alarm.__slots__}
    mark = None if row.mark is None else OutcomeMark(row.mark)
    return Alarm(**{**fields, "state": IncidentState(row.state), "mark": mark})
