"""Tells the owner of an account which answers are overdue: one digest an hour at most, never a page.

The first overdue answer is told at once, those that follow within the hour together. The transaction that enqueues a
digest also marks the posts that it names, so that a crash neither tells anything twice nor forgets it. All functions
run inside the caller's transaction.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, cast

from sqlalchemy import ColumnElement, Connection, func, select, update

from alerter.answers.answer_clocks import clock_ids, overdue_at
from alerter.notify import endpoints, methods, outbox
from alerter.notify.formats.native import MAX_BODY_BYTES
from alerter.notify.outbox import Cause, forget_answers
from alerter.notify.outlet import PAGING
from alerter.oncall import rosters
from alerter.oncall.responders import Directory, Nobody
from alerter.states import ClockState
from alerter.store.database import insert_missing
from alerter.store.tables import answer_clocks as clocks
from alerter.store.tables import answer_digests as digests
from alerter.store.tables import deliveries
from alerter.store.tables import endpoints as endpoint_rows
from services.base.clock import moment
from services.config.model import Config
from services.contracts.base import AccountId, BrandId
from services.contracts.post import SourcePolicy
from services.contracts.signal import PostRedacted

APART: Final = timedelta(hours=1)
NAMED: Final = 25
"""How many posts a digest lists, the longest overdue first; the others are only counted."""
TYPE: Final = "answer.due"
_A_MOMENT: Final = timedelta(seconds=1)
_NEVER: Final = moment(0)


class Due(NamedTuple):
    """An account with overdue answers that nobody was told of."""

    brand: BrandId
    account: AccountId | None


class Sent(NamedTuple):
    """A digest, and why it went where it did. `delivery` is `None` if there was nobody to send it to."""

    due: Due
    overdue: int
    delivery: str | None
    because: str


_NEXT: Final = select(func.min(clocks.c.tell_at)).where(clocks.c.state == ClockState.RUNNING)


def due(connection: Connection, now: datetime, most: int) -> list[Due]:
    query = (
        select(clocks.c.brand, clocks.c.account)
        .where(clocks.c.state == ClockState.RUNNING, clocks.c.tell_at <= now)
        .group_by(clocks.c.brand, clocks.c.account)
        .limit(most)
    )
    return [Due(BrandId(row.brand), row.account) for row in connection.execute(query)]


def next_due(connection: Connection) -> datetime | None:
    return cast("datetime | None", connection.scalar(_NEXT))


def send(connection: Connection, config: Config, now: datetime, wall: datetime, account: Due) -> Sent | None:
    """Send the account's owner a digest. Returns `None` if nothing is overdue, or the last digest was too recent."""
    key = (digests.c.brand == account.brand, digests.c.account == (account.account or ""))
    first = {"brand": account.brand, "account": account.account or "", "number": 0, "next_at": _NEVER}
    insert_missing(connection, digests, [first])
    last = connection.execute(select(digests).where(*key).with_for_update()).one()
    untold = (*_of(account), clocks.c.state == ClockState.RUNNING, clocks.c.tell_at <= now)
    if last.next_at > now:
        connection.execute(update(clocks).where(*untold).values(tell_at=last.next_at))
        return None
    rows = connection.execute(select(clocks).where(*untold).order_by(clocks.c.due_at, clocks.c.post_id)).all()
    if not rows:
        return None
    total = connection.scalar(select(func.count()).select_from(clocks).where(*_of(account), overdue_at(now))) or 0
    endpoint, because = _where_to(connection, config, account, now)
    if endpoint is None:
        # An owner who is found later is told then; until then it is in the list of the console and in the metric.
        connection.execute(update(clocks).where(*untold).values(tell_at=now + APART))
        return Sent(account, len(rows), None, because)
    number = last.number + 1
    cause = Cause(TYPE, None, (TYPE, account.brand, account.account or "", number))
    body = render(account, rows, total, because, now)
    outbox.enqueue(connection, cause, body, [endpoint], now, wall)
    delivery = outbox.delivery_id(cause, endpoint)
    connection.execute(update(clocks).where(*untold).values(tell_at=None, told_at=now, digest=delivery))
    connection.execute(update(digests).where(*key).values(number=number, next_at=now + APART))
    return Sent(account, len(rows), delivery, because)


