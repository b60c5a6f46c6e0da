"""What happens next with each incident of a list, in a few words and with its time: whom the policy rings, when, or that
nobody was told. Read for all of them together, whatever their number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import Connection, select

from alerter.desk.context import Context
from alerter.escalation import policy, untold
from alerter.incidents.record import IncidentRecord
from alerter.oncall import rosters
from alerter.oncall.responders import Contact, Directory, account_of
from alerter.oncall.roster import Roster
from alerter.states import StepState
from alerter.store.tables import rings, steps
from services.config.model import Config

AHEAD: Final = timedelta(days=1)
"""How far ahead it is looked who will be on call; what is due later names the schedule."""
MOST_NAMED: Final = 2


@dataclass(frozen=True, slots=True)
class NextUp:
    """`words` say what happens, and `at` when, if that is known. `is_bad`: nothing will, although somebody is needed."""

    words: str
    at: datetime | None = None
    is_bad: bool = False
    because: str | None = None


class Plans(NamedTuple):
    """What the database says is to come, by incident."""

    untold: Mapping[str, str]
    rings: Mapping[str, tuple[datetime, str]]
    """When the next ring is due, and who is rung."""
    steps: Mapping[str, tuple[datetime, int]]
    """When the waiting step is due, and its number."""
    roster: Roster


def plans(connection: Connection, ids: Sequence[str], context: Context) -> Plans:
    waiting_rings = select(rings.c.incident, rings.c.due_at, rings.c.who).where(
        rings.c.incident.in_(ids), rings.c.state == StepState.WAITING
    )
    waiting_steps = select(steps.c.incident, steps.c.due_at, steps.c.number).where(
        steps.c.incident.in_(ids), steps.c.state == StepState.WAITING
    )
    return Plans(
        untold.words_of(connection, ids),
        # The last one written stands: the earliest.
        {row[0]: (row[1], row[2]) for row in connection.execute(waiting_rings.order_by(rings.c.due_at.desc()))},
        {row[0]: (row[1], row[2]) for row in connection.execute(waiting_steps)},
        rosters.between(connection, context.now, context.now + AHEAD, context.now),
    )


def next_up(record: IncidentRecord, known: Plans, config: Config, now: datetime) -> NextUp:
    """Returns what happens next if nobody does anything."""
    incident = record.incident
    if record.ended:
        return NextUp("it is over")
    if incident.id in known.untold:
        return NextUp("Nobody was told", is_bad=True, because=known.untold[incident.id])
    if incident.held is not None:
        return NextUp("held back, ends", incident.held.until, because=incident.held.reason)
    if incident.snoozed_until is not None:
        return NextUp("snoozed, ends", incident.snoozed_until)
    if incident.assigned_to is not None and record.asked_until is not None:
        return NextUp(f"{incident.assigned_to} was asked, has time for", record.asked_until)
    if incident.acknowledged_by is not None:
        until = incident.acknowledged_until
        return NextUp("time on it ends" if until is not None else "somebody works on it", until)
    return _of_policy(record, known, config, now)


def _of_policy(record: IncidentRecord, known: Plans, config: Config, now: datetime) -> NextUp:
    incident = record.incident
    ring, step = known.rings.get(incident.id), known.steps.get(incident.id)
    if ring is not None and (step is None or ring[0] <= step[0]):
        return NextUp(f"rings {_plain(ring[1])}", ring[0])
    if step is not None:
        due_at, number = step
        whom = _whom(record, number, known.roster, config, max(due_at, now))
        if number >= record.policy.step_count:
            return NextUp("policy used up", is_bad=True, because=f"pages {whom} again at {due_at:%H:%M} UTC")
        return NextUp(f"pages {whom}", due_at)
    if record.used_up_at is not None:
        return NextUp("policy used up", is_bad=record.is_pressing)
    return NextUp("it is easing" if incident.is_easing else "nothing is planned", is_bad=record.is_pressing)


def _whom(record: IncidentRecord, number: int, roster: Roster, config: Config, at: datetime) -> str:
    """Returns the people whom a step pages, by name: of a schedule, whoever is on call then."""
    directory = Directory(config, roster=roster)
    account = account_of(config.brand(record.incident.brand), record.cards.every())
    names: dict[str, None] = {}
    for target in policy.step_of(record.policy, number).targets:
        found = directory.find(target, account, at)
        names[_plain(found.who) if isinstance(found, Contact) else "nobody"] = None
    listed = list(names)
    more = f" and {len(listed) - MOST_NAMED} more" if len(listed) > MOST_NAMED else ""
    return ", ".join(listed[:MOST_NAMED]) + more or "nobody"


def _plain(who: str) -> str:
    """The name alone: the schedule for which somebody is on call stands on the incident's page."""
    return who.partition(" (on call for ")[0]
