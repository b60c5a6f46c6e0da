"""Page drills: everybody on duty is rung once with a test page, and it is written down who confirmed it, how and when.

On duty is whoever is on call for a schedule now, whom a policy names directly, and who owns an account. A test page goes the
way of a real one (the outbox, the person's own rules for urgent incidents, the endpoint and its form), and belongs to no
incident, no policy and no budget. What comes later by the person's rules is made at once, for its time, and cancelled when they
confirm; so a drill needs no timer of its own. All functions run inside the caller's transaction.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, insert, select, update

from alerter.escalation import rings
from alerter.notify import methods, outbox
from alerter.notify.formats import native
from alerter.notify.links import PAGE_OVER, TEST_PAGE
from alerter.notify.outbox import Cause
from alerter.notify.outlet import PAGING
from alerter.oncall import rosters
from alerter.oncall.method_states import Proof
from alerter.oncall.responders import Contact, Directory
from alerter.states import AttemptOutcome, DeliveryState, EndpointState
from alerter.store import installation
from alerter.store.database import insert_missing
from alerter.store.tables import deliveries, drill_pages, drills, endpoints
from services.config.model import Config
from services.config.rota import Urgency

CONFIRMED: Final = "confirmed"
"""The outcome of a test page that was not sent, because its person had confirmed by another method."""
_A_MOMENT: Final = timedelta(seconds=1)
_FALLBACK: Final = "it came by the fallback of another method"


@dataclass(frozen=True, slots=True)
class DrillPage:
    """One test page. Without a `delivery` none was sent, and `why_not` says why."""

    method: str
    due_at: datetime
    delivery: str | None
    why_not: str | None
    confirmed_at: datetime | None
    confirmed_by: str | None
    state: DeliveryState | None
    outcome: str | None

    @property
    def trouble(self) -> str | None:
        """Why it has not arrived, in words, or `None` if it has or may still."""
        if self.delivery is None:
            return self.why_not
        if self.state in (DeliveryState.EXHAUSTED, DeliveryState.CANCELLED) and self.outcome != CONFIRMED:
            return f"the message did not arrive ({self.outcome})"
        if self.state is DeliveryState.PENDING and self.outcome not in (None, AttemptOutcome.BEGUN):
            return f"the message has not arrived yet ({self.outcome})"
        return None


@dataclass(frozen=True, slots=True)
class DrillPart:
    """One person's part in a drill."""

    responder: str
    who: str
    pages: tuple[DrillPage, ...]

    def confirmed(self, every_method: bool) -> DrillPage | None:
        """Returns the page by which the person confirmed: the first or, if every method is asked for, the last of all."""
        asked = [one for one in self.pages if one.why_not != _FALLBACK]
        found = [one for one in self.pages if one.confirmed_at is not None]
        if not found or (every_method and any(one.confirmed_at is None for one in asked)):
            return None
        found.sort(key=lambda one: one.confirmed_at or one.due_at)
        return found[-1] if every_method else found[0]


@dataclass(frozen=True, slots=True)
class PageDrill:
    """A drill. `gaps` says where nobody was on duty, in words."""

    id: str
    begun_at: datetime
    ends_at: datetime
    by: str
    every_method: bool
    gaps: tuple[str, ...]
    people: tuple[DrillPart, ...]

    def in_time(self, one: DrillPart) -> DrillPage | None:
        page = one.confirmed(self.every_method)
        return (
            page if page is not None and page.confirmed_at is not None and page.confirmed_at <= self.ends_at else None
        )

    @property
    def confirmed(self) -> int:
        """How many people confirmed in time."""
        return sum(self.in_time(one) is not None for one in self.people)

    def is_over(self, now: datetime) -> bool:
        return now >= self.ends_at or self.confirmed == len(self.people)


