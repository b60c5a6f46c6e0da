"""Everything that happens to incidents, for one transaction: signals, time and people come in here.

Each yields a transition of the incident; `announce` takes that through its stages. Nothing is committed here.
"""

from __future__ import annotations

from sqlalchemy import Connection

from alerter.desk.announce import Announcer
from alerter.desk.context import Context
from alerter.desk.people import People
from alerter.desk.signals import Signals
from alerter.desk.timers import Timers


class IncidentService:
    def __init__(self, connection: Connection, context: Context) -> None:
        self.connection = connection
        """The transaction, for what must be written together with an action."""
        self._announcer = Announcer(connection, context)
        self.store = self._announcer.store
        self.told = self._announcer.told
        """The changes that were published, with the incident's severity."""
        self.decisions = self._announcer.decisions
        """How often people were told, or were not, and why."""
        self.signals = Signals(self._announcer)
        self.timers = Timers(self._announcer)
        self.people = People(self._announcer)
