"""Pages as rows: deliveries of a policy's steps that must arrive, or else the next method, person or step is tried.

A page fails if its delivery failed three times, was given up, waits for an endpoint that only fails or for its hours, or
did not arrive within a minute. Where another delivery to the same endpoint stands for it, the page arrives with that one.
Other deliveries (to subscribers, or of news to people who were told before) have no row here: when they fail, no policy
moves. The functions run inside the caller's transaction; `arrived`, `failing`, `superseded`, `put_off`, `endpoint_failing`
and `endpoint_gone` make this module a `DeliveryListener`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, cast

from sqlalchemy import Connection, Select, and_, bindparam, func, insert, or_, select, update

from alerter.escalation import policy, rings
from alerter.notify.health import TRIP_FAILURES
from alerter.states import DeliveryState, PageState
from alerter.store import later
from alerter.store.tables import deliveries, endpoints, pages, steps

ARRIVES_WITHIN: Final = timedelta(seconds=60)
MOST_FAILURES: Final = 3
IN_FLIGHT: Final = timedelta(seconds=15)
"""Real time that an attempt is given in any case: on a fast clock its minute may be over before it could arrive."""
LOOK_AGAIN: Final = timedelta(seconds=10)
_ONLY_FAILS: Final = "the endpoint keeps failing and is only probed for now"


@dataclass(frozen=True, slots=True)
class Page:
    """One message of step `number` (or `policy.HAND_OVER`) to one target, sent to `endpoint`. `rest` are the methods not tried
    yet, and `responder` is the person behind the target, if it is one."""

    incident: str
    number: int
    target: str
    who: str
    endpoint: str
    delivery: str
    rest: tuple[str, ...]
    fallback: bool
    responder: str | None = None

    @property
    def is_hand_over(self) -> bool:
        return self.number == policy.HAND_OVER


_ADD: Final = insert(pages)
_NEXT: Final = select(func.min(pages.c.check_at)).where(pages.c.state == PageState.SENT)
_FAILING: Final = select(endpoints.c.name).where(
    endpoints.c.failures >= TRIP_FAILURES,
    endpoints.c.paused_until > bindparam("now", type_=endpoints.c.paused_until.type),
)


def add(connection: Connection, made: Sequence[Page], now: datetime, wall: datetime, failing: Collection[str]) -> None:
    """Record pages that must arrive. A page to an endpoint in `failing` is sent too, but is due at once."""
    rows = [
        {
            "incident": page.incident,
            "number": page.number,
            "target": page.target,
            "who": page.who,
            "endpoint": page.endpoint,
            "delivery": page.delivery,
            "rest": json.dumps(page.rest),
            "fallback": page.fallback,
            "state": PageState.SENT,
            "paged_at": now,
            "paged_wall": wall,
            "check_at": now if page.endpoint in failing else now + ARRIVES_WITHIN,
            "failed": _ONLY_FAILS if page.endpoint in failing else None,
            "responder": page.responder,
        }
        for page in made
    ]
    later.do(connection, _ADD, rows)


def void(connection: Connection, incident: str) -> None:
    """Stop waiting for all pages of an incident, and tell nobody what was to follow them."""
    rings.stop(connection, incident)
    connection.execute(
        update(pages).where(pages.c.incident == incident, pages.c.state == PageState.SENT).values(state=PageState.VOID)
    )


_ARRIVED: Final = (
    update(pages)
    .where(pages.c.delivery == bindparam("which"), pages.c.state == PageState.SENT)
    .values(state=PageState.ARRIVED)
)

_INHERIT: Final = update(pages).where(pages.c.delivery == bindparam("which")).values(delivery=bindparam("heir"))


def arrived(connection: Connection, ids: Sequence[str]) -> None:
    """Note that these deliveries reached their endpoints."""
    if ids:
        connection.execute(_ARRIVED, [{"which": one} for one in ids])


def failing(connection: Connection, delivery: str, tries: int, ended: bool, now: datetime) -> bool:
    """Note that a delivery failed `tries` times, or was given up (`ended`). Returns True if a page is due by that."""
    if not ended and tries < MOST_FAILURES:
        return False
    hurried = (
        update(pages)
        .where(pages.c.delivery == delivery, pages.c.state == PageState.SENT)
        .values(check_at=now, failed=f"{tries} failed attempts" if not ended else "the delivery was given up")
    )
    return bool(connection.execute(hurried).rowcount)


def superseded(connection: Connection, heirs: Mapping[str, str]) -> None:
    """Let pages wait for the deliveries that stand for their own, for as long as they had."""
    if heirs:
        connection.execute(_INHERIT, [{"which": old, "heir": heir} for old, heir in sorted(heirs.items())])


def put_off(connection: Connection, ids: Sequence[str], now: datetime) -> bool:
    """Make the pages due whose endpoint may not be sent anything now. Returns True if there are any."""
    which = (pages.c.delivery.in_(list(ids)), pages.c.state == PageState.SENT)
    hurried = update(pages).where(*which).values(check_at=now, failed="it is outside the hours of the endpoint")
    return bool(connection.execute(hurried).rowcount)


def failing_endpoints(connection: Connection, now: datetime) -> frozenset[str]:
    """Returns the endpoints that are paused because they only fail."""
    return frozenset(connection.scalars(_FAILING, {"now": now}))


def endpoint_failing(connection: Connection, endpoint: str, now: datetime) -> bool:
    """Make the pages due that wait for an endpoint that only fails. Returns True if there are any."""
    waiting = select(deliveries.c.id).where(
        deliveries.c.endpoint == endpoint,
        deliveries.c.state == DeliveryState.PENDING,
        deliveries.c.lease_ends_wall.is_(None),
    )
    hurried = (
        update(pages)
        .where(pages.c.state == PageState.SENT, pages.c.failed.is_(None), pages.c.delivery.in_(waiting))
        .values(check_at=now, failed=_ONLY_FAILS)
    )
    return bool(connection.execute(hurried).rowcount)


def endpoint_gone(connection: Connection, endpoint: str, now: datetime) -> None:
    """Make the pages due that were sent to an endpoint that is disabled or deleted now."""
    connection.execute(
        update(pages)
        .where(pages.c.endpoint == endpoint, pages.c.state == PageState.SENT)
        .values(check_at=now, failed="the endpoint was disabled or deleted")
    )


def due(connection: Connection, now: datetime, most: int) -> list[tuple[str, int]]:
    """Returns incident and id of the pages that are due: their minute is over, or their delivery failed."""
    rows = connection.execute(
        select(pages.c.incident, pages.c.id)
        .where(pages.c.state == PageState.SENT, pages.c.check_at <= now)
        .order_by(pages.c.check_at, pages.c.id)
        .limit(most)
    )
    return [(row.incident, row.id) for row in rows]


def next_due(connection: Connection) -> datetime | None:
    return cast("datetime | None", connection.scalar(_NEXT))


def take(connection: Connection, page: int, now: datetime, wall: datetime) -> tuple[Page, str] | None:
    """Take a page that is due. Returns it with the reason why it failed, for the caller to follow up.

    Returns `None` if it arrived after all, may still arrive, or somebody else took it.
    """
    row = connection.execute(
        select(pages, deliveries.c.state.label("delivered"), deliveries.c.outcome)
        .outerjoin(deliveries, deliveries.c.id == pages.c.delivery)
        .where(pages.c.id == page)
        .with_for_update(of=pages)
    ).one_or_none()
    if row is None or row.state != PageState.SENT or row.check_at > now:
        return None
    if row.delivered == DeliveryState.DELIVERED:
        _move(connection, page, {"state": PageState.ARRIVED})
        return None
    untried = row.delivered == DeliveryState.PENDING and row.outcome is None
    if row.failed is None and untried and wall - row.paged_wall < IN_FLIGHT:
        _move(connection, page, {"check_at": now + LOOK_AGAIN})
        return None
    if not _move(connection, page, {"state": PageState.FAILED}):
        return None
    why = row.failed or f"it did not arrive within {ARRIVES_WITHIN.total_seconds():.0f} s"
    rest = tuple(json.loads(row.rest))
    to = (row.incident, row.number, row.target, row.who, row.endpoint, row.delivery)
    return Page(*to, rest, bool(row.fallback), row.responder), why


def _move(connection: Connection, page: int, values: dict[str, Any]) -> bool:
    query = update(pages).where(pages.c.id == page, pages.c.state == PageState.SENT).values(**values)
    return bool(connection.execute(query).rowcount)


def targets(connection: Connection, incident: str) -> list[tuple[str, int, bool]]:
    """Returns whom an incident paged: each target once, with the last step that paged it, and whether as the fallback."""
    query = select(pages.c.target, func.max(pages.c.number).label("number"), pages.c.fallback)
    rows = connection.execute(query.where(pages.c.incident == incident).group_by(pages.c.target, pages.c.fallback))
    return sorted((row.target, row.number, bool(row.fallback)) for row in rows)


def is_one_of_several(connection: Connection, page: int) -> bool:
    """Returns True if the same person was sent another message at the same time, which arrived or still may."""
    one, other = pages.alias(), pages.alias()
    same = [one.c[name] == other.c[name] for name in ("incident", "number", "paged_at")]
    # One person may be behind several targets.
    by_name = and_(*(one.c[name] == other.c[name] for name in ("target", "who")))
    alive = (one.c.id == page, other.c.id != page, other.c.state.in_((PageState.SENT, PageState.ARRIVED)))
    query = select(other.c.id).where(*same, *alive, or_(one.c.responder == other.c.responder, by_name))
    return connection.scalar(query.limit(1)) is not None


def was_paged(connection: Connection, incident: str, number: int, responder: str | None) -> bool:
    """Returns True if the person was paged for the incident, by whatever target, since step `number` was last done."""
    query = _since_step(incident, number).where(pages.c.responder == responder)
    return connection.scalar(query.limit(1)) is not None


def of_step(connection: Connection, incident: str, number: int, fallback: bool) -> bool:
    """Returns True if step `number` has paged anybody since it was last done, by its targets or (`fallback`) by the
    fallback. What it did in an earlier round, before somebody had the incident, does not count."""
    query = _since_step(incident, number).where(pages.c.number == number, pages.c.fallback == fallback)
    return connection.scalar(query.limit(1)) is not None


def reaches(connection: Connection, incident: str, number: int, since: datetime) -> bool:
    """Returns True if a page of this number that was made `since` then has arrived, or still may."""
    alive = pages.c.state.in_((PageState.SENT, PageState.ARRIVED))
    here = (pages.c.incident == incident, pages.c.number == number, pages.c.paged_at >= since)
    return connection.scalar(select(pages.c.id).where(*here, alive).limit(1)) is not None


def _since_step(incident: str, number: int) -> Select[tuple[int]]:
    done = select(steps.c.done_at).where(steps.c.incident == incident, steps.c.number == number).scalar_subquery()
    return select(pages.c.id).where(pages.c.incident == incident, or_(done.is_(None), pages.c.paged_at >= done))
