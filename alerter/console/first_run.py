"""The first steps, on the board as long as there is nothing on it yet: each checks itself, and says what to do next.

An empty board may mean that all is well, or that nothing is connected: a list that ticks itself off tells one from the other.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from alerter.api.auth import Caller, seen_by
from alerter.console.strip import on_duty
from alerter.desk.context import Context
from alerter.desk.sources import EVERY_BRAND
from alerter.states import DeliveryState
from alerter.store.tables import deliveries, endpoints, incidents, sources, volumes


@dataclass(frozen=True, slots=True)
class FirstStep:
    """One thing to do: whether it is done, what to do, and where."""

    is_done: bool
    title: str
    todo: str
    link: str


def steps(connection: Connection, caller: Caller, context: Context) -> tuple[FirstStep, ...]:
    """Returns the first steps as far as this caller may see them, or none if they are all done or an incident was ever open."""
    ever = select(func.count()).select_from(incidents).where(seen_by(caller, incidents.c.brand))
    if connection.scalar(ever):
        return ()
    names = _endpoints(connection, caller)
    found = (
        FirstStep(
            _hears(connection, caller),
            "A source is connected",
            "List a connector under sources: listen: in firebreak.yaml, or let yours report to POST /v1/coverage.",
            "/docs#/",
        ),
        FirstStep(
            _has_posts(connection, caller),
            "A post has come in",
            "Send one about a brand to POST /v1/posts; the README has a sample.",
            "/docs#/",
        ),
        FirstStep(bool(names), "Somebody can be told", "Create an endpoint.", "/console/endpoints/+new"),
        FirstStep(
            _tested(connection, names),
            "A message has arrived",
            "Send the endpoint a test message.",
            "/console/endpoints",
        ),
        FirstStep(
            # Where there are no schedules, policies name endpoints, and that will do.
            all(one.person is not None for one in on_duty(connection, caller, context)),
            "Somebody is on call",
            "Add people and a schedule, or let policies name endpoints.",
            "/console/rota",
        ),
    )
    return () if all(one.is_done for one in found) else found


def _hears(connection: Connection, caller: Caller) -> bool:
    rows = connection.scalars(select(sources.c.brand).where(sources.c.heard_at.is_not(None)).distinct())
    return any(brand == EVERY_BRAND or caller.sees(brand) for brand in rows)


def _has_posts(connection: Connection, caller: Caller) -> bool:
    return (
        connection.execute(select(volumes.c.brand).where(seen_by(caller, volumes.c.brand)).limit(1)).first() is not None
    )


def _endpoints(connection: Connection, caller: Caller) -> list[str]:
    rows = connection.execute(select(endpoints.c.name, endpoints.c.brands))
    return [row.name for row in rows if caller.covers(json.loads(row.brands))]


def _tested(connection: Connection, names: Collection[str]) -> bool:
    arrived = (deliveries.c.state == DeliveryState.DELIVERED, deliveries.c.endpoint.in_(names))
    return connection.execute(select(deliveries.c.id).where(*arrived).limit(1)).first() is not None