def _of(account: Due) -> tuple[ColumnElement[bool], ...]:
    mine = clocks.c.account.is_(None) if account.account is None else clocks.c.account == account.account
    return clocks.c.brand == account.brand, mine


def _where_to(connection: Connection, config: Config, account: Due, now: datetime) -> tuple[str | None, str]:
    """Returns the endpoint for the digest, or `None`, and the reason."""
    roster = rosters.between(connection, now, now + _A_MOMENT, now) if config.schedules else None
    directory = Directory(config, roster=roster, states=methods.states(connection, config))
    owner = directory.owner_of(account.account, now)
    if isinstance(owner, Nobody):
        return None, owner.because
    names = (owner.digest, *owner.methods)
    usable = set(endpoints.chosen(connection, names, account.brand)) - _pagers(connection, names)
    chosen = next((name for name in names if name in usable), None)
    if chosen is None:
        return None, f"{owner.who} has no endpoint that takes messages without paging"
    return chosen, f"{owner.who} answers for {account.account}"


def _pagers(connection: Connection, names: Sequence[str]) -> set[str]:
    query = select(endpoint_rows.c.name).where(endpoint_rows.c.name.in_(names), endpoint_rows.c.kind.in_(PAGING))
    return set(connection.scalars(query))


def render(account: Due, rows: Sequence[Any], total: int, because: str, now: datetime) -> bytes:
    """Returns the body of an `answer.due` message, always below 20 kB."""
    items = [_item(row, now) for row in rows[:NAMED]]
    data = {
        "brand": account.brand,
        "account": account.account,
        "owner": f"{account.brand}:{account.account or 'no account'}",
        "links": _first_links(rows[0]),
        "title": f"{total} answers are overdue" if total != 1 else "1 answer is overdue",
        "because": because,
        "overdue": total,
        "new": len(rows),
        "items": items,
    }
    message = {"type": TYPE, "timestamp": now.isoformat(), "data": data}
    while len(body := _bytes(message)) >= MAX_BODY_BYTES and items:
        items.pop()
    return body


def _first_links(row: Any) -> dict[str, str]:
    """Returns the links of the post that has waited longest, for outlets that show no list."""
    found = {"post": row.permalink, "reply": row.reply_link}
    return {name: link for name, link in found.items() if link is not None}


def _item(row: Any, now: datetime) -> dict[str, Any]:
    shown = {
        "network": row.network,
        "post_id": row.post_id,
        "kind": row.kind,
        "followers": row.followers,
        "asked_at": row.asked_at.isoformat(),
        "due_at": row.due_at.isoformat(),
        "overdue_minutes": int((now - row.due_at).total_seconds() // 60),
        "permalink": row.permalink,
        "reply_link": row.reply_link,
    }
    if row.policy == SourcePolicy.INTERNAL:
        # Not even its id may leave the house; the person who answers finds it in the console's list.
        shown |= {"post_id": None}
    return {name: value for name, value in shown.items() if value is not None}


def _bytes(message: dict[str, Any]) -> bytes:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def redact(connection: Connection, signal: PostRedacted, config: Config) -> None:
    """Take a deleted post out of the digests that named it, as they may still be sent."""
    gone = (signal.network, signal.post_id)
    named = select(clocks.c.digest).where(clocks.c.id.in_(clock_ids(signal, config)))
    rows = connection.execute(select(*deliveries.c["id", "body"]).where(deliveries.c.id.in_(named))).all()
    for row in rows:
        message = json.loads(row.body)
        items = [item for item in message["data"]["items"] if (item["network"], item.get("post_id")) != gone]
        message["data"] |= {"items": items, "links": {}}
        connection.execute(update(deliveries).where(deliveries.c.id == row.id).values(body=_bytes(message)))
        forget_answers(connection, [row.id])
