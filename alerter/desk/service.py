"""The incident service: everything that happens to incidents in one transaction, by signals, time or people.

Each yields a transition of the incident, which `announce` takes through its stages. The caller commits.
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
        self.published = self._announcer.published
        """The changes that were published, with the incident's severity."""
        self.decisions = self._announcer.decisions
        """How many changes people were told of, or not, by reason."""
        self.signals = Signals(self._announcer)
        self.timers = Timers(self._announcer)
        self.people = People(self._announcer)
