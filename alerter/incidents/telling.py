"""Whether people are told of a change, decided here for all changes; every answer is a `TellReason`. Pure.

People are told when an incident opens, when it becomes worse than what they heard, when it ends, when a step of its policy is
due, and when a person acts. They are not told while somebody has it, while it is put off or held back, or within ten minutes
of the last time; what became worse meanwhile is told afterwards. Nothing hides that an incident became severity 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from alerter.incidents import suppression, words
from alerter.incidents.record import Entry, IncidentRecord, Message, Transition, heard, worse
from alerter.incidents.transitions import Trigger, trigger_of
from alerter.rules.severity import WORST
from alerter.states import TellReason
from services.contracts.incident import Change, Held, IncidentState

TELL_AGAIN_AFTER: Final = timedelta(minutes=10)
"""Whoever works on an incident must not be buried by it. What became worse meanwhile is told when this has passed."""
THINNED: Final = frozenset({"forecast", "negative"})
"""Kinds of timeline entries that are dropped where nothing changed that a person can see: a hot story is forecast thousands of
times, and a timeline holds decisions, not every number."""

Gate = Callable[[IncidentRecord], Held | None]
"""What holds an incident back now; `None`: people may be told."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """A transition with the decision: `message` is published if there is one, and people are told if `tell` says so."""

    record: IncidentRecord
    entries: tuple[Entry, ...]
    message: Message | None
    tell: TellReason
    halts: bool
    resumes_at: datetime | None


def decide(before: IncidentRecord | None, transition: Transition, gate: Gate, now: datetime) -> Announcement:
    """Decide whether people are told of this transition, and in which words. `before`: `None` where the incident opens."""
    said = transition if before is None or transition.message is not None else _put_in_words(before, transition, now)
    if said.note is not None:
        said = _with_note(said, said.note)
    if before is None:
        held = gate(said.record)
        if held is not None:
            said = suppression.hold_from_the_start(said, held)
    else:
        said = _gated(before, said, gate, now)
    tell = said.message.tell if said.message is not None else _why_nothing(said.record)
    return Announcement(said.record, said.entries, said.message, tell, said.halts, said.resumes_at)


def why_muted(record: IncidentRecord) -> TellReason | None:
    """Why the incident changes silently: somebody has it, put it off, or it is held back. `None`: it does not."""
    incident = record.incident
    if incident.acknowledged_by is not None:
        return TellReason.ACKNOWLEDGED
    if incident.snoozed_until is not None:
        return TellReason.SNOOZED
    return None if incident.held is None else TellReason.held(incident.held.by)


def is_muted(record: IncidentRecord) -> bool:
    return why_muted(record) is not None


def _put_in_words(before: IncidentRecord, transition: Transition, now: datetime) -> Transition:
    """With what is to be said of it, as far as it is worth saying."""
    after, entry = transition.record, transition.entries[-1]
    message = _worth_saying(before, after, entry, now)
    others = transition.entries[:-1]
    if message is None:
        silent = entry.kind in THINNED and _visible(before) == _visible(after)
        return replace(transition, entries=others if silent else transition.entries)
    if message.tell.is_told:
        after = after.model_copy(update={"told": heard(after, now)})
    if entry.because != transition.note:
        # Why it is told only now comes before what is told.
        because = f"{entry.because}; {message.because}" if entry.kind == "released" else message.because
        entry = replace(entry, because=because)
    return replace(transition, record=after, entries=(*others, entry), message=message)


def _worth_saying(before: IncidentRecord, after: IncidentRecord, entry: Entry, now: datetime) -> Message | None:
    was, state = before.incident.state, after.incident.state
    if state.is_over:
        return Message(Change.RESOLVED, f"{entry.because}; {words.STATE_WORDS[state]}", TellReason.ENDED)
    found = worse(after)
    # Whoever has it reads it anyway; but nothing hides that it became severity 1.
    muted = None if _became_worst(after) else why_muted(after)
    if state is IncidentState.ACTIVE and was is not state:
        crossed = trigger_of(after) is Trigger.CROSSES
        found.insert(0, "it has crossed the line" if crossed else "it is part of a surge")
        loud = TellReason.CROSSED if crossed else TellReason.SURGING
        return Message(Change.UPDATED, "; ".join(found), muted or loud)
    if found and muted is None and _may_tell(after, now):
        return Message(Change.UPDATED, "; ".join(found), TellReason.WORSE)
    if state is not was:
        return Message(Change.UPDATED, f"{entry.because}; {words.STATE_WORDS[state]}", TellReason.NOT_WORSE)
    if found and muted is not None and _visible(before) != _visible(after):
        return Message(Change.UPDATED, "; ".join(found), muted)
    return None


def _why_nothing(after: IncidentRecord) -> TellReason:
    """Why a change that is not even published is not."""
    return (why_muted(after) or TellReason.TOLD_RECENTLY) if worse(after) else TellReason.NOT_WORSE


def _with_note(transition: Transition, note: str) -> Transition:
    message = transition.message
    if message is None:
        return replace(transition, message=Message(Change.UPDATED, note, TellReason.RECORDED))
    return replace(transition, message=replace(message, because=f"{message.because}; {note}"))


def _gated(before: IncidentRecord, transition: Transition, gate: Gate, now: datetime) -> Transition:
    """What is about to be told, or was held back, is looked at once more. Nothing holds back severity 1."""
    record, was = transition.record, before.incident.held
    told = transition.message is not None and transition.message.tell.is_told
    if record.ended or (was is None and not told):
        return transition
    held = gate(record)
    if held is not None:
        return suppression.hold_what_came(before, transition, held)
    if was is None or record.incident.held is None or record.incident.state is IncidentState.EASING:
        return transition
    worst = record.incident.severity == WORST
    because = "severity 1 is never held back" if worst else f"not held back any more: {was.reason}"
    return suppression.release_with(transition, now, because)


def _visible(record: IncidentRecord) -> tuple[object, ...]:
    level = record.incident.outlook.level if record.incident.outlook else None
    return record.incident.state, record.incident.severity, level


def _became_worst(record: IncidentRecord) -> bool:
    return record.incident.severity == WORST < record.told.severity


def _may_tell(record: IncidentRecord, now: datetime) -> bool:
    """Ten minutes have passed; or it became severity 1, which waits for nothing (and can happen once a told severity)."""
    return now - record.told.at >= TELL_AGAIN_AFTER or _became_worst(record)
