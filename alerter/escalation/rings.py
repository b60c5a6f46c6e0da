"""Rings as rows: what a person who was paged is told next, by which method, until somebody acknowledges.

A page that arrives wakes nobody who sleeps through a push message. So a person's own rules say what follows it. The
transaction that records the page writes a row for each further rule, and the one that moves a row to `done` sends the
message: a crash neither misses a ring nor sends one twice. What stops a policy stops the rings too (`pages.void`).

`arrange` is pure; the other functions run inside the caller's transaction.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, cast

from sqlalchemy import ColumnElement, Connection, func, insert, select, update

from alerter.escalation import policy
from alerter.oncall.responders import Contact
from alerter.states import StepState
from alerter.store import later
from alerter.store.tables import rings
from services.config.rota import NotificationRule, Urgency

BECAME_URGENT: Final = "it has become urgent"
_ADD: Final = insert(rings)
_NEXT: Final = select(func.min(rings.c.due_at)).where(rings.c.state == StepState.WAITING)


@dataclass(frozen=True, slots=True)
class Recipient:
    """Somebody to page now, by the first of `methods`; the others are tried if that fails.

    `later` are the rules by which the person is told after that. `spare` are methods for when the last of them fails.
    """

    contact: Contact
    methods: tuple[str, ...]
    fallback: bool = False
    later: tuple[NotificationRule, ...] = ()
    spare: tuple[str, ...] = ()
    urgency: Urgency = Urgency.URGENT

    @property
    def words(self) -> str:
        """Who is told and how, and what follows."""
        who, method = self.contact.who, self.methods[0]
        follows = [f"{rule.method} after {rule.after_minutes:g} min" for rule in self.later]
        sure = " (which they have not confirmed)" if method in self.contact.unconfirmed else ""
        return ", then by ".join([who if method == who else f"{who} by {method}{sure}", *follows])


@dataclass(frozen=True, slots=True)
class Ring:
    """One message to come. `number` is the step that paged the person, or `policy.HAND_OVER`."""

    id: int
    incident: str
    number: int
    target: str
    who: str
    responder: str
    method: str
    rest: tuple[str, ...]
    fallback: bool
    after_minutes: float
    due_at: datetime
    because: str | None

    @property
    def is_hand_over(self) -> bool:
        return self.number == policy.HAND_OVER

    @property
    def why(self) -> str:
        """Why the person is told again, in words."""
        after = f"{self.after_minutes:g} minute{'' if self.after_minutes == 1 else 's'}"
        if self.is_hand_over and self.because is None:
            return f"{self.who} has not taken it {after} after being asked"
        return self.because or f"nobody has acknowledged it {after} after {self.who} was paged"


def arrange(
    contact: Contact, usable: tuple[str, ...], urgency: Urgency, fallback: bool, is_rung: bool = False
) -> list[Recipient]:
    """Returns how to page somebody now and afterwards, by their own rules if they have any.

    `usable` are their methods that work. If those of the first rules do not, the next rule's comes at once: who is paged
    is told something. `is_rung` says that earlier rules of this kind still go on: then only what comes at once is sent.
    """
    if not usable:
        return []
    rules = [rule for rule in contact.notify.of(urgency) if rule.method in usable]
    if not rules:
        return [Recipient(contact, usable, fallback)]
    first = rules[0].after_minutes
    now = tuple(dict.fromkeys(rule.method for rule in rules if rule.after_minutes <= first))
    after = () if is_rung else tuple(rule for rule in rules if rule.after_minutes > first)
    named = {rule.method for rule in rules}
    spare = tuple(method for method in usable if method not in named)
    made = [Recipient(contact, (method,), fallback, urgency=urgency) for method in now]
    # What no rule names is tried when nothing else is left: after the last message, whichever that is.
    last = made[-1]
    ends_here = not after and not is_rung
    methods = (*last.methods, *spare) if ends_here else last.methods
    return [*made[:-1], replace(last, methods=methods, later=after, spare=() if ends_here else spare)]


def with_spare(called: list[Recipient], spare: tuple[str, ...]) -> list[Recipient]:
    """Returns the same people to page, with these methods behind the last message to each when that fails."""
    if not called or not spare:
        return called
    last = called[-1]
    if last.later:
        return [*called[:-1], replace(last, spare=(*last.spare, *spare))]
    return [*called[:-1], replace(last, methods=(*last.methods, *spare))]


def start(connection: Connection, incident: str, number: int, called: Sequence[Recipient], now: datetime) -> None:
    """Write what these people are told after a page that is made now: each is rung once at a time for an incident, and
    rules of another urgency take the place of those that went on."""
    rung: set[str | None] = set()
    rows = []
    for one in called:
        person = one.contact.responder
        if not one.later or person in rung:
            continue
        rung.add(person)
        stop(connection, incident, rings.c.responder == person)
        for place, rule in enumerate(one.later, 1):
            rows.append(
                {
                    "incident": incident,
                    "number": number,
                    "target": one.contact.target,
                    "who": one.contact.who,
                    "responder": person,
                    "urgency": one.urgency,
                    "method": rule.method,
                    "rest": json.dumps(one.spare if place == len(one.later) else ()),
                    "fallback": one.fallback,
                    "state": StepState.WAITING,
                    "after_minutes": rule.after_minutes,
                    "due_at": now + timedelta(minutes=rule.after_minutes),
                    "done_at": None,
                    # Only an incident that becomes urgent has a further rule at 0 minutes: the others were sent at once.
                    "because": None if rule.after_minutes else BECAME_URGENT,
                }
            )
    later.do(connection, _ADD, rows)


def stop(connection: Connection, incident: str, *which: ColumnElement[bool]) -> int:
    """Cancel what waits for an incident, or only `which`. Returns how many rings that were."""
    waits = (rings.c.incident == incident, rings.c.state == StepState.WAITING, *which)
    return connection.execute(update(rings).where(*waits).values(state=StepState.CANCELLED)).rowcount


def stop_person(connection: Connection, ring: Ring) -> None:
    """Cancel what waits for the person of `ring`, because their turn is over."""
    stop(connection, ring.incident, rings.c.responder == ring.responder)


def spare(connection: Connection, incident: str, called: Sequence[Recipient], now: datetime) -> None:
    """Cancel what comes at once to these people because it has become urgent, by the very method that a page uses now: one
    message is enough."""
    for one in called:
        if one.contact.responder is not None:
            same = (rings.c.responder == one.contact.responder, rings.c.method == one.methods[0])
            stop(connection, incident, *same, rings.c.after_minutes == 0, rings.c.due_at <= now)


def is_rung(connection: Connection, incident: str, responder: str | None, urgency: Urgency) -> bool:
    """Returns True if rules of this urgency go on for this person. Those of a hand-over end with it, and do not count."""
    waits = (rings.c.incident == incident, rings.c.state == StepState.WAITING, rings.c.number != policy.HAND_OVER)
    query = select(rings.c.id).where(*waits, rings.c.responder == responder, rings.c.urgency == urgency)
    return connection.scalar(query.limit(1)) is not None


def take(connection: Connection, ring: int, now: datetime) -> Ring | None:
    """Move a ring that is due to `done`, for the caller to send it. Returns `None` if somebody else took it, or it is
    no longer wanted."""
    due = (rings.c.id == ring, rings.c.state == StepState.WAITING, rings.c.due_at <= now)
    if not connection.execute(update(rings).where(*due).values(state=StepState.DONE, done_at=now)).rowcount:
        return None
    return _ring(connection.execute(select(rings).where(rings.c.id == ring)).one())


def hasten(connection: Connection, incident: str, responder: str | None, now: datetime, because: str) -> str | None:
    """Make the next ring of a person due, because an earlier message did not get through. By which target it paged them
    does not matter: a person is rung once, also if several lead to them.

    Returns its method, or `None` if none waits.
    """
    of_person = (rings.c.incident == incident, rings.c.responder == responder)
    query = select(rings).where(*of_person, rings.c.state == StepState.WAITING).order_by(rings.c.due_at, rings.c.id)
    row = connection.execute(query.limit(1)).one_or_none()
    if row is None:
        return None
    values = {"due_at": min(row.due_at, now), "because": because}
    connection.execute(update(rings).where(rings.c.id == row.id).values(**values))
    return cast("str", row.method)


def due(connection: Connection, now: datetime, most: int) -> list[tuple[str, int]]:
    """Returns incident and id of the rings that are due."""
    rows = connection.execute(
        select(rings.c.incident, rings.c.id)
        .where(rings.c.state == StepState.WAITING, rings.c.due_at <= now)
        .order_by(rings.c.due_at, rings.c.id)
        .limit(most)
    )
    return [(row.incident, row.id) for row in rows]


def next_due(connection: Connection) -> datetime | None:
    return cast("datetime | None", connection.scalar(_NEXT))


def waiting(connection: Connection, incident: str) -> list[Ring]:
    """Returns what people are told next, in the order of time, if nobody acknowledges."""
    waits = (rings.c.incident == incident, rings.c.state == StepState.WAITING)
    return [_ring(row) for row in connection.execute(select(rings).where(*waits).order_by(rings.c.due_at, rings.c.id))]


def _ring(row: Any) -> Ring:
    return Ring(
        row.id,
        row.incident,
        row.number,
        row.target,
        row.who,
        row.responder,
        row.method,
        tuple(json.loads(row.rest)),
        bool(row.fallback),
        row.after_minutes,
        row.due_at,
        row.because,
    )
