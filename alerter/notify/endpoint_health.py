"""Follows the health of endpoints through attempts, tells their owners, and sends messages to fallbacks."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, func, or_, select, update

from alerter.notify import outbox
from alerter.notify.attempt import Result
from alerter.notify.formats import native
from alerter.notify.health import Health, Turn
from alerter.notify.listener import DeliveryListener
from alerter.notify.outbox import Cause
from alerter.states import AttemptOutcome, DeliveryState, EndpointState
from alerter.store.database import insert_missing
from alerter.store.tables import deliveries, endpoints

MOST_FALLBACKS: Final = 200


def health_of(row: Any) -> Health:
    return Health(row.failures, row.failing_since, row.told_failing, row.paused_until)


def follow(
    connection: Connection,
    ended: Sequence[tuple[str, Result]],
    now: datetime,
    wall: datetime,
    listener: DeliveryListener,
) -> tuple[list[tuple[str, Turn]], bool]:
    """Bring the health of endpoints up to date and tell their owners.

    Returns how endpoints turned, and whether pages wait for one that only fails. Rows are locked in the order of names,
    so that replicas never deadlock.
    """
    by_endpoint: dict[str, list[Result]] = defaultdict(list)
    for endpoint, result in ended:
        by_endpoint[endpoint].append(result)
    failed = [
        n for n, results in by_endpoint.items() if any(r.outcome is not AttemptOutcome.DELIVERED for r in results)
    ]
    rows = connection.execute(
        select(endpoints)
        .where(
            endpoints.c.name.in_(list(by_endpoint)),
            or_(endpoints.c.name.in_(failed), endpoints.c.failures > 0),
            endpoints.c.state == EndpointState.ENABLED,
        )
        .order_by(endpoints.c.name)
        .with_for_update()
    ).all()
    turns: list[tuple[str, Turn]] = []
    unreached = False
    for row in rows:
        results = by_endpoint[row.name]
        health, turn, because = _after(health_of(row), results, now)
        if turn is not None:
            turns.append((row.name, turn))
        if turn is Turn.DISABLED:
            outbox.disable(connection, row.name, because, now, listener)
        else:
            connection.execute(
                update(endpoints)
                .where(endpoints.c.name == row.name)
                .values(
                    failures=health.failures,
                    failing_since=health.failing_since,
                    told_failing=health.told,
                    paused_until=health.paused_until,
                )
            )
        if health.tripped and turn is not Turn.DISABLED:
            unreached |= listener.endpoint_failing(connection, row.name, now)
        if not health.failures and health_of(row).tripped:
            outbox.hurry(connection, row.name, now)
        if turn is not None:
            tell_owner(connection, row, turn, because, now, wall)
    return turns, unreached


def _after(health: Health, results: Sequence[Result], now: datetime) -> tuple[Health, Turn | None, str]:
    """Returns the health after these attempts, how the endpoint turned if it did, and why.

    One success among them counts as success, because the order in which attempts ended says little.
    """
    failures = [result for result in results if result.outcome is not AttemptOutcome.DELIVERED]
    if any(result.outcome is AttemptOutcome.GONE for result in failures):
        return health, Turn.DISABLED, "the receiver answered 410 Gone"
    if len(failures) < len(results):
        after, turn = health.worked()
        return after, turn, "it accepts messages again"
    turned: Turn | None = None
    for result in failures:
        health, turn = health.failed(now, result.retry_after)
        turned = turn or turned
    last = failures[-1]
    words = f"status {last.status}" if last.status is not None else last.outcome.value
    if turned is Turn.DISABLED:
        return health, turned, f"nothing got through for 120 hours; the last attempt: {words}"
    return health, turned, f"{health.failures} attempts in a row failed; the last one: {words}"


def tell_owner(connection: Connection, row: Any, turn: Turn, because: str, now: datetime, wall: datetime) -> None:
    """Tell the owner's endpoint and the subscribers to such events, but never the endpoint in question."""
    cause = Cause(f"endpoint.{turn}", None, ("endpoint", turn, row.name, row.failing_since or now))
    wanted = [endpoints.c.subscribed.is_(True), endpoints.c.types.like('%"endpoint.%')]
    subscribers = connection.execute(
        select(*endpoints.c["name", "brands"]).where(*wanted, endpoints.c.state == EndpointState.ENABLED)
    )
    # A subscriber limited to brands is told only of endpoints limited to those: a name can give too much away.
    own = set(json.loads(row.brands))
    names = {one.name for one in subscribers if not (theirs := set(json.loads(one.brands))) or (own and own <= theirs)}
    if row.owner is not None:
        names.add(row.owner)
    enabled = select(endpoints.c.name).where(endpoints.c.name.in_(names), endpoints.c.state == EndpointState.ENABLED)
    receivers = sorted(set(connection.scalars(enabled)) - {row.name})
    if receivers:
        waiting = connection.scalar(
            select(func.count())
            .select_from(deliveries)
            .where(deliveries.c.endpoint == row.name, deliveries.c.state == DeliveryState.PENDING)
        )
        body = native.render_endpoint(row.name, turn, because, row.failing_since, waiting or 0, now)
        outbox.enqueue(connection, cause, body, receivers, now, wall)


def fall_back(connection: Connection, now: datetime, wall: datetime) -> int:
    """Copy messages that an endpoint failed to accept three times, or for a minute, to its fallback. Returns how many.

    The copy has the id that the fallback's own delivery would have, so that no fallback gets the same message twice.
    """
    rows = connection.execute(
        select(*deliveries.c, endpoints.c.fallback)
        .select_from(outbox.WITH_ENDPOINTS)
        .where(
            outbox.forsaken(now),
            # The third try may be in flight and succeed.
            or_(outbox.FREE, outbox.waits_since() <= now - outbox.FALLBACK_AFTER),
        )
        .order_by(deliveries.c.created_at)
        .limit(MOST_FALLBACKS)
        .with_for_update(skip_locked=True, of=deliveries)
    ).all()
    copies = [outbox.copy_for(row, row.fallback, now, wall) for row in rows if row.fallback != row.endpoint]
    insert_missing(connection, deliveries, copies)
    if rows:
        done = update(deliveries).where(deliveries.c.id.in_([row.id for row in rows])).values(fell_back=True)
        connection.execute(done)
    return len(copies)
