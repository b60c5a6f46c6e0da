"""Deletes before its time what a person wants deleted (`firebreak purge`), of one brand or all, and counts it first.

It runs beside the services in a process of its own: in small transactions with a pause in between, and with retries
while the database is busy.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self, TypeVar

from sqlalchemy import ColumnElement, Connection, Engine, and_, delete, exists, func, make_url, or_, select, update
from sqlalchemy.exc import OperationalError

from alerter.states import ClockState, DeliveryState
from alerter.store import audit, migrate
from alerter.store.database import DatabaseAway, default_url, engine_of, fold
from alerter.store.tables import answer_clocks, attempts, deliveries, incidents, tickets
from alerter.timekeeper.retention import drop_deliveries, drop_incidents, ended_before, hanging_on
from services.base.errors import ConfigError
from services.base.settings import Settings

T = TypeVar("T")

MOST_CLOCKS: Final = 500
"""Most clocks deleted in one transaction."""
PAUSE_SECONDS: Final = 0.05
"""The pause between two transactions: SQLite allows one writer at a time, and the services go first."""
MOST_TRIES: Final = 10


class Purged(NamedTuple):
    incidents: int
    answer_clocks: int


class Purge:
    """Raises `ConfigError` if there is no database of this version, and `DatabaseAway` if it does not answer."""

    def __init__(self, settings: Settings, before: datetime, brand: str | None = None) -> None:
        url = settings.database or default_url(settings.data)
        path = make_url(url).database
        if make_url(url).get_backend_name() == "sqlite" and not (path and Path(path).exists()):
            raise ConfigError(f"there is no database at {path}: set FIREBREAK_DATABASE or FIREBREAK_DATA")
        self._engine: Engine = engine_of(url)
        self._before = before
        self._brand = brand
        waits = exists().where(deliveries.c.incident == incidents.c.id, deliveries.c.state == DeliveryState.PENDING)
        self._incidents = and_(ended_before(before), ~waits, *self._of(incidents.c.brand))
        over = answer_clocks.c.state != ClockState.RUNNING
        old = and_(answer_clocks.c.noted_at < before, *self._of(answer_clocks.c.brand))
        self._clocks = and_(old, over)
        links = or_(answer_clocks.c.permalink.is_not(None), answer_clocks.c.reply_link.is_not(None))
        self._links = and_(old, ~over, links)
        sent = and_(deliveries.c.state != DeliveryState.PENDING, deliveries.c.created_at < before)
        self._digests = and_(sent, deliveries.c.id.in_(select(answer_clocks.c.digest).where(old)))

    def _of(self, column: ColumnElement[str]) -> list[ColumnElement[bool]]:
        return [] if self._brand is None else [column == self._brand]

    def __enter__(self) -> Self:
        try:
            self._patiently(migrate.check)
        except BaseException:
            self._engine.dispose()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._engine.dispose()

    def rows(self) -> dict[str, int]:
        """Returns how many rows of each table would be deleted."""
        return self._patiently(self._rows)

    def _rows(self, connection: Connection) -> dict[str, int]:
        gone = select(incidents.c.id).where(self._incidents)
        sent = select(deliveries.c.id).where(deliveries.c.incident.in_(gone))
        queries = {"incidents": select(func.count()).select_from(incidents).where(self._incidents)}
        for table, column in hanging_on(incidents):
            if table.name != "stories":  # stays, without its incident
                queries[table.name] = select(func.count()).select_from(table).where(table.c[column].in_(gone))
        queries["tickets"] = select(func.count()).select_from(tickets).where(tickets.c.incident.in_(gone))
        told = or_(deliveries.c.incident.in_(gone), self._digests)
        queries["deliveries"] = select(func.count()).select_from(deliveries).where(told)
        about = or_(
            attempts.c.delivery.in_(sent), attempts.c.delivery.in_(select(deliveries.c.id).where(self._digests))
        )
        queries["attempts"] = select(func.count()).select_from(attempts).where(about)
        queries["answer_clocks"] = select(func.count()).select_from(answer_clocks).where(self._clocks)
        queries["links of running answer clocks"] = select(func.count()).select_from(answer_clocks).where(self._links)
        return {name: connection.scalar(query) or 0 for name, query in queries.items()}

    def run(self, who: str, rows: Mapping[str, int]) -> Purged:
        """Delete them. The audit log first records who does it, and what is to be deleted (`rows`)."""
        detail = {"before": self._before.date().isoformat(), "rows": {name: n for name, n in rows.items() if n}}
        on = self._brand or "all brands"
        self._patiently(
            lambda c: audit.record(c, datetime.now(UTC), f"cli:{who}", "incidents.purged", on, self._brand, detail)
        )
        dropped = self._all(lambda c: drop_incidents(c, self._incidents))
        self._all(self._drop_digests)
        self._all(self._drop_links)
        done = Purged(dropped, self._all(self._drop_clocks))
        fold(self._engine)
        return done

    def _drop_digests(self, connection: Connection) -> int:
        old = list(connection.scalars(select(deliveries.c.id).where(self._digests).limit(MOST_CLOCKS)))
        drop_deliveries(connection, old)
        return len(old)

    def _drop_links(self, connection: Connection) -> int:
        """A clock that still runs goes on without a link: on most networks it names the author."""
        old = list(connection.scalars(select(answer_clocks.c.id).where(self._links).limit(MOST_CLOCKS)))
        bare = {"permalink": None, "reply_link": None, "text": None, "handle": None}
        connection.execute(update(answer_clocks).where(answer_clocks.c.id.in_(old)).values(**bare))
        return len(old)

    def _drop_clocks(self, connection: Connection) -> int:
        old = list(connection.scalars(select(answer_clocks.c.id).where(self._clocks).limit(MOST_CLOCKS)))
        connection.execute(delete(answer_clocks).where(answer_clocks.c.id.in_(old)))
        return len(old)

    def _all(self, some: Callable[[Connection], int]) -> int:
        total = 0
        while gone := self._patiently(some):
            total += gone
            time.sleep(PAUSE_SECONDS)
        return total

    def _patiently(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction, again and again while the database is busy."""
        for left in reversed(range(MOST_TRIES)):
            try:
                with self._engine.begin() as connection:
                    return work(connection)
            except OperationalError as error:
                if not left:
                    raise DatabaseAway(str(error.orig)) from None
                time.sleep(PAUSE_SECONDS)
        raise AssertionError("the last try returns or raises")
