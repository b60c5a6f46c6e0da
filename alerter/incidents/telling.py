"""Decides for every change whether people are told of it; each decision is a `TellReason`. Pure.

People are told when an incident opens, when it gets worse than what they were last told, when it ends, when a step of
its policy is due, and when a person acts. They are not told while somebody has acknowledged it, while it is snoozed or
held back, or within ten minutes of the last time; if it got worse meanwhile, they are told afterwards. Nothing hides
that an incident became severity 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from alerter.incidents import suppression, words
from alerter.incidents.record import Entry, IncidentRecord, Message, Transition, heard, material, worse
from alerter.incidents.transitions import Trigger, trigger_of
from alerter.rules.conditions import level_words
from alerter.rules.severity import WORST
from alerter.states import TellReason
from services.contracts.incident import Change, Held, IncidentState
from services.contracts.signal import Level

TELL_AGAIN_AFTER: Final = timedelta(minutes=10)
"""People at work on an incident must not be buried in messages. What got worse meanwhile is told after this time."""
THINNED: Final = frozenset({"forecast", "negative", "asked", "flagged", "unread"})
"""Kinds of timeline entries that are dropped if nothing changed that a person can see: a hot story is forecast
thousands of times, and a timeline holds decisions, not every number."""

WhyHeld = Callable[[IncidentRecord], Held | None]
"""Returns what holds an incident back now, or `None` if people may be told."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """A transition with the decision. `message` is published if there is one; people are told if `tell.is_told`."""

    record: IncidentRecord
    entries: tuple[Entry, ...]
    message: Message | None
    tell: TellReason
    halts: bool
    resumes_at: datetime | None


def decide(before: IncidentRecord | None, transition: Transition, why_held: WhyHeld, now: datetime) -> Announcement:
    """Decide whether people are told of a transition, and in which words. `before` is `None` if the incident opens."""
    after = transition if before is None or transition.message is not None else _put_in_words(before, transition, now)
    if after.note is not None:
        after = _with_note(after, after.note)
    if before is None:
        held = why_held(after.record)
        if held is not None:
            after = suppression.hold_from_the_start(after, held)
    else:
        after = _gated(before, after, why_held, now)
    tell = after.message.tell if after.message is not None else _why_nothing(after.record)
    return Announcement(after.record, after.entries, after.message, tell, after.halts, after.resumes_at)


def why_muted(record: IncidentRecord) -> TellReason | None:
    """Returns why nobody is told of changes (acknowledged, snoozed or held back), or `None` if people are told."""
    incident = record.incident
    if incident.acknowledged_by is not None:
        return TellReason.ACKNOWLEDGED
    if incident.snoozed_until is not None:
        return TellReason.SNOOZED
    return None if incident.held is None else TellReason.held(incident.held.by)


def is_muted(record: IncidentRecord) -> bool:
    return why_muted(record) is not None


def _put_in_words(before: IncidentRecord, transition: Transition, now: datetime) -> Transition:
    """Returns the transition with a message, if the change is worth one."""
    after, entry = transition.record, transition.entries[-1]
    message = _worth_saying(before, after, entry, now)
    others = transition.entries[:-1]
    if message is None:
        silent = entry.kind in THINNED and _visible(before) == _visible(after)
        return replace(transition, entries=others if silent else transition.entries)
    if message.tell.is_told:
        after = after.model_copy(update={"told": heard(after, now)})
    if entry.because != transition.note:
        # First why people are told only now, then what they are told.
        because = f"{entry.because}; {message.because}" if entry.kind == "released" else message.because
        entry = replace(entry, because=because)
    return replace(transition, record=after, entries=(*others, entry), message=message)


def _worth_saying(before: IncidentRecord, after: IncidentRecord, entry: Entry, now: datetime) -> Message | None:
    was, state = before.incident.state, after.incident.state
    if state.is_over:
        return Message(
            Change.RESOLVED,
            f"{entry.because}; {words.state_words(after.incident, after.was_unheard)}",
            TellReason.ENDED,
        )
    found = worse(after)
    # The person who has it looks anyway; but nothing hides that it became severity 1.
    muted = None if _became_worst(after) else why_muted(after)
    if state is IncidentState.ACTIVE and was is not state:
        crossed = trigger_of(after) is Trigger.CROSSES
        first = f"it {level_words(Level.CROSSED)}" if crossed else "it is part of a surge"
        reason = TellReason.CROSSED if crossed else TellReason.SURGING
        return Message(Change.UPDATED, "; ".join(dict.fromkeys((first, *found))), muted or reason)
    if found and muted is None and _may_tell(after, now):
        return Message(Change.UPDATED, "; ".join(found), TellReason.WORSE)
    if state is not was:
        return Message(Change.UPDATED, f"{entry.because}; {words.STATE_WORDS[state]}", TellReason.NOT_WORSE)
    if found and muted is not None and _visible(before) != _visible(after):
        return Message(Change.UPDATED, "; ".join(found), muted)
    return None


def _why_nothing(after: IncidentRecord) -> TellReason:
    """Returns why a change is not even published."""
    return (why_muted(after) or TellReason.TOLD_RECENTLY) if worse(after) else TellReason.NOT_WORSE


def _with_note(transition: Transition, note: str) -> Transition:
    message = transition.message
    if message is None:
        return replace(transition, message=Message(Change.UPDATED, note, TellReason.RECORDED))
    return replace(transition, message=replace(message, because=f"{message.because}; {note}"))


def _gated(before: IncidentRecord, transition: Transition, why_held: WhyHeld, now: datetime) -> Transition:
    """Ask the gate about a change that people are about to be told of, or an incident that was held back."""
    record, was = transition.record, before.incident.held
    is_told = transition.message is not None and transition.message.tell.is_told
    if record.ended or (was is None and not is_told):
        return transition
    held = why_held(record)
    if held is not None:
        return suppression.hold_what_came(before, transition, held)
    if was is None or record.incident.held is None or record.incident.state is IncidentState.EASING:
        return transition
    worst = record.incident.severity == WORST
    because = "SEV1 is never held back" if worst else f"no longer held back: {was.reason}"
    return suppression.release_with(transition, now, because)


def _visible(record: IncidentRecord) -> tuple[object, ...]:
    level = record.incident.outlook.level if record.incident.outlook else None
    return record.incident.state, record.incident.severity, level


def _became_worst(record: IncidentRecord) -> bool:
    return record.incident.severity == WORST < record.told.severity


def _may_tell(record: IncidentRecord, now: datetime) -> bool:
    """Returns True if the last message is long enough ago, or if this one never waits: the incident became severity 1, or
    got materially worse when its policy was used up and nobody had answered, so that nobody is at work on it."""
    alone = record.used_up_at is not None and record.is_pressing and material(record.told, record)
    return now - record.told.at >= TELL_AGAIN_AFTER or _became_worst(record) or alone
