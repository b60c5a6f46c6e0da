"""Deliveries and publications as rows: written by the transaction that causes them, claimed with a lease, recorded after.

A delivery's id is its `webhook-id` and never changes. It is derived from (incident, sequence, change, endpoint), so the same
cause enqueued twice is one row. Whatever a crash left leased is swept when its lease ends. These functions run inside a
transaction of `store.database`; leases are in real time, because a request takes real seconds whatever a drill's clock says.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from random import Random
from typing import Any, Final, cast

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, or_, select, update

from alerter.escalation import pages
from alerter.notify import retries
from alerter.notify.attempt import AttemptOutcome, Result
from alerter.notify.endpoints import EndpointState, keys_of
from alerter.notify.outlet import Kind, Letter
from alerter.store.database import insert_missing
from alerter.store.tables import attempts, deliveries, endpoints, publications
from services.contracts.base import event_id
from services.eventlog.base import Message

LEASE: Final = timedelta(seconds=30)
"""Twice the timeout of an attempt: whoever still holds it then is gone."""


class DeliveryState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    EXHAUSTED = "exhausted"
    CANCELLED = "cancelled"
    """Its endpoint was disabled or deleted."""


@dataclass(frozen=True, slots=True)
class Cause:
    """What a delivery is about."""

    type: str
    incident: str | None
    parts: tuple[object, ...]
    """What its id is derived from, together with the endpoint."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """One attempt that has been recorded as begun."""

    letter: Letter
    attempt: int
    number: int
    tries: int
    swept: bool


@dataclass(frozen=True, slots=True)
class Recorded:
    state: DeliveryState
    created_wall: datetime
    type: str
    disabled: bool = False
    page_failed: bool = False
    """A step of a policy counted on it: the engine has something to do."""


def delivery_id(cause: Cause, endpoint: str) -> str:
    return f"msg_{event_id('delivery', *cause.parts, endpoint)}"


def enqueue(
    connection: Connection, cause: Cause, body: bytes, names: Collection[str], now: datetime, wall: datetime
) -> int:
    """One delivery an endpoint, due at once; how many are new."""
    rows = [
        {
            "id": delivery_id(cause, name),
            "endpoint": name,
            "incident": cause.incident,
            "type": cause.type,
            "body": body,
            "state": DeliveryState.PENDING,
            "created_at": now,
            "created_wall": wall,
            "next_attempt_at": now,
            "attempts": 0,
            "tries": 0,
        }
        for name in names
    ]
    return insert_missing(connection, deliveries, rows)


def publish(connection: Connection, messages: Sequence[Message], now: datetime) -> None:
    """These go to the event log, in this order, at least once."""
    if messages:
        rows = [{"topic": m.topic, "key": m.key, "value": m.value, "created_at": now} for m in messages]
        connection.execute(insert(publications), rows)


def unpublished(connection: Connection, most: int) -> list[tuple[int, Message]]:
    rows = connection.execute(select(publications).order_by(publications.c.id).limit(most))
    return [(row.id, Message(row.topic, row.key, row.value)) for row in rows]


def published(connection: Connection, ids: Sequence[int]) -> None:
    connection.execute(delete(publications).where(publications.c.id.in_(ids)))


def _free(wall: datetime) -> ColumnElement[bool]:
    return or_(deliveries.c.lease_ends_wall.is_(None), deliveries.c.lease_ends_wall < wall)


def claim(
    connection: Connection,
    owner: str,
    now: datetime,
    wall: datetime,
    room: int,
    busy: Callable[[str], int],
    most_each: int,
) -> list[Claimed]:
    """Lease up to `room` due deliveries, oldest first, at most `most_each` an endpoint with what is `busy` there already."""
    claimed: list[Claimed] = []
    taken: dict[str, int] = {}
    full: set[str] = set()
    while len(claimed) < room:
        rows = connection.execute(
            select(deliveries)
            .where(
                deliveries.c.state == DeliveryState.PENDING,
                deliveries.c.next_attempt_at <= now,
                _free(wall),
                deliveries.c.endpoint.not_in(full),
            )
            .order_by(deliveries.c.next_attempt_at, deliveries.c.id)
            .limit(room - len(claimed))
            .with_for_update(skip_locked=True)
        ).all()
        if not rows:
            break
        for row in rows:
            if busy(row.endpoint) + taken.get(row.endpoint, 0) >= most_each:
                full.add(row.endpoint)
                continue
            taken[row.endpoint] = taken.get(row.endpoint, 0) + 1
            one = _begin_attempt(connection, row, owner, now, wall)
            if one is not None:
                claimed.append(one)
    return claimed


def _begin_attempt(connection: Connection, row: Any, owner: str, now: datetime, wall: datetime) -> Claimed | None:
    endpoint = connection.execute(select(endpoints).where(endpoints.c.name == row.endpoint)).one_or_none()
    if endpoint is None or endpoint.state != EndpointState.ENABLED:
        _finish(connection, row.id, DeliveryState.CANCELLED, "endpoint_gone", now)
        return None
    # A lease that ended without a record: that attempt may or may not have arrived.
    swept = connection.execute(
        update(attempts)
        .where(attempts.c.delivery == row.id, attempts.c.outcome == "begun")
        .values(outcome="unknown", ended_at=now, detail="no record of its end: the process was interrupted")
    ).rowcount
    number = row.attempts + 1
    attempt = connection.execute(
        insert(attempts).values(delivery=row.id, number=number, begun_at=now, begun_wall=wall, outcome="begun")
    ).inserted_primary_key
    assert attempt is not None
    connection.execute(
        update(deliveries)
        .where(deliveries.c.id == row.id)
        .values(attempts=number, tries=row.tries + 1, lease_owner=owner, lease_ends_wall=wall + LEASE)
    )
    keys, options = keys_of(connection, row.endpoint, wall), json.loads(endpoint.options)
    letter = Letter(row.id, row.endpoint, Kind(endpoint.kind), endpoint.url, keys, row.body, options)
    return Claimed(letter, attempt[0], number, row.tries + 1, bool(swept))


def record(connection: Connection, claimed: Claimed, result: Result, now: datetime, rng: Random) -> Recorded:
    """What came of the attempt, and what follows from it."""
    connection.execute(
        update(attempts)
        .where(attempts.c.id == claimed.attempt)
        .values(
            ended_at=now,
            outcome=result.outcome,
            status=result.status,
            detail=result.detail,
            seconds_micro=int(result.seconds * 1e6),
        )
    )
    row = connection.execute(select(deliveries).where(deliveries.c.id == claimed.letter.delivery)).one()
    if row.state != DeliveryState.PENDING:  # cancelled meanwhile; what it came to stands in the attempt
        return Recorded(DeliveryState(row.state), row.created_wall, row.type)
    state, disabled = DeliveryState.PENDING, False
    if result.outcome is AttemptOutcome.DELIVERED:
        state = DeliveryState.DELIVERED
        _finish(connection, claimed.letter.delivery, state, result.outcome, now)
    elif result.outcome is AttemptOutcome.GONE:
        state, disabled = DeliveryState.CANCELLED, True
        disable(connection, claimed.letter.endpoint, "the receiver answered 410 Gone", now)
    elif (seconds := retries.wait(claimed.tries, result.retry_after, rng)) is None:
        state = DeliveryState.EXHAUSTED
        _finish(connection, claimed.letter.delivery, state, result.outcome, now)
    else:
        connection.execute(
            update(deliveries)
            .where(deliveries.c.id == claimed.letter.delivery)
            .values(
                next_attempt_at=now + timedelta(seconds=seconds),
                lease_owner=None,
                lease_ends_wall=None,
                outcome=result.outcome,
            )
        )
    arrived = state is DeliveryState.DELIVERED
    if arrived:
        pages.arrived(connection, claimed.letter.delivery)
    ended = state is not DeliveryState.PENDING
    failing = not arrived and pages.failing(connection, claimed.letter.delivery, claimed.tries, ended, now)
    return Recorded(state, row.created_wall, row.type, disabled, failing or disabled)


def _finish(connection: Connection, delivery: str, state: DeliveryState, outcome: str, now: datetime) -> None:
    connection.execute(
        update(deliveries)
        .where(deliveries.c.id == delivery)
        .values(state=state, outcome=outcome, finished_at=now, lease_owner=None, lease_ends_wall=None)
    )


def disable(connection: Connection, endpoint: str, because: str, now: datetime) -> None:
    """Nothing more goes there, nor what was waiting for it."""
    connection.execute(
        update(endpoints)
        .where(endpoints.c.name == endpoint)
        .values(state=EndpointState.DISABLED, disabled_because=because)
    )
    cancel_for(connection, endpoint, now)


def cancel_for(connection: Connection, endpoint: str, now: datetime) -> None:
    pages.endpoint_gone(connection, endpoint, now)
    connection.execute(
        update(deliveries)
        .where(deliveries.c.endpoint == endpoint, deliveries.c.state == DeliveryState.PENDING)
        .values(
            state=DeliveryState.CANCELLED,
            outcome="endpoint_gone",
            finished_at=now,
            lease_owner=None,
            lease_ends_wall=None,
        )
    )


def release_leases(connection: Connection, owner: str | None) -> int:
    """Free what an earlier process left leased: that of `owner`, or of everybody (`None`)."""
    query = update(deliveries).where(deliveries.c.lease_ends_wall.is_not(None))
    if owner is not None:
        query = query.where(deliveries.c.lease_owner == owner)
    return connection.execute(query.values(lease_owner=None, lease_ends_wall=None)).rowcount


def next_due(connection: Connection, wall: datetime) -> datetime | None:
    """When the next free delivery is due."""
    return cast(
        "datetime | None",
        connection.scalar(
            select(func.min(deliveries.c.next_attempt_at)).where(
                deliveries.c.state == DeliveryState.PENDING, _free(wall)
            )
        ),
    )


def due_now(connection: Connection, now: datetime) -> bool:
    """Whether anything waits to be delivered or published at this moment, in flight or not."""
    pending = and_(deliveries.c.state == DeliveryState.PENDING, deliveries.c.next_attempt_at <= now)
    return (
        connection.scalar(select(deliveries.c.id).where(pending).limit(1)) is not None
        or connection.scalar(select(publications.c.id).limit(1)) is not None
    )


def depths(connection: Connection) -> dict[str, int]:
    """Rows that wait, by kind."""
    pending = select(func.count()).select_from(deliveries).where(deliveries.c.state == DeliveryState.PENDING)
    return {
        "delivery": connection.scalar(pending) or 0,
        "publication": connection.scalar(select(func.count()).select_from(publications)) or 0,
    }


def resend(connection: Connection, delivery: str, now: datetime) -> bool:
    """Try it again from the start of the schedule, under the same id; whether there is such a delivery, and an endpoint."""
    row = connection.execute(select(deliveries.c.endpoint).where(deliveries.c.id == delivery)).one_or_none()
    if row is None or not connection.scalar(
        select(endpoints.c.name).where(endpoints.c.name == row.endpoint, endpoints.c.state == EndpointState.ENABLED)
    ):
        return False
    connection.execute(
        update(deliveries)
        .where(deliveries.c.id == delivery)
        .values(state=DeliveryState.PENDING, tries=0, next_attempt_at=now, finished_at=None, outcome=None)
    )
    return True
