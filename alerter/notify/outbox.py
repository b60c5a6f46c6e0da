"""The outbox: deliveries and publications as rows, written by the transaction that causes them.

The id of a delivery is its `webhook-id` and never changes. It is derived from what the delivery is about and the
endpoint, so the same cause enqueued twice is one row. A delivery is leased while it is sent; a lease that a crash left
behind ends by itself. Leases are in real time, because requests are, whatever a drill's clock says. All functions run
inside a transaction of `store.database`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, cast

from sqlalchemy import ColumnElement, Connection, and_, case, delete, func, insert, or_, select, update

from alerter.notify.listener import DeliveryListener
from alerter.states import DeliveryState, EndpointState
from alerter.store import later
from alerter.store.database import insert_missing_later
from alerter.store.tables import attempts, deliveries, endpoints, publications
from services.contracts.base import event_id
from services.eventlog.base import Message

WITH_ENDPOINTS: Final = deliveries.outerjoin(endpoints, deliveries.c.endpoint == endpoints.c.name)
_PUBLISH: Final = insert(publications)
_WELL: Final = {"failures": 0, "failing_since": None, "told_failing": False, "paused_until": None}


MOST_ORPHANS: Final = 1000
ENDPOINT_GONE: Final = "endpoint_gone"
"""The outcome of a delivery that was cancelled because of its endpoint."""
FALLBACK_TRIES: Final = 3
FALLBACK_AFTER: Final = timedelta(seconds=60)
"""A message goes to the fallback too, if its endpoint failed to accept it this often or for this long."""


@dataclass(frozen=True, slots=True)
class Cause:
    """What a delivery is about."""

    type: str
    incident: str | None
    parts: tuple[object, ...]
    """What the ids of its deliveries are derived from, together with the endpoint."""
    sequence: int | None = None
    """The sequence of the incident, if it is about a state of one."""

    @property
    def id(self) -> str:
        return event_id("cause", *self.parts)


def delivery_id(cause: Cause, endpoint: str) -> str:
    return id_of(cause.id, endpoint)


def id_of(cause: str, endpoint: str) -> str:
    return f"msg_{event_id('delivery', cause, endpoint)}"


def enqueue(
    connection: Connection, cause: Cause, body: bytes, names: Collection[str], now: datetime, wall: datetime
) -> None:
    """Add a delivery to each endpoint, due at once."""
    identity = cause.id
    made = (identity, cause.incident, cause.sequence, cause.type, body, now, wall)
    rows = [_row(name, *made) for name in names]
    insert_missing_later(connection, deliveries, rows)


def copy_for(row: Any, endpoint: str, now: datetime, wall: datetime) -> dict[str, Any]:
    """Returns the row of a delivery of the same message to another endpoint."""
    return _row(endpoint, row.cause, row.incident, row.sequence, row.type, row.body, now, wall)


def _row(
    endpoint: str,
    cause: str,
    incident: str | None,
    sequence: int | None,
    kind: str,
    body: bytes,
    now: datetime,
    wall: datetime,
) -> dict[str, Any]:
    return {
        "id": id_of(cause, endpoint),
        "endpoint": endpoint,
        "incident": incident,
        "sequence": sequence,
        "cause": cause,
        "type": kind,
        "body": body,
        "state": DeliveryState.PENDING,
        "created_at": now,
        "created_wall": wall,
        "next_attempt_at": now,
        "attempts": 0,
        "tries": 0,
        "fell_back": False,
    }


def publish(connection: Connection, messages: Sequence[Message], now: datetime) -> None:
    """Add messages for the event log. They are appended in this order, at least once."""
    rows = [{"topic": m.topic, "key": m.key, "value": m.value, "created_at": now} for m in messages]
    later.do(connection, _PUBLISH, rows)


def unpublished(connection: Connection, most: int) -> list[tuple[int, Message]]:
    rows = connection.execute(select(publications).order_by(publications.c.id).limit(most))
    return [(row.id, Message(row.topic, row.key, row.value)) for row in rows]


def published(connection: Connection, ids: Sequence[int]) -> None:
    connection.execute(delete(publications).where(publications.c.id.in_(ids)))


FREE: Final = deliveries.c.lease_ends_wall.is_(None)
"""A condition: no process has a lease on the delivery. Leases of the dead are ended by `leases`."""
WAITING: Final = and_(deliveries.c.state == DeliveryState.PENDING, FREE)
_FIRST: Final = (
    select(deliveries.c.next_attempt_at)
    .where(deliveries.c.endpoint == endpoints.c.name, WAITING)
    .order_by(deliveries.c.next_attempt_at)
    .limit(1)
    .correlate(endpoints)
    .scalar_subquery()
)
_HEADS: Final = (
    select(endpoints, _FIRST.label("first_due")).where(endpoints.c.state == EndpointState.ENABLED).subquery()
)
HEADS: Final = select(_HEADS).where(_HEADS.c.first_due.is_not(None))
"""The enabled endpoints that something waits for, each with the time at which the first of it is due. What waits for
others is not read: a backlog of one endpoint must cost the others nothing."""


def ready(now: datetime) -> ColumnElement[bool]:
    """Returns a condition: its endpoint is not paused. Needs `WITH_ENDPOINTS`."""
    return or_(endpoints.c.paused_until.is_(None), endpoints.c.paused_until <= now)


def disable(connection: Connection, endpoint: str, because: str, now: datetime, listener: DeliveryListener) -> None:
    """Disable an endpoint, and cancel the deliveries that wait for it."""
    connection.execute(
        update(endpoints)
        .where(endpoints.c.name == endpoint)
        .values(state=EndpointState.DISABLED, disabled_because=because, **_WELL)
    )
    cancel_for(connection, endpoint, now, listener)


def hurry(connection: Connection, endpoint: str, now: datetime) -> None:
    """Make the deliveries that wait for an endpoint due at once, because it accepts messages again."""
    waiting = (deliveries.c.endpoint == endpoint, deliveries.c.state == DeliveryState.PENDING)
    # What was made for later, as a drill's messages are, is not late.
    later = (deliveries.c.next_attempt_at > now, deliveries.c.created_at <= now)
    connection.execute(update(deliveries).where(*waiting, *later).values(next_attempt_at=now))


def bring_forward(connection: Connection, ids: Sequence[str], now: datetime) -> None:
    """Make deliveries that were made for later due now."""
    waits = (deliveries.c.id.in_(ids), deliveries.c.state == DeliveryState.PENDING, deliveries.c.next_attempt_at > now)
    connection.execute(update(deliveries).where(*waits).values(next_attempt_at=now))


def cancel_for(connection: Connection, endpoint: str, now: datetime, listener: DeliveryListener) -> None:
    """Cancel all deliveries that wait for this endpoint."""
    listener.endpoint_gone(connection, endpoint, now)
    _cancel(connection, deliveries.c.endpoint == endpoint, now)


def cancel(connection: Connection, ids: Sequence[str], now: datetime, why: str = ENDPOINT_GONE) -> None:
    """Cancel these deliveries, as far as they still wait."""
    _cancel(connection, deliveries.c.id.in_(ids), now, why)


def _cancel(connection: Connection, which: ColumnElement[bool], now: datetime, why: str = ENDPOINT_GONE) -> None:
    connection.execute(
        update(deliveries)
        .where(which, deliveries.c.state == DeliveryState.PENDING)
        .values(
            state=DeliveryState.CANCELLED,
            outcome=why,
            finished_at=now,
            lease_owner=None,
            lease_ends_wall=None,
        )
    )


def release_leases(connection: Connection, owner: str | None) -> int:
    """End the leases that an earlier process left behind: those of `owner`, or all of them. Returns how many."""
    query = update(deliveries).where(deliveries.c.lease_ends_wall.is_not(None))
    if owner is not None:
        query = query.where(deliveries.c.lease_owner == owner)
    return connection.execute(query.values(lease_owner=None, lease_ends_wall=None)).rowcount


def is_due(now: ColumnElement[datetime]) -> ColumnElement[bool]:
    """Returns a condition on `HEADS`: the first of what waits may be sent now."""
    return and_(_HEADS.c.first_due <= now, or_(_HEADS.c.paused_until.is_(None), _HEADS.c.paused_until <= now))


_PAUSED: Final = _HEADS.c.paused_until > _HEADS.c.first_due
_NEXT_DUE: Final = select(func.min(case((_PAUSED, _HEADS.c.paused_until), else_=_HEADS.c.first_due)))


def next_due(connection: Connection) -> datetime | None:
    """Returns when the next delivery without a lease is due, considering the pauses of endpoints."""
    return cast("datetime | None", connection.scalar(_NEXT_DUE))


def orphans(connection: Connection) -> list[str]:
    """Returns deliveries that wait for an endpoint that is not there any more, or disabled."""
    there = select(endpoints.c.name).where(
        endpoints.c.name == deliveries.c.endpoint, endpoints.c.state == EndpointState.ENABLED
    )
    return list(connection.scalars(select(deliveries.c.id).where(WAITING, ~there.exists()).limit(MOST_ORPHANS)))


def waits_since() -> ColumnElement[datetime]:
    """Returns since when the receiver of a delivery should have it."""
    return func.coalesce(deliveries.c.waits_since, deliveries.c.created_at)


def forsaken(now: datetime) -> ColumnElement[bool]:
    """Returns a condition: its endpoint failed to accept it often or long enough, and its fallback has not got it yet.

    Needs `WITH_ENDPOINTS`.
    """
    return and_(
        deliveries.c.state.in_((DeliveryState.PENDING, DeliveryState.EXHAUSTED)),
        deliveries.c.fell_back.is_(False),
        endpoints.c.fallback.is_not(None),
        or_(deliveries.c.tries >= FALLBACK_TRIES, waits_since() <= now - FALLBACK_AFTER),
    )


_OLDEST: Final = (
    select(func.min(waits_since()))
    .where(
        deliveries.c.endpoint == endpoints.c.name,
        deliveries.c.state == DeliveryState.PENDING,
        deliveries.c.fell_back.is_(False),
    )
    .correlate(endpoints)
    .scalar_subquery()
)
_WITH_FALLBACK: Final = select(_OLDEST.label("oldest")).where(endpoints.c.fallback.is_not(None)).subquery()
_NEXT_FALLBACK: Final = select(func.min(_WITH_FALLBACK.c.oldest))


def next_fallback(connection: Connection) -> datetime | None:
    """Returns when the next message has waited long enough to go to its endpoint's fallback."""
    oldest = connection.scalar(_NEXT_FALLBACK)
    return None if oldest is None else oldest + FALLBACK_AFTER


