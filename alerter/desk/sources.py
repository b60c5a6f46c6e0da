"""What connectors report of their networks: whether they are heard, since when not, and until when. In a transaction.

Quiet and unheard are different things. A network whose connector reports a gap, or is silent for longer than it promised, is
not heard; the stories there are unknown since then. A network that never sent a heartbeat promised nothing: stories there
end by silence, and the all-clear says that this is all that is known.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, select, update

from alerter.incidents.record import IncidentRecord
from alerter.states import ENDED
from alerter.store.database import insert_missing
from alerter.store.tables import incidents, sources
from services.contracts.post import CoverageState, SourceCoverage

SETTLES_AFTER: Final = timedelta(minutes=30)
"""After a gap: the scorer calls a story quiet after half an hour without an engagement, and before that nothing was heard."""
EVERY_BRAND: Final = ""
"""The brand of a connector that names none."""
_REPORTS: Final = select(sources)


class Unheard(NamedTuple):
    """A network was not heard from `since` to `until`, or is not heard now (`None`)."""

    network: str
    since: datetime
    until: datetime | None
    why: str

    @property
    def words(self) -> str:
        if self.until is None:
            return f"unknown since {self.since:%H:%M} UTC: {self.network} is not heard ({self.why})"
        return f"{self.network} was not heard from {self.since:%H:%M} to {self.until:%H:%M} UTC ({self.why})"


class Sources:
    """The reports, for one transaction. They are read once, because a storm changes hundreds of incidents in one."""

    def __init__(self, connection: Connection, now: datetime) -> None:
        self._connection = connection
        self._now = now
        self._rows: list[Any] | None = None

    def note(self, event: SourceCoverage) -> bool:
        """Take a report in. Returns False if it says nothing new: it is repeated, or older than what is known."""
        changed = [self._note(event, brand) for brand in event.brands or (EVERY_BRAND,)]
        return any(changed)

    def _note(self, event: SourceCoverage, brand: str) -> bool:
        key = {"network": event.network, "connector": event.connector, "brand": brand}
        insert_missing(self._connection, sources, [{**key, "reported_at": event.observed_at}])
        where = [getattr(sources.c, name) == value for name, value in key.items()]
        row = self._connection.execute(select(sources).where(*where).with_for_update()).one()
        values = _heard(row, event) if event.state is CoverageState.HEALTHY else _missed(row, event)
        if not values:
            return False
        values["reported_at"] = max(row.reported_at, event.observed_at)
        self._connection.execute(update(sources).where(*where).values(**values))
        self._rows = None
        if "gap_begins" in values:
            self._look_at_incidents(brand)
        return True

    def _look_at_incidents(self, brand: str) -> None:
        """Let every open incident say what is not heard of it: its timer fires now."""
        mine = () if brand == EVERY_BRAND else (incidents.c.brand == brand,)
        is_open = incidents.c.state.not_in(ENDED)
        self._connection.execute(update(incidents).where(is_open, *mine).values(due_at=self._now))

    def unheard(self, record: IncidentRecord) -> Unheard | None:
        """Returns the gap in what is known of the incident's story, or `None` if its networks are heard."""
        networks = networks_of(record)
        if record.storm or not networks:
            return None
        brands = (EVERY_BRAND, record.incident.brand)
        found = [
            gap
            for row in self._all()
            if row.network in networks and row.brand in brands and (gap := _gap(row, self._now)) is not None
        ]
        # What is not heard now comes before what was not, and the longest before others.
        return min(found, key=lambda gap: (gap.until is not None, gap.since, gap.network), default=None)

    def unreported(self, record: IncidentRecord) -> str | None:
        """Returns in words on which of the story's networks a dead source would be as quiet as this, because no connector
        has ever reported that it hears them; `None` if all are reported."""
        brands = (EVERY_BRAND, record.incident.brand)
        reported = {row.network for row in self._all() if row.brand in brands and row.heard_at is not None}
        silent = sorted(set(networks_of(record)) - reported)
        if record.storm or not silent:
            return None
        return f"no connector reports whether {' and '.join(silent)} is heard"

    def _all(self) -> list[Any]:
        if self._rows is None:
            self._rows = list(self._connection.execute(_REPORTS))
        return self._rows


def networks_of(record: IncidentRecord) -> Collection[str]:
    """Returns the networks on which the incident's story lives."""
    found = {conversation.partition(":")[0] for conversation in record.facets}
    found |= {card.network for card in record.cards.every()}
    return found | set(record.surge.networks if record.surge is not None else ())


def _heard(row: Any, event: SourceCoverage) -> dict[str, Any]:
    """Returns what a heartbeat changes. One that comes too late ends a gap that nobody reported."""
    heard, before = event.observed_at, row.heard_at
    if before is not None and heard <= before:
        return {}
    values: dict[str, Any] = {"heard_at": heard, "every_seconds": event.every_seconds}
    is_open = row.gap_begins is not None and row.gap_ends is None
    if not is_open and before is not None and row.every_seconds is not None and heard > _due(row):
        values |= {"gap_begins": before, "gap_ends": heard, "reason": _late(row)}
    return values


def _missed(row: Any, event: SourceCoverage) -> dict[str, Any]:
    """Returns what a reported gap changes. One that has ended does not begin again when it is sent again."""
    known = row.gap_begins
    if known is not None and (event.begins < known or (event.begins == known and event.ends in (None, row.gap_ends))):
        return {}
    reason = f"connector {event.connector}: {event.reason or 'it reports a gap'}"
    if event.missed:
        reason += f", {event.missed:,} posts missed"
    return {"gap_begins": event.begins, "gap_ends": event.ends, "reason": reason}


def _gap(row: Any, now: datetime) -> Unheard | None:
    gap = row.gap_begins is not None and row.gap_begins <= now
    if gap and (row.gap_ends is None or row.gap_ends > now):
        return Unheard(row.network, row.gap_begins, None, row.reason)
    if row.heard_at is not None and row.every_seconds is not None and now > _due(row):
        return Unheard(row.network, row.heard_at, None, _late(row))
    if gap and now < row.gap_ends + SETTLES_AFTER:
        return Unheard(row.network, row.gap_begins, row.gap_ends, row.reason)
    return None


def _due(row: Any) -> datetime:
    due: datetime = row.heard_at + timedelta(seconds=row.every_seconds)
    return due


def _late(row: Any) -> str:
    return f"connector {row.connector}: no heartbeat, which it promised every {row.every_seconds:g} seconds"
