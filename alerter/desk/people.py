"""Applies what people do to incidents; what an action means is decided in `incidents.actions`.

Each action returns the incident after it, or `None` if there is no such incident. It raises `Refused` if the state of
the incident does not allow it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from alerter.desk.announce import Announcer
from alerter.incidents import actions
from alerter.incidents.record import IncidentRecord, Transition
from services.contracts.incident import OutcomeMark


class People:
    """People's actions, in one transaction."""

    def __init__(self, announcer: Announcer) -> None:
        self._announcer = announcer
        self._now = announcer.now

    def acknowledge(self, incident: str, by: str, comment: str, minutes: float | None = None) -> IncidentRecord | None:
        until = None if minutes is None else self._now + timedelta(minutes=minutes)
        return self._act(incident, lambda record: actions.acknowledge(record, by, comment, self._now, until))

    def snooze(self, incident: str, by: str, comment: str, minutes: float) -> IncidentRecord | None:
        until = self._now + timedelta(minutes=minutes)
        return self._act(incident, lambda record: actions.snooze(record, by, comment, self._now, until))

    def reassign(self, incident: str, by: str, to: str, comment: str) -> IncidentRecord | None:
        return self._act(incident, lambda record: actions.reassign(record, by, to, comment, self._now))

    def resolve(self, incident: str, by: str, comment: str) -> IncidentRecord | None:
        return self._act(incident, lambda record: actions.resolve(record, by, comment, self._now))

    def mark(self, incident: str, by: str, outcome: OutcomeMark, comment: str) -> IncidentRecord | None:
        return self._act(incident, lambda record: actions.mark(record, by, outcome, comment, self._now))

    def _act(self, incident: str, action: Callable[[IncidentRecord], Transition | None]) -> IncidentRecord | None:
        record = self._announcer.store.load(incident)
        if record is None:
            return None
        transition = action(record)
        return record if transition is None else self._announcer.announce(record, transition)