def due_now(connection: Connection, now: datetime) -> bool:
    """Returns True if anything is to be delivered or published now, including what is in flight."""
    pending = and_(deliveries.c.state == DeliveryState.PENDING, deliveries.c.next_attempt_at <= now, ready(now))
    return (
        connection.scalar(select(deliveries.c.id).select_from(WITH_ENDPOINTS).where(pending).limit(1)) is not None
        or connection.scalar(select(publications.c.id).limit(1)) is not None
        or connection.scalar(select(deliveries.c.id).select_from(WITH_ENDPOINTS).where(forsaken(now)).limit(1))
        is not None
    )


def depths(connection: Connection) -> dict[str, int]:
    """Returns the number of waiting rows of each kind."""
    pending = select(func.count()).select_from(deliveries).where(deliveries.c.state == DeliveryState.PENDING)
    return {
        "delivery": connection.scalar(pending) or 0,
        "publication": connection.scalar(select(func.count()).select_from(publications)) or 0,
    }


def resend(connection: Connection, delivery: str, now: datetime) -> bool:
    """Retry a delivery from the start of the schedule, under the same id.

    Returns False if there is no such delivery, or its endpoint is disabled or gone.
    """
    endpoint = connection.scalar(select(deliveries.c.endpoint).where(deliveries.c.id == delivery))
    return endpoint is not None and bool(_again(connection, endpoint, [deliveries.c.id == delivery], now))


