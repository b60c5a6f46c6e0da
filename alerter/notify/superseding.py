"""Sees to it that no stale page is sent: the newest message about an incident stands for those that were not sent before.

People are told what was and what is, once, and not one after the other what has long been over. A page for what somebody has
by now, or what is over, says so in place of ringing. Native webhooks are left alone: they are data, and their receivers get
every message in its order. All of it happens when deliveries are claimed, so what is in flight goes on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, bindparam, select, update

from alerter.incidents.store import read_record
from alerter.notify import outbox
from alerter.notify.formats import late
from alerter.notify.listener import DeliveryListener
from alerter.states import DeliveryState
from alerter.store.tables import deliveries, incidents

_Place = tuple[str, str]
"""An endpoint and an incident."""


class _Known(NamedTuple):
    id: str
    sequence: int
    since: datetime
    tries: int = 0


class _Inherited(NamedTuple):
    """What a delivery takes over from those that it stands for."""

    since: datetime
    tries: int


@dataclass(slots=True)
class Settled:
    """What is to be sent in place of what was chosen."""

    ids: list[str] = field(default_factory=list)
    heirs: dict[str, str] = field(default_factory=dict)
    """What is not sent, and which delivery stands for it."""


def settle(
    connection: Connection, rows: Sequence[Any], held: Collection[str], now: datetime, listener: DeliveryListener
) -> Settled:
    """Let the newest message of each endpoint about each incident stand for those before it. `rows` are deliveries that
    were chosen to be sent to people; those in `held` are in flight. Returns the ids of those to be sent now."""
    done = Settled()
    places: dict[_Place, list[str]] = defaultdict(list)
    for row in rows:
        if row.incident is None or row.sequence is None:
            done.ids.append(row.id)
        else:
            places[row.endpoint, row.incident].append(row.id)
    if not places:
        return done
    waiting, arrived = _waiting(connection, places, held), _arrived(connection, places)
    inherited: dict[str, _Inherited] = {}
    for place, chosen in places.items():
        heir = max(waiting[place], key=lambda one: (one.sequence, one.id in chosen, one.id))
        told = arrived.get(place)
        if told is not None and told.sequence > heir.sequence:
            heir = told
        else:
            same = [one.id for one in waiting[place] if one.sequence == heir.sequence and one.id in chosen]
            done.ids += same or [heir.id]
        older = [one for one in waiting[place] if one.sequence < heir.sequence]
        done.heirs |= {one.id: heir.id for one in older}
        if older and heir is not told:
            # One failure less than what sends a message to the fallback, and a page to the next method: that many they had.
            tries = min(max(one.tries for one in older), outbox.FALLBACK_TRIES - 1)
            inherited[heir.id] = _Inherited(min(one.since for one in (*older, heir)), max(tries, heir.tries))
    if done.heirs:
        _inherit(connection, done.heirs, inherited, now)
        listener.superseded(connection, done.heirs)
        listener.arrived(connection, sorted({heir.id for heir in arrived.values()} & set(done.heirs.values())))
    _bring_up_to_date(connection, done.ids)
    return done


_COLUMNS: Final = deliveries.c["id", "endpoint", "incident", "sequence"]


def _of(places: Collection[_Place]) -> Any:
    return (
        deliveries.c.endpoint.in_(sorted({endpoint for endpoint, _ in places})),
        deliveries.c.incident.in_(sorted({incident for _, incident in places})),
        deliveries.c.sequence.is_not(None),
    )


def _waiting(
    connection: Connection, places: Collection[_Place], held: Collection[str]
) -> Mapping[_Place, list[_Known]]:
    """Returns what waits to be sent and is not in another replica's hands, the chosen ones among it."""
    query = select(*_COLUMNS, deliveries.c.tries, outbox.waits_since().label("since")).where(
        *_of(places), outbox.WAITING
    )
    found: dict[_Place, list[_Known]] = defaultdict(list)
    for row in connection.execute(query.with_for_update(skip_locked=True)):
        if row.id not in held:
            found[row.endpoint, row.incident].append(_Known(row.id, row.sequence, row.since, row.tries))
    return found


