"""Groups of stories that share one incident: finds the incident that takes a story in, and makes the story join it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, bindparam, insert, select, update

from alerter.desk.gate import Gate
from alerter.incidents import model
from alerter.incidents.record import Entry, IncidentRecord, Transition
from alerter.incidents.store import IncidentStore
from alerter.incidents.transitions import Trigger, advance
from alerter.rules.conditions import Opening
from alerter.rules.decide import Decision, raised
from alerter.rules.grouping import Group
from alerter.store.tables import groupings
from services.config.model import Config
from services.contracts.base import StoryId
from services.contracts.incident import HeldBy

MOST_MEMBERS: Final = 500
"""Most stories in one incident; the next opens another. More would tell a person nothing, in an endless timeline."""

_ADD: Final = insert(groupings)
_PUT: Final = update(groupings).where(groupings.c.key == bindparam("of_key"))
_ONE_MORE: Final = _PUT.values(members=groupings.c.members + 1)


class Groups:
    def __init__(self, connection: Connection, store: IncidentStore, gate: Gate, now: datetime) -> None:
        self._connection = connection
        self._store = store
        self._gate = gate
        self._now = now

    def host(self, group: Group | None, opened: IncidentRecord) -> IncidentRecord | None:
        """Returns the open incident of the group that takes in the story, or `None` if `opened` is to open for it.

        A story joins only if people are told of that incident whenever they would be told of the story itself: a
        silenced incident must not hide a story that is not silenced.
        """
        host = self._taking_in(group)
        if host is None:
            return None
        was, held = host.incident.held, self._gate.held(opened)
        if was is None:
            alike = held is None or held.by is HeldBy.QUIET_HOURS
        else:
            beyond = was.by is HeldBy.PAGE_BUDGET and self._gate.overflows(opened) is not None
            alike = held is not None or beyond
        return host if alike else None

    def joined(self, group: Group) -> None:
        """Count one more story in the group's incident."""
        self._connection.execute(_ONE_MORE, {"of_key": group.key})

    def opened(self, group: Group | None, incident: str) -> None:
        """Let this new incident take in the group's stories from now on, unless one does that people are told of."""
        known = self._taking_in(group)
        if group is None or (known is not None and known.incident.held is None):
            return
        values = {"incident": incident, "members": 1}
        if not self._connection.execute(_PUT, {"of_key": group.key, **values}).rowcount:
            self._connection.execute(_ADD, {"key": group.key, **values})

    def _taking_in(self, group: Group | None) -> IncidentRecord | None:
        if group is None:
            return None
        row: Any = self._connection.execute(select(groupings).where(groupings.c.key == group.key)).one_or_none()
        record = self._store.load(row.incident) if row is not None and row.members < MOST_MEMBERS else None
        if record is None or record.ended or self._now - record.incident.opened_at > group.within:
            return None
        return record


def join(
    host: IncidentRecord, signal: Opening, story: StoryId, decision: Decision, group: Group, complaint: int | None,
    config: Config, now: datetime,
) -> Transition:  # fmt: skip
    """Let a story join `host` instead of opening an incident: apply its signal, and say so in the timeline.

    `complaint` is the severity of the story's worst complaint, which counts for the incident from now on.
    """
    known = [c for c in (host.complaint, complaint) if c is not None]
    host = host.model_copy(update={"complaint": max(known, default=None)})
    grade = raised(signal, config.rules, decision.grade, host.complaint, config.topics_about(signal.brand))
    minutes = (now - host.incident.opened_at).total_seconds() / 60
    because = (
        f"story {story} joins this incident instead of opening another: rule {decision.rule.id} groups stories with "
        f"the same values ({group.words}) for {group.within.total_seconds() / 60:g} minutes, and this incident opened "
        f"{minutes:.0f} minutes ago"
    )
    entry = Entry("grouped", because)
    joined = model.join(host, signal, grade, now)
    if joined is None:  # the signal says nothing new about the incident, but the story is new in it
        return replace(
            advance(host, host.model_copy(update={"touched_at": now}), Trigger.NOTED, entry, now), note=because
        )
    return replace(joined, entries=(entry, *joined.entries), note=because)
