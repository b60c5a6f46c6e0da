"""The strip on every page: who is on call, what is open, what nobody was told of, and what is not heard or not delivered.

It is read once for all pages of a second that may see the same: a key that is limited to brands has a strip of its own.
What somebody does shows at once, because every commit of this process, and every change that another replica's was found by,
lets the strip be read anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import Connection, func, select

from alerter.answers.answer_clocks import WAITING
from alerter.api import oncall
from alerter.api.auth import Caller, seen_by
from alerter.api.context import ApiContext
from alerter.api.incident_filter import StateSet
from alerter.desk.context import Context
from alerter.desk.sources import EVERY_BRAND
from alerter.escalation import untold
from alerter.oncall import rosters
from alerter.silences import store as silences
from alerter.states import EndpointState
from alerter.store import tables, volume
from alerter.store.tables import answer_clocks, endpoints, incidents, sources

LASTS: Final = timedelta(seconds=1)
_A_MOMENT: Final = timedelta(seconds=1)
MOST_ON_CALL: Final = 4
"""Schedules whose person the strip names; the page of schedules has all."""
MOST_HEARD: Final = 6
MOST_KEPT: Final = 200
"""Strips of different brands that are kept."""


class OnDuty(NamedTuple):
    schedule: str
    person: str | None
    """`None`: nobody is on call."""


class NetworkHeard(NamedTuple):
    """When a network's connectors were last heard. `is_late`: one of them should have been since."""

    network: str
    at: datetime | None
    is_late: bool


@dataclass(frozen=True, slots=True)
class Strip:
    on_call: tuple[OnDuty, ...]
    more_on_call: int
    open: Mapping[int, int]
    """How many incidents are open, by severity."""
    free: int
    """Of these, how many nobody has."""
    untold: int
    failing: int
    """Endpoints that fail or are disabled."""
    silences: int
    unread: int
    newest_post: datetime | None
    heard: tuple[NetworkHeard, ...]


@dataclass(frozen=True, slots=True)
class _Kept:
    strip: Strip
    at: Context
    age: int


class Strips:
    """The strips of the last second."""

    def __init__(self) -> None:
        self._kept: dict[frozenset[str] | None, _Kept] = {}
        self._age = 0

    def forget(self) -> None:
        """Something changed: the next page reads anew."""
        self._age += 1

    async def of(self, service: ApiContext, caller: Caller) -> Strip:
        """Returns the strip that this caller sees."""
        context, kept = service.context(), self._kept.get(caller.brands)
        if kept is not None and kept.age == self._age and _is_fresh(kept.at, context):
            return kept.strip
        age = self._age
        strip = await service.database.read(lambda c: read(c, caller, context))
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[caller.brands] = _Kept(strip, context, age)
        return strip


def _is_fresh(then: Context, now: Context) -> bool:
    same = then.config is now.config
    return same and abs(now.now - then.now) < LASTS and abs(now.wall - then.wall) < LASTS


def read(connection: Connection, caller: Caller, context: Context) -> Strip:
    now, c = context.now, incidents.c
    is_open = (c.state.in_(sorted(StateSet.OPEN.states)), seen_by(caller, c.brand))
    counted = select(c.severity, func.count(), func.count().filter(c.acknowledged_by.is_(None))).where(*is_open)
    by_severity = connection.execute(counted.group_by(c.severity).order_by(c.severity)).all()
    alone = select(func.count()).select_from(incidents).where(untold.IS_UNTOLD, seen_by(caller, c.brand))
    unread = select(func.count()).where(
        answer_clocks.c.kind == "unread", answer_clocks.c.state.in_(WAITING), seen_by(caller, answer_clocks.c.brand)
    )
    on_call = on_duty(connection, caller, context)
    return Strip(
        on_call=on_call[:MOST_ON_CALL],
        more_on_call=max(0, len(on_call) - MOST_ON_CALL),
        open={row[0]: row[1] for row in by_severity},
        free=sum(row[2] for row in by_severity),
        untold=connection.scalar(alone) or 0,
        failing=_failing(connection, caller),
        silences=_silences(connection, caller, now),
        unread=connection.scalar(unread) or 0,
        newest_post=volume.newest(connection, seen_by(caller, tables.volumes.c.brand), now),
        heard=_heard(connection, caller, context),
    )


def on_duty(connection: Connection, caller: Caller, context: Context) -> tuple[OnDuty, ...]:
    """Returns who is on call now for each schedule that the caller sees, first those that have nobody."""
    config, now = context.config, context.now
    schedules = oncall.visible(caller, config)
    if not schedules:
        return ()
    roster = rosters.between(connection, now, now + _A_MOMENT, now)
    found = []
    for schedule in schedules:
        who = roster.on_call(schedule, now, _A_MOMENT).responder
        person = config.responder(who) if who is not None else None
        found.append(OnDuty(schedule.id, person.called if person is not None else who))
    # Where nobody is on call comes first: it is what somebody has to do something about.
    return tuple(sorted(found, key=lambda one: one.person is not None))


def _failing(connection: Connection, caller: Caller) -> int:
    trouble = (endpoints.c.failures > 0) | (endpoints.c.state == EndpointState.DISABLED)
    rows = connection.scalars(select(endpoints.c.brands).where(trouble))
    return sum(caller.covers(json.loads(brands)) for brands in rows)


def _silences(connection: Connection, caller: Caller, now: datetime) -> int:
    one = tables.silences.c
    rows = connection.execute(select(tables.silences).where(one.starts_at <= now, one.ends_at > now))
    return sum(caller.covers(silences.silence_of(row).brands) for row in rows)


def _heard(connection: Connection, caller: Caller, context: Context) -> tuple[NetworkHeard, ...]:
    """By network, those that are late first. A limited key sees the connectors that watch for its brands, and of those that
    watch for all the networks where its brands have accounts."""
    now = context.now
    own = {one.network for brand in context.config.brands if caller.sees(brand.id) for one in brand.accounts}
    found: dict[str, NetworkHeard] = {}
    for row in connection.execute(select(sources).order_by(sources.c.network)):
        if not (caller.sees(row.brand) or (row.brand == EVERY_BRAND and row.network in own)):
            continue
        gap = row.gap_begins is not None and row.gap_begins <= now and (row.gap_ends is None or row.gap_ends > now)
        due = row.heard_at is not None and row.every_seconds is not None
        is_late = gap or (due and now > row.heard_at + timedelta(seconds=row.every_seconds))
        known = found.get(row.network, NetworkHeard(row.network, None, False))
        times = [at for at in (known.at, row.heard_at) if at is not None]
        found[row.network] = NetworkHeard(row.network, max(times, default=None), known.is_late or is_late)
    return tuple(sorted(found.values(), key=lambda one: (not one.is_late, one.network)))[:MOST_HEARD]