def _arrived(connection: Connection, places: Collection[_Place]) -> Mapping[_Place, _Known]:
    """Returns the newest message that each receiver has got."""
    query = select(*_COLUMNS, deliveries.c.created_at).where(
        *_of(places), deliveries.c.state == DeliveryState.DELIVERED
    )
    return {
        (row.endpoint, row.incident): _Known(row.id, row.sequence, row.created_at)
        for row in connection.execute(query.order_by(deliveries.c.sequence))
    }


_SUPERSEDE: Final = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("which"), deliveries.c.state == DeliveryState.PENDING)
    .values(
        state=DeliveryState.SUPERSEDED,
        outcome=DeliveryState.SUPERSEDED.value,
        superseded_by=bindparam("heir"),
        finished_at=bindparam("at"),
        lease_owner=None,
        lease_ends_wall=None,
    )
)
_PASS_ON: Final = (
    update(deliveries)
    .where(deliveries.c.incident == bindparam("about"), deliveries.c.superseded_by == bindparam("old"))
    .values(superseded_by=bindparam("heir"))
)
_REWRITE: Final = update(deliveries).where(deliveries.c.id == bindparam("which")).values(body=bindparam("text"))
_STAND_FOR: Final = _REWRITE.values(waits_since=bindparam("since"), tries=bindparam("tried"))


def _inherit(
    connection: Connection, heirs: Mapping[str, str], inherited: Mapping[str, _Inherited], now: datetime
) -> None:
    """End what is not sent. What stands for it says so, and goes to its fallback as soon as the oldest would have."""
    query = select(*deliveries.c["id", "incident", "body"]).where(deliveries.c.id.in_(list(heirs)))
    rows = connection.execute(query.order_by(deliveries.c.sequence, deliveries.c.id)).all()
    oldest: dict[str, bytes] = {}
    for row in rows:
        oldest.setdefault(heirs[row.id], row.body)
    # In the order of ids, so that replicas never deadlock.
    connection.execute(_SUPERSEDE, [{"which": old, "heir": heir, "at": now} for old, heir in sorted(heirs.items())])
    # What they stood for in their turn.
    connection.execute(_PASS_ON, [{"about": row.incident, "old": row.id, "heir": heirs[row.id]} for row in rows])
    bodies = connection.execute(select(*deliveries.c["id", "body"]).where(deliveries.c.id.in_(list(inherited)))).all()
    told = [
        {
            "which": row.id,
            "text": late.standing_for(row.body, late.what_it_said(oldest[row.id])),
            "since": inherited[row.id].since,
            "tried": inherited[row.id].tries,
        }
        for row in bodies
    ]
    if told:
        connection.execute(_STAND_FOR, told)


def _bring_up_to_date(connection: Connection, ids: Sequence[str]) -> None:
    """Let messages that were overtaken by what happened to their incident say how it stands now."""
    columns = (*incidents.c["state", "severity", "acknowledged_by"], deliveries.c.incident)
    query = select(*deliveries.c["id", "body"], *columns).join(incidents, incidents.c.id == deliveries.c.incident)
    rows = connection.execute(
        query.where(deliveries.c.id.in_(list(ids)), incidents.c.sequence > deliveries.c.sequence)
    ).all()
    stale = [row for row in rows if late.is_stale(row.body, row.state, row.severity, row.acknowledged_by)]
    if not stale:
        return
    records = select(*incidents.c["id", "dossier"]).where(incidents.c.id.in_({row.incident for row in stale}))
    known = {row.id: read_record(row.dossier).incident for row in connection.execute(records)}
    news = [{"which": row.id, "text": late.as_it_is(row.body, known[row.incident])} for row in stale]
    connection.execute(_REWRITE, news)
