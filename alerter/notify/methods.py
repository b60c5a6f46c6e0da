"""What is known of people's methods, as rows: what they confirmed and what they switched off. Methods without a row are on, and
not confirmed yet. All functions run inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, and_, select, update

from alerter.notify.health import TRIP_FAILURES
from alerter.oncall.method_states import MethodStates, Proof
from alerter.states import EndpointState
from alerter.store.database import insert_missing
from alerter.store.tables import contact_methods as rows
from alerter.store.tables import endpoints
from services.config.model import Config
from services.config.rota import Responder

_IS_CONFIRMED: Final = and_(rows.c.confirmed_at.is_not(None), rows.c.endpoint_made == endpoints.c.created_at)
"""With the endpoint joined: a confirmation is of one endpoint, and not of its name."""
_OFF: Final = select(rows.c.responder, rows.c.method).where(rows.c.off_at.is_not(None))
_CONFIRMED: Final = (
    select(rows.c.responder, rows.c.method).join(endpoints, endpoints.c.name == rows.c.method).where(_IS_CONFIRMED)
)


@dataclass(frozen=True, slots=True)
class Method:
    """One method of a person. `works` says that its endpoint exists, is enabled and does not only fail."""

    name: str
    works: bool
    confirmed_at: datetime | None = None
    confirmed_how: Proof | None = None
    off_at: datetime | None = None
    off_by: str | None = None
    kind: str | None = None
    """The kind of its endpoint; `None` if there is none."""
    is_disabled: bool = False

    @property
    def is_used(self) -> bool:
        return self.works and self.off_at is None


def states(connection: Connection, config: Config) -> MethodStates:
    """Returns what pages have to know of everybody's methods."""
    off = frozenset((one.responder, one.method) for one in connection.execute(_OFF))
    if not config.only_confirmed_methods:
        return MethodStates(off)
    confirmed = frozenset((one.responder, one.method) for one in connection.execute(_CONFIRMED))
    return MethodStates(off, confirmed, only_confirmed=True)


def of_person(connection: Connection, responder: Responder, *, lock: bool = False) -> tuple[Method, ...]:
    """Returns the methods of a person in their order. With `lock` nobody else changes them until the transaction ends."""
    return of_people(connection, [responder], lock=lock)[responder.id]


def of_people(
    connection: Connection, people: Sequence[Responder], *, lock: bool = False
) -> dict[str, tuple[Method, ...]]:
    """Returns the methods of these people, by their ids."""
    columns = endpoints.c["name", "kind", "state", "failures", "created_at"]
    names = sorted({name for person in people for name in person.methods})
    query = select(*columns).where(endpoints.c.name.in_(names)).order_by(endpoints.c.name)
    there = {one.name: one for one in connection.execute(query.with_for_update() if lock else query)}
    noted = select(rows).where(rows.c.responder.in_([person.id for person in people]))
    known = {(one.responder, one.method): one for one in connection.execute(noted)}
    return {
        person.id: tuple(_method(name, there.get(name), known.get((person.id, name))) for name in person.methods)
        for person in people
    }


def _method(name: str, endpoint: Any, row: Any) -> Method:
    works = endpoint is not None and endpoint.state == EndpointState.ENABLED and endpoint.failures < TRIP_FAILURES
    is_confirmed = (
        row is not None
        and endpoint is not None
        and row.confirmed_at is not None
        and row.endpoint_made == endpoint.created_at
    )
    return Method(
        name=name,
        works=works,
        confirmed_at=row.confirmed_at if is_confirmed else None,
        confirmed_how=Proof(row.confirmed_how) if is_confirmed else None,
        off_at=row.off_at if row is not None else None,
        off_by=row.off_by if row is not None else None,
        kind=endpoint.kind if endpoint is not None else None,
        is_disabled=endpoint is not None and endpoint.state == EndpointState.DISABLED,
    )


def confirm(connection: Connection, responder: str, method: str, how: Proof, now: datetime) -> bool:
    """Note that messages by this method reach the person. Returns True if that was not known yet."""
    made = connection.scalar(select(endpoints.c.created_at).where(endpoints.c.name == method))
    if made is None:
        return False
    _add(connection, responder, method)
    of = (rows.c.responder == responder, rows.c.method == method)
    is_known = connection.scalar(select(rows.c.confirmed_at).where(*of, rows.c.endpoint_made == made)) is not None
    values = {"confirmed_at": now, "confirmed_how": how, "endpoint_made": made}
    connection.execute(update(rows).where(*of).values(**values))
    return not is_known


def forget(connection: Connection, endpoint: str) -> None:
    """Forget who confirmed this endpoint, because it leads elsewhere now. Call it where an endpoint's URL changes."""
    values = {"confirmed_at": None, "confirmed_how": None, "endpoint_made": None}
    connection.execute(update(rows).where(rows.c.method == endpoint).values(**values))


def switch(connection: Connection, responder: str, method: str, off: tuple[datetime, str] | None) -> bool:
    """Switch a method off (when, and by whom) or on again (`None`). Returns False if it was so before."""
    _add(connection, responder, method)
    was = rows.c.off_at.is_(None) if off is not None else rows.c.off_at.is_not(None)
    at, by = off or (None, None)
    query = update(rows).where(rows.c.responder == responder, rows.c.method == method, was)
    return bool(connection.execute(query.values(off_at=at, off_by=by)).rowcount)


def _add(connection: Connection, responder: str, method: str) -> None:
    insert_missing(connection, rows, [{"responder": responder, "method": method}])


def person_of(people: Sequence[Responder], method: str, name: str) -> Responder | None:
    """Returns whose method it was by which somebody who calls themselves `name` was reached: the only one who has it, or the
    one of this name. `None` if that is open."""
    own = [one for one in people if method in one.methods]
    if len(own) == 1:
        return own[0]
    plain = name.partition(" (")[0].casefold()
    called = [one for one in own if plain in (one.called.casefold(), one.id.casefold())]
    return called[0] if len(called) == 1 else None
