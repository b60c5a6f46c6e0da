"""Attempts as rows, many in one transaction.

`claim` leases due deliveries and records their attempts as begun. `record_attempts` records how attempts ended, with
all that follows for the deliveries and their endpoints.

Leases and rates are in real time, because requests and receivers are real whatever a drill's clock says.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, bindparam, func, insert, select, update

from alerter.notify import alertmanager_resend, outbox, retries
from alerter.notify.attempt import Result
from alerter.notify.endpoint_health import follow, health_of
from alerter.notify.endpoints import keys_of_many
from alerter.notify.health import Turn, after_sending, sends_allowed
from alerter.notify.kinds import TRAITS
from alerter.notify.listener import DeliveryListener
from alerter.notify.outlet import Keys, Kind, OutboundMessage
from alerter.states import AttemptOutcome, DeliveryState, EndpointState
from alerter.store.tables import attempts, deliveries, endpoints

LEASE: Final = timedelta(seconds=30)
"""Twice the timeout of an attempt: a process that still holds it then is dead."""
USUAL_PLACES: Final = 16
"""Attempts in flight to one endpoint, unless it is set up with another number."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """An attempt that is recorded as begun."""

    message: OutboundMessage
    number: int
    tries: int
    swept: bool
    """Whether the attempt before this one has no recorded end: it may have arrived or not."""


@dataclass(slots=True)
class Claims:
    claimed: list[Claimed] = field(default_factory=list)
    wait_seconds: float | None = None
    """Real seconds until more may be sent, if a rate limit held deliveries back."""


class Ended(NamedTuple):
    claimed: Claimed
    result: Result


@dataclass(frozen=True, slots=True)
class Recorded:
    state: DeliveryState
    created_wall: datetime
    type: str


@dataclass(slots=True)
class Recording:
    deliveries: dict[str, Recorded] = field(default_factory=dict)
    turns: list[tuple[str, Turn]] = field(default_factory=list)
    """Endpoints that began to fail, recovered, or were disabled."""
    page_failed: bool = False
    """Whether a page failed, so that the engine has something to do."""


# Claiming


def claim(
    connection: Connection, owner: str, now: datetime, wall: datetime, room: int, busy: Mapping[str, int]
) -> Claims:
    """Lease up to `room` due deliveries, the oldest first, and begin their attempts.

    `busy` counts the attempts in flight to each endpoint; none gets more at once than it takes.
    """
    claims = Claims()
    given: Counter[str] = Counter()
    rows: list[Any] = []
    # Full endpoints are left out from the start, or else their waiting deliveries would be read again and again.
    places = _places(connection, list(busy), wall, busy, claims) if busy else {}
    full = {name for name, more in places.items() if more <= 0}
    while len(rows) < room:
        found = _due(connection, now, wall, room - len(rows), full, [row.id for row in rows])
        if not found:
            break
        fresh = {row.endpoint for row in found} - places.keys()
        places.update(_places(connection, fresh, wall, busy, claims))
        for row in found:
            if given[row.endpoint] >= places[row.endpoint]:
                full.add(row.endpoint)
                continue
            given[row.endpoint] += 1
            rows.append(row)
    _mark_rates(connection, given, wall)
    claims.claimed = _begin(connection, rows, owner, now, wall)
    return claims


def _due(
    connection: Connection, now: datetime, wall: datetime, most: int, full: Collection[str], taken: Collection[str]
) -> Sequence[Any]:
    query = (
        select(*deliveries.c["id", "endpoint", "incident", "sequence", "type", "attempts", "tries", "created_wall"])
        .select_from(outbox.WITH_ENDPOINTS)
        .where(
            deliveries.c.state == DeliveryState.PENDING,
            deliveries.c.next_attempt_at <= now,
            outbox.free(wall),
            outbox.ready(now),
        )
        .order_by(deliveries.c.next_attempt_at, deliveries.c.id)
        .limit(most)
        .with_for_update(skip_locked=True, of=deliveries)
    )
    if full:
        query = query.where(deliveries.c.endpoint.not_in(full))
    if taken:
        query = query.where(deliveries.c.id.not_in(taken))
    return connection.execute(query).all()


def _places(
    connection: Connection, names: Collection[str], wall: datetime, busy: Mapping[str, int], claims: Claims
) -> dict[str, int]:
    """Returns how many more attempts each endpoint takes now: any number if it is gone, as those are cancelled."""
    places = dict.fromkeys(names, MANY)
    query = select(endpoints).where(endpoints.c.name.in_(names), endpoints.c.state == EndpointState.ENABLED)
    for row in connection.execute(query):
        places[row.name] = health_of(row).places(row.concurrency or USUAL_PLACES) - busy.get(row.name, 0)
        if row.per_second:
            allowed = sends_allowed(row.next_send_wall, wall, row.per_second)
            if allowed < places[row.name]:
                places[row.name] = allowed
                claims.wait_seconds = min(claims.wait_seconds or 60.0, 1.0 / row.per_second)
    return places


MANY: Final = 1_000_000


def _mark_rates(connection: Connection, given: Mapping[str, int], wall: datetime) -> None:
    limited = select(*endpoints.c["name", "next_send_wall", "per_second"]).where(
        endpoints.c.name.in_(list(given)), endpoints.c.per_second.is_not(None)
    )
    for row in connection.execute(limited).all() if given else ():
        mark = after_sending(given[row.name], row.next_send_wall, wall, row.per_second)
        connection.execute(update(endpoints).where(endpoints.c.name == row.name).values(next_send_wall=mark))


_LEASE_ROWS: Final = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("which"))
    .values(
        attempts=bindparam("number"),
        tries=bindparam("new_tries"),
        lease_owner=bindparam("by"),
        lease_ends_wall=bindparam("ends"),
    )
)


def _begin(connection: Connection, rows: Sequence[Any], owner: str, now: datetime, wall: datetime) -> list[Claimed]:
    if not rows:
        return []
    names = {row.endpoint for row in rows}
    enabled = (endpoints.c.name.in_(names), endpoints.c.state == EndpointState.ENABLED)
    known = {row.name: row for row in connection.execute(select(endpoints).where(*enabled))}
    gone = [row.id for row in rows if row.endpoint not in known]
    if gone:
        outbox.cancel(connection, gone, now)
        rows = [row for row in rows if row.endpoint in known]
    # Only of those that are sent now: a backlog is read again and again, and bodies are most of its bytes.
    which = deliveries.c.id.in_([row.id for row in rows])
    bodies = {row.id: row.body for row in connection.execute(select(*deliveries.c["id", "body"]).where(which))}
    keys = keys_of_many(connection, known, wall)
    old = _overtaken(connection, [row for row in rows if TRAITS[Kind(known[row.endpoint].kind)].stateful])
    swept = _sweep(connection, [row.id for row in rows if row.attempts], now)
    begun = [
        {
            "delivery": row.id,
            "number": row.attempts + 1,
            "begun_at": now,
            "begun_wall": wall,
            "outcome": AttemptOutcome.BEGUN,
        }
        for row in rows
    ]
    ends = wall + LEASE
    leases = [
        {"which": row.id, "number": row.attempts + 1, "new_tries": row.tries + 1, "by": owner, "ends": ends}
        for row in rows
    ]
    if rows:
        connection.execute(insert(attempts), begun)
        connection.execute(_LEASE_ROWS, leases)
    return [
        Claimed(
            _message(row, bodies[row.id], known[row.endpoint], keys, row.id in old),
            row.attempts + 1,
            row.tries + 1,
            row.id in swept,
        )
        for row in rows
    ]


def _message(row: Any, body: bytes, endpoint: Any, keys: Mapping[str, Keys], overtaken: bool) -> OutboundMessage:
    return OutboundMessage(
        delivery=row.id,
        endpoint=row.endpoint,
        kind=Kind(endpoint.kind),
        type=row.type,
        url=endpoint.url,
        keys=keys.get(row.endpoint, Keys()),
        body=body,
        made=row.created_wall,
        options=json.loads(endpoint.options),
        overtaken=overtaken,
    )


def _overtaken(connection: Connection, rows: Sequence[Any]) -> set[str]:
    """Returns the ids of those whose receiver has got a newer message about the same incident."""
    about = {row.incident for row in rows if row.sequence is not None}
    if not about:
        return set()
    newest = select(deliveries.c.endpoint, deliveries.c.incident, func.max(deliveries.c.sequence)).where(
        deliveries.c.incident.in_(about), deliveries.c.state == DeliveryState.DELIVERED
    )
    delivered = {
        (endpoint, incident): sequence
        for endpoint, incident, sequence in connection.execute(
            newest.group_by(deliveries.c.endpoint, deliveries.c.incident)
        )
    }
    return {
        row.id
        for row in rows
        if row.sequence is not None and (delivered.get((row.endpoint, row.incident)) or 0) > row.sequence
    }


def _sweep(connection: Connection, ids: Sequence[str], now: datetime) -> set[str]:
    """Record attempts without a recorded end as unknown. Returns the ids of their deliveries."""
    if not ids:
        return set()
    which = (attempts.c.delivery.in_(ids), attempts.c.outcome == AttemptOutcome.BEGUN)
    swept = set(connection.scalars(select(attempts.c.delivery).where(*which)))
    if swept:
        connection.execute(
            update(attempts)
            .where(*which)
            .values(
                outcome=AttemptOutcome.UNKNOWN,
                ended_at=now,
                detail="its end was not recorded: the process was interrupted",
            )
        )
    return swept


# Recording

_ARRIVED: Final = AttemptOutcome.DELIVERED

_END_ATTEMPTS: Final = (
    update(attempts)
    .where(attempts.c.delivery == bindparam("which"), attempts.c.number == bindparam("place"))
    .values(
        ended_at=bindparam("at"),
        outcome=bindparam("came"),
        status=bindparam("code"),
        detail=bindparam("said"),
        seconds_micro=bindparam("took"),
    )
)
_MOVE: Final = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("which"), deliveries.c.state == DeliveryState.PENDING)
    .values(
        state=bindparam("to"),
        outcome=bindparam("came"),
        next_attempt_at=bindparam("due"),
        finished_at=bindparam("finished"),
        lease_owner=None,
        lease_ends_wall=None,
    )
)


def record_attempts(
    connection: Connection,
    ended: Sequence[Ended],
    now: datetime,
    wall: datetime,
    rng: Random,
    listener: DeliveryListener,
) -> Recording:
    """Record how attempts ended, and move their deliveries and endpoints accordingly."""
    done = Recording()
    if not ended:
        return done
    connection.execute(
        _END_ATTEMPTS,
        [
            {
                "which": claimed.message.delivery,
                "place": claimed.number,
                "at": now,
                "came": result.outcome,
                "code": result.status,
                "said": result.detail,
                "took": int(result.seconds * 1e6),
            }
            for claimed, result in ended
        ],
    )
    ids = [claimed.message.delivery for claimed, _ in ended]
    known = {row.id: row for row in connection.execute(_query_of(ids))}
    moves = []
    for claimed, result in ended:
        row = known.get(claimed.message.delivery)
        if row is None:
            continue
        state = DeliveryState(row.state)
        if state is DeliveryState.PENDING:  # or else it was cancelled meanwhile, and only the attempt is recorded
            state, due = _decide(claimed, result, now, rng)
            finished = None if state is DeliveryState.PENDING else now
            moves.append(
                {
                    "which": row.id,
                    "to": state,
                    "came": result.outcome,
                    "due": due or row.next_attempt_at,
                    "finished": finished,
                }
            )
        if state is DeliveryState.DELIVERED:
            listener.arrived(connection, row.id)
        elif listener.failing(connection, row.id, claimed.tries, state is not DeliveryState.PENDING, now):
            done.page_failed = True
        done.page_failed |= result.outcome is AttemptOutcome.GONE
        done.deliveries[row.id] = Recorded(state, row.created_wall, row.type)
    if moves:
        connection.execute(_MOVE, moves)
    alertmanager_resend.note(
        connection, [claimed.message for claimed, result in ended if result.outcome is _ARRIVED], wall
    )
    done.turns, unreached = follow(
        connection, [(one.message.endpoint, result) for one, result in ended], now, wall, listener
    )
    done.page_failed |= unreached
    return done


def _query_of(ids: Sequence[str]) -> Any:
    columns = deliveries.c["id", "state", "created_wall", "type", "next_attempt_at"]
    return select(*columns).where(deliveries.c.id.in_(ids))


def _decide(claimed: Claimed, result: Result, now: datetime, rng: Random) -> tuple[DeliveryState, datetime | None]:
    """Returns the delivery's state after this attempt, and when the next attempt is due."""
    if result.outcome is AttemptOutcome.DELIVERED:
        return DeliveryState.DELIVERED, None
    if result.outcome is AttemptOutcome.GONE:
        return DeliveryState.CANCELLED, None
    seconds = retries.wait(claimed.tries, result.retry_after, rng)
    if seconds is None:
        return DeliveryState.EXHAUSTED, None
    return DeliveryState.PENDING, now + timedelta(seconds=seconds)