def begin(
    connection: Connection,
    config: Config,
    drill: str,
    by: str,
    wait: timedelta,
    every_method: bool,
    now: datetime,
    wall: datetime,
) -> PageDrill | None:
    """Ring everybody on duty. Returns `None` if another drill goes on: nobody is rung by two at once.

    A drill that was begun with this id before is returned as it is, and rings nobody again.
    """
    installation.note(connection, "page drill", drill.encode())  # two that begin at once wait for each other here
    before = find(connection, drill)
    if before is not None:
        return before
    newest = latest(connection)
    if newest is not None and not newest.is_over(now):
        return None
    contacts, gaps = on_duty(connection, config, now)
    row = {"id": drill, "begun_at": now, "ends_at": now + wait, "by": by, "every_method": every_method}
    connection.execute(insert(drills).values(**row, gaps=json.dumps(gaps)))
    names = {name for contact in contacts for name in contact.methods}
    kinds = _enabled(connection, names)
    for contact in contacts:
        _ring(connection, contact, row, kinds, wall)
    return find(connection, drill)


def on_duty(connection: Connection, config: Config, now: datetime) -> tuple[list[Contact], list[str]]:
    """Returns the people who are on duty now, each once, and where nobody is, in words."""
    roster = rosters.between(connection, now, now + _A_MOMENT, now) if config.schedules else None
    directory = Directory(config, roster=roster, states=methods.states(connection, config))
    named = [target for policy in config.policies for step in policy.steps for target in step.targets]
    named += [target for policy in config.policies for target in policy.fallback]
    targets = [f"schedule:{one.id}" for one in config.schedules]
    targets += [target for target in named if target.startswith("responder:")]
    owners = {account.owner for brand in config.brands for account in brand.accounts}
    targets += [f"responder:{owner}" for owner in sorted(owners) if config.responder(owner) is not None]
    people: dict[str, Contact] = {}
    gaps = []
    for target in dict.fromkeys(targets):
        found = directory.find(target, None, now)
        if not isinstance(found, Contact):
            gaps.append(found.because)
        elif found.responder is not None:
            people.setdefault(found.responder, found)
    return list(people.values()), gaps


def _enabled(connection: Connection, names: set[str]) -> dict[str, str]:
    query = select(endpoints.c.name, endpoints.c.kind)
    rows = connection.execute(
        query.where(endpoints.c.name.in_(sorted(names)), endpoints.c.state == EndpointState.ENABLED)
    )
    return {row.name: row.kind for row in rows}


def _ring(
    connection: Connection, contact: Contact, drill: dict[str, Any], kinds: dict[str, str], wall: datetime
) -> None:
    assert contact.responder is not None
    now, ends = drill["begun_at"], drill["ends_at"]
    usable = tuple(name for name in contact.methods if name in kinds)
    plan = _every(usable) if drill["every_method"] else _by_their_rules(contact, usable)
    base = {"drill": drill["id"], "responder": contact.responder, "who": contact.who}
    rows = []
    cause = Cause(TEST_PAGE, None, ("drill", drill["id"], contact.responder))
    over = _over(drill["id"], contact.responder)
    said = (drill["id"], contact.responder, contact.who, drill["by"])
    for name, minutes in plan.items():
        due = now + timedelta(minutes=minutes)
        if due >= ends:
            continue
        body = native.render_drill(*said, (now, ends, due))
        outbox.enqueue(connection, cause, body, [name], due, wall + (due - now))
        if kinds[name] in PAGING:
            body = native.render_drill(*said, (now, ends, ends), is_over=True)
            outbox.enqueue(connection, over, body, [name], ends, wall + (ends - now))
        rows.append(
            base | {"method": name, "due_at": due, "delivery": outbox.delivery_id(cause, name), "why_not": None}
        )
    left = [name for name in contact.methods if name not in kinds] if drill["every_method"] else []
    why = "there is no such endpoint, or it is disabled"
    rows += [base | {"method": name, "due_at": now, "delivery": None, "why_not": why} for name in left]
    if not rows:
        how = f"no endpoint {' or '.join(contact.methods)} works" if contact.methods else "every method is switched off"
        rows = [base | {"method": "", "due_at": now, "delivery": None, "why_not": how}]
    connection.execute(insert(drill_pages), rows)


