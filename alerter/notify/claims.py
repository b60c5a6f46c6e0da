"""Claims deliveries: leases those that are due and records their attempts as begun, many in one transaction.

What waits for one endpoint costs the others nothing: each is asked for the first few of its own, and no backlog is read.
Leases and rates are in real time, because requests and receivers are real whatever a drill's clock says.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Integer, bindparam, insert, select, union_all, update

from alerter.notify import outbox, superseding
from alerter.notify.endpoint_health import health_of
from alerter.notify.endpoints import keys_of_many
from alerter.notify.health import after_sending, sends_allowed
from alerter.notify.hours import put_off
from alerter.notify.kinds import TRAITS
from alerter.notify.leases import LEASE
from alerter.notify.links import METHOD_CODE, TEST_PAGE
from alerter.notify.listener import DeliveryListener
from alerter.notify.outlet import Keys, Kind, KnownTicket, OutboundMessage
from alerter.notify.places import PlacesView
from alerter.notify.tickets import rows as ticket_rows
from alerter.states import AttemptOutcome
from alerter.store.tables import attempts, deliveries, endpoints

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


@dataclass(frozen=True, slots=True)
class Claimant:
    """The process that claims."""

    owner: str
    places: Mapping[bool, PlacesView]
    """For outlets that make requests (`True`), and for those that need a process."""
    held: Collection[str] = ()
    """The deliveries that it has in hand: none of them is claimed again, whatever the database says."""


@dataclass(slots=True)
class Claims:
    claimed: list[Claimed] = field(default_factory=list)
    ends: datetime | None = None
    """When the leases end."""
    wait_seconds: float | None = None
    """Real seconds until more may be sent, if a rate limit held deliveries back."""
    superseded: int = 0
    """How many deliveries ended because a newer one stands for them."""
    put_off: list[str] = field(default_factory=list)
    """Deliveries that wait for the hours of their endpoint from now on."""
    page_failed: bool = False
    """Whether a page failed by that, so that the engine has something to do."""


def claim(connection: Connection, by: Claimant, now: datetime, wall: datetime, listener: DeliveryListener) -> Claims:
    """Lease deliveries that are due and begin their attempts, for each endpoint no more than it has places. Of what people
    were not told of an incident, only the newest is sent."""
    claims = Claims(ends=wall + LEASE)
    due = {row.name: row for row in connection.execute(_DUE, {"now": now})}
    # Endpoints whose outlet needs a process have places of their own.
    quotas: dict[str, int] = {}
    for http, places in by.places.items():
        asking = [row for row in due.values() if TRAITS[Kind(row.kind)].http is http]
        quotas |= places.dealt(dict(_wanted(asking, wall, places, claims)))
    rows = [row for row in _taken(connection, quotas, now) if row.id not in by.held]
    rows = ticket_rows.in_turn(connection, rows, due, by.held, now)
    rows = _newest(connection, rows, due, by.held, now, listener, claims)
    rows = _not_over(connection, rows, now)
    rows = ticket_rows.one_each(rows, due)
    rows, claims.put_off, claims.page_failed = put_off(connection, rows, due, now, listener)
    _mark_rates(connection, Counter(row.endpoint for row in rows), wall)
    claims.claimed = _begin(connection, rows, due, by.owner, now, wall)
    return claims


_DUE: Final = outbox.HEADS.where(outbox.is_due(bindparam("now"))).order_by("failures", "first_due")
"""Those that do not fail first, then those that wait longest: that decides between those not served here before."""


def _wanted(rows: Sequence[Any], wall: datetime, places: PlacesView, claims: Claims) -> Iterator[tuple[str, int]]:
    """Yields how many more attempts each endpoint takes now."""
    for row in rows:
        # An attempt at a cluster is a request to each of its members.
        peers = len(json.loads(row.options).get("peers", ()))
        usual = row.concurrency or max(1, USUAL_PLACES // (1 + peers))
        most = health_of(row).places(usual) - places.in_flight(row.name)
        if row.per_second:
            allowed = sends_allowed(row.next_send_wall, wall, row.per_second)
            if allowed < most:
                most = allowed
                claims.wait_seconds = min(claims.wait_seconds or 60.0, 1.0 / row.per_second)
        if most > 0:
            yield row.name, most


PARTS: Final = 16
"""Endpoints that one statement asks for. SQLite takes up to 500."""
_COLUMNS: Final = deliveries.c[
    "id", "endpoint", "incident", "sequence", "type", "body", "attempts", "tries", "created_wall"
]


def _part(number: int) -> Any:
    return select(
        select(*_COLUMNS)
        .where(
            deliveries.c.endpoint == bindparam(f"endpoint{number}"),
            deliveries.c.next_attempt_at <= bindparam("now"),
            outbox.WAITING,
        )
        .order_by(deliveries.c.next_attempt_at)
        .limit(bindparam(f"most{number}", type_=Integer))
        .with_for_update(skip_locked=True)
        .subquery(f"part{number}")
    )


_TAKE: Final = union_all(*(_part(number) for number in range(PARTS)))
"""The first few deliveries of each of some endpoints, in one statement."""
_TAKE_ONE: Final = _part(0)


def _taken(connection: Connection, quotas: Mapping[str, int], now: datetime) -> Iterator[Any]:
    asked = sorted(quotas.items())
    for begin in range(0, len(asked), PARTS):
        some = asked[begin : begin + PARTS]
        if len(some) == 1:
            query, parts = _TAKE_ONE, 1
        else:
            query, parts = _TAKE, PARTS
        some += [("", 0)] * (parts - len(some))
        values: dict[str, Any] = {"now": now}
        for number, (endpoint, most) in enumerate(some):
            values |= {f"endpoint{number}": endpoint, f"most{number}": most}
        yield from connection.execute(query, values)


def _newest(
    connection: Connection,
    rows: Sequence[Any],
    known: Mapping[str, Any],
    held: Collection[str],
    now: datetime,
    listener: DeliveryListener,
    claims: Claims,
) -> list[Any]:
    """Returns what is sent: of messages to people about one incident only the newest, and all others."""
    data = [row for row in rows if TRAITS[Kind(known[row.endpoint].kind)].is_record]
    told = [row for row in rows if not TRAITS[Kind(known[row.endpoint].kind)].is_record]
    if not told:
        return data
    settled = superseding.settle(connection, told, held, now, listener)
    claims.superseded = len(settled.heirs)
    _sweep(connection, list(settled.heirs), now)
    # Read again, because some are others, and what they say may be new.
    query = select(*_COLUMNS).where(deliveries.c.id.in_(settled.ids)).order_by(deliveries.c.next_attempt_at)
    return data + list(connection.execute(query))


EXPIRED: Final = "expired"
"""The outcome of what was not sent, because it would have come too late."""
_ENDS: Final = {TEST_PAGE: "confirm_by", METHOD_CODE: "ends_at"}
"""Messages that nobody wants once their time is over, with what says when that is."""


def _not_over(connection: Connection, rows: Sequence[Any], now: datetime) -> list[Any]:
    """Returns what is still worth sending: no drill rings hours after its end, because an endpoint was down."""
    late = {
        row.id
        for row in rows
        if row.type in _ENDS and datetime.fromisoformat(json.loads(row.body)["data"][_ENDS[row.type]]) <= now
    }
    if late:
        _sweep(connection, sorted(late), now)
        outbox.cancel(connection, sorted(late), now, EXPIRED)
    return [row for row in rows if row.id not in late]


def _mark_rates(connection: Connection, given: Mapping[str, int], wall: datetime) -> None:
    limited = select(*endpoints.c["name", "next_send_wall", "per_second"]).where(
        endpoints.c.name.in_(list(given)), endpoints.c.per_second.is_not(None)
    )
    for row in connection.execute(limited).all() if given else ():
        mark = after_sending(given[row.name], row.next_send_wall, wall, row.per_second)
        connection.execute(update(endpoints).where(endpoints.c.name == row.name).values(next_send_wall=mark))


_BEGIN: Final = insert(attempts)
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


def _begin(
    connection: Connection,
    rows: Sequence[Any],
    known: Mapping[str, Any],
    owner: str,
    now: datetime,
    wall: datetime,
) -> list[Claimed]:
    if not rows:
        return []
    keys = keys_of_many(connection, {row.endpoint for row in rows}, wall)
    earlier = _earlier(connection, [row for row in rows if TRAITS[Kind(known[row.endpoint].kind)].changes])
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
    connection.execute(_BEGIN, begun)
    connection.execute(_LEASE_ROWS, leases)
    tickets = ticket_rows.begun(connection, rows, known, wall)
    return [
        Claimed(
            replace(
                _message(row, known[row.endpoint], keys, tickets.get(row.id)),
                earlier=earlier.get((row.endpoint, row.incident)),
            ),
            row.attempts + 1,
            row.tries + 1,
            row.id in swept,
        )
        for row in rows
    ]


def _message(row: Any, endpoint: Any, keys: Mapping[str, Keys], ticket: KnownTicket | None) -> OutboundMessage:
    return OutboundMessage(
        delivery=row.id,
        endpoint=row.endpoint,
        kind=Kind(endpoint.kind),
        type=row.type,
        url=endpoint.url,
        keys=keys.get(row.endpoint, Keys()),
        body=row.body,
        made=row.created_wall,
        options=json.loads(endpoint.options),
        ticket=ticket,
    )


def _earlier(connection: Connection, rows: Sequence[Any]) -> dict[tuple[str, str], str]:
    """Returns what receivers call the newest message that they got before about the incidents of these deliveries."""
    about = {row.incident for row in rows if row.incident is not None}
    if not about:
        return {}
    query = select(*deliveries.c["endpoint", "incident", "reference"]).where(
        deliveries.c.incident.in_(about),
        deliveries.c.endpoint.in_({row.endpoint for row in rows}),
        deliveries.c.reference.is_not(None),
    )
    found = connection.execute(query.order_by(deliveries.c.sequence, deliveries.c.finished_at))
    return {(row.endpoint, row.incident): row.reference for row in found}


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
