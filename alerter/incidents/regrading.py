"""A person gives an incident another severity, and says why. Pure.

It holds until the story gets worse than it was when they said so. Who was told before hears of it, as of all that people do;
an incident that becomes urgent by it rings those whom it paged while it was calm.
"""

from __future__ import annotations

from datetime import datetime

from alerter.incidents.actions import refuse_ended
from alerter.incidents.judgements import Regraded
from alerter.incidents.record import Entry, IncidentRecord, Message, Transition, heard, refresh
from alerter.incidents.transitions import Trigger, advance
from alerter.states import TellReason
from services.contracts.incident import Change
from services.contracts.scales import sev


def regrade(record: IncidentRecord, by: str, severity: int, because: str, now: datetime) -> Transition | None:
    """Returns `None` if it has this severity already. Raises `Refused` if it is over."""
    refuse_ended(record)
    had = record.incident.severity
    if severity == had:
        return None
    graded = refresh(record.model_copy(update={"regraded": None}), {}).incident.severity
    was = graded if record.regraded is None or graded < record.regraded.was else record.regraded.was
    incident = record.incident.model_copy(update={"comment": because})
    update = {"incident": incident, "regraded": Regraded(severity=severity, was=was), "acted": True}
    draft = record.model_copy(update=update)
    draft = draft.model_copy(update={"told": heard(refresh(draft, {}), now)})
    said = f"{by} changed it from {sev(had)} to {sev(severity)}: {because}"
    message = Message(Change.UPDATED, said, TellReason.ACTED)
    return advance(record, draft, Trigger.NOTED, Entry("regraded", said, by), now, message)
