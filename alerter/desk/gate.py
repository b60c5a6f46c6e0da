"""Decides whether people may be told of an incident now: asks silences, quiet hours and the page budget."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from alerter.incidents.record import IncidentRecord
from alerter.incidents.store import IncidentStore
from alerter.incidents.suppression import BUDGET_OVER
from alerter.rules.severity import WORST
from alerter.silences import matching, store
from alerter.silences.matching import Silence
from services.config.model import Config
from services.contracts.base import BrandId
from services.contracts.incident import Held


class Gate:
    def __init__(self, connection: Connection, store: IncidentStore, config: Config, now: datetime) -> None:
        self._connection = connection
        self._store = store
        self._config = config
        self._now = now
        self._silences: list[Silence] | None = None

    def held(self, record: IncidentRecord) -> Held | None:
        """Returns why a silence, a mute or quiet hours hold the incident back now, or `None` if none does."""
        if self._silences is None:  # read once a transaction, because a storm opens hundreds of incidents in one
            self._silences = store.in_force(self._connection, self._now)
        return matching.held(record, self._silences, self._config.quiet_hours, self._now)

    def budget(self, brand: BrandId) -> int | None:
        configured = self._config.brand(brand)
        return configured.pages_per_hour if configured is not None else None

    def may_insist(self, record: IncidentRecord) -> bool:
        """Returns True if a policy that is used up may be repeated now, by the rule of the brand's page budget.

        Repetitions of an hour count like incidents. Severity 1 is always repeated.
        """
        incident = record.incident
        budget = self.budget(incident.brand)
        if budget is None or incident.severity == WORST:
            return True
        since = self._now - BUDGET_OVER
        return (
            self._store.told_since(incident.brand, since) + self._store.insisted_since(incident.brand, since) < budget
        )

    def overflows(self, record: IncidentRecord) -> int | None:
        """Returns the brand's page budget if the incident would go beyond it, or else `None`.

        Severity 1, a storm, a page by hand, and an incident that people were told of before never go beyond it.
        """
        incident = record.incident
        budget = self.budget(incident.brand)
        if budget is None or record.told_at is not None or record.storm or record.asked is not None:
            return None
        if incident.severity == WORST:
            return None
        told = self._store.told_since(incident.brand, self._now - BUDGET_OVER)
        return budget if told >= budget else None
