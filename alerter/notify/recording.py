"""Records how attempts ended, many in one transaction, with all that follows for the deliveries and their endpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, bindparam, func, select, update

from alerter.notify import alertmanager_resend, retries
from alerter.notify.attempt import Result
from alerter.notify.claims import Claimed
from alerter.notify.endpoint_health import follow
from alerter.notify.health import Turn
from alerter.notify.listener import DeliveryListener
from alerter.notify.tickets import rows as ticket_rows
from alerter.states import AttemptOutcome, DeliveryState
from alerter.store.tables import attempts, deliveries


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


_SUCCESS: Final = AttemptOutcome.DELIVERED

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
        reference=func.coalesce(bindparam("called", type_=deliveries.c.reference.type), deliveries.c.reference),
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
    arrived: list[str] = []
    for claimed, result in ended:
        row = known.get(claimed.message.delivery)
        if row is None:
            continue
        state = DeliveryState(row.state)
        # Cancelled meanwhile, or taken from us as from the dead: then only the attempt is recorded, and an arrival.
        ours = row.attempts == claimed.number or result.outcome is _SUCCESS
        if state is DeliveryState.PENDING and ours:
            state, due = _decide(claimed, result, now, rng)
            finished = None if state is DeliveryState.PENDING else now
            moves.append(
                {
                    "which": row.id,
                    "to": state,
                    "came": result.outcome,
                    "due": due or row.next_attempt_at,
                    "finished": finished,
                    "called": result.reference,
                }
            )
        if state is DeliveryState.DELIVERED:
            arrived.append(row.id)
        elif listener.failing(connection, row.id, claimed.tries, state is not DeliveryState.PENDING, now):
            done.page_failed = True
        done.page_failed |= result.outcome is AttemptOutcome.GONE
        done.deliveries[row.id] = Recorded(state, row.created_wall, row.type)
    if moves:
        connection.execute(_MOVE, moves)
    listener.arrived(connection, arrived)
    alertmanager_resend.note(
        connection, [claimed.message for claimed, result in ended if result.outcome is _SUCCESS], wall
    )
    ticket_rows.note(connection, [(claimed.message, result) for claimed, result in ended], now)
    done.turns, unreached = follow(
        connection, [(one.message.endpoint, result) for one, result in ended], now, wall, listener
    )
    done.page_failed |= unreached
    return done


def _query_of(ids: Sequence[str]) -> Any:
    columns = deliveries.c["id", "state", "created_wall", "type", "attempts", "next_attempt_at"]
    return select(*columns).where(deliveries.c.id.in_(ids)).order_by(deliveries.c.id).with_for_update()


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
