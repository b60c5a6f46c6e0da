"""What people do to an incident: acknowledge, snooze, reassign, resolve it, or mark what the alarm was worth. Pure.

An acknowledgement expires. The person who gave it is told so, and shortly afterwards the policy resumes where it
stopped: an alarm that was acknowledged and forgotten is worse than one that nobody took.

Each function returns the transition. All but `mark` raise `Refused` if the incident is over.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from alerter.incidents.record import Entry, IncidentRecord, Message, Transition, heard, refresh
from alerter.incidents.transitions import Refused, Trigger, advance
from alerter.rules.severity import WORST
from alerter.states import TellReason
from services.contracts.incident import Change, OutcomeMark

GRACE: Final = timedelta(minutes=2)
"""After an acknowledgement has expired: the time to say "still mine" before others are told."""
HAND_OVER: Final = timedelta(minutes=5)
"""How long somebody who was handed an incident has to acknowledge it before the policy resumes."""
MARK_WORDS: Final = {
    OutcomeMark.USEFUL: "a useful alarm",
    OutcomeMark.FALSE_ALARM: "a false alarm",
    OutcomeMark.TOO_LATE: "an alarm that came too late",
}


def acknowledge(
    record: IncidentRecord, by: str, comment: str, now: datetime, until: datetime | None = None
) -> Transition | None:
    """Acknowledge the incident for `by`, until `until` or for as long as the policy says.

    Nobody is told if `by` has it already and only extends the time. Returns `None` if nothing changes. Raises `Refused`
    if `until` is not in the future.
    """
    _refuse_ended(record)
    until = until or now + timedelta(minutes=record.policy.acknowledgement_minutes)
    if until <= now:
        raise Refused("the acknowledgement would already have expired")
    incident = record.incident
    again = incident.acknowledged_by == by
    if again and incident.acknowledged_until == until and comment in ("", incident.comment):
        return None
    because = f"{by} {'still has' if again else 'acknowledged'} it" + _said(comment)
    changes: dict[str, Any] = {
        "acknowledged_by": by,
        "acknowledged_at": incident.acknowledged_at if again else now,
        "acknowledged_until": until,
        "comment": comment or (incident.comment if again else None),
    }
    draft = _changed(record, {**changes, **_AWAKE}, acted=True)
    if not again:
        draft = draft.model_copy(update={"told": heard(draft, now)})
    message = Message(Change.ACKNOWLEDGED, because, TellReason.RECORDED if again else TellReason.ACTED)
    return advance(record, draft, Trigger.NOTED, Entry("acknowledged", because, by), now, message, halts=True)


_AWAKE: Final[dict[str, Any]] = {"snoozed_by": None, "snoozed_until": None}
_FREE: Final[dict[str, Any]] = {"acknowledged_by": None, "acknowledged_at": None, "acknowledged_until": None}


def snooze(record: IncidentRecord, by: str, comment: str, now: datetime, until: datetime) -> Transition | None:
    """Tell nobody until then, unless the incident becomes severity 1. Returns `None` if nothing changes.

    Raises `Refused` if `until` is not in the future, or the incident is severity 1: that is acknowledged, not snoozed.
    """
    _refuse_ended(record)
    if until <= now:
        raise Refused("the snooze would already be over")
    if record.incident.severity == WORST:
        raise Refused("SEV1 cannot be snoozed: acknowledge it instead")
    if (record.incident.snoozed_by, record.incident.snoozed_until) == (by, until):
        return None
    because = f"{by} snoozed it until {until:%Y-%m-%d %H:%M} UTC" + _said(comment)
    changes = {**_FREE, "snoozed_by": by, "snoozed_until": until, "comment": comment or None}
    draft = _changed(record, changes, acted=True)
    message = Message(Change.UPDATED, because, TellReason.RECORDED)
    return advance(record, draft, Trigger.NOTED, Entry("snoozed", because, by), now, message, halts=True)


def reassign(record: IncidentRecord, by: str, to: str, comment: str, now: datetime) -> Transition | None:
    """Ask `to` to take it within `HAND_OVER`. Returns `None` if `to` was asked already and nobody else has it."""
    _refuse_ended(record)
    incident = record.incident
    if incident.assigned_to == to and incident.acknowledged_by in (None, to):
        return None
    because = f"{by} asked {to} to take it" + _said(comment)
    draft = _changed(record, {**_FREE, **_AWAKE, "assigned_to": to, "comment": comment or None}, acted=True)
    draft = draft.model_copy(update={"told": heard(draft, now)})
    message = Message(Change.UPDATED, because, TellReason.ACTED, person=to)
    entry = Entry("reassigned", because, by)
    return advance(record, draft, Trigger.NOTED, entry, now, message, halts=True, resumes_at=now + HAND_OVER)


def escalate(record: IncidentRecord, by: str, comment: str, now: datetime) -> Transition:
    """Ask for the next step of the policy at once. Nobody has the incident then until somebody of that step takes it.

    Raises `Refused` if the incident is held back, too: nobody may be told of it.
    """
    _refuse_ended(record)
    incident = record.incident
    if incident.held is not None:
        raise Refused(f"nobody may be told of it: {incident.held.reason}")
    because = f"{by} asked for the next step at once" + _said(comment)
    draft = _changed(record, {**_FREE, **_AWAKE, "comment": comment or incident.comment}, acted=True)
    message = Message(Change.UPDATED, because, TellReason.RECORDED)
    return advance(record, draft, Trigger.NOTED, Entry("hastened", because, by), now, message)


def resolve(record: IncidentRecord, by: str, comment: str, now: datetime) -> Transition:
    """End the incident because `by` says that it is over."""
    because = f"{by} resolved it" + _said(comment)
    draft = _changed(record, {"comment": comment} if comment else {}, acted=True)
    draft = draft.model_copy(update={"by_hand": True, "resolved_by": by})
    return advance(record, draft, Trigger.CLOSED, Entry("resolved", because, by), now)


def mark(record: IncidentRecord, by: str, outcome: OutcomeMark, comment: str, now: datetime) -> Transition | None:
    """Record what `by` says the alarm was worth, also after the incident ended. The newest mark counts.

    Returns `None` if the incident has this mark already and there is no new comment.
    """
    if record.incident.outcome is outcome and not comment:
        return None
    because = f"{by} called it {MARK_WORDS[outcome]}" + _said(comment)
    changes = {"outcome": outcome, "sequence": record.incident.sequence + 1, "changed_at": now}
    message = Message(Change.UPDATED, because, TellReason.RECORDED)
    return Transition(refresh(record, changes), (Entry("marked", because, by),), message)


def lapse(record: IncidentRecord, now: datetime) -> Transition:
    """End an acknowledgement that has expired. The person who gave it is told first, then the policy resumes."""
    by = record.incident.acknowledged_by
    because = (
        f"{by}'s acknowledgement has expired; the policy resumes in {GRACE.total_seconds() / 60:.0f} minutes "
        f"unless somebody acknowledges the incident"
    )
    draft = _changed(record, dict(_FREE))
    draft = draft.model_copy(update={"told": heard(draft, now)})
    message = Message(Change.UPDATED, because, TellReason.REMINDED, person=by)
    return advance(record, draft, Trigger.NOTED, Entry("lapsed", because, by), now, message, resumes_at=now + GRACE)


def wake(record: IncidentRecord, now: datetime) -> Transition:
    """End a snooze whose time is over: the policy resumes where it stopped."""
    by = record.incident.snoozed_by
    because = f"{by}'s snooze is over; the policy resumes"
    draft = _changed(record, dict(_AWAKE))
    draft = draft.model_copy(update={"told": heard(draft, now)})
    message = Message(Change.UPDATED, because, TellReason.REMINDED, person=by)
    return advance(record, draft, Trigger.NOTED, Entry("woken", because, by), now, message, resumes_at=now)


def _refuse_ended(record: IncidentRecord) -> None:
    if record.ended:
        raise Refused(f"the incident is {record.incident.state.value}")


def _changed(record: IncidentRecord, changes: dict[str, Any], acted: bool = False) -> IncidentRecord:
    incident = record.incident.model_copy(update=changes)
    used_up_at = None if acted else record.used_up_at
    return record.model_copy(update={"incident": incident, "acted": record.acted or acted, "used_up_at": used_up_at})


def _said(comment: str) -> str:
    return f": {comment}" if comment else ""
