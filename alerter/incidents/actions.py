"""What people do to an incident: acknowledge, snooze, reassign, resolve or reopen it, or mark what the alarm was worth. Pure.

An acknowledgement expires. The person who gave it is told so, and shortly afterwards the policy resumes where it
stopped: an alarm that was acknowledged and forgotten is worse than one that nobody took.

Each function returns the transition. All but `mark` and `reopen` raise `Refused` if the incident is over.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from alerter.incidents.record import Entry, IncidentRecord, Message, Since, Transition, heard, refresh, with_audience
from alerter.incidents.transitions import Refused, Trigger, advance, reopening
from alerter.rules.severity import WORST
from alerter.states import TellReason
from services.contracts.incident import Change, OutcomeMark

GRACE: Final = timedelta(minutes=2)
"""After an acknowledgement has expired: the time to say "still mine" before others are told."""
HAND_OVER: Final = timedelta(minutes=5)
"""How long somebody who was handed an incident has to acknowledge it. Then the policy resumes if nobody has it, and else
whoever has it is told that they still do."""
UNDO_FOR: Final = timedelta(minutes=10)
"""After somebody resolved it: the time in which that can be taken back, as if it had not been said."""
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
    refuse_ended(record)
    until = until or now + timedelta(minutes=record.policy.acknowledgement_minutes)
    if until <= now:
        raise Refused("the acknowledgement would already have expired")
    incident = record.incident
    again = incident.acknowledged_by == by
    if again and incident.acknowledged_until == until and comment in ("", incident.comment):
        return None
    because = f"{by} {'still has' if again else 'acknowledged'} it" + _said(comment)
    changes: dict[str, Any] = {
        "assigned_to": incident.assigned_to if again else None,
        "acknowledged_by": by,
        "acknowledged_at": incident.acknowledged_at if again else now,
        "acknowledged_until": until,
        "comment": comment or (incident.comment if again else None),
    }
    draft = _changed(record, {**changes, **_AWAKE}, acted=True).model_copy(update=_FROM_INSIDE)
    if not again:
        draft = draft.model_copy(update={"told": heard(draft, now), "asked_until": None})
    message = Message(Change.ACKNOWLEDGED, because, TellReason.RECORDED if again else TellReason.ACTED)
    # Who only says once more that they have it still asks whomever they asked to take it over.
    return advance(record, draft, Trigger.NOTED, Entry("acknowledged", because, by), now, message, halts=not again)


_FROM_INSIDE: Final[dict[str, Any]] = {"held_from_outside": False}
"""Until the caller says otherwise, which knows whose key it was."""
_AWAKE: Final[dict[str, Any]] = {"snoozed_by": None, "snoozed_until": None}
_FREE: Final[dict[str, Any]] = {"acknowledged_by": None, "acknowledged_at": None, "acknowledged_until": None}


def snooze(record: IncidentRecord, by: str, comment: str, now: datetime, until: datetime) -> Transition | None:
    """Tell nobody until then, unless the incident becomes severity 1. Returns `None` if nothing changes.

    Raises `Refused` if `until` is not in the future, or the incident is severity 1: that is acknowledged, not snoozed.
    """
    refuse_ended(record)
    if until <= now:
        raise Refused("the snooze would already be over")
    if record.incident.severity == WORST:
        raise Refused("SEV1 cannot be snoozed: acknowledge it instead")
    if (record.incident.snoozed_by, record.incident.snoozed_until) == (by, until):
        return None
    because = f"{by} snoozed it until {until:%Y-%m-%d %H:%M} UTC" + _said(comment)
    changes = {**_FREE, "snoozed_by": by, "snoozed_until": until, "comment": comment or None}
    draft = _changed(record, changes, acted=True).model_copy(update={"asked_until": None, **_FROM_INSIDE})
    message = Message(Change.UPDATED, because, TellReason.RECORDED)
    return advance(record, draft, Trigger.NOTED, Entry("snoozed", because, by), now, message, halts=True)


def reassign(
    record: IncidentRecord, by: str, to: str, comment: str, now: datetime, endpoints: tuple[str, ...] = ()
) -> Transition | None:
    """Ask `to` to take it within `HAND_OVER`. Whoever has it keeps it until then, and beyond if `to` does not take it.

    `endpoints` are those by which `to` is paged: they hear how it goes on. Returns `None` if `to` has it, or is asked already.
    """
    refuse_ended(record)
    incident = record.incident
    if incident.acknowledged_by == to or (incident.assigned_to == to and is_asked(record, now)):
        return None
    because = f"{by} asked {to} to take it" + _said(comment)
    draft = _changed(record, {**_AWAKE, "assigned_to": to, "comment": comment or None}, acted=True)
    until = now + HAND_OVER
    draft = with_audience(draft, endpoints, now)
    draft = draft.model_copy(update={"told": heard(draft, now), "asked_until": until})
    message = Message(Change.UPDATED, because, TellReason.ACTED)
    entry = Entry("reassigned", because, by)
    # Somebody has it until somebody else does: an incident must not fall between two chairs.
    resumes_at = until if incident.acknowledged_by is None else None
    return advance(record, draft, Trigger.NOTED, entry, now, message, halts=True, resumes_at=resumes_at)


def is_asked(record: IncidentRecord, now: datetime) -> bool:
    """Returns True if somebody was asked to take it and may still answer."""
    return record.asked_until is not None and now < record.asked_until


def ask_again(record: IncidentRecord, endpoints: tuple[str, ...], now: datetime, words: str, why: str) -> Transition:
    """Tell whoever is asked to take it once more, or by another way. `words` say how, and `why` says because of what."""
    because = f"{record.incident.assigned_to} is asked to take it: {why}"
    message = Message(Change.ESCALATED, because, TellReason.STEP)
    draft = with_audience(record, endpoints, now)
    return advance(record, draft, Trigger.NOTED, Entry("escalated", f"{words} ({why})"), now, message)


def not_taken(record: IncidentRecord, now: datetime, lost: str | None = None) -> Transition:
    """End a hand-over that nobody took, or could hear of: `lost` says why. Whoever has it is told that it is still theirs."""
    incident, message = record.incident, None
    because = f"{incident.assigned_to} did not take it within {HAND_OVER.total_seconds() / 60:.0f} minutes"
    if lost is not None:
        because = f"{incident.assigned_to} could not be asked to take it: {lost}"
    draft = _changed(record, {"assigned_to": None}).model_copy(update={"asked_until": None})
    if incident.acknowledged_by is not None:
        until = f" until {incident.acknowledged_until:%Y-%m-%d %H:%M} UTC" if incident.acknowledged_until else ""
        because += f"; {incident.acknowledged_by} still has it{until}"
        draft = draft.model_copy(update={"told": heard(draft, now)})
        message = Message(Change.UPDATED, because, TellReason.REMINDED, person=incident.acknowledged_by)
    return advance(record, draft, Trigger.NOTED, Entry("not_taken", because), now, message)


def escalate(record: IncidentRecord, by: str, comment: str, now: datetime) -> Transition:
    """Ask for the next step of the policy at once. Nobody has the incident then until somebody of that step takes it.

    Raises `Refused` if the incident is held back, too: nobody may be told of it.
    """
    refuse_ended(record)
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


def undo_until(record: IncidentRecord) -> datetime | None:
    """Returns until when it can be taken back that the incident is over, or `None` if no person said so."""
    return record.ended_at + UNDO_FOR if record.ended and record.by_hand and record.ended_at is not None else None


def reopen(record: IncidentRecord, by: str, comment: str, now: datetime) -> Transition:
    """Open an incident again that is over. Raises `Refused` if it is not.

    What was resolved within the last `UNDO_FOR` is as it was before: whoever had it has it, for as long as they had said.
    Later nobody has it. Where nobody does, the policy goes on where it stopped, after `GRACE` for whoever takes it now. What
    was heard meanwhile counts as heard, and silence is counted from now.
    """
    incident = record.incident
    if not record.ended:
        raise Refused(f"the incident is {incident.state.value}: only what is over can be reopened")
    until = undo_until(record)
    undone = until is not None and now < until
    held = undone and incident.acknowledged_until is not None and incident.acknowledged_until > now
    asleep = undone and incident.snoozed_until is not None and incident.snoozed_until > now
    changes: dict[str, Any] = {"comment": comment or (incident.comment if undone else None), "assigned_to": None}
    changes |= ({} if held else _FREE) | ({} if asleep else _AWAKE)
    draft = _changed(record, changes, acted=True)
    draft = draft.model_copy(
        update={
            "by_hand": False,
            "resolved_by": None,
            "ended_at": None,
            "asked_until": None,
            "recheck_at": None,
            "touched_at": now,
            "since": Since(),
        }
    )
    draft = draft.model_copy(update={"told": heard(draft, now)})
    because = (f"{by} took back that it is over" if undone else f"{by} reopened it") + _said(comment)
    goes_on = f"; the policy goes on in {GRACE.total_seconds() / 60:.0f} minutes unless somebody acknowledges it"
    if held:
        goes_on = f"; {incident.acknowledged_by} still has it until {incident.acknowledged_until:%Y-%m-%d %H:%M} UTC"
    elif asleep:
        goes_on = f"; it is snoozed until {incident.snoozed_until:%Y-%m-%d %H:%M} UTC"
    because += goes_on
    message = Message(Change.UPDATED, because, TellReason.ACTED)
    resumes_at = None if held or asleep else now + GRACE
    entry = Entry("reopened", because, by)
    return advance(record, draft, reopening(record), entry, now, message, resumes_at=resumes_at)


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
    # Whoever was asked to take it over is asked still: now nobody else has it.
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


def refuse_ended(record: IncidentRecord) -> None:
    """Raises `Refused` if the incident is over."""
    if record.ended:
        raise Refused(f"the incident is {record.incident.state.value}")


def _changed(record: IncidentRecord, changes: dict[str, Any], acted: bool = False) -> IncidentRecord:
    incident = record.incident.model_copy(update=changes)
    used_up_at = None if acted else record.used_up_at
    return record.model_copy(update={"incident": incident, "acted": record.acted or acted, "used_up_at": used_up_at})


def _said(comment: str) -> str:
    return f": {comment}" if comment else ""