def _over(drill: str, responder: str) -> Cause:
    return Cause(PAGE_OVER, None, ("drill-over", drill, responder))


def _every(usable: Sequence[str]) -> dict[str, float]:
    return dict.fromkeys(usable, 0.0)


def _by_their_rules(contact: Contact, usable: tuple[str, ...]) -> dict[str, float]:
    """Returns the methods by which a person is told, each with the minutes after which it is first used."""
    plan: dict[str, float] = {}
    for one in rings.arrange(contact, contact.counting(usable), Urgency.URGENT, fallback=False):
        plan.setdefault(one.methods[0], 0.0)
        for rule in one.later:
            plan.setdefault(rule.method, rule.after_minutes)
    return plan


def confirm(
    connection: Connection, config: Config, drill: str, responder: str, method: str, by: str, now: datetime
) -> PageDrill | None:
    """Note that a test page reached this person by this method. Repeating it is harmless.

    Returns `None` if the person has no part in such a drill.
    """
    found = find(connection, drill)
    part = next((one for one in found.people if one.responder == responder), None) if found is not None else None
    if found is None or part is None:
        return None
    person = config.responder(responder)
    row = {"drill": drill, "responder": responder, "who": part.who, "method": method, "due_at": now}
    insert_missing(connection, drill_pages, [row | {"delivery": None, "why_not": _FALLBACK}])
    of = (drill_pages.c.drill == drill, drill_pages.c.responder == responder, drill_pages.c.method == method)
    first = update(drill_pages).where(*of, drill_pages.c.confirmed_at.is_(None))
    connection.execute(first.values(confirmed_at=now, confirmed_by=by))
    sent = [one for one in part.pages if one.delivery is not None and (not found.every_method or one.method == method)]
    # Whoever has confirmed is not rung again, and what rings until it is taken back falls silent.
    outbox.cancel(connection, [one.delivery for one in sent if one.delivery is not None], now, CONFIRMED)
    over = _over(drill, responder)
    outbox.bring_forward(connection, [outbox.delivery_id(over, one.method) for one in sent], now)
    if person is not None and method in person.methods:
        methods.confirm(connection, responder, method, Proof.DRILL, now)
    return find(connection, drill)


def find(connection: Connection, drill: str) -> PageDrill | None:
    return next(iter(_read(connection, select(drills).where(drills.c.id == drill))), None)


def latest(connection: Connection) -> PageDrill | None:
    return next(iter(newest(connection, 1)), None)


def newest(connection: Connection, most: int) -> list[PageDrill]:
    """Returns the last drills, the newest first."""
    return _read(connection, select(drills).order_by(drills.c.begun_at.desc(), drills.c.id).limit(most))


def _read(connection: Connection, query: Any) -> list[PageDrill]:
    rows = connection.execute(query).all()
    columns = deliveries.c.state.label("state"), deliveries.c.outcome.label("outcome")
    pages = (
        select(drill_pages, *columns)
        .outerjoin(deliveries, deliveries.c.id == drill_pages.c.delivery)
        .where(drill_pages.c.drill.in_([row.id for row in rows]))
        .order_by(drill_pages.c.who, drill_pages.c.responder, drill_pages.c.due_at, drill_pages.c.method)
    )
    parts: dict[tuple[str, str, str], list[DrillPage]] = {}
    for one in connection.execute(pages):
        page = DrillPage(
            one.method,
            one.due_at,
            one.delivery,
            one.why_not,
            one.confirmed_at,
            one.confirmed_by,
            None if one.state is None else DeliveryState(one.state),
            one.outcome,
        )
        parts.setdefault((one.drill, one.responder, one.who), []).append(page)
    return [
        PageDrill(
            row.id,
            row.begun_at,
            row.ends_at,
            row.by,
            bool(row.every_method),
            tuple(json.loads(row.gaps)),
            tuple(
                DrillPart(who_id, who, tuple(some)) for (drill, who_id, who), some in parts.items() if drill == row.id
            ),
        )
        for row in rows
    ]
