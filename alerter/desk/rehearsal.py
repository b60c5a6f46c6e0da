"""Rehearses rules on past signals: the desk that serves, over a database in memory that nobody else sees.

Steps, timers, quiet hours and page budgets take part. There are no silences, nothing is sent, and nobody acknowledges.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, create_engine, func, select, update
from sqlalchemy.pool import StaticPool

from alerter.desk.context import Context
from alerter.desk.due import KINDS, next_due
from alerter.desk.service import IncidentService
from alerter.incidents import outcomes
from alerter.incidents.outcomes import Alarm, Summary
from alerter.incidents.store import Origin, read_record
from alerter.notify import endpoints
from alerter.notify.endpoints import Draft
from alerter.states import DeliveryState, PageState
from alerter.store.tables import deliveries, incidents, metadata, pages, publications
from services.config.endpoint_names import endpoint_names
from services.config.model import Config
from services.contracts.base import Event
from services.contracts.incident import Incident

MOST_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """One incident that would have opened, and how many messages would have been sent about it."""

    incident: Incident
    alarm: Alarm
    messages: int


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a rehearsal. A message to three endpoints counts as three, as receivers would count."""

    signals: int
    incidents: tuple[Rehearsed, ...]
    messages: int
    worth: Summary


class Rehearsal:
    """One run with one configuration. Signals must be played in the order of time."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
        metadata.create_all(self._engine)
        self._signals = 0
        self._now: datetime | None = None

    def play(self, event: Event, origin: Origin, at: datetime) -> None:
        """Do what falls due up to then, then apply the signal."""
        with self._engine.begin() as connection:
            if self._now is None:
                for name in sorted({one.name for one in endpoint_names(self._config)}):
                    endpoints.add(connection, Draft(name, "https://nobody.invalid/"), at)
            self._until(connection, at)
            self._signals += 1
            self._desk(connection, at).signals.apply(event, origin)
            self._arrive(connection, at)

    def report(self, until: datetime | None = None) -> Report:
        """Returns what would have happened up to `until`, or up to the last signal. Ends the rehearsal."""
        with self._engine.begin() as connection:
            if until is not None and self._now is not None:
                self._until(connection, until)
            counts: dict[str, int] = {
                row[0]: row[1]
                for row in connection.execute(
                    select(deliveries.c.incident, func.count()).group_by(deliveries.c.incident)
                )
            }
            rows = connection.execute(select(incidents.c.dossier).order_by(incidents.c.opened_at, incidents.c.id))
            records = [read_record(row.dossier) for row in rows]
        self._engine.dispose()
        found = tuple(Rehearsed(d.incident, outcomes.alarm_of(d), counts.get(d.incident.id, 0)) for d in records)
        worth = outcomes.summarize(one.alarm for one in found)
        return Report(self._signals, found, sum(counts.values()), worth)

    def _desk(self, connection: Connection, at: datetime) -> IncidentService:
        return IncidentService(connection, Context(at, at, self._config, None))

    def _until(self, connection: Connection, until: datetime) -> None:
        """Do the steps and timers that fall due up to then, each at its own time."""
        while (due := next_due(connection)) is not None and due <= until:
            at = max(due, self._now or due)
            for kind in KINDS:
                for one in kind.due(connection, at, MOST_AT_ONCE):
                    kind.do(self._desk(connection, at).timers, one)
            self._arrive(connection, at)
        self._now = max(until, self._now or until)

    @staticmethod
    def _arrive(connection: Connection, at: datetime) -> None:
        """Let every delivery arrive at once, so that no policy goes on because of a receiver."""
        pending = deliveries.c.state == DeliveryState.PENDING
        connection.execute(update(deliveries).where(pending).values(state=DeliveryState.DELIVERED, finished_at=at))
        connection.execute(update(pages).where(pages.c.state == PageState.SENT).values(state=PageState.ARRIVED))
        connection.execute(publications.delete())