def resend_failed(connection: Connection, endpoint: str, since: datetime, now: datetime) -> int:
    """Retry all deliveries to an endpoint that were made since then and did not arrive. Returns how many."""
    lost = deliveries.c.state.in_((DeliveryState.EXHAUSTED, DeliveryState.CANCELLED))
    return _again(connection, endpoint, [deliveries.c.created_at >= since, lost], now)


def _again(connection: Connection, endpoint: str, which: Sequence[ColumnElement[bool]], now: datetime) -> int:
    enabled = select(endpoints.c.name).where(endpoints.c.state == EndpointState.ENABLED)
    end_pause(connection, endpoint)
    return connection.execute(
        update(deliveries)
        .where(deliveries.c.endpoint == endpoint, *which, deliveries.c.endpoint.in_(enabled))
        .values(
            state=DeliveryState.PENDING,
            tries=0,
            next_attempt_at=now,
            finished_at=None,
            outcome=None,
            superseded_by=None,
            waits_since=None,
        )
    ).rowcount


def forget_answers(connection: Connection, ids: Collection[str]) -> None:
    """Forget what receivers answered to these deliveries: some repeat what they were sent."""
    connection.execute(update(attempts).where(attempts.c.delivery.in_(list(ids))).values(detail=None))


def end_pause(connection: Connection, endpoint: str) -> None:
    """End the pause of an endpoint, because somebody wants to see whether it works."""
    connection.execute(update(endpoints).where(endpoints.c.name == endpoint).values(paused_until=None))
